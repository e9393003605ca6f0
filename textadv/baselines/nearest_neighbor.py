"""Nearest neighbour afterwards: vectors are attacked, and only what comes out is turned into words.

What Seq2Sick (Cheng et al., AAAI 2020, arXiv:1803.01128, section 3.1.2) puts its projection in place of: (3.2) is
solved with a continuous delta, and then each x_i + delta_i becomes the nearest word. The paper reports that none of
100 sentences said its keywords afterwards. Gradient, group lasso and units are those of `seq2sick.py`; the decoder's
free-running output is that of the vectors x + delta, and so is the loss.

A record's `search_success` says whether the vectors met the goal, its `success` whether the sentence did that they
were turned into: the same number of vectors may move as words may change.

Deviations, for the paper gives no more than two sentences:

- After every step all delta_i but the longest, as many as words may change, are set to zero.
- A sentence stops at the first delta whose greedy output meets the goal; otherwise its last delta is projected.
- A vector may also come back to its own word, if that is nearest. Of words that may not change, none moves.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from textadv.configs import BaselineConfig
from textadv.confirmation import Confirmation
from textadv.decoding import Decoded
from textadv.refinement import gradient_along
from textadv.seq2sick import SearchState, init, normalized, project, prox_group_lasso


def nearest_neighbor(
    confirmed: Confirmation, rows: Tensor, config: BaselineConfig, seeds: Tensor, on_finished: Callable[[int], None]
) -> None:
    """Attacks the vectors of each of `rows`, and offers the one sentence that they are nearest to in the end.

    Args:
        seeds: (B,) not used: nothing is drawn.
    """
    sources = confirmed.sources
    state = init(sources, rows[sources.changeable[rows].any(1)])
    for turn in range(config.continuous_steps + 1):  # the first one tries the original
        if len(state.rows) == 0:
            return
        decoded = confirmed.victim.greedy(
            sources.embeds[state.rows] + state.delta, sources.mask[state.rows], state.rows
        )
        done = met(confirmed, state, decoded) | (turn == config.continuous_steps)
        ids, _ = project(state.delta[done], sources, state.rows[done])
        confirmed.offer_only(state.rows[done], ids, by="nearest neighbor")
        if gone := int(done.sum()):
            on_finished(gone)
        left = SearchState(state.rows[~done], state.delta[~done])
        state = step(confirmed, left, decoded.rows(~done), config) if len(left.rows) else left


def met(confirmed: Confirmation, state: SearchState, decoded: Decoded) -> Tensor:
    """(n,) whether greedy outputs of x + delta meet the goal; those of delta = 0 are no merit of the search."""
    moved = (state.delta != 0).flatten(1).any(1)
    found = torch.zeros_like(moved)
    found[moved] = confirmed.claim(state.rows[moved], decoded.outputs[moved]) == 0
    return found


def step(confirmed: Confirmation, state: SearchState, decoded: Decoded, config: BaselineConfig) -> SearchState:
    """A proximal gradient step on delta, along the outputs of x + delta: no projection onto words."""
    sources, eta = confirmed.sources, config.continuous_step_size * confirmed.sources.vocabulary.unit
    embeds = sources.embeds[state.rows] + state.delta
    _, gradient = gradient_along(decoded, embeds, confirmed.victim, sources, confirmed.goal, state.rows)
    delta = prox_group_lasso(state.delta - eta * normalized(gradient), eta * config.continuous_lasso)
    return SearchState(state.rows, longest(delta, sources.budget[state.rows]))


def longest(delta: Tensor, most: Tensor) -> Tensor:
    """delta (n, T, d) with all but the `most` (n,) longest of each sentence's vectors set to zero."""
    rank = delta.norm(dim=-1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)  # (n, T)
    return delta * (rank < most[:, None])[..., None]
