"""The best adversarial sentence of each example so far. Nothing counts until its *text* has been decoded.

A search offers piece sequences; each is turned into text, tokenized afresh, decoded with the reporting settings in
full precision, and judged by the goal. Only then is it kept, if it changes fewer words than what was kept before.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from textadv.goals import Goal
from textadv.sources import Sources
from textadv.types import CountedVictim

NONE_YET = 10**6  # more words than any sentence has


class Confirmation:
    """What is known of B examples.

    `words` (B,) is the number of changed pieces of the best confirmed success (NONE_YET without one), `ids` (B, T)
    its pieces, or of the most promising failure, `texts` and `outputs` its text and decoded output, `found_by` the
    search that offered it, `claimed` whether a search ever held a greedy output that met the goal.
    """

    def __init__(self, victim: CountedVictim, sources: Sources, goal: Goal, clean_outputs: Sequence[str]) -> None:
        self.victim, self.sources, self.goal = victim, sources, goal
        count = len(sources.texts)
        self.words = torch.full((count,), NONE_YET, device=sources.ids.device)
        self.ids = sources.ids.clone()
        self.texts, self.outputs = list(sources.texts), list(clean_outputs)
        self.found_by: list[str | None] = [None] * count
        self.claimed = [False] * count
        self._promise = [(10**6, float("inf"))] * count
        self._tried: list[set[str]] = [{text} for text in sources.texts]

    @property
    def solved(self) -> Tensor:
        """(B,) whether a success is confirmed."""
        return self.words < NONE_YET

    def judge(self, rows: Tensor, ids: Tensor, outputs: Tensor, loss: Tensor) -> Tensor:
        """(N,) violations of greedy outputs (N, M) of pieces ids (N, T); remembers the most promising ones."""
        texts = self.victim.decode(outputs)
        found = [self.goal.violations(row, text) for row, text in zip(rows.tolist(), texts, strict=True)]
        for i, row in enumerate(rows.tolist()):
            self.claimed[row] |= found[i] == 0
            promise = (found[i], float(loss[i]))
            if self.words[row] == NONE_YET and promise < self._promise[row]:
                self._promise[row] = promise
                self.ids[row] = ids[i]
        return torch.tensor(found, device=rows.device)

    def offer(self, rows: Tensor, ids: Tensor, *, by: str, better: bool = False) -> Tensor:
        """Decodes and judges the texts of ids (N, T); returns (N,) which of them are confirmed successes.

        Offers that could not improve on what is kept, that were tried before, or whose text is tokenized to other
        pieces are turned down without a query. An offer that is `better` by the searcher's own measure replaces
        what is kept although it changes more words.
        """
        accepted = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        if len(rows) == 0:
            return accepted
        changed = self.sources.changed(rows, ids)
        texts = self.sources.text(rows, ids)
        survives = self.sources.survives(rows, ids, texts)
        tried = []
        for i, row in enumerate(rows.tolist()):
            improves = better or changed[i] < self.words[row]
            if survives[i] and improves and texts[i] not in self._tried[row]:
                self._tried[row].add(texts[i])
                tried.append(i)
        outputs = self.victim.generate([texts[i] for i in tried], rows[tried])
        for i, output in zip(tried, outputs, strict=True):
            row = int(rows[i])
            if self.goal.violations(row, output):
                continue
            accepted[i] = True
            if better or changed[i] < self.words[row]:
                self.words[row], self.ids[row] = changed[i], ids[i]
                self.texts[row], self.outputs[row], self.found_by[row] = texts[i], output, by
        return accepted

    def close(self) -> None:
        """Decodes the most promising sentence of every example without a success, so that it can be reported."""
        failed = ((self.words == NONE_YET) & (self.ids != self.sources.ids).any(1)).nonzero().squeeze(1)
        texts = self.sources.text(failed, self.ids[failed])
        for row, text, output in zip(
            failed.tolist(), texts, self.victim.generate(texts, failed), strict=True
        ):
            self.texts[row], self.outputs[row] = text, output
