"""One table of promises for every attack, and the optimum where it is known."""

import math

import pytest
import torch
from victims_of_tests import SHAPE, boundaries, images_near_the_middle, larger_of_two, linear

from visionadv.attack import carry_out
from visionadv.attacks import ATTACKS, attack_named, least_budget
from visionadv.configs import BadInput
from visionadv.distances import size
from visionadv.goals import Goal
from visionadv.noise import example_seeds
from visionadv.oracles import DecisionOracle
from visionadv.pool import Pool
from visionadv.victims import ModuleVictim

QUICK = {
    "apgd": {"steps": 50},
    "autoattack": {"steps": 20, "queries": 200},
    "ddn": {"steps": 100},
    "carlini_wagner_l2": {"binary_steps": 6, "steps": 200},
    "ead": {"binary_steps": 6, "steps": 150},
    "jsma": {"gamma": 1.0},
    "zoo": {"binary_steps": 4, "steps": 150},
    "local_search": {"d": 1},
    "carlini_wagner_linf": {"steps": 30, "constant": 0.5, "largest_constant": 4.0, "decrease": 0.97},
    "fab": {"steps": 30},
    "square": {"steps": 500},
    "opt": {"directions": 5},
    "svm_opt": {"directions": 20, "updates": 100},
    "zo_sign_sgd": {"directions": 40, "single_query": True},
    "hop_skip_jump": {"vectors": 20},
}
LONG = {"ddn": {"steps": 150}}
BRIEF = {"carlini_wagner_l2": {"binary_steps": 3, "steps": 40}, "ead": {"binary_steps": 3, "steps": 40}}
GREEDY = ("jsma", "local_search")  # they promise no distance; what is true of them is tested in files of their own
LOOKING = [name for name in ATTACKS if attack_named(name).oracle is not DecisionOracle and name not in GREEDY]
WITH_TARGETS = [name for name in LOOKING if getattr(attack_named(name), "targeted", True) and name != "least_likely"]
FIXED = [name for name in ATTACKS if attack_named(name).eps is not None]
NEAREST = [name for name in ATTACKS if attack_named(name).eps is None]
BY_DECISIONS = [name for name in ATTACKS if attack_named(name).oracle is DecisionOracle]
ENOUGH = {("opt", "l2"): 4500, ("opt", "linf"): 7000, ("sign_opt", "linf"): 4500}  # queries among 16 pixels; else 2500
CASES = [(name, norm) for name in ATTACKS for norm in attack_named(name).norms]


def run(name, norm, victim, images, *, eps=None, budget=None, seed=3, ids=None, targets=None, **options):
    attack = attack_named(name, **(QUICK.get(name, {}) | options))
    labels = victim.model(images).argmax(1)
    oracle = attack.oracle(victim, images, Goal(labels, targets), norm=norm, eps=eps, budget=budget)
    carry_out(attack, oracle, example_seeds(seed, ids or range(len(images))).to(images.device))
    return oracle


def limit(name, norm):
    return {"linf": 0.05, "l2": 0.15, "l1": 0.3}[norm] if attack_named(name).eps is not None else None


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_what_every_attack_promises(name, norm):
    victim, images = linear(), images_near_the_middle()
    before = images.clone()
    budget = 800 if name in BY_DECISIONS else 3000
    oracle = run(name, norm, victim, images, eps=limit(name, norm), budget=budget)
    assert torch.equal(images, before), "the input is untouched"
    assert victim.rows == oracle.queries.sum() and oracle.queries.max() <= budget, "every row that was seen is counted"
    assert oracle.best.min() >= 0 and oracle.best.max() <= 1
    distance = size(oracle.best - images, norm)
    assert torch.equal(oracle.distance[oracle.found], distance[oracle.found])
    if oracle.eps is not None:
        assert (distance <= oracle.eps + 1e-6).all()
    decisions = victim.model(oracle.best).argmax(1)
    assert torch.equal(decisions != oracle.goal.labels, oracle.found), "a success is one for the victim"
    assert torch.equal(decisions[oracle.found], oracle.decisions[oracle.found])
    assert oracle.found.any()


@pytest.mark.parametrize("count", [3, pytest.param(64, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "norm"), CASES)
def test_neither_batch_nor_time_matters(name, norm, count):
    victim, images = linear(classes=4, seed=5), images_near_the_middle(count)
    options = {"eps": limit(name, norm), "budget": 450 if name in BY_DECISIONS else 700} | BRIEF.get(name, {})
    together, again = (run(name, norm, victim, images, **options) for _ in range(2))
    assert together.found.double().mean() > 0.8, "there is something to compare"
    assert torch.equal(together.best, again.best) and torch.equal(together.queries, again.queries)
    for row in range(len(images)):
        alone = run(name, norm, victim, images[row : row + 1], ids=[row], **options)
        assert alone.queries[0] == together.queries[row] and alone.gradients[0] == together.gradients[row]
        assert torch.allclose(alone.best[0], together.best[row], atol=1e-12)


@pytest.mark.parametrize(("name", "norm"), [case for case in CASES if case[0] in NEAREST and case[0] not in GREEDY])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_nearest_success_is_the_closed_form(name, norm, classes):
    """Of three classes those images are taken of which one class is clearly the nearest."""
    victim = linear(classes, seed=7, apart=0.0 if norm == "l1" else 0.4)
    images = images_near_the_middle(48)
    distances = boundaries(victim, images, norm)
    nearest = distances.sort(1).values
    clear = (nearest[:, 1] > 1.15 * nearest[:, 0]).nonzero()[:6, 0]
    images, distances, nearest = images[clear], distances[clear], nearest[clear, 0]
    steps = (
        {"budget": ENOUGH.get((name, norm), 2500)} if name in BY_DECISIONS else {"steps": 300} if name == "ddn" else {}
    )
    if (name, norm) == ("ead", "l1"):  # with the default, L2 still weighs something
        steps = {"beta": 1e-2}
    oracle = run(name, norm, victim, images, **steps)
    assert len(images) == 6 and (oracle.distance >= nearest * (1 - 1e-9)).all(), "nothing is nearer than the nearest"
    ended = distances.gather(1, oracle.decisions[:, None])[:, 0]
    if name in BY_DECISIONS:  # it may end at the boundary of the class that it began in
        assert (oracle.distance <= 1.15 * ended).all() and (oracle.distance / nearest).median() <= 1.15
    elif name == "carlini_wagner_linf":  # so may this, for it never leaves what it has reached
        assert (oracle.distance <= 1.05 * ended).all() and (oracle.distance / nearest).median() <= 1.05
    elif name == "fgsm":  # in steps; and of three classes the gradient is not quite that of the nearest
        step = {"linf": 1.0, "l2": 4.0, "l1": 16.0}[norm] / 1000
        assert (oracle.distance <= (1.0 if classes == 2 else 1.25) * nearest + step).all()
    else:
        assert (oracle.distance <= 1.05 * nearest).all()


@pytest.mark.parametrize("name", [name for name in NEAREST if name not in GREEDY])
def test_the_nearest_success_of_a_relu_net_is_the_closed_form(name):
    """Of a union of two half-spaces: the nearer one's."""
    (victim, weights), images = larger_of_two(), images_near_the_middle(24)
    norm = "l2" if name == "ead" else attack_named(name).norms[0]  # in L1 it would take more than a pixel can change
    rise = (images - 0.5).flatten(1) @ weights.T - 0.4 * weights[0].norm()  # (B, 2), the two linear functions
    distances = -rise / torch.linalg.vector_norm(weights[0], {"l1": torch.inf, "l2": 2, "linf": 1}[norm])
    assert torch.allclose(victim.model(images)[:, 1], rise.amax(1)) and (rise < 0).all()
    ordered = distances.sort(1).values
    clear = (ordered[:, 1] > 1.15 * ordered[:, 0]).nonzero()[:4, 0]
    nearest = ordered[clear, 0]
    oracle = run(name, norm, victim, images[clear], **({"budget": 2500} if name in BY_DECISIONS else {}))
    assert len(clear) == 4 and (oracle.distance >= nearest * (1 - 1e-9)).all()
    if name in BY_DECISIONS:  # it may end at the other one
        assert (oracle.distance <= 1.15 * distances[clear].amax(1)).all()
        assert (oracle.distance / nearest).median() <= 1.15
    else:
        step = 1e-3 if name == "fgsm" else 0.0
        assert (oracle.distance <= 1.05 * nearest + step).all()


def test_rescaling_as_the_authors_do_ends_farther_away_of_linf():
    victim, images = linear(2, seed=7, apart=0.4), images_near_the_middle(4)
    cut, rescaled = (run("sign_opt", "linf", victim, images, budget=1500, cut=cut).distance for cut in (True, False))
    assert cut.median() < 0.9 * rescaled.median()


@pytest.mark.parametrize(("name", "norm"), [case for case in CASES if case[0] in FIXED or case[0] == "fgsm"])
def test_the_best_within_a_distance_is_the_closed_form(name, norm):
    """Of two classes the margin that can be gained is eps times the dual norm of the difference of weights."""
    victim, images = linear(classes=2, seed=7, apart=0.4), images_near_the_middle(8)
    eps = float(boundaries(victim, images, norm).min()) * 0.8  # nothing succeeds, so that all steps are taken
    oracle = run(name, norm, victim, images, eps=eps, **({"steps": 200} if name == "pgd" else {}))
    assert not oracle.found.any()
    weight = victim.model[1].weight
    gain = eps * torch.linalg.vector_norm(weight[0] - weight[1], {"linf": 1, "l2": 2, "l1": torch.inf}[norm])
    clean = oracle.goal.margin(oracle.clean, torch.arange(8))
    if (name, norm) == ("square", "l2"):  # whose bumps have their own form, and span most of an image of 4 x 4
        assert (oracle.margin - clean >= 0.6 * gain).all() and (oracle.margin - clean <= gain).all()
    else:
        estimated = name == "nes"
        assert torch.allclose(oracle.margin - clean, gain.expand(8), rtol=0.03 if estimated else 1e-3)


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_wrong_already_costs_one_query(name):
    victim, images = linear(), images_near_the_middle()
    attack = attack_named(name)
    wrong = (victim.model(images).argmax(1) + 1) % 3
    oracle = attack.oracle(victim, images, Goal(wrong), norm=attack.norms[0], eps=attack.eps)
    carry_out(attack, oracle, example_seeds(0, range(len(images))))
    assert (oracle.queries == 1).all() and (oracle.distance == 0).all() and torch.equal(oracle.best, images)
    assert oracle.already.all()


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("budget", [1, 2, 3, 50, 333])
def test_a_budget_is_held_to_the_query(name, budget):
    """And one that is too small for a first step is refused, before anything is shown."""
    victim, images = linear(), images_near_the_middle()
    attack, options = attack_named(name, **QUICK.get(name, {})), {"eps": attack_named(name).eps, "budget": budget}
    if budget < (least := least_budget(attack, SHAPE)):
        with pytest.raises(BadInput, match=f"needs {least} queries for a first step; a budget of {budget} is too"):
            run(name, attack.norms[0], victim, images, **options)
        assert victim.rows == 0
        return
    oracle = run(name, attack.norms[0], victim, images, **options)
    assert oracle.queries.max() <= budget and victim.rows == oracle.queries.sum()


@pytest.mark.parametrize("name", FIXED)
def test_an_attack_within_a_distance_needs_one(name):
    with pytest.raises(BadInput, match="within a distance; give eps"):
        run(name, "linf", linear(), images_near_the_middle())


@pytest.mark.parametrize(("name", "norm"), [case for case in CASES if case[0] in BY_DECISIONS])
def test_a_target_is_reached_from_an_image_of_it(name, norm):
    victim, images = linear(3, seed=7, apart=0.4), images_near_the_middle(2)
    goal = Goal(victim.model(images).argmax(1), torch.tensor([1, 2]))
    pool = torch.rand(40, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    attack = attack_named(name, **QUICK.get(name, {}))
    oracle = attack.oracle(victim, images, goal, norm=norm, budget=700, pool=Pool.shared(pool, 2))
    carry_out(attack, oracle, example_seeds(0, range(2)))
    assert oracle.found.all() and torch.equal(victim.model(oracle.best).argmax(1), goal.targets)
    assert (oracle.distance < torch.stack([size(images - one, norm) for one in pool]).amin(0)).all(), (
        "nearer than the pool"
    )
    with pytest.raises(BadInput, match="begins at images of the target"):
        carry_out(attack, attack.oracle(victim, images, goal, norm=norm), example_seeds(0, range(2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*WITH_TARGETS, *BY_DECISIONS])
def test_with_targets_the_batch_matters_as_little(name):
    """Nor does how many images of its target the others may begin at."""
    victim, images = linear(3, seed=7, apart=0.4), images_near_the_middle(4)
    labels = victim.model(images).argmax(1)
    targets, attack = (labels + torch.tensor([1, 2, 1, 2])) % 3, attack_named(name, **QUICK.get(name, {}))
    begun = torch.rand(200, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    answers = victim.model(begun).argmax(1)
    places = torch.full((4, 9), -1)
    for row, target in enumerate(targets.tolist()):
        those = (answers == target).nonzero()[: 9 - 2 * row, 0]
        places[row, : len(those)] = those
    pool = Pool(begun, places)

    def carried(rows):
        goal = Goal(labels[rows], targets[rows])
        limits = {"eps": None if attack.eps is None else 0.3, "budget": None if name == "zoo" else 600}
        oracle = attack.oracle(victim, images[rows], goal, norm=attack.norms[0], **limits, pool=pool.of(rows))
        carry_out(attack, oracle, example_seeds(3, rows.tolist()))
        return oracle

    together = carried(torch.arange(4))
    assert together.found.any()
    for row in range(4):
        alone = carried(torch.tensor([row]))
        assert alone.queries[0] == together.queries[row] and alone.gradients[0] == together.gradients[row]
        assert torch.allclose(alone.best[0], together.best[row], atol=1e-12)


@pytest.mark.parametrize("name", WITH_TARGETS)
def test_a_target_is_reached_by_gradients_or_scores(name):
    victim, images = linear(3, seed=7, apart=0.4), images_near_the_middle(4)
    labels = victim.model(images).argmax(1)
    targets, norm = (labels + torch.tensor([1, 2, 1, 2])) % 3, attack_named(name).norms[0]
    oracle = run(name, norm, victim, images, targets=targets, eps=None if attack_named(name).eps is None else 0.3)
    assert oracle.found.all() and torch.equal(victim.model(oracle.best).argmax(1), targets)


@pytest.mark.parametrize("name", ATTACKS)
def test_half_precision_breaks_nothing(name):
    victim, images = linear(3, seed=7, apart=0.4), images_near_the_middle(4).float()
    victim.float()
    eps = None if attack_named(name).eps is None else 0.3
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert victim.model(images).dtype == torch.bfloat16
        oracle = run(name, attack_named(name).norms[0], victim, images, eps=eps, budget=300)
        assert oracle.goal.reached(victim.decide(oracle.best), torch.arange(4))[oracle.found].all()
    assert oracle.best.dtype == torch.float32


@pytest.mark.parametrize("name", [name for name in LOOKING if name not in ("autoattack", "fab", "zoo")])
def test_without_a_gradient_nothing_is_found(name):
    victim, images = linear(), images_near_the_middle(2)
    torch.nn.init.zeros_(victim.model[1].weight)
    torch.nn.init.constant_(victim.model[1].bias[1:], -1.0)
    oracle = run(
        name, attack_named(name).norms[0], victim, images, eps=limit(name, "l2"), budget=200, **LONG.get(name, {})
    )
    assert not oracle.found.any() and oracle.best.isfinite().all()


@pytest.mark.parametrize("name", ["carlini_wagner_l2", "ead", "zoo"])
def test_confidence_is_the_margin_of_what_is_kept(name):
    """And its distance that of the half-space moved outwards so far, of two classes."""
    victim, images = linear(2, seed=7, apart=0.1), images_near_the_middle(4)
    oracle = run(name, "l2", victim, images, confidence=2.0, constant=1.0)
    rows = torch.arange(4)
    margin = oracle.goal.margin(victim.model(oracle.best), rows)
    assert oracle.found.all() and (margin >= 2.0).all()
    clean = -oracle.goal.margin(victim.model(images), rows)
    nearest = (clean + 2.0) / (victim.model[1].weight[0] - victim.model[1].weight[1]).norm()
    assert (oracle.distance >= nearest - 1e-9).all() and (oracle.distance <= 1.3 * nearest).all()


@pytest.mark.parametrize("name", ["bg", "carlini_wagner_l2", "deepfool", "ead", "fab"])
def test_a_tie_is_no_success_and_next_to_one(name):
    """The image lies on the boundary, and the label comes first of two classes with the same logit."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0], [2.0]]).expand(2, 16))
        model[1].bias.copy_(torch.tensor([8.0, 0.0]))
    oracle = run(name, attack_named(name).norms[0], ModuleVictim(model, classes=2), torch.full((1, *SHAPE), 0.5))
    assert not oracle.already.any() and oracle.found.all() and float(oracle.distance) < 0.02


@pytest.mark.parametrize("name", ["fgsm", "bim", "pgd"])
def test_rounding_throws_no_success_away(name):
    """Single precision, and a distance at which a unit in the last place of its square root is more than 1e-6."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(3 * 64 * 64, generator=generator)
    images = 0.5 + 0.1 * (torch.rand(16, len(weight), generator=generator) - 0.5)
    images -= ((images - 0.5) @ weight)[:, None] * weight / weight.square().sum()
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(len(weight), 2))
    with torch.no_grad():  # the boundary is 0.9 of the distance away
        model[1].weight.copy_(torch.stack([0 * weight, weight / weight.norm()]))
        model[1].bias.copy_(torch.stack([torch.tensor(9.0), -(weight * 0.5).sum() / weight.norm()]))
    options = {"fgsm": {}, "bim": {"steps": 1, "step_size": 1.5}, "pgd": {"steps": 5, "step_size": 0.5}}[name]
    oracle = run(name, "l2", ModuleVictim(model, classes=2), images.view(-1, 3, 64, 64), eps=10.0, **options)
    assert oracle.found.all() and (oracle.distance <= 10 * (1 + 1e-5)).all()


@pytest.mark.parametrize(
    "name", ["hop_skip_jump", "sign_opt", "svm_opt", "frugal_sign_opt", "nes", "local_search", "fab"]
)
def test_large_images_are_looked_at_in_parts(name, monkeypatch):
    """What fits into memory changes nothing but rounding."""
    victim, images = linear(3), images_near_the_middle(4)
    options = {"nes": {"samples": 20}, "svm_opt": {"directions": 20, "updates": 100}}.get(name, {})
    norm, eps = attack_named(name).norms[-1], limit(name, attack_named(name).norms[-1])
    whole = run(name, norm, victim, images, eps=eps, budget=300, **options)
    for module in ("line_search", "svm_opt", "local_search", "fab"):
        monkeypatch.setattr(f"visionadv.attacks.{module}.VALUES_AT_ONCE", 100)
    parts = run(name, norm, victim, images, eps=eps, budget=300, **options)
    assert torch.allclose(parts.distance, whole.distance, rtol=1e-6) and torch.equal(parts.queries, whole.queries)


def test_bim_takes_either_of_its_steps_from_the_paper():
    victim, images = linear(2), images_near_the_middle(4)
    victim.decide(images)
    seen = {}
    for steps, step in [(0, 0.0), (3, 0.0), (0, 1.0), (3, 1.0)]:
        oracle = run("bim", "linf", victim, images, eps=0.02, steps=steps, step_size=step)
        seen[steps, step] = int(oracle.gradients.max()), float((oracle.best - images).abs().max())
    assert seen[0, 0.0] == (6, pytest.approx(0.02)), "min(255 eps + 4, 1.25 * 255 eps) steps of 1 / 255"
    assert seen[3, 0.0] == (3, pytest.approx(3 / 255)) and seen[3, 1.0][1] == pytest.approx(0.02)
    assert seen[0, 1.0] == (6, pytest.approx(0.02))


def test_least_likely_aims_at_the_goals_target():
    victim, images = linear(3, seed=4), images_near_the_middle(8)
    logits = victim.model(images)
    targets = logits.topk(2, dim=1).indices[:, 1]
    assert (targets != logits.argmin(1)).all()
    assert run("least_likely", "linf", victim, images, eps=0.3, targets=targets).found.all()


def test_an_image_without_logits_is_no_dead_end():
    """A net without biases says 0 of all classes of a black image."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0], [2.0], [3.0]]).expand(3, 16))
    for name in ("bg", "deepfool", "fab"):
        oracle = run(name, "l2", ModuleVictim(model, classes=3), torch.zeros(1, *SHAPE))
        assert not oracle.already.any() and float(oracle.distance) < 1e-3


def test_who_knows_no_targets_says_so():
    victim, images = linear(3), images_near_the_middle(2)
    with pytest.raises(BadInput, match="DeepFool knows no targets"):
        run("deepfool", "l2", victim, images, targets=(victim.model(images).argmax(1) + 1) % 3)


def test_unknown_attacks_and_options_are_refused():
    with pytest.raises(BadInput, match="no attack 'pdg'"):
        attack_named("pdg")
    with pytest.raises(BadInput, match="pgd has no step; it has steps, step_size"):
        attack_named("pgd", step=3)
    with pytest.raises(BadInput, match="pgd's loss is cross_entropy or margin or dlr, not 'hinge'"):
        attack_named("pgd", loss="hinge")
    with pytest.raises(BadInput, match="boundary's every must be at least 1, not 0"):
        attack_named("boundary", every=0)
    with pytest.raises(BadInput, match=r"ddn's gamma must be at least 0, not -0\.1"):
        attack_named("ddn", gamma=-0.1)
    with pytest.raises(BadInput, match=r"carlini_wagner_linf's decrease must be above 0 and below 1, not 1\.0"):
        attack_named("carlini_wagner_linf", decrease=1.0)
    with pytest.raises(BadInput, match=r"carlini_wagner_linf's constant must be above 0, not 0\.0"):
        attack_named("carlini_wagner_linf", constant=0.0)
    with pytest.raises(BadInput, match="square's share is a number, not 'abc'"):
        attack_named("square", share="abc")
    with pytest.raises(BadInput, match=r"pgd's steps is a whole number, such as 40, not 2\.5"):
        attack_named("pgd", steps=2.5)
    with pytest.raises(BadInput, match="pgd's random_start is true or false, such as True, not 1"):
        attack_named("pgd", random_start=1)
    with pytest.raises(BadInput, match="pgd's step_size must be a finite number, not inf"):
        attack_named("pgd", step_size=math.inf)
    with pytest.raises(BadInput, match="as high as wide, and these are 4x3; leave side"):
        narrow = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
        run("zoo", "l2", ModuleVictim(narrow, classes=2), torch.rand(1, 1, 4, 3), side=2)
    assert attack_named("pgd", step_size=1).step_size == 1, "a whole number is a number"
    assert attack_named("apgd", targets=0).targets == 0 and attack_named("square", share=0.5).share == 0.5


@pytest.mark.parametrize(("norm", "exact"), [("l2", 0.8 / math.sqrt(8)), ("linf", 0.8 / 8)])
def test_deepfool_crosses_the_boundary_though_clipping_takes_half_of_each_step(norm, exact):
    """Half of the pixels are black, and should be blacker: what is left to the boundary halves with every step."""
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)).double()
    weight = torch.tensor([1.0, -1.0], dtype=torch.float64).repeat_interleave(8)
    with torch.no_grad():
        model[1].weight.copy_(torch.stack([0 * weight, weight]))
        model[1].bias.copy_(torch.tensor([4.8, 0.0]))
    image = torch.tensor([0.5, 0.0], dtype=torch.float64).repeat_interleave(8).view(1, *SHAPE)
    oracle = run("deepfool", norm, ModuleVictim(model, classes=2), image, steps=20)
    assert exact <= oracle.distance.item() <= 1.025 * exact + 1e-3
