"""Random numbers that depend on nothing but (seed, example_id, step, place): a hash in place of a generator.

A number is the same in whatever batch its example stands, whatever the length of the other sentences, and on every
device; and no step loops over the examples. The hash is the output function of SplitMix64 (Steele, Lea, Flood,
OOPSLA 2014), applied to one coordinate after the other; products wrap around, as 64-bit integers do.
"""

import random
from collections.abc import Sequence

import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # SplitMix64's increment and factors, as signed integers
FIRST_FACTOR = 0xBF58476D1CE4E5B9 - 2**64
SECOND_FACTOR = 0x94D049BB133111EB - 2**64


def example_seeds(seed: int, example_ids: Sequence[int]) -> Tensor:
    """(B,) one seed for each example."""
    return torch.tensor([random.Random(f"{seed}:{i}").getrandbits(63) for i in example_ids], dtype=torch.long)


def uniform(seeds: Tensor, *coordinates: Tensor) -> Tensor:
    """Numbers of the open interval (0, 1), in float64, for seeds and whole numbers that are broadcast together."""
    mixed = seeds
    for coordinate in coordinates:
        mixed = _mix(mixed + (coordinate + 1) * GOLDEN)
    return (_shifted(mixed, 12).double() + 0.5) / 2**52


def series(seeds: Tensor, number: int) -> Tensor:
    """(B,) seeds of another series: what is drawn from them has nothing to do with what is drawn from `seeds`."""
    return _mix(_mix(seeds) + seeds.new_tensor(number + 1) * GOLDEN)


def gumbel(seeds: Tensor, *coordinates: Tensor) -> Tensor:
    """Standard Gumbel noise, as `uniform`."""
    return -torch.log(-torch.log(uniform(seeds, *coordinates)))


def _mix(values: Tensor) -> Tensor:
    values = (values ^ _shifted(values, 30)) * FIRST_FACTOR
    values = (values ^ _shifted(values, 27)) * SECOND_FACTOR
    return values ^ _shifted(values, 31)


def _shifted(values: Tensor, bits: int) -> Tensor:
    """Values moved to the right, zeros coming in."""
    return (values >> bits) & (2 ** (64 - bits) - 1)
