"""The losses of the authors' released code, for the ablation `--variant released`; wrong where it was wrong.

Facts about github.com/cmhcbb/Seq2Sick, `attack.py`, written anew. Where it parts from (2.8) and (2.12):

1. The logit of a watched piece and that of its rival are both clamped at 0 by a product with one-hot vectors: a
   negative logit counts as 0 and passes no gradient.
2. The keyword mask (2.11) never fires: keywords compete for one place.
3. The clean output is cut to the shorter of the two outputs, in place: after one short output only its first
   positions are ever compared again.
4. The end piece and final punctuation are words like any other, and an empty output is a success.
"""

from functools import cached_property

import torch
from torch import Tensor

from textadv.goals import NonOverlapping, TargetedKeywords, keyword_costs, non_overlapping_loss, padded


def released_lead(logits: Tensor, labels: Tensor) -> Tensor:
    """Leads (..., P) of labels (..., P) with both terms clamped at 0 (point 1)."""
    with torch.no_grad():
        best = logits.argmax(-1, keepdim=True)
        second = logits.scatter(-1, best, -torch.inf).argmax(-1, keepdim=True)
        rival = torch.where(labels == best, second, best)
    return logits.gather(-1, labels).clamp(min=0) - logits.gather(-1, rival).clamp(min=0)


class ReleasedNonOverlapping(NonOverlapping):
    """(2.8) as released: points 1, 3 and 4. Keeps, over the steps of one search, how short outputs have been."""

    def leads(self, logits: Tensor, rows: Tensor, start: int = 0) -> Tensor:
        span = slice(start, start + logits.shape[1])
        labels = padded(self.labels[rows][:, span], logits.shape[1], self.end_id)
        return released_lead(logits, labels[..., None])

    def loss(
        self, leads: Tensor, outputs: Tensor, lengths: Tensor, rows: Tensor, focus: Tensor | None = None
    ) -> Tensor:
        self.longest.scatter_reduce_(0, rows, lengths, "amin")  # rows may hold an example several times
        counted = torch.arange(leads.shape[1], device=leads.device) < self.longest[rows][:, None]
        return non_overlapping_loss(leads[..., 0], counted)

    @cached_property
    def longest(self) -> Tensor:
        """(B,) positions that are still compared: at first the clean output's, its end piece among them."""
        ends = (self.labels == self.end_id).long()
        return (ends.cumsum(1) - ends == 0).sum(1)


class ReleasedKeywords(TargetedKeywords):
    """(2.12) as released: points 1 and 2."""

    def leads(self, logits: Tensor, rows: Tensor, start: int = 0) -> Tensor:
        labels = self.pieces[rows].flatten(1).clamp(min=0)
        return released_lead(logits, labels[:, None].expand(-1, logits.shape[1], -1))

    def costs(self, leads: Tensor, outputs: Tensor, lengths: Tensor, rows: Tensor) -> Tensor:
        pieces = self.pieces[rows]
        valid = torch.arange(leads.shape[1], device=leads.device) < lengths[:, None]
        return keyword_costs(leads.unflatten(-1, pieces.shape[1:]), outputs, valid, pieces, masked=False)
