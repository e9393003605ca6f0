"""Random numbers that depend on nothing but (seed, example_id, step, place): a hash in place of a generator.

An image's numbers are the same in whatever batch it stands, and on every device; no step loops over images. The hash is
the output function of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), applied to one coordinate after the other; products
wrap around, as 64-bit integers do. Every hash gives two numbers of 32 bits.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # SplitMix64's increment and factors, as signed integers
FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
LOW = 2**32 - 1


def example_seeds(seed: int, example_ids: Sequence[int]) -> Tensor:
    """(B,) one seed for each example."""
    return torch.tensor([random.Random(f"{seed}:{i}").getrandbits(63) for i in example_ids], dtype=torch.long)


def uniform(seeds: Tensor, step: int | Tensor, shape: Sequence[int], *, dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, *shape) numbers of the open interval (0, 1) for seeds (N,) at a step, one for all or (N,) of their own."""
    high, low = _halves(seeds, step, math.prod(shape))
    return torch.stack([high, low], dim=2).flatten(1)[:, : math.prod(shape)].reshape(-1, *shape).to(dtype)


def normal(seeds: Tensor, step: int | Tensor, shape: Sequence[int], *, dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, *shape) standard normal numbers (Box and Muller, 1958), as `uniform`."""
    first, second = _halves(seeds, step, math.prod(shape))
    radius, angle = (-2 * first.log()).sqrt(), 2 * math.pi * second
    both = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=2).flatten(1)
    return both[:, : math.prod(shape)].reshape(-1, *shape).to(dtype)


def below(seeds: Tensor, step: int | Tensor, bound: int | Tensor) -> Tensor:
    """(N,) whole numbers from 0 to below a bound, one for all or (N,) of their own."""
    return (uniform(seeds, step, (1,), dtype=torch.float64)[:, 0] * bound).long()


def _halves(seeds: Tensor, step: int | Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Two tensors (N, half of count, rounded up) of (0, 1), in float64."""
    place = torch.arange((count + 1) // 2, device=seeds.device)
    step = torch.as_tensor(step, device=seeds.device)
    mixed = _mix(_mix(seeds + (step + 1) * GOLDEN)[:, None] + (place + 1) * GOLDEN)
    return tuple((part.double() + 0.5) / 2**32 for part in (_shifted(mixed, 32), mixed & LOW))  # type: ignore[return-value]


def _mix(values: Tensor) -> Tensor:
    values = (values ^ _shifted(values, 30)) * FACTORS[0]
    values = (values ^ _shifted(values, 27)) * FACTORS[1]
    return values ^ _shifted(values, 31)


def _shifted(values: Tensor, bits: int) -> Tensor:
    """Values moved to the right, zeros coming in."""
    return (values >> bits) & (2 ** (64 - bits) - 1)
