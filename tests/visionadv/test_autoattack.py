"""AutoAttack and its members where the truth is known: linear victims, a loss with a known top, faces of the cube."""

import numpy as np
import pytest
import torch
from test_box import optimum
from torch import nn
from victims_of_tests import SHAPE, Counted, boundaries, images_near_the_middle, linear

from visionadv.attack import carry_out
from visionadv.attacks import attack_named
from visionadv.attacks.apgd import Apgd, checkpoints
from visionadv.attacks.autoattack import AutoAttack, robust
from visionadv.attacks.fab import _around
from visionadv.attacks.square import _bump, _square_l2, _square_linf, _window
from visionadv.configs import BadInput
from visionadv.distances import size
from visionadv.goals import Goal, in_turn
from visionadv.noise import example_seeds
from visionadv.victims import ModuleVictim

QUICK = AutoAttack(steps=20, queries=100)


def carried_out(attack, victim, images, **options):
    oracle = attack.oracle(victim, images, Goal(victim.model(images).argmax(1)), **options)
    carry_out(attack, oracle, example_seeds(0, range(len(images))))
    return oracle


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("classes", [2, 3, 12])
def test_what_is_robust_is_farther_from_every_boundary(norm, classes):
    victim, images = linear(classes, seed=7, apart=0.2), images_near_the_middle(24)
    labels = victim.model(images).argmax(1)
    distances = boundaries(victim, images, norm).amin(1)
    eps = float(distances.sort().values[11:13].mean())
    labels[0] = (labels[0] + 1) % classes  # wrong from the beginning
    found = robust(victim, images, labels, norm=norm, eps=eps, seeds=example_seeds(0, range(24)), attack=QUICK)
    expected = distances > eps
    expected[0] = False
    assert torch.equal(found, expected) and 0 < found.sum() < 23


def test_a_norm_that_it_does_not_know_is_refused():
    images, labels = images_near_the_middle(2), torch.tensor([0, 1])
    with pytest.raises(BadInput, match="knows linf and l2, and not l1"):
        robust(linear(), images, labels, norm="l1", eps=0.1, seeds=example_seeds(0, range(2)))


def test_each_attack_sees_what_withstood_those_before():
    victim, images = linear(3, seed=7, apart=0.2), images_near_the_middle(24)
    eps = float(boundaries(victim, images, "linf").amin(1).median())
    first = carried_out(QUICK.members()[0], victim, images, norm="linf", eps=eps)
    whole = carried_out(QUICK, victim, images, norm="linf", eps=eps)
    assert torch.equal(whole.queries[first.found], first.queries[first.found]) and first.found.any()
    # 21 queries for each climb, 40 for each approach of FAB; towards two classes
    assert (whole.queries[~whole.found] == 1 + 21 + 2 * 21 + 2 * 40 + 100).all()


def test_the_version_plus_has_all_six():
    victim, images = linear(3, seed=7, apart=0.2), images_near_the_middle(6)
    eps = float(boundaries(victim, images, "linf").min()) * 0.99
    oracle = carried_out(AutoAttack("plus", steps=4, queries=10), victim, images, norm="linf", eps=eps)
    assert (oracle.queries == 1 + 5 * 5 + 5 * 5 + 5 * 8 + 10 + 2 * 5 + 2 * 8).all()


def test_of_an_untargeted_goal_the_likeliest_other_classes_are_taken_in_turn():
    logits = torch.tensor([[3.0, 1.0, 2.0, 0.0], [0.0, 5.0, 1.0, 2.0]])
    goal = Goal(torch.tensor([0, 1]))
    assert [aim.aims.tolist() for aim in in_turn(goal, logits, 9)] == [[2, 3], [1, 2], [3, 0]]
    assert len(in_turn(goal, logits, 2)) == 2 and in_turn(goal, logits, 0) == [goal]
    targeted = Goal(goal.labels, torch.tensor([3, 3]))
    assert in_turn(targeted, logits, 9) == [targeted]


def decoy():
    """Logits 0, nearly 0 whatever is done, and -5, but 10 a unit of any value: only the third class can win."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([0.0, -0.1, 10.0], dtype=torch.float64)[:, None].expand(3, 16))
        model[1].bias.copy_(torch.tensor([0.0, 0.2, -85.5], dtype=torch.float64))
    return Counted(model, classes=3)


@pytest.mark.parametrize(("name", "missed"), [("apgd", True), ("apgd", False), ("fab", False)])
def test_a_class_that_another_hides_is_reached_by_aiming_at_it(name, missed):
    """From 0.5 the logits are 0, -0.6 and -5.5. Within 0.05 the second class ends at -0.52, the third at 2.5.

    The margin leads to the second, and so does the cross-entropy: its share of the gradient is the larger.
    """
    victim, images = decoy(), torch.full((3, *SHAPE), 0.5, dtype=torch.float64)
    attack = attack_named(name, **({"loss": "margin"} if missed else {"targets": 9, "steps": 30}))
    oracle = carried_out(attack, victim, images, norm="linf", eps=0.05)
    assert oracle.found.all() != missed


class Hill(nn.Module):
    """The second of two logits has its top, -1, at a point, and falls with the square of the distance."""

    def __init__(self, top):
        super().__init__()
        self.top = top

    def forward(self, images):
        second = -1 - (images - self.top).flatten(1).square().sum(1)
        return torch.stack([torch.zeros_like(second), second], dim=1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_apgd_finds_its_step_size(norm):
    """The top lies inside the ball, so that its first steps alone, of 2 eps, never come near it."""
    images = images_near_the_middle(4)
    eps = {"linf": 0.3, "l2": 0.8}[norm]
    victim = ModuleVictim(Hill(torch.full(SHAPE, 0.6, dtype=torch.float64)), classes=2)
    climbed = carried_out(Apgd(loss="margin"), victim, images, norm=norm, eps=eps)
    stepped = carried_out(
        attack_named("pgd", loss="margin", steps=100, step_size=2.0), victim, images, norm=norm, eps=eps
    )
    short_of = [-1 - oracle.margin for oracle in (climbed, stepped)]
    assert (short_of[0] <= 16 * (eps / 64) ** 2).all() and (short_of[0] < 0.01 * short_of[1]).all()


def test_checkpoints_are_those_of_the_paper():
    """p_1 = 0.22, and p_{j+1} = p_j + max(p_j - p_{j-1} - 0.03, 0.06)."""
    assert checkpoints(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1) == [] and checkpoints(4) == [1, 2, 3]


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
@pytest.mark.parametrize("targets", [0, 9])
def test_fab_is_near_the_smallest_distance_within_the_cube(norm, targets):
    """Images with values on faces and next to them, where the smallest perturbation of all leaves the cube."""
    generator = torch.Generator().manual_seed(2)
    images = (1.4 * torch.rand(8, 1, 2, 3, generator=generator, dtype=torch.float64) - 0.2).clamp(0, 1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(6, 2)).double()
    with torch.no_grad():
        weight = torch.randn(2, 6, generator=generator, dtype=torch.float64)
        model[1].weight.copy_(weight)
        model[1].bias.copy_(-weight.sum(1) / 2)
    oracle = carried_out(attack_named("fab", steps=50, targets=targets), Counted(model, classes=2), images, norm=norm)
    logits, weight = model(images).detach(), (weight[0] - weight[1]).numpy()
    best, unbounded = [], []
    for image, gap in zip(images.flatten(1).numpy(), (logits[:, 0] - logits[:, 1]).tolist(), strict=True):
        best.append(optimum(image, -np.sign(gap) * weight, abs(gap), norm))
        unbounded.append(abs(gap) / torch.tensor(weight).norm(p={"linf": 1, "l2": 2, "l1": torch.inf}[norm]).item())
    best = torch.tensor(best, dtype=torch.float64)
    assert oracle.found.all() and (oracle.distance >= best - 1e-6).all() and (oracle.distance <= 1.05 * best).all()
    assert (best > 1.01 * torch.tensor(unbounded)).any(), "the faces matter"


@pytest.mark.parametrize("norm", ["linf", "l2", "l1"])
def test_restarts_of_fab_begin_at_half_the_distance_and_only_help(norm):
    victim, images = linear(4, seed=5), images_near_the_middle(6)
    once, again = (
        carried_out(attack_named("fab", steps=5, line_steps=0, restarts=count), victim, images, norm=norm)
        for count in (1, 3)
    )
    assert (again.distance <= once.distance).all() and (again.queries == 1 + 3 * 10).all()
    begun = _around(once, torch.arange(6), example_seeds(0, range(6)), 1)
    assert torch.allclose(size(begun - images, norm), once.distance / 2)
    nothing = attack_named("fab").oracle(victim, images, once.goal, norm=norm, eps=0.2)
    begun = _around(nothing, torch.arange(6), example_seeds(0, range(6)), 1)
    assert torch.allclose(size(begun - images, norm), torch.full((6,), 0.1, dtype=torch.float64))


def test_fab_stops_at_the_first_success_where_that_is_enough():
    victim, images = linear(4, seed=5), images_near_the_middle(6)
    oracle = carried_out(attack_named("fab", enough=True), victim, images, norm="l2", eps=1.0)
    assert oracle.found.all() and (oracle.queries < 20).all()


def test_squares_are_halved_by_the_schedule_and_reach_every_place():
    attack = attack_named("square", share=0.8)
    images = torch.full((1, 2, 20, 30), 0.5)
    victim = ModuleVictim(nn.Sequential(nn.Flatten(), nn.Linear(1200, 2)), classes=2)
    oracle = attack.oracle(victim, images, Goal(torch.tensor([0])), norm="linf", eps=0.1)
    sides = [attack._side(oracle, step, 10000) for step in (0, 10, 11, 51, 201, 1001, 8001)]
    assert sides == [20, 20, 15, 11, 8, 4, 1]  # round(sqrt(0.8 * 600 / 2^k)), and at most 20
    assert attack._side(oracle, 6, 5000) == attack._side(oracle, 12, 10000) == 15
    assert attack_named("square")._side(oracle, 0, 10000) == 5  # round(sqrt(0.05 * 600))
    draws = torch.rand(2000, 2, generator=torch.Generator().manual_seed(0))
    covered = torch.zeros(2000, 1, 5, 4)
    covered[_window(covered, 3, draws)] = 1
    assert (covered.sum((1, 2, 3)) == 9).all() and len(covered.unique(dim=0)) == 3 * 2
    with pytest.raises(BadInput, match=r"squares are of images \(C, H, W\), and these are \(4,\)"):
        victim = ModuleVictim(nn.Linear(4, 2), classes=2)
        carried_out(attack, victim, torch.full((1, 4), 0.5), norm="linf", eps=0.1)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_square_of_linf_changes_something(channels):
    """Even where most pairs of signs would leave all as it is, since black stays black."""
    images = torch.zeros(200, channels, 6, 6, dtype=torch.float64)
    images[100:] = 1.0
    delta = torch.zeros_like(images)
    moved = _square_linf(images, delta, 2, 0.1, example_seeds(0, range(200)), 1)
    shown = (images + moved).clamp(0, 1) - images
    assert (shown != 0).flatten(1).any(1).all() and (moved.abs().flatten(1).amax(1) == 0.1).all()
    signs = moved.flatten(2).sum(2).sign()
    assert (signs[:100].amax(1) == 1).all() and (signs[100:].amin(1) == -1).all()


def test_a_bump_is_that_of_the_paper():
    """In each half, sums of 1 / (n + 1 - k)^2 up to k = n - the distance from its middle; n is half the longer side."""
    side = 7
    expected = torch.zeros(side, side, dtype=torch.float64)
    for begin, height, sign in ((0, 3, 1), (3, 4, -1)):
        for row in range(height):
            for column in range(side):
                away = max(abs(row - height // 2), abs(column - side // 2))
                expected[begin + row, column] = sign * sum(1 / (k + 1) ** 2 for k in range(away, side // 2 + 1))
    assert torch.allclose(_bump(side, expected), expected / expected.norm())


def test_a_step_of_square_uses_the_whole_norm():
    generator = torch.Generator().manual_seed(0)
    delta = torch.randn(50, 2, 9, 7, generator=generator, dtype=torch.float64)
    delta *= (torch.rand(50, generator=generator, dtype=torch.float64) / size(delta, "l2")).view(-1, 1, 1, 1)
    moved = _square_l2(torch.zeros_like(delta), delta, 3, 1.0, example_seeds(0, range(50)), 1)
    assert torch.allclose(size(moved, "l2"), torch.ones(50, dtype=torch.float64))
    changed = (moved != delta).any(1).sum((1, 2))
    assert (changed >= 9).all() and (changed <= 18).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_square_takes_images_of_any_form(norm):
    generator = torch.Generator().manual_seed(0)
    for shape in ((1, 1, 1), (2, 3, 8), (3, 6, 2)):
        images = torch.rand(4, *shape, generator=generator, dtype=torch.float64)
        model = nn.Sequential(nn.Flatten(), nn.Linear(images[0].numel(), 2)).double()
        with torch.no_grad():
            model[1].weight.copy_(torch.randn(2, images[0].numel(), generator=generator, dtype=torch.float64))
            model[1].bias.copy_(-(model[1].weight * images.mean(0).flatten()).sum(1))
        oracle = carried_out(
            attack_named("square", steps=50), ModuleVictim(model, classes=2), images, norm=norm, eps=3.0
        )
        assert oracle.found.any()


def test_robust_accuracy_is_that_of_torchattacks():
    """APGD by cross-entropy and FAB-T on a small net with random weights, whose other attacks are slow."""
    torchattacks = pytest.importorskip("torchattacks")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10)).eval()
    images = torch.rand(40, 1, 8, 8)
    labels, victim = model(images).argmax(1), ModuleVictim(model, classes=10)
    for ours, theirs in (
        (Apgd(), torchattacks.APGD(model, eps=0.02, steps=100)),
        (attack_named("fab", steps=20, targets=9), torchattacks.FAB(model, eps=0.02, steps=20, multi_targeted=True)),
    ):
        found = carried_out(ours, victim, images, norm="linf", eps=0.02).found
        told = theirs(images, labels)
        assert abs(found.float().mean() - (model(told).argmax(1) != labels).float().mean()) <= 0.03
