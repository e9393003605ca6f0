"""The loss's gradient at an image, and how alike two nets' are (Kariyappa and Qureshi, 2019, arXiv:1901.09981, (2)).

Nets whose gradients point elsewhere err elsewhere: Table 5.9 of Cheng's dissertation compares the modules of SPROUT so.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy


def input_gradients(victim: Any, images: Tensor, labels: Tensor) -> Tensor:
    """(B, ...) the gradient of each image's own cross-entropy with its label (B,); 0 where it has none."""
    with torch.enable_grad():
        leaf = images.clone().requires_grad_()
        (found,) = torch.autograd.grad(cross_entropy(victim.logits(leaf), labels, reduction="sum"), leaf)
    return found


def gradient_cosines(one: Any, other: Any, images: Tensor, labels: Tensor) -> Tensor:
    """(B,) the cosine of the two victims' gradients at images (B, ...); 0 where one has none."""

    def directions(victim: Any) -> Tensor:
        """(B, D), their largest values 1, for the gradients may be too small to be squared."""
        flat = input_gradients(victim, images, labels).flatten(1)
        return flat / flat.abs().amax(1, keepdim=True).clamp(min=torch.finfo(flat.dtype).tiny)

    return cosine_similarity(directions(one), directions(other), dim=1, eps=1e-30)
