"""Random numbers that depend on nothing but (seed, example_id, step, place): a hash in place of a generator.

An image's numbers are the same in whatever batch it stands, and on every device; no step loops over images. The hash is
the output function of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), applied to one coordinate after the other; products
wrap around, as 64-bit integers do. Every hash gives two uniform numbers of 32 bits, or four normal ones of 16.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # SplitMix64's increment and factors, as signed integers
FACTORS = (0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64)
LOW = 2**32 - 1


def example_seeds(seed: int, example_ids: Sequence[int]) -> Tensor:
    """(B,) one seed for each example."""
    return torch.tensor([random.Random(f"{seed}:{i}").getrandbits(63) for i in example_ids], dtype=torch.long)


def uniform(seeds: Tensor, step: int | Tensor, shape: Sequence[int], *, dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, *shape) numbers from 0 to 1 for seeds (N,) at a step, one for all or (N,) of their own.

    As float64 they are neither 0 nor 1; rounded to float32 a few are 1.
    """
    high, low = _halves(seeds, step, math.prod(shape))
    return torch.stack([high, low], dim=2).flatten(1)[:, : math.prod(shape)].reshape(-1, *shape).to(dtype)


def normal(seeds: Tensor, step: int | Tensor, shape: Sequence[int], *, dtype: torch.dtype = torch.float32) -> Tensor:
    """(N, *shape) standard normal numbers, as `uniform`: one of 65,536 quantiles each, so that none is beyond 4.33.

    16 bits choose the quantile, four times as fast as Box and Muller's logarithms and angles; attacks on small victims
    would spend most of their time on those.
    """
    count = math.prod(shape)
    quarters = (count + 3) // 4
    places = _hashes(seeds, step, quarters).view(torch.int16).int().add_(2**15)
    drawn = _quantiles(dtype, seeds.device).index_select(0, places.flatten())
    return drawn.view(len(seeds), 4 * quarters)[:, :count].reshape(len(seeds), *shape)


@lru_cache(maxsize=8)
def _quantiles(dtype: torch.dtype, device: torch.device) -> Tensor:
    """(65536,) the middles of equally likely parts of the normal distribution."""
    return torch.special.ndtri((torch.arange(2**16, dtype=torch.float64) + 0.5) / 2**16).to(device, dtype)


def below(seeds: Tensor, step: int | Tensor, bound: int | Tensor) -> Tensor:
    """(N,) whole numbers from 0 to below a bound, one for all or (N,) of their own."""
    return (uniform(seeds, step, (1,), dtype=torch.float64)[:, 0] * bound).long()


def _halves(seeds: Tensor, step: int | Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Two tensors (N, half of count, rounded up) of (0, 1), in float64."""
    mixed = _hashes(seeds, step, (count + 1) // 2)
    return tuple((part.double() + 0.5) / 2**32 for part in (mixed >> 32 & LOW, mixed & LOW))  # type: ignore[return-value]


def _hashes(seeds: Tensor, step: int | Tensor, count: int) -> Tensor:
    """(N, count) of 64 bits."""
    place = torch.arange(1, count + 1, device=seeds.device)
    step = torch.as_tensor(step, device=seeds.device)
    return _mix(_mix(seeds + (step + 1) * GOLDEN)[:, None] + place * GOLDEN)


def _mix(values: Tensor) -> Tensor:
    """In place, as are its shifts: zeros come in from the left."""
    for bits, factor in ((30, FACTORS[0]), (27, FACTORS[1]), (31, 1)):
        values ^= (values >> bits).bitwise_and_(2 ** (64 - bits) - 1)
        values *= factor
    return values
