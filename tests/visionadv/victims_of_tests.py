"""Victims whose boundaries are known: linear ones, and ReLU nets that are the larger of two linear functions."""

import torch
from torch import nn

from visionadv.victims import ModuleVictim

SHAPE = (1, 4, 4)


class Counted(ModuleVictim):
    """Counts the rows that it is shown."""

    rows = 0

    def logits(self, images):
        self.rows += len(images)
        return super().logits(images)


def linear(classes: int = 3, seed: int = 0, apart: float = 0.0) -> Counted:
    """Logits are linear in the image; K - 1 half-spaces bound each class.

    The middle of the cube is so far (L2) inside the first class, or on all boundaries.
    """
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, classes)).double()
    with torch.no_grad():
        weight = 10 * torch.randn(classes, 16, generator=generator, dtype=torch.float64)
        model[1].weight.copy_(weight)
        model[1].bias.copy_(-weight.sum(1) / 2 - apart * (weight - weight[0]).norm(dim=1))
    return Counted(model, classes=classes)


def larger_of_two(seed: int = 7, apart: float = 0.4) -> tuple[Counted, torch.Tensor]:
    """A ReLU net whose second class is a union of two half-spaces, and the weights (2, 16) of these.

    The logit is the larger of two linear functions, relu(a - b) + relu(b) - relu(-b); their weights are of one length
    in every norm, so that the larger is the nearer one. The middle of the cube is so far (L2) from both.
    """
    weight = 10 * torch.randn(16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    weights = torch.stack([weight, weight.flip(0)])
    (first, second), bias = weights, -weights.sum(1) / 2 - apart * weight.norm()
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.ReLU(), nn.Linear(3, 2)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([first - second, second, -second]))
        model[1].bias.copy_(torch.stack([bias[0] - bias[1], bias[1], -bias[1]]))
        model[3].weight.copy_(torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, -1.0]]))
        model[3].bias.zero_()
    return Counted(model, classes=2), weights


def images_near_the_middle(count: int = 6, seed: int = 1, spread: float = 0.1) -> torch.Tensor:
    """(B, 1, 4, 4) so far from the faces of the cube that clipping changes no smallest perturbation."""
    generator = torch.Generator().manual_seed(seed)
    return 0.5 + spread * (2 * torch.rand(count, *SHAPE, generator=generator, dtype=torch.float64) - 1)


def boundaries(victim: ModuleVictim, images: torch.Tensor, norm: str) -> torch.Tensor:
    """(B, K) the distance to each other class's half-space; infinite to one's own."""
    layer = victim.model[1]
    logits = victim.logits(images)
    dual = {"l1": torch.inf, "l2": 2, "linf": 1}[norm]
    distances = torch.full_like(logits, torch.inf)
    for row, label in enumerate(logits.argmax(1)):
        for other in range(len(layer.weight)):
            if other != label:
                length = torch.linalg.vector_norm(layer.weight[label] - layer.weight[other], dual)
                distances[row, other] = (logits[row, label] - logits[row, other]) / length
    return distances
