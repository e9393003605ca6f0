"""How far two images are apart: L0, L1, L2, Linf; balls of these, and the steepest way within them.

All functions take perturbations (N, ...) and say something of each.
"""

from __future__ import annotations

import torch
from torch import Tensor

NORMS = {"l0": "L0", "l1": "L1", "l2": "L2", "linf": "L∞"}  # and how they are written
SLACK = 1e-6  # of a limit: what rounding may add to a distance, of large ones in proportion


def size(delta: Tensor, norm: str) -> Tensor:
    """(N,) the norm of each perturbation; L0 counts values, so a colour image has three a pixel."""
    flat = delta.flatten(1)
    if norm == "l0":
        return (flat != 0).sum(1).to(delta.dtype)
    if norm == "linf":
        return flat.abs().amax(1)  # a tenth of vector_norm's time
    return torch.linalg.vector_norm(flat, {"l1": 1.0, "l2": 2.0}[norm], dim=1)


def wide(values: Tensor, like: Tensor) -> Tensor:
    """(n,) values with as many dimensions as `like` (n, ...)."""
    return values.view(-1, *[1] * (like.ndim - 1))


def unit(directions: Tensor, norm: str) -> Tensor:
    """Directions of norm 1; none stays none."""
    lengths = size(directions, norm).clamp(min=torch.finfo(directions.dtype).tiny)
    return directions / wide(lengths, directions)


def fits(sizes: Tensor, limit: float) -> Tensor:
    """(N,) which sizes are within a limit."""
    return sizes <= limit + SLACK * max(1.0, 3 * limit)


def project(delta: Tensor, radius: float | Tensor, norm: str) -> Tensor:
    """The nearest point (in L2) of the ball of a radius, one for all or (N,) of their own."""
    flat = delta.flatten(1)
    radii = torch.as_tensor(radius, dtype=delta.dtype, device=delta.device).expand(len(flat))[:, None]
    if norm == "linf":
        inside = flat.clamp(-radii, radii)
    elif norm == "l2":
        lengths = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
        inside = flat * (radii / lengths.clamp(min=torch.finfo(flat.dtype).tiny)).clamp(max=1)
    elif norm == "l1":
        inside = _onto_l1(flat, radii)
    else:
        order = flat.abs().argsort(dim=1, descending=True, stable=True).argsort(dim=1, stable=True)
        inside = flat.where(order < radii, 0.0)
    return inside.reshape(delta.shape)


def _onto_l1(flat: Tensor, radii: Tensor) -> Tensor:
    """Soft thresholding at the level that leaves the radius (Duchi et al., ICML 2008)."""
    ordered = flat.abs().sort(1, descending=True).values
    place = torch.arange(1, flat.shape[1] + 1, device=flat.device)
    levels = (ordered.cumsum(1) - radii) / place
    last = (ordered > levels).sum(1, keepdim=True).clamp(min=1)
    level = levels.gather(1, last - 1).clamp(min=0)  # 0 inside the ball
    return flat.sign() * (flat.abs() - level).clamp(min=0)


def steepest(gradient: Tensor, norm: str) -> Tensor:
    """The perturbation of norm 1 that a linear function with this gradient (N, ...) gains most from; 0 for none."""
    flat = gradient.flatten(1)
    if norm == "linf":
        return gradient.sign()
    if norm == "l2":
        least = torch.finfo(flat.dtype).tiny
        flat = flat / flat.abs().amax(1, keepdim=True).clamp(min=least)  # it may be too small to be squared
        lengths = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
        return (flat / lengths.clamp(min=least)).reshape(gradient.shape)
    largest = torch.zeros_like(flat).scatter_(1, flat.abs().argmax(1, keepdim=True), 1.0)
    return (largest * flat.sign()).reshape(gradient.shape)
