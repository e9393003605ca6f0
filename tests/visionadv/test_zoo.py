"""Difference quotients against gradients, coordinate steps against torch's Adam, and the smaller space."""

import pytest
import torch
from test_attacks import run
from torch import nn
from victims_of_tests import SHAPE, Counted, images_near_the_middle, linear

from visionadv.attacks.zoo import Zoo, resized
from visionadv.configs import BadInput
from visionadv.goals import Goal
from visionadv.noise import example_seeds
from visionadv.oracles import ScoreOracle

GENERATOR = torch.Generator().manual_seed(0)
EVERY = torch.arange(16).repeat(5, 1)


def smooth():
    generator = torch.Generator().manual_seed(2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return Counted(model, classes=3)


@pytest.mark.parametrize("options", [{}, {"tanh": True}, {"side": 2}, {"side": 2, "tanh": True}])
def test_difference_quotients_are_the_gradient_of_the_loss(options):
    attack, victim = Zoo(**options), smooth()
    images = 0.05 + 0.9 * torch.rand(5, *SHAPE, generator=GENERATOR, dtype=torch.float64)
    oracle = ScoreOracle(victim, images, Goal(victim.model(images).argmax(1)))
    oracle.begin()
    rows, constant = torch.arange(5), torch.linspace(0.1, 3, 5, dtype=torch.float64)
    side = options.get("side", 4)
    y = (0.04 * torch.rand(5, 1, side, side, generator=GENERATOR, dtype=torch.float64)).requires_grad_()
    shown = attack.images(images, y)
    margin = oracle.goal.margin(victim.model(shown), rows)
    assert (margin < 0).all()
    loss = (shown - images).flatten(1).square().sum(1) - constant * margin
    (expected,) = torch.autograd.grad(loss.sum(), y)
    chosen = EVERY[:, : side**2]
    found = attack.slopes(oracle, images, rows, y.detach(), chosen, constant)
    assert torch.allclose(found, expected.flatten(1), rtol=1e-4, atol=1e-7)
    assert (oracle.queries == 1 + 2 * side**2).all()


def test_at_a_face_the_quotient_is_that_of_the_part_within():
    victim = linear(2)
    images = torch.rand(5, *SHAPE, generator=GENERATOR, dtype=torch.float64).round()
    oracle = ScoreOracle(victim, images, Goal(victim.model(images).argmax(1)))
    oracle.begin()
    found = Zoo().slopes(
        oracle, images, torch.arange(5), torch.zeros_like(images), EVERY, torch.ones(5, dtype=torch.float64)
    )
    weight = victim.model[1].weight
    way = (weight[0] - weight[1]) * (1 - 2 * oracle.goal.labels[:, None])  # the loss falls as the margin rises
    towards = (images - images.round().logical_not().double()).sign().flatten(1)
    assert torch.allclose(found + 1e-4 * towards, way, atol=1e-6)


def test_each_coordinate_has_an_adam_of_its_own():
    """Against a loop over steps, images and coordinates, each with the number of its own steps (Algorithm 2)."""
    attack, originals = Zoo(), images_near_the_middle(2)
    y, adam = torch.zeros_like(originals), torch.zeros(3, 2, 16, dtype=torch.float64)
    state = {(row, place): [0.0, 0.0, 0, 0.0] for row in range(2) for place in range(16)}
    for _ in range(30):
        chosen = torch.rand(2, 16, generator=GENERATOR).argsort(1)[:, :5]
        slopes = torch.randn(2, 5, generator=GENERATOR, dtype=torch.float64)
        y = attack.moved(originals, y, adam, chosen, slopes)
        for row in range(2):
            for place, slope in zip(chosen[row].tolist(), slopes[row].tolist(), strict=True):
                mean, square, times, value = state[row, place]
                mean, square, times = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2, times + 1
                ratio = (mean / (1 - 0.9**times)) / (square / (1 - 0.999**times)) ** 0.5
                state[row, place] = [mean, square, times, value - 0.01 * ratio]
    expected = torch.tensor([[state[row, place][3] for place in range(16)] for row in range(2)])
    assert torch.allclose(y.flatten(1), expected.double(), atol=1e-5)
    far = attack.moved(originals, y + 1, adam, torch.arange(5).repeat(2, 1), torch.ones(2, 5, dtype=torch.float64))
    assert ((originals + far >= 0) & (originals + far <= 1)).all()


def test_a_smaller_space_bounds_the_queries_and_what_can_change():
    """Of a side of 2 a step asks about 4 coordinates, and the perturbation is one of the 4 that resizing gives."""
    victim, images = linear(2, seed=7, apart=0.2), images_near_the_middle(4)
    oracle = run("zoo", "l2", victim, images, side=2, steps=60, binary_steps=2, constant=1.0)
    assert oracle.found.all()
    basis = resized(torch.eye(4, dtype=torch.float64).view(4, 1, 2, 2), 4).flatten(1).T
    delta = (oracle.best - images).flatten(1).T
    assert torch.allclose(basis @ torch.linalg.lstsq(basis, delta).solution, delta, atol=1e-12)
    grown = run("zoo", "l2", victim, images, side=2, steps=60, grow_at=(30,), binary_steps=2, constant=1.0)
    assert (grown.distance <= 1.01 * oracle.distance).all() and (grown.distance < 0.95 * oracle.distance).any()
    again = run("zoo", "l2", victim, images, side=2, steps=40, binary_steps=1, constant=1.0, resets=True, tanh=True)
    assert (again.queries <= 1 + 40 * (1 + 8)).all() and again.found.all()


def test_coordinates_are_different_ones_and_important_ones_come_more_often():
    attack = Zoo(coordinates=6, side=2, importance=True)
    seeds, y = example_seeds(0, range(400)), torch.full((400, 1, 4, 4), 0.01, dtype=torch.float64)
    y[:, 0, 1, 2] = 1.0
    chosen = attack.chosen(y, seeds, 5)
    assert chosen.shape == (400, 6) and all(len(set(row)) == 6 for row in chosen.tolist())
    assert (chosen == 6).any(1).float().mean() > 0.98
    small = attack.chosen(y[:, :, :2, :2], seeds, 5)
    assert sorted(small[0].tolist()) == [0, 1, 2, 3]
    even = torch.bincount(Zoo(coordinates=6).chosen(y, seeds, 5).flatten(), minlength=16)
    assert even.min() > 100 and even.max() < 200, "150 of each are expected, and their deviation is about 10"
    assert not torch.equal(attack.chosen(y, seeds, 6), chosen)


def test_a_smaller_space_needs_pixels():
    model = nn.Linear(5, 2).double()
    with pytest.raises(BadInput, match=r"needs images \(C, H, W\), not \(5,\); leave side at 0"):
        run("zoo", "l2", Counted(model, classes=2), torch.rand(3, 5, dtype=torch.float64), side=2)
