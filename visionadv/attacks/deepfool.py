"""DeepFool (Moosavi-Dezfooli, Fawzi, Frossard, CVPR 2016, arXiv:1511.04599, Algorithm 2 and section 3.3).

Each step goes to the nearest boundary as if the victim were linear there, until the class changes.

Deviations: after each step the image is clipped. Each step shows the image with the overshoot, and is 1e-4 longer than
in Algorithm 2, both as in the authors' code: where clipping takes a part of every step, it would never cross.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from visionadv.oracles import GradientOracle

BEYOND = 1e-4  # that a step goes further than to the boundary


@dataclass(frozen=True)
class DeepFool:
    """`candidates` classes are looked at, the label among them; `overshoot` is a share of the whole perturbation."""

    steps: int = 50
    overshoot: float = 0.02
    candidates: int = 10

    oracle: ClassVar = GradientOracle
    norms: ClassVar = ("l2", "linf")
    eps: ClassVar = None
    targeted: ClassVar = False

    def run(self, oracle: GradientOracle, seeds: Tensor) -> None:
        rows = oracle.left()
        labels = oracle.goal.labels[rows][:, None]
        others = oracle.clean[rows].scatter(1, labels, -torch.inf)
        count = max(1, min(self.candidates, oracle.clean.shape[1]) - 1)
        classes = torch.cat([labels, others.topk(count, dim=1).indices], dim=1)  # (n, C), the label first
        originals = oracle.images[rows]
        delta = torch.zeros_like(originals)
        for _ in range(self.steps):
            images = originals + (1 + self.overshoot) * delta
            logits, slopes = oracle.jacobian(images, rows, classes)
            oracle.close(rows[oracle.found[rows]])
            left = oracle.open[rows]
            rows, originals, delta, classes = rows[left], originals[left], delta[left], classes[left]
            if len(rows) == 0:
                return
            delta = delta + step(logits[left].gather(1, classes), slopes[left], oracle.norm)
            delta = (originals + delta).clamp(0, 1) - originals
        oracle.logits(originals + (1 + self.overshoot) * delta, rows)


def step(values: Tensor, slopes: Tensor, norm: str) -> Tensor:
    """(n, ...) the smallest step beyond a boundary of the first class, by logits (n, C), their gradients (n, C, ...).

    To the boundary it is |f| w / ||w||_2^2 in L2, |f| sign(w) / ||w||_1 in Linf: f and w are the differences to the
    first class, of the class for which the step is the smallest.
    """
    gaps = (values[:, :1] - values[:, 1:]).abs()  # (n, C - 1)
    ways = (slopes[:, 1:] - slopes[:, :1]).flatten(2)  # (n, C - 1, D)
    tiny = torch.finfo(values.dtype).tiny
    dual = torch.linalg.vector_norm(ways, {"l2": 2, "linf": 1}[norm], dim=2).clamp(min=tiny)
    length, nearest = (gaps / dual).min(1)
    way = ways[torch.arange(len(ways), device=ways.device), nearest]
    if norm == "l2":
        way = way / torch.linalg.vector_norm(way, dim=1, keepdim=True).clamp(min=tiny)
    else:
        way = way.sign()
    delta = ((length[:, None] + BEYOND) * way).where(way != 0, 0.0)  # a gradient of 0 leads nowhere
    return delta.reshape(len(values), *slopes.shape[2:])
