"""Seq2Sick (Cheng, Yi, Chen, Zhang, Hsieh, AAAI 2020, arXiv:1803.01128), Algorithm 6 over a batch of sentences.

Projected gradient descent on delta (3.4): a step against the gradient of the loss (2.8) or (2.12) and of the
gradient regularisation, the proximal operator of the group lasso, and the projection of every word onto the nearest
allowed piece. Lengths are in units of the victim's median nearest-neighbour distance, and each sentence's gradient
is scaled so that its largest word has length one; so the defaults carry from model to model.

Deviations of `fixed` from the paper (the letters of the algorithm: `paper`; of the authors' code: `released`):

| | fixed | paper | released |
|---|---|---|---|
| delta after projection | kept continuous; the gradient passes through | becomes the projected one | as fixed |
| group lasso (prox) | after the gradient step | before it | before it |
| gradient of the lambda_2 term | yes | left out of Algorithm 6 | computed from constants: none |
| sign of the step | descent | the "+" of Algorithm 6 is read as a misprint: descent | descent |
| extra loss | none | none | the largest entry of delta |
| losses | `goals.py` | `goals.py` | `released.py` |
| kept among successes | fewest changed words | fewest changed words | least norm of delta |
| refinement, restoration | on | off | off |

The decoder's free-running output comes from one batched greedy decoding, its logits from one teacher-forced pass on
that output. Sentences whose confirmed success changes a single word can't be improved and leave the batch. Where a
limit says how many words may change, the search goes on over more of them: of a greedy success that changes too many,
those of the largest |delta| stay changed, as many as may, and that sentence is decoded in its turn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from textadv.attack import CleanBatch, attack, keywords_goal, non_overlapping_goal
from textadv.configs import Seq2SickConfig
from textadv.confirmation import Confirmation
from textadv.goals import Goal, NonOverlapping, TargetedKeywords
from textadv.limits import NO_LIMITS, Limits
from textadv.refinement import exact_loss, loss_and_gradient, refine
from textadv.released import ReleasedKeywords, ReleasedNonOverlapping
from textadv.restoration import restore
from textadv.sources import Sources
from textadv.types import AttackRecord, CountedVictim, Example
from textadv.vocabulary import Vocabulary


def seq2sick(
    vocabulary: Vocabulary,
    examples: Sequence[Example],
    *,
    config: Seq2SickConfig,
    seed: int,
    pool: Sequence[str] = (),
    limits: Limits = NO_LIMITS,
    on_finished: Callable[[int], None] = lambda count: None,
) -> list[AttackRecord]:
    """Attacks a batch of sentences: gradient search, refinement, restoration.

    Args:
        vocabulary: the pieces that may be written, and through it the victim.
        examples: for the keywords goal, `keywords` are their targets; where an example has none,
            `config.num_keywords` are drawn from `pool` by (seed, example_id).
        limits: what a success must keep to beside the goal.
        on_finished: told how many examples have left the batch since it was last told.

    Returns:
        one record for each example, in order.

    Raises:
        BadInput: keywords that the victim can't say, or a pool too small.
    """

    def search(confirmed: Confirmation, rows: Tensor) -> None:
        gradient_search(confirmed, rows, config, on_finished)
        rows = rows[confirmed.words[rows] > 1]
        if config.refines:
            refine(confirmed, rows, config, on_finished)
        if config.restores:
            restore(confirmed, rows)

    return attack(
        vocabulary,
        examples,
        goal=lambda batch: wanted(batch, config, seed=seed, pool=pool),
        search=search,
        seed=seed,
        whole_words=config.whole_words,
        limits=limits,
    )


def wanted(batch: CleanBatch, config: Seq2SickConfig, *, seed: int, pool: Sequence[str]) -> Goal:
    """The goal of a batch, with the losses of the variant."""
    released = config.variant == "released"
    if config.goal == "non_overlapping":
        kind = ReleasedNonOverlapping if released else NonOverlapping
        return non_overlapping_goal(batch, margin=config.margin, kind=kind)
    kind = ReleasedKeywords if released else TargetedKeywords
    return keywords_goal(batch, count=config.num_keywords, pool=pool, seed=seed, margin=config.margin, kind=kind)


@dataclass(frozen=True)
class SearchState:
    """The sentences still under search, n of the batch's B."""

    rows: Tensor  # (n,) which examples of the batch
    delta: Tensor  # (n, T, d)


def init(sources: Sources, rows: Tensor) -> SearchState:
    """delta = 0 for the given rows."""
    return SearchState(rows, torch.zeros_like(sources.embeds[rows]))


def step(
    state: SearchState, victim: CountedVictim, sources: Sources, goal: Goal, config: Seq2SickConfig
) -> tuple[SearchState, Tensor, Tensor, Tensor]:
    """One iteration of Algorithm 6.

    Returns:
        the next state, and of the sentence that was tried: pieces (n, T), greedy outputs (n, M), loss (n,).
    """
    rows, unit = state.rows, sources.vocabulary.unit
    ids, towards = project(state.delta, sources, rows)
    loss, gradient, outputs = loss_and_gradient(ids, victim, sources, goal, rows)
    delta, eta = state.delta, config.step_size * unit
    descent = normalized(gradient)
    if config.variant == "fixed":
        if config.gradient_regularization:
            descent = descent + config.gradient_regularization * towards
        delta = shrink(delta - eta * descent, config, unit)
    else:
        if config.variant == "released":
            descent = descent + largest_entry_gradient(delta)
        delta = shrink(delta, config, unit) - eta * descent
    delta = delta * sources.changeable[rows][..., None]
    if config.variant == "paper":
        snapped, _ = project(delta, sources, rows)
        delta = sources.vocabulary.victim.embed(snapped) - sources.embeds[rows]
    return SearchState(rows, delta), ids, outputs, loss


def project(delta: Tensor, sources: Sources, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Every changeable word moved to the allowed piece, or back to its own, whichever is nearest to x + delta.

    Returns:
        ids (n, T), and the gradient (n, T, d) of the distance to it: the third term of (3.4).
    """
    ids = sources.ids[rows].clone()
    moved = sources.changeable[rows] & (delta != 0).any(-1)  # (n, T) the others are at home
    towards = torch.zeros_like(delta)
    if not moved.any():
        return ids, towards
    home, away = sources.embeds[rows][moved], delta[moved]
    nearest, distance = sources.vocabulary.nearest(home + away, sources.places[rows][moved])
    stays = away.square().sum(-1) <= distance
    nearest = torch.where(stays, ids[moved], nearest)
    ids[moved] = nearest
    offset = home + away - sources.vocabulary.victim.embed(nearest)
    towards[moved] = offset / offset.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    return ids, towards


def normalized(gradient: Tensor) -> Tensor:
    """gradient (n, T, d) over the norm of each sentence's largest word."""
    largest = gradient.norm(dim=-1).amax(1)
    return gradient / largest.clamp(min=1e-12)[:, None, None]


def shrink(delta: Tensor, config: Seq2SickConfig, unit: float) -> Tensor:
    """The proximal operator of a step on the penalty R of (3.4)."""
    if config.penalty == "l2":
        return prox_l2(delta, config.step_size * config.lasso)
    return prox_group_lasso(delta, config.step_size * unit * config.lasso)


def prox_group_lasso(delta: Tensor, threshold: float) -> Tensor:
    """Each word's delta (..., d) shortened by `threshold`, or zero: argmin 1/2 |y - delta|^2 + threshold |y|."""
    norm = delta.norm(dim=-1, keepdim=True)
    return delta * (1 - threshold / norm.clamp(min=1e-12)).clamp(min=0)


def prox_l2(delta: Tensor, weight: float) -> Tensor:
    """argmin 1/2 |y - delta|^2 + weight/2 |y|^2: every word's delta (..., d) is shortened, none becomes zero."""
    return delta / (1 + weight)


def largest_entry_gradient(delta: Tensor) -> Tensor:
    """Gradient (n, T, d) of the released code's extra loss, the signed largest entry of each sentence's delta."""
    flat = delta.flatten(1)
    return torch.zeros_like(flat).scatter_(1, flat.argmax(1, keepdim=True), 1.0).view_as(delta)


def gradient_search(
    confirmed: Confirmation, rows: Tensor, config: Seq2SickConfig, on_finished: Callable[[int], None]
) -> None:
    """Algorithm 6 on some rows of a batch; every greedy success is offered to `confirmed` at once."""
    state = init(confirmed.sources, rows)
    least_norm = state.delta.new_full(confirmed.words.shape, torch.inf)
    for _ in range(config.steps + 1 if config.steps else 0):  # the first one tries the original
        if len(state.rows) == 0:
            return
        delta, norm = state.delta, state.delta.flatten(1).norm(dim=1)
        state, ids, outputs, loss = step(state, confirmed.victim, confirmed.sources, confirmed.goal, config)
        reached = confirmed.judge(state.rows, ids, outputs, loss) == 0
        if config.variant == "released":  # keeps the least norm of delta, not the fewest words
            reached &= norm < least_norm[state.rows]
        ids, reached = within_budget(confirmed, state.rows, ids, delta, reached)
        at = reached.nonzero().squeeze(1)
        accepted = at[confirmed.offer(state.rows[at], ids[at], by="gradient", better=config.variant == "released")]
        least_norm[state.rows[accepted]] = norm[accepted]
        state = _improvable(state, confirmed, on_finished)


def within_budget(
    confirmed: Confirmation, rows: Tensor, ids: Tensor, delta: Tensor, reached: Tensor
) -> tuple[Tensor, Tensor]:
    """Tries greedy successes that change too many words again with fewer.

    Args:
        ids, delta: (n, T), (n, T, d) the sentences of rows (n,) and where they come from.
        reached: (n,) which of them meet the goal greedily.

    Returns:
        ids and reached, with other sentences and what became of them in the place of those that change too many.
    """
    sources = confirmed.sources
    over = (reached & (sources.changed(rows, ids) > sources.budget[rows])).nonzero().squeeze(1)
    if len(over) == 0:
        return ids, reached
    fewer = cut(ids[over], delta[over], sources, rows[over])
    loss, outputs = exact_loss(fewer, confirmed.victim, sources, confirmed.goal, rows[over])
    hits = confirmed.judge(rows[over], fewer, outputs, loss) == 0
    return ids.index_copy(0, over, fewer), reached.index_copy(0, over, hits)


def cut(ids: Tensor, delta: Tensor, sources: Sources, rows: Tensor) -> Tensor:
    """ids (n, T) with the original pieces where |delta| (n, T, d) is too small for the sentence's budget of words."""
    original = sources.ids[rows]
    length = delta.norm(dim=-1).masked_fill(ids == original, -1)
    rank = length.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return ids.where(rank < sources.budget[rows][:, None], original)


def _improvable(state: SearchState, confirmed: Confirmation, on_finished: Callable[[int], None]) -> SearchState:
    """Without the sentences that already succeed with one changed word."""
    left = confirmed.words[state.rows] > 1
    if gone := int((~left).sum()):
        on_finished(gone)
    return replace(state, rows=state.rows[left], delta=state.delta[left])
