"""Norms and projections against optimization, losses and goals against definitions, noise against its distribution."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.optimize import minimize

from visionadv.distances import project, size, steepest
from visionadv.goals import Goal
from visionadv.losses import LOSSES, cross_entropy, difference_of_logits_ratio
from visionadv.noise import below, example_seeds, normal, uniform

GENERATOR = torch.Generator().manual_seed(0)
DELTA = torch.randn(5, 2, 3, generator=GENERATOR, dtype=torch.float64)
ORDER = {"l1": 1, "l2": 2, "linf": np.inf}


@pytest.mark.parametrize("norm", ORDER)
def test_norms_are_numpys(norm):
    expected = [np.linalg.norm(one.numpy().ravel(), ORDER[norm]) for one in DELTA]
    assert size(DELTA, norm).numpy() == pytest.approx(expected)
    assert size(DELTA.where(DELTA > 0, 0.0), "l0").tolist() == (DELTA > 0).sum((1, 2)).tolist()


@pytest.mark.parametrize("norm", ORDER)
def test_a_projection_is_the_nearest_point_of_the_ball(norm):
    radii = torch.tensor([0.5, 1.0, 1.5, 2.0, 100.0], dtype=torch.float64)
    found = project(DELTA, radii, norm)
    assert (size(found, norm) <= radii + 1e-12).all() and torch.equal(found[4], DELTA[4])
    for one, point, radius in zip(DELTA[:4].flatten(1).numpy(), found.flatten(1).numpy(), radii.tolist(), strict=False):
        ball = {"type": "ineq", "fun": lambda x, radius=radius: radius - np.linalg.norm(x, ORDER[norm])}
        best = minimize(lambda x, one=one: ((x - one) ** 2).sum(), 0.9 * point, constraints=[ball], tol=1e-12)
        assert ((point - one) ** 2).sum() <= best.fun + 1e-6


def test_the_l0_projection_keeps_the_largest():
    found = project(DELTA, 2, "l0")
    assert size(found, "l0").tolist() == [2] * 5
    assert torch.equal(found.abs().flatten(1).sum(1), DELTA.abs().flatten(1).topk(2).values.sum(1))


@pytest.mark.parametrize("norm", ORDER)
def test_the_steepest_way_reaches_the_dual_norm(norm):
    dual = {"l1": np.inf, "l2": 2, "linf": 1}[norm]
    way = steepest(DELTA, norm)
    assert torch.allclose(size(way, norm), torch.ones(5, dtype=torch.float64))
    expected = [np.linalg.norm(one.numpy().ravel(), dual) for one in DELTA]
    assert (way * DELTA).sum((1, 2)).numpy() == pytest.approx(expected)
    assert not steepest(torch.zeros(2, 3), norm)[:, 1:].any()
    slight = steepest(1e-30 * DELTA.float(), norm).double()  # too small to be squared
    assert torch.allclose(slight, way, atol=1e-5)


LOGITS = torch.randn(40, 5, generator=GENERATOR, dtype=torch.float64)
LABELS = torch.randint(5, (40,), generator=GENERATOR)
ROWS = torch.arange(40)


@pytest.mark.parametrize("targeted", [False, True])
def test_losses_rise_towards_the_goal(targeted):
    goal = Goal(LABELS, (LABELS + 2) % 5 if targeted else None)
    reached = goal.reached(LOGITS.argmax(1), ROWS)
    margin = goal.margin(LOGITS, ROWS)
    assert torch.equal(margin > 0, reached)
    for row in range(40):
        z, aim = LOGITS[row].tolist(), int(goal.aims[row])
        rest = [value for k, value in enumerate(z) if k != aim]
        assert margin[row].item() == pytest.approx((1 if targeted else -1) * (z[aim] - max(rest)))
        p = np.exp(z) / np.exp(z).sum()
        assert cross_entropy(LOGITS, goal, ROWS)[row].item() == pytest.approx((1 if targeted else -1) * np.log(p[aim]))
        s, label = sorted(z, reverse=True), int(LABELS[row])
        if targeted:
            expected = -(z[label] - z[aim]) / (s[0] - (s[2] + s[3]) / 2)
        else:
            expected = -(z[label] - max(rest)) / (s[0] - s[2])
        assert difference_of_logits_ratio(LOGITS, goal, ROWS)[row].item() == pytest.approx(expected)
    scaled = difference_of_logits_ratio(100 * LOGITS, goal, ROWS)
    assert torch.allclose(scaled, difference_of_logits_ratio(LOGITS, goal, ROWS))


@pytest.mark.parametrize("classes", [2, 3])
def test_losses_are_finite_for_few_classes(classes):
    for goal in (Goal(LABELS % classes), Goal(LABELS % classes, (LABELS + 1) % classes)):
        for loss in LOSSES.values():
            if (goal.targets is None) or (goal.targets != goal.labels).all():
                assert loss(LOGITS[:, :classes], goal, ROWS).isfinite().all()


def test_noise_is_of_its_distribution_and_of_its_image_alone():
    seeds = example_seeds(7, range(200))
    drawn = normal(seeds, 3, (25, 5), dtype=torch.float64)
    assert stats.kstest(drawn.flatten().numpy(), "norm").pvalue > 1e-3
    assert stats.kstest(uniform(seeds, 3, (25, 5), dtype=torch.float64).flatten().numpy(), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(drawn.flatten(1).numpy(), rowvar=False) - np.eye(125)).max() < 0.35
    assert torch.equal(normal(seeds[5:7], 3, (25, 5), dtype=torch.float64), drawn[5:7])
    assert normal(seeds[:0], 3, (25, 5)).shape == uniform(seeds[:0], 3, (25, 5)).shape == (0, 25, 5)
    steps = torch.arange(200)
    assert torch.equal(normal(seeds, steps, (3,))[4:5], normal(seeds[4:5], 4, (3,)))
    assert not torch.equal(normal(seeds, 4, (3,)), normal(seeds, 3, (3,)))
    many = normal(seeds, 5, (5001,), dtype=torch.float64)
    moments = [float((many**power).mean()) for power in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.02) and 4 < many.abs().max() < 4.33
    pairs = torch.stack([(many[:, shift:] * many[:, : 5001 - shift]).mean() for shift in range(1, 9)])
    assert pairs.abs().max() < 0.005, "the four of a hash, and of the next one, are independent"
    counts = torch.bincount(below(seeds, 0, 4), minlength=4)
    assert len(counts) == 4 and counts.min() > 25
    assert below(seeds, 0, torch.arange(1, 201)).lt(torch.arange(1, 201)).all()
