"""Transfer: what a surrogate's boundary says of the victim's."""

import pytest
import torch
from victims_of_tests import boundaries, images_near_the_middle, linear

from visionadv.attack import attack_batch
from visionadv.attacks import attack_named
from visionadv.configs import BadInput
from visionadv.goals import Goal
from visionadv.oracles import DecisionOracle
from visionadv.pool import Pool
from visionadv.victims import CallableScoresVictim


def transferred(attack, surrogate, victim, images, norm, targets=None, **options):
    goal = Goal(victim.model(images).argmax(1), targets)
    oracle = DecisionOracle(victim, images, goal, norm=norm, **options)
    return oracle, attack_batch(attack, oracle, range(len(images)), seed=0, surrogate=surrogate)


@pytest.mark.parametrize(("name", "norm"), [("pgd", "linf"), ("fgsm", "l2")])
def test_a_twin_is_the_victim_itself(name, norm):
    """What can be gained on a twin of the victim succeeds on the victim exactly where the closed form says so."""
    victim, twin, images = linear(2, seed=7, apart=0.4), linear(2, seed=7, apart=0.4), images_near_the_middle(12)
    distances = boundaries(victim, images, norm).amin(1)
    eps = float(distances.median()) * 1.0001
    options = {"steps": 200} if name == "pgd" else {}
    oracle, records = transferred(attack_named(name, **options), twin, victim, images, norm, eps=eps)
    clear = (distances - eps).abs() > 1e-3 * eps
    assert torch.equal(oracle.found[clear], (distances < eps)[clear])
    assert [record.queries for record in records] == [2] * 12, "the victim saw one image of each, and the original"
    assert all(record.gradients == 0 for record in records) and twin.rows > 12


def test_a_surrogate_may_tell_scores_alone():
    victim, images = linear(2, seed=7, apart=0.1), images_near_the_middle(4)
    twin = CallableScoresVictim(linear(2, seed=7, apart=0.1).model, 2)
    oracle, records = transferred(attack_named("square", steps=300), twin, victim, images, "linf", eps=0.2)
    assert oracle.found.all() and [record.queries for record in records] == [2] * 4
    with pytest.raises(BadInput, match="the victim has no gradients"):
        transferred(attack_named("pgd"), twin, victim, images, "linf", eps=0.2)


def test_all_of_eps_is_used_and_the_margin_is_the_largest():
    victim, surrogate, images = linear(3, seed=1), linear(3, seed=2), images_near_the_middle(6)
    seen = []
    decide = victim.decide
    victim.decide = lambda images: (seen.append(images), decide(images))[1]
    transferred(attack_named("pgd", steps=100), surrogate, victim, images, "linf", eps=0.1)
    shown = seen[1]
    assert torch.allclose((shown - images).abs().flatten(1).amax(1), torch.full((6,), 0.1, dtype=torch.float64))
    labels = victim.model(images).argmax(1)
    goal, rows = Goal(labels), torch.arange(6)
    reached = goal.margin(surrogate.model(shown), rows)
    one_step = images + 0.1 * torch.randn(images.shape, generator=torch.Generator().manual_seed(0)).sign()
    assert (reached >= goal.margin(surrogate.model(one_step), rows)).all()


@pytest.mark.parametrize("name", ["fgsm", "pgd", "deepfool"])
def test_a_surrogate_that_errs_by_itself(name):
    """Within a distance it is attacked all the same; what is the nearest to it is the image that was shown before."""
    victim, surrogate, images = linear(3, seed=1), linear(3, seed=2), images_near_the_middle(40)
    wrong = surrogate.model(images).argmax(1) != victim.model(images).argmax(1)
    eps = {"eps": 0.2} if name != "deepfool" else {}
    _, records = transferred(attack_named(name), surrogate, victim, images, "linf", **eps)
    assert wrong.any()
    assert [record.queries for record in records] == [2 if eps or not one else 1 for one in wrong.tolist()]


def test_a_search_of_a_surrogate_ends_with_its_usual_budget():
    victim, surrogate, images = linear(3, seed=1), linear(3, seed=1), images_near_the_middle(2)
    attack = attack_named("zoo", binary_steps=2, steps=300, coordinates=1)
    object.__setattr__(attack, "budget", 500)
    transferred(attack, surrogate, victim, images, "l2")
    assert 2 * 400 < surrogate.rows <= 2 * 500


def test_the_smallest_distance_goes_over_with_confidence():
    victim, twin, images = linear(2, seed=7, apart=0.4), linear(2, seed=7, apart=0.4), images_near_the_middle(6)
    attack = attack_named("carlini_wagner_l2", binary_steps=6, steps=200, confidence=1.0)
    oracle, _ = transferred(attack, twin, victim, images, "l2")
    assert oracle.found.all()


def test_decisions_of_a_surrogate_begin_at_the_targets_images_too():
    victim, twin, images = linear(2, seed=7, apart=0.4), linear(2, seed=7, apart=0.4), images_near_the_middle(6)
    labels = victim.model(images).argmax(1)
    others = torch.rand(200, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    pool = Pool.shared(others[victim.model(others).argmax(1) != labels[0]], 6)
    attack = attack_named("sign_opt", steps=5)
    assert (labels == labels[0]).all()
    oracle, records = transferred(attack, twin, victim, images, "l2", targets=1 - labels, pool=pool)
    assert oracle.found.all() and all(record.queries == 2 for record in records)
