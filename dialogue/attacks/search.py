"""Searches for a sentence of least loss that differs from a given one in few words, for many sentences at once.

`pad_greedy` is AdvAgent's (section 3.2.3.2) after Yang et al. (2018, arXiv:1805.12316): the word whose swap with
`<pad>` costs least is replaced by the best of the vocabulary, and again. `coordinate` is what the authors' code does:
every word of the vocabulary at every place, the best single change, and again. Both change a place once at most.

A candidate counts if its hinge is 0: that is how far it is from keeping to its constraints (3.9). Of candidates that
all break them, the one that does so least is taken. Shapes: n sentences, L words, W words to write.

Deviations: the search of the paper may change a word twice; the hinge is added to the loss of a swap with `<pad>`, as
such a sentence seldom keeps to (3.9); the best sentence on the way is kept, not the last one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

AT_ONCE = 4096  # candidates
HINGE_WEIGHT = 3.0  # beside the loss, for swaps with <pad>
INFEASIBLE = 1e6  # above every loss

# Loss (N,) and hinge (N,) of sentences (N, L) for the tables (N,). Those of one table that have one number in (N,)
# begin with as many of the same words. Unless all losses are asked for, they may be missing (inf) where the hinge isn't
# 0, or where another sentence of the same table is better.
Score = Callable[[Tensor, Tensor, Tensor, bool], tuple[Tensor, Tensor]]


@dataclass
class Found:
    """The best sentences.

    ids: (n, L). loss: (n,), inf if none keeps to the constraints. candidates: (n,) sentences scored.
    """

    ids: Tensor
    loss: Tensor
    candidates: Tensor


def search(
    ids: Tensor, free: Tensor, words: Tensor, score: Score, *, method: str, changes: int, enough: float, pad: int
) -> Found:
    """Searches from sentences `ids` (n, L) on.

    Args:
        free: (n, L) the places that may change.
        words: (W,) what may be written there.
        score: says how good candidates are.
        method: "pad_greedy" or "coordinate".
        changes: most places that change.
        enough: a sentence of this loss, or less, is searched no further.
        pad: the number of `<pad>`.
    """
    everyone = torch.arange(len(ids), device=ids.device)
    loss, hinge = score(everyone, ids, torch.zeros_like(everyone), False)
    found = Found(ids.clone(), loss.masked_fill(hinge > 0, torch.inf), torch.ones_like(everyone))
    current, changed = ids.clone(), torch.zeros_like(free)
    for _ in range(changes):
        rows = ((found.loss > enough) & (free & ~changed).any(1)).nonzero()[:, 0]
        if len(rows) == 0:
            break
        places = (free & ~changed)[rows]
        if method == "pad_greedy":
            places = _cheapest(rows, current, places, score, found, pad)
        value, place, word = _best_change(rows, current, places, words, score, found)
        current[rows, place] = word
        changed[rows, place] = True
        better = (value < INFEASIBLE) & (value < found.loss[rows])
        kept = rows[better]
        found.ids[kept], found.loss[kept] = current[kept], value[better]
    return found


def _cheapest(rows: Tensor, current: Tensor, places: Tensor, score: Score, found: Found, pad: int) -> Tensor:
    """(n, L) of the free places, the one whose swap with `<pad>` costs least."""
    which, place = places.nonzero(as_tuple=True)
    cost = places.new_full(places.shape, torch.inf, dtype=found.loss.dtype)
    for some in torch.arange(len(which), device=rows.device).split(AT_ONCE):
        swapped = current[rows[which[some]]]
        swapped[torch.arange(len(some), device=rows.device), place[some]] = pad
        loss, hinge = score(rows[which[some]], swapped, torch.zeros_like(some), True)
        cost[which[some], place[some]] = loss + HINGE_WEIGHT * hinge
    found.candidates[rows] += places.sum(1)
    return torch.zeros_like(places).scatter(1, cost.argmin(1, keepdim=True), True)


def _best_change(
    rows: Tensor, current: Tensor, places: Tensor, words: Tensor, score: Score, found: Found
) -> tuple[Tensor, Tensor, Tensor]:
    """Value, place and word (n,) of each row's best change; a value of `INFEASIBLE` or more breaks a constraint."""
    which, place = places.nonzero(as_tuple=True)  # (P,)
    value, word = found.loss.new_empty(len(which)), torch.empty_like(which)
    for some in _whole_rows(places.sum(1), max(1, AT_ONCE // len(words))):
        swapped = current[rows[which[some]]][:, None].repeat(1, len(words), 1)  # (p, W, L)
        swapped[torch.arange(len(some), device=rows.device), :, place[some]] = words
        owner = rows[which[some]].repeat_interleave(len(words))
        alike = place[some].repeat_interleave(len(words))
        loss, hinge = score(owner, swapped.flatten(0, 1), alike, False)
        costs = loss.where(hinge == 0, INFEASIBLE + hinge).view(len(some), len(words))
        costs = costs.masked_fill(current[rows[which[some]], place[some], None] == words, torch.inf)  # no change
        value[some], best = costs.min(1)
        word[some] = words[best]
    found.candidates[rows] += places.sum(1) * len(words)
    table = value.new_full(places.shape, torch.inf)
    table[which, place] = value
    best_value, best_place = table.min(1)
    chosen = torch.zeros_like(places, dtype=torch.long)
    chosen[which, place] = word
    return best_value, best_place, chosen.gather(1, best_place[:, None])[:, 0]


def _whole_rows(sizes: Tensor, at_once: int) -> tuple[Tensor, ...]:
    """The numbers of the places of which rows have `sizes` (n,), about `at_once` together, but never half a row."""
    part = (sizes.cumsum(0) - sizes) // at_once
    together = part.new_zeros(int(part[-1]) + 1).index_add(0, part, sizes)
    return torch.arange(int(sizes.sum()), device=sizes.device).split(together[together > 0].tolist())
