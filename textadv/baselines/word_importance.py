"""Greedy word-importance ranking, black box: the rule of TextAttack's recipe Seq2SickCheng2018BlackBox.

The search is that of Jin et al. (TextFooler, AAAI 2020, arXiv:1907.11932, Algorithm 1), as Morris et al. (TextAttack,
EMNLP 2020, arXiv:2005.05909) took it over as `GreedyWordSwapWIR(wir_method="unk")`. Each word in turn is written as
"[UNK]", and the words are ranked by the score of the output. In that order, every word gets the best of its
candidates, if that betters the score, until the goal holds or the budget is spent. Text in, text out: nothing of the
victim is seen but the outputs that would be reported, one query each.

Deviations from the recipe:

- Candidates are `word_candidates` (the recipe's 50) random allowed words, drawn for each word. The recipe takes the 50
  nearest in counter-fitted vectors, which a black-box attacker would have to bring along for the victim's language.
  They keep more of the sentence's meaning; Seq2Sick doesn't ask for it either, and writes any allowed word.
- The score is the goal's `violations` of the decoded text, so that keywords can be wanted too. For the recipe's only
  goal, non-overlap, it counts the same positions, and final punctuation and outputs that are too short as `goals.py`.
- The budget is a number of changed words (`--max_words`), in place of at most 30 edited letters; stop words may be
  replaced unless the limits protect them.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from textadv.configs import BaselineConfig
from textadv.confirmation import NONE_YET, Confirmation
from textadv.noise import uniform

UNKNOWN = "[UNK]"  # TextAttack's own, whatever the victim's tokenizer makes of it


def word_importance(
    confirmed: Confirmation, rows: Tensor, config: BaselineConfig, seeds: Tensor, on_finished: Callable[[int], None]
) -> None:
    """Replaces the words of each of `rows`, the most important ones first.

    Args:
        seeds: (B,) of all examples of the batch.
    """
    sources = confirmed.sources
    order = ranking(confirmed, rows)  # (n, T)
    lengths = sources.changeable[rows].sum(1)
    standing = sources.ids[rows].clone()
    score = [confirmed.goal.violations(row, confirmed.outputs[row]) for row in rows.tolist()]
    score = torch.tensor(score, device=rows.device)
    for turn in range(order.shape[1]):
        left = ~confirmed.solved[rows] & (turn < lengths)
        left &= sources.changed(rows, standing) < sources.budget[rows]
        if gone := int((~left).sum()):
            on_finished(gone)
        rows, order, lengths, standing, score = (part[left] for part in (rows, order, lengths, standing, score))
        if len(rows) == 0:
            return
        position = order[:, turn]
        pieces, real = word_candidates(confirmed, rows, position, config.word_candidates, seeds[rows])
        tries = standing[:, None].repeat(1, pieces.shape[1], 1)  # (n, C, T)
        tries.scatter_(2, position[:, None, None].expand(-1, pieces.shape[1], 1), pieces[..., None])
        found = torch.full_like(pieces, NONE_YET)
        found[real] = confirmed.show(rows.repeat_interleave(real.sum(1)), tries[real], by="word importance")
        line, best = torch.arange(len(rows), device=rows.device), found.argmin(1)  # the first of equals
        better = found[line, best] < score
        score = torch.where(better, found[line, best], score)
        standing = torch.where(better[:, None], tries[line, best], standing)


def ranking(confirmed: Confirmation, rows: Tensor) -> Tensor:
    """(n, T) the positions that may change, most important first, and behind them the others."""
    sources, goal = confirmed.sources, confirmed.goal
    changeable = sources.changeable[rows]
    sentence, position = changeable.nonzero().unbind(1)
    owners = rows[sentence]
    outputs = confirmed.victim.generate(sources.text_with(UNKNOWN, owners, position), owners)
    violations = torch.full(changeable.shape, NONE_YET, device=rows.device)
    found = [goal.violations(row, output) for row, output in zip(owners.tolist(), outputs, strict=True)]
    violations[sentence, position] = torch.tensor(found, dtype=torch.long, device=rows.device)
    return violations.argsort(dim=1, stable=True)


def word_candidates(
    confirmed: Confirmation, rows: Tensor, positions: Tensor, count: int, seeds: Tensor
) -> tuple[Tensor, Tensor]:
    """Different allowed pieces (n, C) for one position (n,) of each row, drawn uniformly, and which of them are real.

    What stands there isn't among them. A small vocabulary may have fewer than `count`.
    """
    sources, vocabulary = confirmed.sources, confirmed.sources.vocabulary
    forbidden = vocabulary.forbidden[sources.places[rows, positions]]  # (n, K)
    forbidden = forbidden | (vocabulary.ids == sources.ids[rows, positions][:, None])
    keys = uniform(seeds[:, None], positions[:, None], vocabulary.ids)
    drawn = keys.masked_fill(forbidden, -1).topk(min(count, len(vocabulary.ids)), dim=1)
    return vocabulary.ids[drawn.indices], drawn.values >= 0
