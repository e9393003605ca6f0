"""The pair of values against all pairs, and victims whose smallest changes are known."""

import itertools

import pytest
import torch
from test_attacks import run
from torch import nn
from victims_of_tests import SHAPE, Counted, images_near_the_middle, linear

from visionadv.attacks import jsma
from visionadv.attacks.jsma import best_pairs
from visionadv.distances import size

GENERATOR = torch.Generator().manual_seed(0)


@pytest.mark.parametrize("at_once", [1, 2**22])
@pytest.mark.parametrize("kind", ["independent", "rounded", "opposed"])
def test_the_best_pair_is_the_best_of_all(kind, at_once, monkeypatch):
    """Values with ties, and values of which none is worse than another in both, so that nothing can be left out."""
    monkeypatch.setattr(jsma, "PAIRS_AT_ONCE", at_once)
    gain = torch.randn(60, 12, generator=GENERATOR, dtype=torch.float64)
    loss = torch.randn(60, 12, generator=GENERATOR, dtype=torch.float64)
    if kind == "rounded":
        gain, loss = (2 * gain).round() / 2, (2 * loss).round() / 2
    if kind == "opposed":
        loss = 0.3 - gain
    free = torch.rand(60, 12, generator=GENERATOR) < 0.7
    free[0] = False
    free[1] = torch.arange(12) == 3
    pairs, some = best_pairs(gain, loss, free)
    for row in range(60):
        best = 0.0
        for p, q in itertools.combinations(free[row].nonzero()[:, 0].tolist(), 2):
            a, b = float(gain[row, p] + gain[row, q]), float(loss[row, p] + loss[row, q])
            best = max(best, a * b if a > 0 and b > 0 else 0.0)
        assert bool(some[row]) == (best > 0)
        if best > 0:
            p, q = pairs[row].tolist()
            assert p != q and free[row, p] and free[row, q]
            assert float((gain[row, p] + gain[row, q]) * (loss[row, p] + loss[row, q])) == pytest.approx(best)
    assert not some[:2].any() and some.sum() > 30


def dominated(pixels, weight, against=0.0):
    """Of two classes the second one rises with some values, and by a tenth of it with all others."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).double()
    with torch.no_grad():
        model[1].weight.zero_()
        model[1].weight[1] = 0.1 * weight
        model[1].weight[1, list(pixels)] = weight
        model[1].weight[0] = -model[1].weight[1]
        model[1].bias[:] = torch.tensor([against, 0.0])
    return Counted(model, classes=2)


@pytest.mark.parametrize("theta", [1.0, -1.0, 0.25])
def test_the_values_that_count_are_the_ones_that_change(theta):
    """The margin of the second class is 2 <w, x> - 5, with every value at 0.1: 2 (0.8 + 14 * 0.04) - 5 = -2.28.

    With one of the two largest values at 1 it is 4.92, and with both 12.12; steps of a quarter need one round, too. Of
    black on white, w is negative: 2 (-7.2 - 14 * 0.36) + 19.48 = -5, with both at 0 it is 9.4.
    """
    images = torch.full((3, *SHAPE), 0.1, dtype=torch.float64)
    victim = dominated((3, 9), 4.0, against=5.0)
    if theta < 0:
        images, victim = 1 - images, dominated((3, 9), -4.0, against=-19.48)
    oracle = run("jsma", "l0", victim, images, theta=theta)
    assert oracle.found.all() and (oracle.distance == 2).all()
    changed = (oracle.best != images).flatten(1)
    assert changed[:, [3, 9]].all() and changed.sum() == 6
    if abs(theta) == 1:
        assert torch.equal(oracle.best[changed.view(images.shape)], torch.full((6,), float(theta > 0)).double())


def test_no_more_than_the_share_changes_and_no_fewer_than_the_fewest():
    victim, images = linear(3, seed=3), images_near_the_middle(24)
    fewest = smallest_number_of_changes(victim, images)
    for gamma, most in ((0.125, 2), (0.25, 4), (0.5, 8)):
        oracle = run("jsma", "l0", victim, images, gamma=gamma)
        assert (oracle.distance[oracle.found] <= most).all()
        assert (oracle.distance >= fewest).all()
        assert (size(oracle.best - images, "l0") <= most).all()
    assert oracle.found.float().mean() > 0.5


def smallest_number_of_changes(victim, images):
    """(B,) of values that must change for a linear victim to err: its largest gains, towards each class."""
    layer, logits = victim.model[1], victim.model(images)
    fewest = []
    for image, told in zip(images.flatten(1), logits, strict=True):
        label = int(told.argmax())
        numbers = [17]
        for other in set(range(len(told))) - {label}:
            weight = layer.weight[other] - layer.weight[label]
            gains = torch.maximum(weight * (1 - image), -weight * image).sort(descending=True).values.cumsum(0)
            numbers.append(1 + int((gains <= told[label] - told[other]).sum()))
        fewest.append(min(numbers))
    return torch.tensor(fewest)


def test_of_any_wrong_class_the_one_with_the_fewest_changes_counts():
    victim, images = linear(4, seed=5), images_near_the_middle(10)
    labels = victim.model(images).argmax(1)
    each = [run("jsma", "l0", victim, images, gamma=0.5, targets=(labels + k) % 4).distance for k in (1, 2, 3)]
    oracle = run("jsma", "l0", victim, images, gamma=0.5)
    assert (oracle.distance <= torch.stack(each).amin(0)).all() and oracle.found.any()
