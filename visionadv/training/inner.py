"""The inner maximisation of adversarial training (4.1): virtual inputs that are bad for the model as it is.

The model is asked in evaluation mode, so that neither its dropout nor its running statistics notice; the weights get no
gradients. Everything happens on the graph of the inputs alone, which is the cheaper part of a backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from visionadv.configs import BadInput
from visionadv.distances import project, steepest, wide
from visionadv.noise import normal, uniform
from visionadv.training.vicinity import Batch

START, LENGTH = 21, 22  # added to an image's seed
NORMS = ("linf", "l2")
Loss = Callable[[Tensor], Tensor]  # of logits (B, K): (B,) what is ascended


def ascend(
    model: Any,
    images: Tensor,
    loss: Loss,
    *,
    radius: float | Tensor,
    steps: int,
    step_size: float,
    norm: str = "linf",
    start: Tensor | None = None,
) -> Tensor:
    """(B, C, H, W) images of a large loss, within a radius of theirs and in [0, 1].

    Args:
        radius: one for all, or (B,) each image's own.
        step_size: in units of the radius.
        start: (B, C, H, W) the perturbation to begin with, none for zero.
    """
    radii = torch.as_tensor(radius, dtype=images.dtype, device=images.device).expand(len(images))
    moved = images if start is None else (images + start).clamp(0, 1)
    length = step_size * wide(radii, images)
    with evaluating(model) as asked, torch.enable_grad():
        for _ in range(steps):
            moved = moved.detach().requires_grad_()
            (slopes,) = torch.autograd.grad(loss(asked(moved)).sum(), moved)
            stepped = moved.detach() + length * steepest(slopes, norm)
            moved = (images + project(stepped - images, radii, norm)).clamp(0, 1)
    return moved.detach()


@contextmanager
def evaluating(model: Any) -> Iterator[Any]:
    """The model itself, without what wraps it for several processes, in evaluation mode."""
    bare, training = getattr(model, "module", model), model.training
    bare.eval()
    try:
        yield bare
    finally:
        bare.train(training)


def random_start(batch: Batch, radius: float | Tensor, norm: str = "linf") -> Tensor:
    """(B, C, H, W) within the radius: uniform in the cube, or of a uniform length in a random direction."""
    images, shape = batch.images, batch.images.shape[1:]
    radii = wide(torch.as_tensor(radius, dtype=images.dtype, device=images.device), images)
    if norm == "linf":
        return radii * (2 * uniform(batch.seeds + START, batch.step, shape, dtype=images.dtype) - 1)
    direction = normal(batch.seeds + START, batch.step, shape, dtype=images.dtype)
    length = uniform(batch.seeds + LENGTH, batch.step, [1] * len(shape), dtype=images.dtype)
    return radii * length * steepest(direction, "l2")


def cross_entropy(targets: Tensor) -> Loss:
    """Of labels (B,) or distributions (B, K)."""
    return lambda logits: nn.functional.cross_entropy(logits, targets, reduction="none")


def margin(labels: Tensor) -> Loss:
    """The best other logit less the label's (Carlini and Wagner, S&P 2017)."""
    return lambda logits: margins(logits, labels)


def margins(logits: Tensor, labels: Tensor) -> Tensor:
    """(B,) the best other logit less the label's: above 0 for a wrong decision."""
    label = labels[:, None]
    return logits.scatter(1, label, -torch.inf).amax(1) - logits.gather(1, label)[:, 0]


def check_attack(eps: float, steps: int, step_size: float, norm: str = "linf") -> None:
    """Raises BadInput for what can't be an attack within a distance."""
    if not 0 <= eps <= (1 if norm == "linf" else torch.inf):
        raise BadInput(f"eps must be from 0 to 1, the range of images, not {eps}")
    if steps < 1 or step_size <= 0:
        raise BadInput(f"an inner attack takes at least 1 step, of a size above 0, not {steps} of {step_size}")
    if norm not in NORMS:
        raise BadInput(f"the inner attack knows {' and '.join(NORMS)}, and not {norm}")
