"""What the attacker wants: the losses (2.8) and (2.9)-(2.12), and the judgement of decoded text.

Both losses are built from one quantity, the *lead* of an output piece y at position t,
    lead_t(y) = z_t[y] - max_{y' != y} z_t[y'],
positive where the victim writes y. Leads can be taken from teacher-forced logits, with gradient, or step by step
while decoding. Shapes: N rows, M output positions, V pieces, P watched pieces, K keywords.

Deviations from the text of the paper. (2.8) leaves out final punctuation and the end piece, which its success rule
does not compare, and holds an end that comes before half of the clean output against the attacker. In (2.11) a
keyword is not shut out of the place that it holds itself; otherwise (2.12) could never be small.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from textadv.words import contains_words, overlapping_positions, shares_no_position, split_words

NOWHERE = 1e4  # cost of a place that a keyword can't have, in logits
UNASKED = 5.0  # cost of a piece of a keyword whose turn has not come, in logits


class Goal(Protocol):
    """What counts as success, for the examples of one batch (rows).

    `margin` is epsilon of the losses; `demands` is how many things are wanted at once, for a search that goes for
    one at a time.
    """

    margin: float
    demands: int

    def leads(self, logits: Tensor, rows: Tensor, start: int = 0) -> Tensor:
        """Leads (N, M, P) of the watched pieces, from logits (N, M, V) of output positions start, start + 1, ..."""
        ...

    def loss(
        self, leads: Tensor, outputs: Tensor, lengths: Tensor, rows: Tensor, focus: Tensor | None = None
    ) -> Tensor:
        """(N,) from leads (N, M, P), greedy outputs (N, M) and their lengths (N,), end piece counted.

        With a `focus`, the part of it that is to be lowered next.
        """
        ...

    def focus(self, leads: Tensor, outputs: Tensor, lengths: Tensor, rows: Tensor, turn: Tensor) -> Tensor | None:
        """What `loss` should look at next, for a search that goes for one demand at a time; None for all of it.

        `turn` (N,) is 0 for the demand that is nearest to being met, 1 for the next.
        """
        ...

    def violations(self, row: int, output: str) -> int:
        """How far decoded text is from success: 0 is success, and fewer is nearer."""
        ...


def lead(logits: Tensor, labels: Tensor) -> Tensor:
    """z[y] - max over the others, (..., P) of labels (..., P) under logits (..., V). Gradient flows to both terms."""
    with torch.no_grad():
        best = logits.argmax(-1, keepdim=True)
        second = logits.scatter(-1, best, -torch.inf).argmax(-1, keepdim=True)
        rival = torch.where(labels == best, second, best)
    return logits.gather(-1, labels) - logits.gather(-1, rival)


def non_overlapping_loss(leads: Tensor, counted: Tensor, margin: float = 0.0) -> Tensor:
    """(2.8): sum over the counted positions of max(-margin, lead of the clean piece there). (N, M) -> (N,)"""
    return (leads.clamp(min=-margin) * counted).sum(-1)


def keywords_loss(
    leads: Tensor, written: Tensor, valid: Tensor, pieces: Tensor, *, margin: float = 0.0, masked: bool = True
) -> Tensor:
    """(2.12), or (2.10) if not `masked`: the sum of `keyword_costs`. (N,)"""
    return keyword_costs(leads, written, valid, pieces, margin=margin, masked=masked).sum(-1)


def keyword_costs(
    leads: Tensor, written: Tensor, valid: Tensor, pieces: Tensor, *, margin: float = 0.0, masked: bool = True
) -> Tensor:
    """(N, K) what each keyword costs in its cheapest place that no other one holds: the summands of (2.12).

    A keyword of several pieces takes a window of as many positions. Its cost there is the largest of its pieces', as
    far as they have been asked for: the logits of a piece say something only where the pieces before it are written.
    Every other piece costs UNASKED.

    Args:
        leads: (N, M, K, P) of every piece of every keyword at every position.
        written: (N, M) the pieces on top at each position.
        valid: (N, M) positions that the output has.
        pieces: (N, K, P) the keywords' pieces, -1 behind the last.
    """
    costs = (-leads).clamp(min=-margin).where(valid[:, :, None, None], NOWHERE)  # (N, M, K, P)
    used = pieces >= 0  # (N, K, P)
    hits = (written[:, :, None, None] == pieces[:, None]) & valid[:, :, None, None]
    window = torch.full_like(costs[..., 0], -margin)  # (N, M, K) cost of keyword k in a window that starts at t
    held = torch.ones_like(window, dtype=torch.bool)  # whether the pieces looked at so far are written there
    for p in range(pieces.shape[-1]):
        here = used[:, None, :, p]
        window = torch.where(here & held, torch.maximum(window, _shift(costs[..., p], p, NOWHERE)), window)
        window = window + UNASKED * (here & ~held)
        held = held & (_shift(hits[..., p], p, False) | ~here)
    if masked:
        occupied = torch.zeros_like(held)  # (N, M, K) positions under each keyword that is written
        for p in range(pieces.shape[-1]):
            occupied |= _shift(held, -p, False) & used[:, None, :, p]
        by_others = (occupied.sum(-1, keepdim=True) - occupied.long()) > 0
        taken = torch.zeros_like(held)  # windows that touch a position of another keyword
        for p in range(pieces.shape[-1]):
            taken |= _shift(by_others, p, False) & used[:, None, :, p]
        window = window.where(~taken, NOWHERE)
    present = used.any(-1)  # (N, K) a batch may hold rows with fewer keywords
    return window.amin(1).where(present, 0.0)


def _shift(values: Tensor, by: int, fill: float | bool) -> Tensor:
    """values (N, M, ...) read `by` positions later; `fill` beyond the ends."""
    if by == 0:
        return values
    moved = torch.full_like(values, fill)
    if abs(by) < values.shape[1]:
        if by > 0:
            moved[:, :-by] = values[:, by:]
        else:
            moved[:, -by:] = values[:, :by]
    return moved


class NonOverlapping:
    """The adversarial output holds at no position the clean output's word there.

    Args:
        clean_outputs: decoded clean outputs, what the text is judged against.
        labels: (B, M) pieces of the clean greedy outputs.
        counted: (B, M) positions that count: neither special nor end pieces nor final punctuation.
        end_id: the piece that ends an output.
    """

    def __init__(
        self,
        clean_outputs: Sequence[str],
        labels: Tensor,
        counted: Tensor,
        *,
        end_id: int,
        margin: float = 0.0,
    ) -> None:
        self.clean_outputs, self.labels, self.counted = list(clean_outputs), labels, counted
        self.end_id, self.margin, self.demands = end_id, margin, 1

    def leads(self, logits: Tensor, rows: Tensor, start: int = 0) -> Tensor:
        """(N, M, 2): the clean output's piece at the position, and the end piece."""
        span = slice(start, start + logits.shape[1])
        labels = padded(self.labels[rows][:, span], logits.shape[1], self.end_id)
        return lead(logits, torch.stack([labels, torch.full_like(labels, self.end_id)], dim=-1))

    def focus(self, leads: Tensor, outputs: Tensor, lengths: Tensor, rows: Tensor, turn: Tensor) -> None:
        """All positions at once."""

    def loss(
        self, leads: Tensor, outputs: Tensor, lengths: Tensor, rows: Tensor, focus: Tensor | None = None
    ) -> Tensor:
        """(2.8), and the lead of an end piece that comes before half of the clean output."""
        positions = torch.arange(leads.shape[1], device=leads.device)
        counted = padded(self.counted[rows], leads.shape[1], False)
        counted = counted & (positions < lengths[:, None])
        too_early = (positions == lengths[:, None] - 1) & (positions < self.counted[rows].sum(1, keepdim=True) / 2)
        return non_overlapping_loss(leads[..., 0], counted, self.margin) + non_overlapping_loss(
            leads[..., 1], too_early & (outputs == self.end_id), self.margin
        )

    def violations(self, row: int, output: str) -> int:
        """Shared positions; an output that is too short violates as many as are missing to half."""
        clean = self.clean_outputs[row]
        if shares_no_position(clean, output):
            return 0
        short = (len(split_words(clean)) + 1) // 2 - len(split_words(output))
        return max(len(overlapping_positions(clean, output)), short, 1)


class TargetedKeywords:
    """Every keyword stands in the adversarial output, as a word.

    Args:
        keywords: B lists of words.
        pieces: (B, K, P) output pieces of the keywords, -1 where a keyword or a list is shorter.
    """

    def __init__(self, keywords: Sequence[Sequence[str]], pieces: Tensor, *, margin: float = 0.0) -> None:
        self.keywords, self.pieces, self.margin = [list(words) for words in keywords], pieces, margin
        self.demands = pieces.shape[1]

    def leads(self, logits: Tensor, rows: Tensor, start: int = 0) -> Tensor:
        """(N, M, K * P): every piece of every keyword."""
        labels = self.pieces[rows].flatten(1).clamp(min=0)  # (N, K * P)
        return lead(logits, labels[:, None].expand(-1, logits.shape[1], -1))

    def loss(
        self, leads: Tensor, outputs: Tensor, lengths: Tensor, rows: Tensor, focus: Tensor | None = None
    ) -> Tensor:
        """(2.12), or its summands that `focus` (N, K) keeps."""
        costs = self.costs(leads, outputs, lengths, rows)
        return costs.sum(-1) if focus is None else (costs * focus).sum(-1)

    def focus(self, leads: Tensor, outputs: Tensor, lengths: Tensor, rows: Tensor, turn: Tensor) -> Tensor:
        """(N, K) True for keywords that are there, and for the cheapest (turn 0), second cheapest... of the others."""
        costs = self.costs(leads, outputs, lengths, rows)
        there = costs <= 0  # and where a row has fewer keywords
        missing = (~there).sum(1)
        ranked = costs.masked_fill(there, torch.inf).argsort(dim=1)
        chosen = ranked.gather(1, (turn % missing.clamp(min=1))[:, None])
        return there.scatter(1, chosen, True)

    def costs(self, leads: Tensor, outputs: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
        """(N, K) the summands of (2.12)."""
        pieces = self.pieces[rows]
        valid = torch.arange(leads.shape[1], device=leads.device) < lengths[:, None]
        return keyword_costs(leads.unflatten(-1, pieces.shape[1:]), outputs, valid, pieces, margin=self.margin)

    def violations(self, row: int, output: str) -> int:
        """Keywords that are not in the output."""
        words = self.keywords[row]
        if contains_words(output, words):
            return 0
        return max(sum(not contains_words(output, [word]) for word in words), 1)


def padded(values: Tensor, width: int, fill: int | bool) -> Tensor:
    """values (N, M) cut or filled to (N, width)."""
    wide = values.new_full((len(values), width), fill)
    keep = min(width, values.shape[1])
    wide[:, :keep] = values[:, :keep]
    return wide
