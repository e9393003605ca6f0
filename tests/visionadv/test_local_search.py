"""Local search against a plain loop over pixels, and victims that a pixel decides."""

import pytest
import torch
from test_attacks import run
from torch import nn
from victims_of_tests import Counted

from visionadv.attacks.local_search import cyclic
from visionadv.configs import BadInput
from visionadv.noise import example_seeds, uniform

GENERATOR = torch.Generator().manual_seed(0)


def colour(side=9, classes=3, seed=0):
    """A linear victim of images (3, side, side) whose likeliest class is rather the first."""
    generator = torch.Generator().manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * side**2, classes)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.randn(classes, 3 * side**2, generator=generator, dtype=torch.float64))
        model[1].bias.copy_(-model[1].weight.sum(1) / 2)
        model[1].bias[0] += 4
    return Counted(model, classes=classes)


@pytest.mark.parametrize("value", torch.linspace(-0.5, 0.5, 11).tolist())
@pytest.mark.parametrize("r", [0.5, 1.5, 2.0])
def test_values_come_in_again_at_the_other_end(value, r):
    expected = r * value
    if expected < -0.5:
        expected += 1
    elif expected > 0.5:
        expected -= 1
    assert float(cyclic(torch.tensor(value + 0.5, dtype=torch.float64), r)) - 0.5 == pytest.approx(expected, abs=1e-7)


def by_loops(model, image, label, start, *, d, t, rounds, rest, r=1.5):
    """Algorithm 3 for one image, pixel by pixel: the last image, the number of queries, and whether it succeeded."""
    side, queries, asleep, near = image.shape[-1], 1, {}, start
    image = image.clone()
    for number in range(rounds):
        awake = [one for one in near if asleep.get(one, 0) <= number] or near
        falls = {}
        for y, x in awake:
            probe = image.clone()
            probe[:, y, x] = (probe[:, y, x] > 0.5).double()
            told = model(probe[None])[0]
            falls[y, x], queries = float(told.log_softmax(0)[label]), queries + 1
            if told.argmax() != label:  # goes on: all probes of a round are shown at once
                falls["done"] = True
        if falls.pop("done", False):
            return image, queries, True
        best = sorted(awake, key=lambda one: falls[one])[:t]
        for y, x in best:
            for channel in range(3):
                value = r * (float(image[channel, y, x]) - 0.5)
                image[channel, y, x] = value + 0.5 + (value < -0.5) - (value > 0.5)
            asleep[y, x] = number + 1 + rest
        queries += 1
        if model(image[None])[0].argmax() != label:
            return image, queries, True
        near = sorted(
            {(y + i, x + j) for y, x in best for i in range(-d, d + 1) for j in range(-d, d + 1)}
            & {(y, x) for y in range(side) for x in range(side)}
        )
    return image, queries, False


@pytest.mark.parametrize(("d", "t", "rest"), [(1, 3, 30), (2, 5, 2), (5, 2, 30)])
def test_it_is_the_loop_over_pixels(d, t, rest):
    victim = colour()
    images = torch.rand(6, 3, 9, 9, generator=GENERATOR, dtype=torch.float64)
    labels = victim.model(images).argmax(1)
    oracle = run("local_search", "l0", victim, images, d=d, t=t, rest=rest, rounds=8)
    draws = uniform(example_seeds(3, range(6)), 0, (81,), dtype=torch.float64)
    for row in range(6):
        start = sorted(divmod(int(pixel), 9) for pixel in draws[row].argsort()[:8])
        last, queries, success = by_loops(victim.model, images[row], labels[row], start, d=d, t=t, rounds=8, rest=rest)
        assert oracle.queries[row] == queries and oracle.found[row] == success
        changed = (oracle.best[row] != images[row]).any(0)
        assert oracle.distance[row] % 3 == 0 or not success, "all channels of a pixel change"
        if not success:
            continue
        beyond = changed & (last == images[row]).all(0)
        assert beyond.sum() <= 1, "the success is the last image, or differs from it in one pixel"


def test_a_pixel_that_decides_is_found():
    """One pixel, made white, outweighs all others, and it is within d of whatever the search begins at."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).double()
    with torch.no_grad():
        model[1].weight.fill_(0.05)
        model[1].weight[1] *= -1
        model[1].weight[1, 21] = 40.0
        model[1].bias[:] = torch.tensor([0.0, -35.0])
    images = torch.full((4, 1, 6, 6), 0.8, dtype=torch.float64)
    oracle = run("local_search", "l0", Counted(model, classes=2), images, d=5, t=1)
    assert (oracle.goal.labels == 0).all() and oracle.found.all()
    assert ((oracle.best != images).flatten(1)[:, 21]).all() and (oracle.distance <= 2).all()


def test_a_target_is_approached():
    victim = colour()
    images = torch.rand(6, 3, 9, 9, generator=GENERATOR, dtype=torch.float64)
    targets = (victim.model(images).argmax(1) + 1) % 3
    oracle = run("local_search", "l0", victim, images, targets=targets, d=2)
    found = oracle.found
    assert found.sum() >= 5 and torch.equal(victim.model(oracle.best).argmax(1)[found], targets[found])


def test_rows_of_values_have_no_pixels():
    model = nn.Linear(5, 2).double()
    with pytest.raises(BadInput, match=r"needs pixels: images \(C, H, W\), not \(5,\)"):
        run("local_search", "l0", Counted(model, classes=2), torch.rand(3, 5, dtype=torch.float64))
