"""Gradient swaps: HotFlip's ranking and GCG's search, on an encoder-decoder.

One gradient of the goal's loss a step, at the words that stand there. To first order, piece j in place i changes it by
    (w_j - x_i) . dL/dx_i,
HotFlip's (Ebrahimi, Rao, Lowd, Dou, ACL 2018, arXiv:1712.06751) estimate of a flip, eq. (10), for words. Of the
`top_k` most promising pieces of each place, a random batch of `swap_candidates` is decoded, and the sentence goes on
from the one of least loss, better or not: GCG (Zou et al., 2023, arXiv:2307.15043), Algorithm 1.

Deviations from GCG:

- The loss is that of the goal, (2.8) or (2.12) with `confidence` as its margin, along the output that the model itself
  writes greedily, and not the likelihood of a fixed output.
- It starts from the sentence and may change as many of its words as its budget (`--max_words`) has. Once that is
  spent, only words that are changed already are swapped again.
- The batch is drawn without replacement, so that none of it is decoded twice.
- A sentence stops at its first confirmed success. Of the greedy successes of a step, the best few are decoded with
  beams.

Unlike `refinement.py`, it looks from the standing word and not from a blank one, follows one line, goes for all
keywords at once, and takes the gradient along the greedy output.
"""

from collections.abc import Callable
from copy import copy

import torch
from torch import Tensor

from textadv.configs import BaselineConfig
from textadv.confirmation import Confirmation
from textadv.noise import uniform
from textadv.refinement import CONFIRM_AT_ONCE, exact_loss, loss_and_gradient
from textadv.sources import Sources


def gradient_swaps(
    confirmed: Confirmation, rows: Tensor, config: BaselineConfig, seeds: Tensor, on_finished: Callable[[int], None]
) -> None:
    """Swaps words of each of `rows`, one a step.

    Args:
        seeds: (B,) of all examples of the batch.
    """
    victim, sources = confirmed.victim, confirmed.sources
    goal = copy(confirmed.goal)
    goal.margin = config.confidence
    rows = rows[sources.changeable[rows].any(1)]
    standing = sources.ids[rows]
    for turn in range(config.swap_steps):
        left = ~confirmed.solved[rows]
        if gone := int((~left).sum()):
            on_finished(gone)
        rows, standing = rows[left], standing[left]
        if len(rows) == 0:
            return
        _, gradient, _ = loss_and_gradient(standing, victim, sources, goal, rows)
        pieces, change = predicted_changes(standing, gradient, sources, rows, config.top_k)
        change = change.masked_fill(~within_budget(standing, sources, rows)[..., None], torch.inf)
        candidates, real = drawn_swaps(standing, pieces, change, config.swap_candidates, seeds[rows], turn)
        if not real.any():
            return  # no other word is allowed in these sentences
        owners = rows.repeat_interleave(real.sum(1))
        exact, outputs = exact_loss(candidates[real], victim, sources, goal, owners)
        hits = confirmed.judge(owners, candidates[real], outputs, exact) == 0
        confirmed.offer_best(
            owners[hits], candidates[real][hits], exact[hits], most=CONFIRM_AT_ONCE, by="gradient swaps"
        )
        loss = exact.new_full(real.shape, torch.inf)
        loss[real] = exact
        best = candidates[torch.arange(len(rows), device=rows.device), loss.argmin(1)]
        standing = torch.where(real.any(1)[:, None], best, standing)


def predicted_changes(
    ids: Tensor, gradient: Tensor, sources: Sources, rows: Tensor, top_k: int
) -> tuple[Tensor, Tensor]:
    """Eq. (10): the pieces that lower the loss most to first order, and by how much they change it.

    Args:
        ids: (n, T) sentences of rows (n,).
        gradient: (n, T, d) of the loss, at the vectors of `ids`.

    Returns:
        pieces and changes (n, T, k), least first; infinite where nothing may be written.
    """
    vocabulary = sources.vocabulary
    sentence, position = sources.changeable[rows].nonzero().unbind(1)  # (R,)
    slope, own = gradient[sentence, position], ids[sentence, position]
    found, values = vocabulary.lowest(slope, sources.places[rows[sentence], position], own, top_k)
    here = (vocabulary.victim.embed(own) * slope).sum(-1, keepdim=True)
    change = values.new_full((*ids.shape, found.shape[1]), torch.inf)
    pieces = torch.zeros(change.shape, dtype=torch.long, device=ids.device)
    change[sentence, position], pieces[sentence, position] = values - here, found
    return pieces, change


def within_budget(ids: Tensor, sources: Sources, rows: Tensor) -> Tensor:
    """(n, T) where another piece leaves the sentence within its budget of changed words."""
    changed = ids != sources.ids[rows]
    return changed | (changed.sum(1) < sources.budget[rows])[:, None]


def drawn_swaps(
    ids: Tensor, pieces: Tensor, change: Tensor, count: int, seeds: Tensor, turn: int
) -> tuple[Tensor, Tensor]:
    """`count` of the swaps of each sentence, uniformly and without replacement, whatever they promise.

    Args:
        pieces, change: (n, T, k) of `predicted_changes`; where the change is infinite there is no swap.

    Returns:
        candidates (n, C, T), and (n, C) which of them are real.
    """
    position, rank = (torch.arange(size, device=ids.device) for size in pieces.shape[1:])
    keys = uniform(seeds[:, None, None], ids.new_tensor(turn), position[:, None], rank)
    keys = keys.masked_fill(change.isinf(), -1).flatten(1)
    drawn = keys.topk(min(count, keys.shape[1]), dim=1)
    place = drawn.indices // pieces.shape[2]
    candidates = ids[:, None].repeat(1, place.shape[1], 1)
    candidates.scatter_(2, place[..., None], pieces.flatten(1).gather(1, drawn.indices)[..., None])
    return candidates, drawn.values >= 0
