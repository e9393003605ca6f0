"""RobMask (Cheng's dissertation, section 6.3 and Algorithm 10): batch normalisation that knows how strong an attack is.

Its weights and biases are combinations of k bases (6.2), gamma = sum of u_j w_j, by a code u of the distance eps:
(1, 0) for none and (0, 1) for eps_max. Every step draws p from 0 to 1, attacks within p eps_max, and learns from the
clean images by the code of none, and from the attacked ones by that of p.

Two nets come of it: that of none, and `adversarial`, that of eps_max; in between lies `norms.blended`, for k = 2.

The text doesn't tell the code of more than two bases, where (6.2) would use two combinations of them only. Here each
basis stands for a distance, from none to eps_max at equal steps, and between two of them u is linear; for k = 2 this is
(6.2). Clean and attacked images have running statistics of their own, as in AdvProp, which RobMask is when p is always
1 and k = 2.

Text and algorithm differ: Algorithm 10 learns from the attacked images alone; the text minimises a total loss, and has
AdvProp for a special case, so that clean images are in it here.

Deviations: the attack is AdvProp's, from a random start, where Algorithm 10 begins at the image; its steps are in units
of p eps_max. As for every method, it looks at the net in evaluation mode.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from visionadv.configs import BadInput
from visionadv.training.advprop import strength
from visionadv.training.inner import ascend, check_attack, cross_entropy, random_start
from visionadv.training.label_smoothing import check_share
from visionadv.training.norms import exchange, norms_of
from visionadv.training.vicinity import Batch, Vicinity


class MaskedNorm(nn.Module):
    """Batch normalisation of k bases; `p`, the part of eps_max that images were attacked by, says which are in use."""

    p = 0.0
    layer: Any
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, layer: _BatchNorm, rank: int) -> None:
        super().__init__()
        self.layer, self.rank = deepcopy(layer), rank  # for what it has of options
        self.layer.requires_grad_(False)
        # k of (C,): one by one, for weights of normalisation don't decay, and matrices do.
        self.weights = nn.ParameterList([layer.weight.detach().clone() for _ in range(rank)])
        self.biases = nn.ParameterList([layer.bias.detach().clone() for _ in range(rank)])
        for name in ("running_mean", "running_var"):  # of clean images, and of attacked ones
            self.register_buffer(name, getattr(layer, name).repeat(2, 1))

    def code(self) -> Tensor:
        """(k,) the share u of each basis."""
        place = self.p * (self.rank - 1)
        away = (torch.arange(self.rank, device=self.running_mean.device) - place).abs()
        return (1 - away).clamp(min=0).to(self.running_mean.dtype)

    def rescaling(self) -> tuple[Tensor, Tensor]:
        """(C,) gamma and beta in use."""
        code = self.code()[:, None]
        weights, biases = (torch.stack(list(one)) for one in (self.weights, self.biases))
        return (code * weights).sum(0), (code * biases).sum(0)  # a product of matrices would be of 16 bits in autocast

    def forward(self, values: Tensor) -> Tensor:
        which = int(self.p > 0)
        return nn.functional.batch_norm(
            values,
            self.running_mean[which],
            self.running_var[which],
            *self.rescaling(),
            self.training,
            self.layer.momentum,
            self.layer.eps,
        )

    @torch.no_grad()
    def plain(self, p: float) -> nn.Module:
        """The layer that it is for a p."""
        layer: Any = deepcopy(self.layer).requires_grad_(True)
        self.p = p
        gamma, beta = self.rescaling()
        layer.weight.copy_(gamma)
        layer.bias.copy_(beta)
        layer.running_mean.copy_(self.running_mean[int(p > 0)])
        layer.running_var.copy_(self.running_var[int(p > 0)])
        return layer


class RobMask(Vicinity):
    """`rank` (k), `eps` (eps_max), `steps` and `step_size` are those of section 6.4; the latter in units of p eps_max.

    Args:
        p: the part of eps_max in every step, instead of one that is drawn.
    """

    own_gradients = True

    def __init__(
        self,
        *,
        eps: float = 8 / 255,
        rank: int = 2,
        steps: int = 7,
        step_size: float = 0.2,
        p: float | None = None,
    ) -> None:
        super().__init__()
        check_attack(eps, steps, step_size)
        if rank < 2:
            raise BadInput(f"rank must be at least 2, one basis for clean images and one for eps, not {rank}")
        if p is not None and not isinstance(p, int | float):
            raise BadInput(f"p must be a number from 0 to 1, not {p!r}")
        if p is not None:
            check_share("p", p)
        self.eps, self.rank, self.steps, self.step_size, self.p = eps, rank, steps, step_size, p

    def begin(self, model: Any, *, count: int, classes: int, shape: tuple[int, ...]) -> None:
        super().begin(model, count=count, classes=classes, shape=shape)
        for _, layer in norms_of(model):
            if not layer.affine or not layer.track_running_stats or layer.momentum is None:
                raise BadInput("its batch normalisation must have weights, biases, running statistics and a momentum")
        exchange(model, _BatchNorm, lambda layer: MaskedNorm(layer, self.rank))

    def loss(self, model: Any, batch: Batch) -> Tensor:
        bare, p = getattr(model, "module", model), strength(batch, 1.0, self.p)
        mask(bare, 0.0)
        clean = nn.functional.cross_entropy(model(batch.images), batch.labels)
        mask(bare, p)
        how = {"radius": p * self.eps, "steps": self.steps, "step_size": self.step_size}
        start = random_start(batch, p * self.eps)
        moved = ascend(model, batch.images, cross_entropy(batch.labels), start=start, **how)
        return clean + nn.functional.cross_entropy(model(moved), batch.labels)

    def nets(self, model: Any) -> dict[str, Any]:
        return {"": plain(model, 0.0), "adversarial": plain(model, 1.0)}


def mask(model: Any, p: float) -> None:
    """Sets what images were attacked by."""
    for layer in model.modules():
        if isinstance(layer, MaskedNorm):
            layer.p = p


def plain(model: Any, p: float) -> Any:
    """A net of its own with the normalisation for a p only."""
    net = deepcopy(model)
    exchange(net, MaskedNorm, lambda layer: layer.plain(p))
    return net
