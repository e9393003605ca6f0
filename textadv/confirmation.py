"""The best adversarial sentence of each example so far. Nothing counts until its *text* has been decoded.

A search offers piece sequences; each is turned into text, tokenized afresh, decoded with the reporting settings in
full precision, and judged by the goal and the limits. Only then is it kept, if it changes fewer words than what was
kept before.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from textadv.goals import Goal
from textadv.limits import NO_LIMITS, HeldLimits, Limits
from textadv.sources import Sources
from textadv.types import CountedVictim
from textadv.words import changed_words

NONE_YET = 10**6  # more words than any sentence has


class Confirmation:
    """What is known of B examples.

    `words` (B,) is the number of changed pieces of the best confirmed success (NONE_YET without one), `ids` (B, T)
    its pieces, or of the most promising failure, `texts` and `outputs` its text and decoded output, `found_by` the
    search that offered it, `claimed` whether a search ever held a greedy output that met the goal, within the limits on
    its sentence if the output is one of a text.
    """

    def __init__(
        self,
        victim: CountedVictim,
        sources: Sources,
        goal: Goal,
        clean_outputs: Sequence[str],
        limits: Limits = NO_LIMITS,
    ) -> None:
        self.victim, self.sources, self.goal = victim, sources, goal
        self._limits, self._held_limits = limits, HeldLimits(limits)
        count = len(sources.texts)
        self.words = torch.full((count,), NONE_YET, device=sources.ids.device)
        self.ids = sources.ids.clone()
        self.texts, self.outputs = list(sources.texts), list(clean_outputs)
        self.found_by: list[str | None] = [None] * count
        self.claimed = [False] * count
        self._promise = [(10**6, float("inf"))] * count
        self._outputs = [{text: out} for text, out in zip(self.texts, self.outputs, strict=True)]  # of all tried

    @property
    def solved(self) -> Tensor:
        """(B,) whether a success is confirmed."""
        return self.words < NONE_YET

    @property
    def bound(self) -> Tensor:
        """(B,) how many changed words are too many: as many as the best success has, or more than the budget."""
        return torch.minimum(self.words, self.sources.budget + 1)

    def judge(self, rows: Tensor, ids: Tensor, outputs: Tensor, loss: Tensor) -> Tensor:
        """(N,) violations of greedy outputs (N, M) of pieces ids (N, T); remembers the most promising ones.

        Limits that are broken where the goal is met count as one violation. A sentence that changes more words than the
        budget is judged by the goal alone, and not remembered.
        """
        return self._judge(rows, ids, self.victim.decode(outputs), loss.tolist())

    def claim(self, rows: Tensor, outputs: Tensor) -> Tensor:
        """(N,) violations of greedy outputs (N, M) of vectors that make no text: a success is claimed, no more."""
        texts = self.victim.decode(outputs)
        found = [self.goal.violations(row, text) for row, text in zip(rows.tolist(), texts, strict=True)]
        for row, violations in zip(rows.tolist(), found, strict=True):
            self.claimed[row] |= violations == 0
        return torch.tensor(found, dtype=torch.long, device=rows.device)

    def show(self, rows: Tensor, ids: Tensor, *, by: str) -> Tensor:
        """For a search that sees nothing but reported outputs: (N,) violations of those of ids (N, T).

        Successes are kept as `offer` keeps them, and a text is decoded once only. What changes more words than the
        budget, or is tokenized to other pieces, costs no query and has NONE_YET violations.
        """
        violations = torch.full((len(rows),), NONE_YET, device=rows.device)
        if len(rows) == 0:
            return violations
        texts = self.sources.text(rows, ids)
        within = (self.sources.changed(rows, ids) <= self.sources.budget[rows]).tolist()
        real = [i for i, same in enumerate(self.sources.survives(rows, ids, texts)) if same and within[i]]
        self._decode(rows, texts, real)
        outputs = [self._outputs[row][texts[i]] for i, row in zip(real, rows[real].tolist(), strict=True)]
        violations[real] = self._judge(rows[real], ids[real], outputs, [0.0] * len(real))
        hits = violations == 0
        self.offer(rows[hits], ids[hits], by=by)
        return violations

    def _judge(self, rows: Tensor, ids: Tensor, texts: Sequence[str], losses: Sequence[float]) -> Tensor:
        row_of, changed = rows.tolist(), self.sources.changed(rows, ids).tolist()
        found = [self.goal.violations(row, text) for row, text in zip(row_of, texts, strict=True)]
        # Greed and beams may disagree on the original, which is no merit of the search.
        budget = self.sources.budget.tolist()
        eligible = [i for i, row in enumerate(row_of) if 0 < changed[i] <= budget[row]]
        if self._limits and (met := [i for i in eligible if found[i] == 0]):
            for i, held in zip(met, self._held(rows[met], self.sources.text(rows[met], ids[met])), strict=True):
                found[i] = 0 if held else 1
        unsolved = (~self.solved).tolist()
        for i in eligible:
            row = row_of[i]
            self.claimed[row] |= found[i] == 0
            promise = (found[i], losses[i])
            if unsolved[row] and promise < self._promise[row]:
                self._promise[row] = promise
                self.ids[row] = ids[i]
        return torch.tensor(found, dtype=torch.long, device=rows.device)

    def offer(self, rows: Tensor, ids: Tensor, *, by: str, better: bool = False) -> Tensor:
        """Decodes and judges the texts of ids (N, T); returns (N,) which of them are confirmed successes.

        Offers that could not improve on what is kept, change more words than the budget, or whose text is tokenized
        to other pieces, are turned down without a query; a text is decoded once only. An offer that is `better` by the
        searcher's own measure replaces what is kept although it changes more words.
        """
        accepted = torch.zeros(len(rows), dtype=torch.bool, device=rows.device)
        if len(rows) == 0:
            return accepted
        changed, row_of, bound = self.sources.changed(rows, ids).tolist(), rows.tolist(), self.bound.tolist()
        if better:
            bound = (self.sources.budget + 1).tolist()
        texts = self.sources.text(rows, ids)
        survives = self.sources.survives(rows, ids, texts)
        wanted = [i for i, row in enumerate(row_of) if survives[i] and changed[i] < bound[row]]
        self._decode(rows, texts, wanted)
        for i in self._successes(rows, texts, wanted):
            row = row_of[i]
            accepted[i] = True
            if better or changed[i] < bound[row]:
                bound[row] = changed[i]
                self.words[row], self.ids[row] = changed[i], ids[i]
                self.texts[row], self.outputs[row], self.found_by[row] = texts[i], self._outputs[row][texts[i]], by
        return accepted

    def offer_only(self, rows: Tensor, ids: Tensor, *, by: str) -> None:
        """Offers the one sentence ids (N, T) that a search has for each of rows (N,), each row once.

        It's reported as a failure if it isn't confirmed; nothing is claimed of it.
        """
        self.ids[rows] = ids
        self.offer(rows, ids, by=by)

    def reported(self, row: int, texts: Sequence[str]) -> list[str]:
        """The reported outputs of any texts in place of one example, for a search that makes its own texts."""
        rows = torch.full((len(texts),), row, device=self.sources.ids.device)
        self._decode(rows, texts, range(len(texts)))
        return [self._outputs[row][text] for text in texts]

    def offer_text(self, row: int, text: str, *, claimed: bool, by: str) -> None:
        """Judges the sentence that such a search ends with, and keeps it, as a success or as the failure to report.

        `claimed` is what the search says of it.
        """
        self.claimed[row] |= claimed
        original = self.sources.texts[row]
        if text == original:
            return
        [output] = self.reported(row, [text])
        self.texts[row], self.outputs[row] = text, output
        if self.goal.violations(row, output) == 0:
            self.words[row], self.found_by[row] = changed_words(original, text), by

    def offer_best(self, rows: Tensor, ids: Tensor, loss: Tensor, *, most: int, by: str) -> None:
        """Offers `most` of each example's sentences ids (N, T): fewest changed words first, then least loss (N,)."""
        order = loss.argsort(stable=True)
        order = order[self.sources.changed(rows, ids)[order].argsort(stable=True)]
        order = order[rows[order].argsort(stable=True)]
        ranked = rows[order]  # ascending
        rank = torch.arange(len(order), device=rows.device) - torch.searchsorted(ranked, ranked)
        best = order[rank < most]
        self.offer(rows[best], ids[best], by=by)

    def close(self) -> None:
        """Decodes the most promising sentence of every example without a success, so that it can be reported.

        Now and then it is a success after all, with beams where greedy decoding failed. A sentence whose text is
        tokenized to other pieces is not reported: it isn't what the search had in mind.
        """
        failed = ((self.words == NONE_YET) & (self.ids != self.sources.ids).any(1)).nonzero().squeeze(1)
        ids = self.ids[failed]
        texts, changed = self.sources.text(failed, ids), self.sources.changed(failed, ids)
        survives = self.sources.survives(failed, ids, texts) if texts else []
        real = [i for i, same in enumerate(survives) if same]
        self._decode(failed, texts, real)
        for i in real:
            row = int(failed[i])
            self.texts[row], self.outputs[row] = texts[i], self._outputs[row][texts[i]]
        for i in self._successes(failed, texts, real):
            row = int(failed[i])
            self.words[row], self.found_by[row] = changed[i], "closing"

    def _successes(self, rows: Tensor, texts: Sequence[str], which: Sequence[int]) -> list[int]:
        """Those of the texts, decoded before, that meet the goal within the limits."""
        row_of = rows.tolist()
        met = [i for i in which if not self.goal.violations(row_of[i], self._outputs[row_of[i]][texts[i]])]
        return [i for i, held in zip(met, self._held(rows[met], [texts[i] for i in met]), strict=True) if held]

    def _held(self, rows: Tensor, texts: Sequence[str]) -> list[bool]:
        """Whether texts, made of the sentences of rows (N,), hold the limits."""
        return self._held_limits.held([self.sources.texts[row] for row in rows.tolist()], texts)

    def _decode(self, rows: Tensor, texts: Sequence[str], which: Iterable[int]) -> None:
        """Fills `_outputs` for those of the texts that were never decoded before."""
        row_of = rows.tolist()
        new = {(row_of[i], texts[i]): i for i in which if texts[i] not in self._outputs[row_of[i]]}
        outputs = self.victim.generate([text for _, text in new], rows[list(new.values())])
        for (row, text), output in zip(new, outputs, strict=True):
            self._outputs[row][text] = output
