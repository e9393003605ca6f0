"""The hash against SplitMix64 in whole numbers of Python, and its numbers against the distributions they claim."""

import pytest
import torch
from scipy import stats

from textadv.noise import example_seeds, gumbel, uniform

MASK = 2**64 - 1


def split_mix(seed: int, *coordinates: int) -> float:
    """One number, with Python's integers cut to 64 bits."""
    z = seed
    for coordinate in coordinates:
        z = (z + (coordinate + 1) * 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        z ^= z >> 31
    return ((z >> 12) + 0.5) / 2**52


def test_the_published_numbers_of_split_mix():
    """The first outputs for state 1234567, as printed in many places: 6457827717110365317, 3203168211198807973."""
    for step, published in enumerate((6457827717110365317, 3203168211198807973)):
        assert split_mix(1234567, step) == ((published >> 12) + 0.5) / 2**52


def test_every_number_is_the_hash_of_its_coordinates():
    seeds, steps, places = torch.tensor([0, 5, 2**63 - 1]), torch.arange(4), torch.tensor([0, 7, 128_111])
    found = uniform(seeds[:, None, None], steps[:, None], places)
    for i, seed in enumerate(seeds.tolist()):
        for j, step in enumerate(steps.tolist()):
            assert found[i, j].tolist() == [split_mix(seed, step, place) for place in places.tolist()]
    alone = uniform(seeds[1:2, None], steps[2], places[:2])  # neither other rows nor other places matter
    assert torch.equal(alone[0], found[1, 2, :2])
    noise = gumbel(seeds[:, None, None], steps[:, None], places)
    assert torch.allclose((-(-noise).exp()).exp(), found, rtol=1e-12)


@pytest.mark.parametrize("along", ["seed", "step", "place"])
def test_numbers_are_uniform_and_neighbours_independent(along):
    """Kolmogorov-Smirnov on single numbers, chi-square on pairs of neighbours in an 8 x 8 table."""
    line, one = torch.arange(20_000), torch.tensor(3)
    seeds, step, place = (line if along == name else one for name in ("seed", "step", "place"))
    numbers = uniform(seeds, step, place)
    assert 0 < numbers.min() and numbers.max() < 1
    assert stats.kstest(numbers.numpy(), "uniform").pvalue > 1e-3
    cells = (numbers * 8).long()
    table = torch.bincount(cells[:-1:2] * 8 + cells[1::2], minlength=64)
    assert stats.chisquare(table.numpy()).pvalue > 1e-3


def test_the_largest_of_scores_and_noise_is_a_draw_from_their_softmax():
    scores = torch.tensor([0.0, 1.0, -1.0, 2.0, -torch.inf], dtype=torch.float64)
    draws = (scores + gumbel(torch.tensor(11), torch.arange(20_000)[:, None], torch.arange(5))).argmax(1)
    counts = torch.bincount(draws, minlength=5)
    assert counts[4] == 0
    assert stats.chisquare(counts[:4].numpy(), (scores.softmax(0) * 20_000)[:4].numpy()).pvalue > 1e-3


def test_seeds_tell_examples_and_runs_apart():
    seeds = torch.cat([example_seeds(seed, range(100)) for seed in range(3)])
    assert len(seeds.unique()) == 300 and seeds.min() >= 0
    assert torch.equal(example_seeds(1, [7, 3]), example_seeds(1, [3, 7]).flip(0))
