"""AdvProp (Xie et al., CVPR 2020, arXiv:1911.09665, (3) and Algorithm 1): adversarial images help on clean ones.

The loss is that of clean images and that of adversarial ones; the latter pass through batch normalisation of their own,
and are made by it. For clean images the net has its main one; the other net that comes of it, `adversarial`, has the
auxiliary.

With `auxiliaries` of them, each has a part of eps, such as eps / 2 and eps; with `random_strength` the distance of a
batch is drawn from 0 to eps. These are the extensions of Table 6.6 of Cheng's dissertation.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from visionadv.configs import BadInput
from visionadv.noise import uniform
from visionadv.training.inner import ascend, check_attack, cross_entropy, random_start
from visionadv.training.norms import exchange, norms_of
from visionadv.training.vicinity import Batch, Vicinity

STRENGTH = 17  # added to the common seed


class SeveralNorms(nn.Module):
    """Batch normalisation for clean images, the first, and others; `which` is in use."""

    which = 0

    def __init__(self, layer: _BatchNorm, count: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([layer, *(deepcopy(layer) for _ in range(count))])

    def forward(self, values: Tensor) -> Tensor:
        return self.layers[self.which](values)


class AdvProp(Vicinity):
    """`eps`, `steps` and `step_size` (in units of eps) are those of section 6.4."""

    own_gradients = True

    def __init__(
        self,
        *,
        eps: float = 8 / 255,
        steps: int = 7,
        step_size: float = 0.2,
        auxiliaries: int = 1,
        random_strength: bool = False,
    ) -> None:
        super().__init__()
        check_attack(eps, steps, step_size)
        if auxiliaries < 1:
            raise BadInput(f"auxiliaries must be at least 1, not {auxiliaries}")
        self.eps, self.steps, self.step_size = eps, steps, step_size
        self.auxiliaries, self.random_strength = auxiliaries, random_strength

    def begin(self, model: Any, *, count: int, classes: int, shape: tuple[int, ...]) -> None:
        super().begin(model, count=count, classes=classes, shape=shape)
        norms_of(model)
        exchange(model, _BatchNorm, lambda layer: SeveralNorms(layer, self.auxiliaries))

    def loss(self, model: Any, batch: Batch) -> Tensor:
        bare = getattr(model, "module", model)
        use(bare, 0)
        loss = nn.functional.cross_entropy(model(batch.images), batch.labels)
        for number in range(1, self.auxiliaries + 1):
            use(bare, number)
            radius = strength(batch, self.eps * number / self.auxiliaries, 1.0 if not self.random_strength else None)
            how = {"radius": radius, "steps": self.steps, "step_size": self.step_size}
            start = random_start(batch, radius)
            moved = ascend(model, batch.images, cross_entropy(batch.labels), start=start, **how)
            loss = loss + nn.functional.cross_entropy(model(moved), batch.labels)
        return loss

    def nets(self, model: Any) -> dict[str, Any]:
        return {"": plain(model, 0), "adversarial": plain(model, self.auxiliaries)}


def strength(batch: Batch, eps: float, p: float | None) -> float:
    """p of eps, where None draws p for the whole batch."""
    if p is None:
        p = float(uniform(batch.common + STRENGTH, batch.step, (1,), dtype=batch.images.dtype))
    return p * eps


def use(model: Any, number: int) -> None:
    """Passes what comes through the normalisation of a number."""
    for layer in model.modules():
        if isinstance(layer, SeveralNorms):
            layer.which = number


def plain(model: Any, number: int) -> Any:
    """A net of its own with the normalisation of a number only."""
    net = deepcopy(model)
    exchange(net, SeveralNorms, lambda layer: layer.layers[number])
    return net
