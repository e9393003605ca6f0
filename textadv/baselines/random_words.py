"""Random words at the same budget: the control of every claim.

Sentences with one random word, then with two, and so on up to the budget (`--max_words`): places drawn without
replacement from the words that may change, for each an allowed piece other than the one that stands there, both
uniformly. Text in, text out: what is looked at are the outputs that would be reported.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from textadv.configs import BaselineConfig
from textadv.confirmation import Confirmation
from textadv.noise import uniform
from textadv.sources import Sources


def random_words(
    confirmed: Confirmation, rows: Tensor, config: BaselineConfig, seeds: Tensor, on_finished: Callable[[int], None]
) -> None:
    """Shows the victim `config.tries` random sentences of each of `rows`, or until fewer words were enough.

    Args:
        seeds: (B,) of all examples of the batch.
    """
    sources = confirmed.sources
    for words in range(1, config.tries + 1):
        budget = sources.budget[rows]
        tries = config.tries // budget + (words <= config.tries % budget)  # (n,)
        left = ~confirmed.solved[rows] & (sources.changeable[rows].sum(1) >= words) & (words <= budget) & (tries > 0)
        if gone := int((~left).sum()):
            on_finished(gone)
        rows, tries = rows[left], tries[left]
        if len(rows) == 0:
            return
        owners = rows.repeat_interleave(tries)
        first = (tries.cumsum(0) - tries).repeat_interleave(tries)  # where each row's tries begin
        numbers = torch.arange(len(owners), device=rows.device) - first
        ids = random_sentences(sources, owners, words, seeds[owners], numbers)
        confirmed.show(owners, ids, by="random words")


def random_sentences(sources: Sources, rows: Tensor, words: int, seeds: Tensor, numbers: Tensor) -> Tensor:
    """The sentences of rows (N,) with `words` of their words replaced at random.

    Args:
        seeds, numbers: (N,) what the draw depends on: an example's seed, and which of its tries this is.

    Returns:
        ids (N, T).
    """
    ids, places = sources.ids[rows], sources.places[rows]
    position = torch.arange(ids.shape[1], device=ids.device)
    keys = uniform(seeds[:, None], numbers[:, None], numbers.new_tensor(words), position, numbers.new_tensor(0))
    chosen = keys.masked_fill(~sources.changeable[rows], -1).topk(words, dim=1).indices  # (N, words)
    draw = uniform(seeds[:, None], numbers[:, None], numbers.new_tensor(words), chosen, numbers.new_tensor(1))
    pieces = random_pieces(draw, places.gather(1, chosen), ids.gather(1, chosen), sources)
    return ids.scatter(1, chosen, pieces)


def random_pieces(draw: Tensor, places: Tensor, own: Tensor, sources: Sources) -> Tensor:
    """One of the pieces that are allowed in each place, uniformly; `own` where no other is.

    Args:
        draw: (...) numbers of (0, 1), turned into pieces by the inverse of their distribution function.
        places: (...) FIRST, INSIDE or CONTINUATION.
        own: (...) the pieces that stand there, which are not drawn.
    """
    allowed = sources.vocabulary.allowed.to(own.device)  # (3, V)
    listed = allowed.logical_not().byte().argsort(dim=1, stable=True)  # the allowed ones first
    rank = allowed.long().cumsum(1) - 1  # where in that list an allowed one stands
    held = allowed[places, own]
    free = allowed.sum(1)[places] - held.long()
    number = (draw * free).long()
    number += held & (number >= rank[places, own])  # steps over the own one
    return listed[places, number].where(free > 0, own)
