"""How alike two nets' gradients are: the cosine of the loss's slopes at the same image (Kariyappa and Qureshi, 2019).

Nets whose gradients point elsewhere err elsewhere (arXiv:1901.09981, (2)); Table 5.9 of Cheng's dissertation compares
the modules of SPROUT by it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy


def gradient_cosines(one: Any, other: Any, images: Tensor, labels: Tensor) -> Tensor:
    """(B,) the cosine of the two victims' gradients of the cross-entropy at images (B, ...); 0 where one has none."""
    return cosine_similarity(slopes(one, images, labels), slopes(other, images, labels), dim=1, eps=1e-30)


def slopes(victim: Any, images: Tensor, labels: Tensor) -> Tensor:
    """(B, D) the gradients of the cross-entropy at each image, scaled to a largest value of 1, for they may be tiny."""
    with torch.enable_grad():
        leaf = images.clone().requires_grad_()
        (found,) = torch.autograd.grad(cross_entropy(victim.logits(leaf), labels, reduction="sum"), leaf)
    flat = found.flatten(1)
    return flat / flat.abs().amax(1, keepdim=True).clamp(min=torch.finfo(flat.dtype).tiny)
