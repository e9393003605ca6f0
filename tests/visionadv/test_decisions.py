"""What is special about attacks by decisions: against definitions, another solver, and a boundary that is a sphere."""

from collections import deque

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from victims_of_tests import SHAPE, boundaries, images_near_the_middle, linear

from visionadv.attack import carry_out
from visionadv.attacks import attack_named, hop_skip_jump, sign_opt, zo_sign_sgd
from visionadv.attacks.boundary import Answers, along_sphere, closer
from visionadv.attacks.frugal_sign_opt import beside, nearby
from visionadv.attacks.hop_skip_jump import Votes, between
from visionadv.attacks.line_search import bisect, blended_start, local_distance
from visionadv.attacks.opt import beyond
from visionadv.attacks.svm_opt import separate
from visionadv.distances import size
from visionadv.goals import Goal
from visionadv.noise import example_seeds
from visionadv.oracles import DecisionOracle
from visionadv.victims import CallableVictim

GENERATOR = torch.Generator().manual_seed(0)
SOME = torch.randn(4, *SHAPE, generator=GENERATOR, dtype=torch.float64)


def ball(radius=0.5):
    """Class 0 is a ball around the middle of the cube."""
    return CallableVictim(lambda images: (size(images - 0.5, "l2") > radius).long(), classes=2)


def searched(name, victim, images, *, norm="l2", eps=None, budget=2000, **options):
    attack = attack_named(name, **options)
    goal = Goal(victim.decide(images))
    oracle = attack.oracle(victim, images, goal, norm=norm, eps=eps, budget=budget)
    carry_out(attack, oracle, example_seeds(1, range(len(images))))
    return oracle


@pytest.mark.parametrize("name", ["sign_opt", "svm_opt", "frugal_sign_opt"])
def test_a_sphere_is_reached_where_it_is_nearest(name):
    """From a point that is 0.2 away from the middle of a ball of radius 0.5, the sphere is 0.3 away."""
    images = 0.5 + 0.2 * SOME / size(SOME, "l2").view(-1, 1, 1, 1)
    options = {"sign_opt": {"directions": 50}, "svm_opt": {"directions": 20, "updates": 300}}.get(name, {})
    oracle = searched(name, ball(), images, budget=1500, **options)
    assert (oracle.distance > 0.3 - 1e-9).all() and (oracle.distance < 0.315).all()


def test_the_dual_of_svm_opt_is_the_shortest_vector_that_agrees():
    points = torch.randn(3, 7, 12, generator=GENERATOR, dtype=torch.float64)
    found = separate(points, 20000)
    for one, z in zip(points.numpy(), found.numpy(), strict=True):
        agrees = {"type": "ineq", "fun": lambda z, one=one: one @ z - 1}
        best = minimize(lambda z: z @ z, np.ones(12), constraints=[agrees], tol=1e-12)
        assert z == pytest.approx(best.x, abs=1e-4) and (one @ z).min() > 1 - 1e-5
    alone = torch.cat([separate(points[row : row + 1], 20000) for row in range(3)])
    assert torch.allclose(alone, found, rtol=0, atol=1e-12)
    orthogonal = torch.eye(5, dtype=torch.float64)[None, :3] * torch.tensor([1.0, -2.0, 4.0])[:, None]
    assert torch.allclose(separate(orthogonal, 100), torch.tensor([[1, -0.5, 0.25, 0, 0]], dtype=torch.float64))


@pytest.mark.parametrize("single_query", [False, True])
def test_zo_sign_sgd_goes_along_signs(single_query, monkeypatch):
    slopes, descend = [], zo_sign_sgd.descend

    def noted(search, slope, **options):
        slopes.append(slope)
        descend(search, slope, **options)

    monkeypatch.setattr(zo_sign_sgd, "descend", noted)
    victim, images = linear(2, seed=7, apart=0.4), images_near_the_middle(3)
    oracle = searched("zo_sign_sgd", victim, images, single_query=single_query, directions=20, budget=2500)
    assert all(torch.allclose(slope.abs(), torch.full_like(slope, 0.25)) for slope in slopes)
    assert (oracle.distance <= 1.15 * boundaries(victim, images, "l2").amin(1)).all()


def line_search_of_one(reached, theta, g, slope, alpha, beta):
    """The same for a single image, step by step; `reached` says whether a perturbation succeeds."""

    def local(way, near):
        low = high = near
        if reached(near * way):
            while reached(low * 0.99 * way):
                low *= 0.99
            low, high = low * 0.99, low
        else:
            while not reached(high * 1.01 * way):
                high *= 1.01
                if high > 20:
                    return float("inf")
            low, high = high, high * 1.01
        while high - low > beta / 500:
            middle = (low + high) / 2
            low, high = (low, middle) if reached(middle * way) else (middle, high)
        return high

    def attempt():
        way = theta - alpha * slope
        way = way / way.norm()
        return way, local(way, near)

    best, near = theta, g
    for _ in range(15):
        way, found = attempt()
        alpha *= 2
        if found >= near:
            break
        best, near = way, found
    if near >= g:
        for _ in range(15):
            alpha *= 0.25
            way, found = attempt()
            if found < near:
                best, near = way, found
                break
    return best, near, alpha


def test_a_batch_of_line_searches_is_one_after_the_other(monkeypatch):
    """Of steps that gain at once, later, and never: image by image the same directions, steps and queries."""
    victim, images = linear(3, seed=7, apart=0.4), images_near_the_middle(4)
    descend, kinds = sign_opt.descend, set()

    def compared(search, slope, *, cut):
        before = search.theta.clone(), search.distance.clone(), search.alpha.clone()
        queries = search.oracle.queries[search.rows].clone()
        descend(search, slope, cut=cut)
        for place, row in enumerate(search.rows.tolist()):
            shown = []

            def reached(delta, row=row, shown=shown):
                shown.append(row)
                image = (images[row] + delta).clamp(0, 1)
                return int(victim.model(image[None]).argmax()) != int(search.oracle.goal.labels[row])

            one = (values[place] for values in (before[0], before[1], slope, before[2], search.beta))
            theta, g, slopes, alpha, beta = one
            best, near, step = line_search_of_one(reached, theta, float(g), slopes, float(alpha), float(beta))
            assert torch.allclose(search.theta[place], best, rtol=0, atol=1e-9)
            assert float(search.distance[place]) == pytest.approx(near, abs=1e-9)
            assert float(search.alpha[place]) == pytest.approx(step)
            assert len(shown) == int(search.oracle.queries[row] - queries[place])
            kinds.add("never" if near >= float(g) else "at once" if step > float(alpha) else "later")

    monkeypatch.setattr(sign_opt, "descend", compared)
    searched("sign_opt", victim, images, budget=100_000, steps=14, directions=30, alpha=0.05)
    assert kinds == {"at once", "later", "never"}


def test_opt_of_linf_descends_what_is_beyond_eps():
    distances, eps = torch.tensor([0.5, 2.0, torch.inf, 1.0]), torch.tensor([0.1, 9.0, 1.0, 0.3])
    found = beyond(eps)(distances.double(), SOME, torch.tensor([0, 1, 2, 3])).tolist()
    for row in (0, 1, 3):
        values = [abs(value) * float(distances[row]) - float(eps[row]) for value in SOME[row].flatten().tolist()]
        assert found[row] == pytest.approx(sum(max(value, 0) ** 2 for value in values))
    assert found[1] == 0 and found[2] == torch.inf
    victim, images = linear(2, seed=7, apart=0.4), images_near_the_middle(3)
    limit = 1.35 * float(boundaries(victim, images, "linf").amin(1).max())
    assert searched("opt", victim, images, norm="linf", eps=limit, directions=5).found.all()


def test_a_search_ends_where_a_step_gains_too_little():
    victim, images = linear(2, seed=7, apart=0.4), images_near_the_middle(1)
    one, stopped = (searched("svm_opt", victim, images, directions=10, **o) for o in ({"steps": 1}, {"stopping": 9.0}))
    assert torch.equal(one.queries, stopped.queries) and torch.equal(one.best, stopped.best)


def test_bisections_end_where_numbers_are_no_finer():
    images = torch.full((1, *SHAPE), 0.5)
    oracle = DecisionOracle(ball(0.4), images, Goal(torch.tensor([0])))
    way = torch.zeros_like(images)
    way[..., 0, 0] = 1
    whole = torch.ones(1)
    found = bisect(oracle, torch.tensor([0]), way / 2, 0 * whole, 1.5 * whole, 0.0)
    assert abs(float(found) - 0.8) < 1e-6 and int(oracle.queries) < 30


def test_a_bracket_stops_to_grow_and_not_to_shrink():
    """A boundary at 25, of images so large that 20 isn't far: it is found from beyond, and not from within."""
    victim = CallableVictim(lambda images: ((images - 0.5).flatten(1).sum(1) / 100 > 25).long(), classes=2)
    images = torch.full((2, 1, 100, 100), 0.5, dtype=torch.float64)
    oracle = DecisionOracle(victim, images, Goal(torch.zeros(2, dtype=torch.long)))
    oracle.begin()
    near = torch.tensor([30.0, 19.0], dtype=torch.float64)
    found = local_distance(oracle, torch.arange(2), torch.ones_like(images) / 100, near, 1e-3)
    assert 25 <= found[0] <= 25.001 and found[1].isinf()


def test_noise_to_start_from_is_blended_up_to_the_boundary():
    victim = ball(1.0)
    images = images_near_the_middle(5)
    oracle = DecisionOracle(victim, images, Goal(torch.zeros(5, dtype=torch.long)))
    rows, found = blended_start(oracle, example_seeds(0, range(5)), successes=3)
    assert rows.tolist() == list(range(5)) and (victim.decide(found) == 1).all()
    inside = images + 0.995 * (found - images)  # bisections leave 0.001 of the noise
    assert (victim.decide(inside) == 0).all()
    assert torch.equal(size(found - images, "l2"), oracle.distance), "the nearest of three"


def test_the_boundary_attack_steps_along_a_sphere_and_inwards():
    originals = torch.full_like(SOME, 0.5)
    images = originals + 0.1 * SOME
    share = torch.tensor([0.01, 0.1, 0.5, 1.0], dtype=torch.float64)
    noise = torch.randn(SOME.shape, generator=GENERATOR, dtype=torch.float64)
    moved = along_sphere(originals, images, noise, share)
    distance = size(images - originals, "l2")
    assert torch.allclose(size(moved - originals, "l2"), distance)
    cosine = ((moved - originals) * (images - originals)).flatten(1).sum(1) / distance**2
    assert torch.allclose(cosine, 1 / (1 + share**2).sqrt()), "the tangent of the angle is the share"
    nearer = closer(originals, moved, distance * torch.tensor([0.9, 1.5, 1.0, 0.1]))
    assert torch.allclose(size(nearer - originals, "l2"), distance * torch.tensor([0.9, 1.0, 1.0, 0.1]))


def test_answers_are_remembered_as_in_a_window():
    oracle = DecisionOracle(ball(), images_near_the_middle(3), Goal(torch.zeros(3, dtype=torch.long)))
    answers, windows = Answers(oracle, 5), [deque(maxlen=5) for _ in range(3)]
    for _ in range(60):
        rows = torch.randperm(3, generator=GENERATOR)[:2].sort().values
        told = torch.rand(2, generator=GENERATOR) < 0.4
        answers.add(rows, told)
        high, low = answers.beyond(rows, 0.5, 0.2)
        for place, row in enumerate(rows.tolist()):
            windows[row].append(bool(told[place]))
            share = sum(windows[row]) / 5 if len(windows[row]) == 5 else 0.3
            assert (bool(high[place]), bool(low[place])) == (share > 0.5, share < 0.2)
            if share > 0.5 or share < 0.2:
                windows[row].clear()


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_hop_skip_jump_finds_the_normal_of_a_boundary(norm):
    """At the boundary of a half-space the answers tell its normal; a shift of it along the normal is centred away."""
    victim, images = linear(2, seed=7, apart=0.4), images_near_the_middle(3)
    weight = (victim.model[1].weight[1] - victim.model[1].weight[0]).view(SHAPE)
    normal = weight / weight.norm()
    at = images + (boundaries(victim, images, "l2").amin(1) + 0.005).view(-1, 1, 1, 1) * normal
    oracle = DecisionOracle(victim, images, Goal(victim.decide(images)), norm=norm)
    radius, rows = torch.full((3,), 0.05, dtype=torch.float64), torch.arange(3)
    found = hop_skip_jump.direction(oracle, rows, at, radius, example_seeds(0, range(3)), 2000, 0)
    assert ((found * normal).flatten(1).sum(1) > 0.98).all()


def test_votes_are_centred_unless_they_agree():
    vectors = torch.randn(3, 8, 2, 2, generator=GENERATOR, dtype=torch.float64)
    answers = torch.tensor([[1, 1, -1, 1, -1, 1, 1, 1], [1] * 8, [-1] * 8]).double()
    votes = Votes(vectors[:, 0])
    for part in (slice(0, 3), slice(3, 8)):
        votes.add(answers[:, part].flatten(), vectors[:, part].flatten(0, 1))
    expected = [((answers[0] - 0.5)[:, None, None] * vectors[0]).mean(0), vectors[1].mean(0), -vectors[2].mean(0)]
    assert torch.allclose(votes.result(), torch.stack([one / one.norm() for one in expected]))


def test_images_go_back_to_their_originals_by_the_norm():
    originals, amount = torch.full_like(SOME, 0.5), torch.tensor([0.0, 0.1, 0.3, 9.0], dtype=torch.float64)
    images = (originals + 0.2 * SOME).clamp(0, 1)
    blend = between(originals, images, amount, "l2")
    assert torch.allclose(size(blend - originals, "l2"), amount * size(images - originals, "l2"))
    cut = between(originals, images, amount, "linf")
    assert torch.allclose(size(cut - originals, "linf"), torch.minimum(amount, size(images - originals, "linf")))


def test_directions_of_frugal_sign_opt_are_beside_theta_and_larger_where_it_is():
    theta = SOME / size(SOME, "l2").view(-1, 1, 1, 1)
    ways = beside(torch.randn(SOME.shape, generator=GENERATOR, dtype=torch.float64), theta)
    assert torch.allclose((ways * theta).flatten(1).sum(1), torch.zeros(4, dtype=torch.float64), atol=1e-12)
    scale = nearby(theta)
    for i, j in ((0, 0), (1, 2), (3, 3)):
        around = theta[2, 0, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2].abs().mean()
        assert float(scale[2, 0, i, j]) == pytest.approx(float(around) * 4)
    assert torch.equal(nearby(theta.flatten(1)), theta.flatten(1).abs() * 4)
