"""The elastic net's proximal step against a grid, and its limits: no L1 at all, and many values that don't change."""

import torch
from test_attacks import run
from victims_of_tests import boundaries, images_near_the_middle, linear

from visionadv.attacks.ead import shrink
from visionadv.distances import size

GENERATOR = torch.Generator().manual_seed(0)


def test_the_shrunken_image_is_the_nearest_one_with_a_price_on_change():
    """argmin of (z - y)^2 / 2 + beta |z - x| over [0, 1], a value at a time."""
    images = 1.4 * torch.rand(50, generator=GENERATOR, dtype=torch.float64) - 0.2
    originals = torch.rand(50, generator=GENERATOR, dtype=torch.float64)
    grid = torch.linspace(0, 1, 10001, dtype=torch.float64)[:, None]
    cost = (grid - images) ** 2 / 2 + 0.1 * (grid - originals).abs()
    found = shrink(images, originals, 0.1)
    assert torch.allclose(found, grid[cost.argmin(0), 0], atol=1e-4)
    assert (found == originals).sum() > 3


def test_without_l1_it_reaches_the_optimum_of_l2_and_with_it_fewer_values_change():
    victim, images = linear(2, seed=7, apart=0.4), images_near_the_middle(6)
    nearest = boundaries(victim, images, "l2").amin(1)
    plain, few = (run("ead", "l2", victim, images, beta=beta) for beta in (0.0, 1e-2))
    assert torch.allclose(plain.distance, nearest, rtol=2e-3)
    assert (few.distance > nearest).all()
    assert (size(few.best - images, "l0") <= size(plain.best - images, "l0") - 3).all()
    assert (size(few.best - images, "l1") < size(plain.best - images, "l1")).all()


def test_the_norm_chooses_among_the_same_successes():
    victim, images = linear(2, seed=7, apart=0.4), images_near_the_middle(6)
    by_l1, by_l2 = (run("ead", norm, victim, images, budget=600) for norm in ("l1", "l2"))
    assert torch.equal(by_l1.queries, by_l2.queries)
    assert (by_l1.distance <= size(by_l2.best - images, "l1")).all()
    assert (by_l2.distance <= size(by_l1.best - images, "l2")).all()
