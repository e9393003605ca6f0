"""Oracles: what is counted, refused, kept and told; and bad input."""

import numpy as np
import pytest
import torch
from torch import nn
from victims_of_tests import SHAPE, images_near_the_middle, linear

from visionadv.attack import carry_out
from visionadv.attacks import attack_named
from visionadv.configs import BadInput
from visionadv.distances import size
from visionadv.goals import Goal
from visionadv.losses import cross_entropy
from visionadv.noise import example_seeds
from visionadv.oracles import DecisionOracle, GradientOracle, ScoreOracle, equal_parts, lows
from visionadv.pool import Pool
from visionadv.victims import CallableScoresVictim, CallableVictim, ModuleVictim, PredictVictim


def oracle_of(kind=DecisionOracle, victim=None, count=4, **options):
    victim = victim or linear()
    images = images_near_the_middle(count)
    return kind(victim, images, Goal(victim.model(images).argmax(1)), **options)


def test_queries_are_the_rows_that_are_seen_and_a_budget_refuses_the_rest():
    victim = linear()
    oracle = oracle_of(victim=victim, budget=5)
    oracle.begin()
    rows = torch.tensor([0, 2, 0, 0, 2, 0, 0, 0, 3])
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(9, *SHAPE, generator=generator, dtype=torch.float64)
    answers = oracle.reached(images, rows)
    expected = victim.model(images).argmax(1) != oracle.goal.labels[rows]
    shown = torch.tensor([True] * 6 + [False, False, True])  # row 0 had one, and may have four more
    assert torch.equal(answers, expected & shown)
    assert oracle.queries.tolist() == [5, 1, 3, 2] and victim.rows == 11
    assert oracle.open.tolist() == [False, True, True, True]
    oracle.close(torch.tensor([1]))
    assert not oracle.reached(images[:1], torch.tensor([1])).any() and oracle.queries[1] == 1


def test_the_nearest_success_is_kept_with_its_query():
    """Against a loop over all images in the order in which they are shown."""
    oracle = oracle_of(eps=1.5)
    oracle.begin()
    generator = torch.Generator().manual_seed(1)
    best, seen, curve = {}, [1] * 4, {}
    for _ in range(12):
        rows = torch.randint(4, (9,), generator=generator)
        images = torch.rand(9, *SHAPE, generator=generator, dtype=torch.float64) * 1.2 - 0.1
        oracle.reached(images, rows)
        for image, row in zip(images.clamp(0, 1), rows.tolist(), strict=True):
            seen[row] += 1
            distance = float((image - oracle.images[row]).norm())
            wrong = oracle.victim.model(image[None]).argmax() != oracle.goal.labels[row]
            if wrong and distance <= 1.5 and distance < best.get(row, (9.0,))[0]:
                best[row] = (distance, image)
                curve.setdefault(row, []).append((seen[row], distance))
        assert all(torch.equal(oracle.best[row], image) for row, (_, image) in best.items())
    assert len(best) > 1 and any(len(one) > 2 for one in curve.values())
    told = {}
    for rows, numbers, distances in oracle.curve:
        for row, number, distance in zip(rows.tolist(), numbers.tolist(), distances.tolist(), strict=True):
            told.setdefault(row, []).append((number, pytest.approx(distance)))
    assert curve == told
    assert oracle.found.tolist() == [row in best for row in range(4)]


def test_each_success_that_is_nearer_than_those_of_its_image_before_is_noted():
    """Against a loop, with several of an image at once, and ties."""
    generator = torch.Generator().manual_seed(0)
    for count in (0, 1, 7, 60):
        rows = torch.randint(5, (count,), generator=generator)
        distances = torch.randint(20, (count,), generator=generator).double() / 20
        told = sorted(zip(*(one.tolist() for one in lows(rows, torch.arange(count), distances)), strict=True))
        least, expected = {}, []
        for number, (row, distance) in enumerate(zip(rows.tolist(), distances.tolist(), strict=True)):
            if distance < least.get(row, 9.0):
                least[row] = distance
                expected.append((row, number, distance))
        assert told == sorted(expected)


def test_a_success_too_near_to_measure_is_no_error_of_before():
    victim = CallableVictim(lambda images: (images[:, 0, 0, 0] > 0).long(), classes=2)
    images = torch.zeros(2, 1, 1, 2)
    oracle = DecisionOracle(victim, images, Goal(torch.tensor([0, 1])))
    oracle.begin()
    assert oracle.reached(torch.full_like(images, 1e-30), torch.arange(2)).tolist() == [True, False]
    assert oracle.distance.tolist() == [0, 0] and oracle.already.tolist() == [False, True]
    assert oracle.queries.tolist() == [2, 1]


def test_distances_before_clipping_are_followed_beside():
    oracle = oracle_of(eps=None, unclipped=True)
    oracle.begin()
    generator = torch.Generator().manual_seed(1)
    least, told = {}, {}
    for _ in range(12):
        rows = torch.arange(4)
        images = torch.rand(4, *SHAPE, generator=generator, dtype=torch.float64) * 3 - 1
        reached = oracle.reached(images, rows)
        for row in rows[reached].tolist():
            distance = float((images[row] - oracle.images[row]).norm())
            if distance < least.get(row, 99.0):
                least[row] = distance
    for rows, numbers, distances in oracle.unclipped_curve:
        for row, number, distance in zip(rows.tolist(), numbers.tolist(), distances.tolist(), strict=True):
            assert number > told.get(row, (0, 0.0))[0]
            told[row] = (number, pytest.approx(distance))
    assert {row: distance for row, (_, distance) in told.items()} == least and len(least) > 1
    assert all(oracle.distance[row] <= distance for row, distance in least.items()), "clipping only brings nearer"
    assert not oracle_of().unclipped_curve


def test_a_score_oracle_keeps_what_comes_nearest_until_something_succeeds():
    oracle = oracle_of(ScoreOracle)
    oracle.begin()
    everyone = torch.arange(4)
    steps = [torch.full(SHAPE, 0.002, dtype=torch.float64) * k for k in (1, -1, 3)]
    told = [oracle.logits(oracle.images + step, everyone) for step in steps]
    margins = torch.stack([oracle.goal.margin(logits, everyone) for logits in told])
    clean = oracle.goal.margin(oracle.clean, everyone)
    assert not oracle.found.any()
    assert torch.equal(oracle.margin, torch.maximum(clean, margins.amax(0)))
    assert torch.allclose(oracle.goal.margin(oracle.victim.model(oracle.best), everyone), oracle.margin)


def test_gradients_are_finite_differences():
    oracle = oracle_of(GradientOracle)
    oracle.begin()
    everyone = torch.arange(4)
    images = (oracle.images + 0.05).requires_grad_(False)
    values, slopes, logits = oracle.gradient(images, everyone, cross_entropy)
    assert torch.allclose(values, cross_entropy(oracle.victim.model(images), oracle.goal, everyone))
    assert torch.allclose(logits, oracle.victim.model(images))
    step = torch.zeros(SHAPE, dtype=torch.float64)
    step[0, 1, 2] = 1e-6
    up, down = (cross_entropy(oracle.victim.model(images + sign * step), oracle.goal, everyone) for sign in (1, -1))
    assert torch.allclose((up - down) / 2e-6, slopes[:, 0, 1, 2], rtol=1e-5)
    classes = torch.tensor([[2, 0]] * 4)
    _, jacobian = oracle.jacobian(images, everyone, classes)
    weight = oracle.victim.model[1].weight
    assert torch.allclose(jacobian, weight[classes].view(4, 2, *SHAPE))
    assert oracle.queries.tolist() == [3] * 4 and oracle.gradients.tolist() == [3] * 4


def test_a_victim_is_asked_about_as_many_images_as_it_says(monkeypatch):
    """And answers the same as about all together."""
    told = {}
    for at_once in (3, 100):
        monkeypatch.setattr(ModuleVictim, "at_once", at_once)
        oracle = oracle_of(GradientOracle, count=4)
        oracle.begin()
        seen, logits = [], oracle.victim.logits
        monkeypatch.setattr(
            oracle.victim, "logits", lambda images, seen=seen, ask=logits: seen.append(images) or ask(images)
        )
        generator = torch.Generator().manual_seed(2)
        images = torch.rand(8, *SHAPE, generator=generator, dtype=torch.float64)
        rows = torch.tensor([0, 1, 2, 3] * 2)
        found = oracle.reached(images, rows), oracle.logits(images, rows), *oracle.gradient(images, rows, cross_entropy)
        told[at_once] = [*found, *oracle.jacobian(images, rows, rows[:, None] % 3)]
        assert [len(one) for one in seen] == 4 * ([3, 3, 2] if at_once == 3 else [8])
    for few, many in zip(told[3], told[100], strict=True):
        assert torch.allclose(few.double(), many.double(), rtol=0, atol=1e-12)


def test_parts_are_of_one_size_and_few():
    """And a quarter larger at most: what is left over of a part is no part of its own."""
    for count in range(1, 400):
        sizes = [len(part) for part in equal_parts(torch.arange(count), 64)]
        assert sum(sizes) == count and max(sizes) <= 80
        assert max(sizes) - min(sizes) < len(sizes) and len(sizes) <= -(-count // 64)
    assert [len(part) for part in equal_parts(torch.arange(80), 64)] == [80]


def test_images_are_clipped_before_they_are_shown():
    seen = []
    victim = CallableVictim(lambda images: (seen.append(images), torch.zeros(len(images)))[1], classes=2)
    oracle = DecisionOracle(victim, images_near_the_middle(1), Goal(torch.tensor([0])))
    oracle.reached(torch.full((1, *SHAPE), 1.5, dtype=torch.float64), torch.tensor([0]))
    assert (seen[0] == 1).all()


class Trees:
    """Decides by the first value, as scikit-learn would."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return (rows[:, 0] > 0.5).astype(int)

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        return np.stack([1 - rows[:, 0], rows[:, 0]], axis=1)


class Predicts:
    """Says what a function says of rows."""

    def __init__(self, predict):
        self.predict = predict


class Scores(Trees):
    """Says the probability of the second class, as LightGBM's Booster would."""

    def predict(self, rows):
        return rows[:, 0]


def test_objects_that_predict_are_victims():
    images = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    for model in (Trees(), Scores()):
        victim = PredictVictim(model, 2)
        assert torch.equal(victim.decide(images), (images[:, 0] > 0.5).long())
    assert torch.equal(victim.logits(images).argmax(1), victim.decide(images))
    oracle = ScoreOracle(victim, images, Goal(victim.decide(images)), norm="linf")
    oracle.begin()
    changed = images.clone()
    changed[:, 0] = 1 - changed[:, 0]
    oracle.logits(changed, torch.arange(20))
    assert oracle.found.all() and torch.allclose(oracle.distance, size(changed - images, "linf"))
    with pytest.raises(BadInput, match="tells no probabilities"):
        PredictVictim(nn.Identity(), 2).logits(images)
    column = PredictVictim(Predicts(lambda rows: (2.9 * rows[:, :1]).astype(int)), 3)  # as CatBoost answers
    assert torch.equal(column.decide(images), (2.9 * images[:, 0]).long())


def test_probabilities_that_rounding_would_make_equal_decide_as_they_do():
    class Close(Trees):
        def predict_proba(self, rows):
            return np.array([[0.5 - 1e-9, 0.5 + 1e-9]])

    assert PredictVictim(Close(), 2).logits(torch.ones(1, 3)).argmax(1).tolist() == [1]


@pytest.mark.parametrize(
    ("victim", "told"),
    [
        (CallableVictim(lambda images: images[:, 0] * torch.nan, 2), "answered NaN"),
        (CallableVictim(lambda images: torch.full((len(images),), 17), 2), "answered classes 17 to 17, and it has 2"),
        (CallableVictim(lambda images: images.argmax(1) - 1), "answered classes -1 to"),
        (CallableVictim(lambda images: images[:, 0], 2), "answered fractions"),
        (CallableScoresVictim(lambda images: images[:, 0], 3), r"where scores \(20, 3\) were expected"),
        (CallableScoresVictim(lambda images: images.log() / 0, 3), "answered NaN or infinity"),
        (PredictVictim(Predicts(lambda rows: np.full((len(rows), 2), np.nan)), 2), "answered NaN"),
        (PredictVictim(Predicts(lambda rows: np.full(len(rows), 2)), 2), "answered classes 2 to 2, and it has 2"),
        (PredictVictim(Predicts(lambda rows: rows[:, 0]), 3), "answered fractions"),
        (PredictVictim(Predicts(lambda rows: rows), 2), r"the shape \(20, 3\), where scores \(20, 2\) were expected"),
        (PredictVictim(Predicts(lambda rows: np.full(len(rows), "cat")), 2), "it must say numbers of classes"),
    ],
)
def test_answers_that_are_no_class_are_no_success(victim, told):
    images = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    with pytest.raises(BadInput, match=told):
        victim.decide(images)


def test_a_function_may_tell_scores():
    victim, images = linear(), images_near_the_middle(4)
    function = CallableScoresVictim(victim.model, 3)
    assert torch.equal(function.decide(images), victim.decide(images))
    for one in (oracles := [ScoreOracle(victim, images, Goal(victim.decide(images))) for victim in (victim, function)]):
        one.begin()
    assert torch.equal(oracles[0].clean, oracles[1].clean)


def test_a_function_with_gradients_leaves_none_behind():
    """A net whose weights want gradients, behind a function: no attack keeps a graph, and none ends in an error."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    images = images_near_the_middle(3).requires_grad_()
    victim = CallableScoresVictim(lambda images: net(images), 3)
    goal = Goal(victim.decide(images))
    for name, options in (("square", {"steps": 20}), ("nes", {"steps": 2}), ("zoo", {"binary_steps": 1, "steps": 3})):
        attack = attack_named(name, **options)
        oracle = attack.oracle(victim, images, goal, norm=attack.norms[0], eps=0.01)
        carry_out(attack, oracle, example_seeds(0, range(3)))
        assert not any(one.requires_grad for one in (oracle.best, oracle.distance, oracle.margin, oracle.clean))


def test_what_has_no_gradients_says_so():
    images, labels = images_near_the_middle(2), torch.zeros(2, dtype=torch.long)
    victim = ModuleVictim(Strange(torch.no_grad()(lambda images: images.flatten(1)[:, :3] + 1)), classes=3)
    oracle = GradientOracle(victim, images, Goal(labels + 2))
    with pytest.raises(BadInput, match="the victim's answer has no gradient"):
        oracle.gradient(images, torch.arange(2), cross_entropy)
    with torch.inference_mode(), pytest.raises(BadInput, match="no gradients within"):
        GradientOracle(linear(), images, Goal(labels))


def test_numbers_of_another_kind_than_the_weights_are_told():
    victim = ModuleVictim(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)))
    with pytest.raises(BadInput, match=r"the images are .*float64, and the model's weights .*float32; convert"):
        victim.decide(images_near_the_middle(2))


def test_more_likeliest_classes_than_there_are():
    images = images_near_the_middle(2)
    oracle = ScoreOracle(CallableScoresVictim(linear().model), images, Goal(torch.zeros(2, dtype=torch.long)), top_k=4)
    with pytest.raises(BadInput, match="top_k is 4, and the victim has 3 classes"):
        oracle.begin()


def test_a_seed_and_an_image_to_start_from_for_each():
    images, attack = images_near_the_middle(2), attack_named("pgd")
    oracle = GradientOracle(linear(), images, Goal(torch.zeros(2, dtype=torch.long)), norm="linf", eps=0.1)
    with pytest.raises(BadInput, match="there are 3 seeds and 2 images; give one for each"):
        carry_out(attack, oracle, example_seeds(0, range(3)))
    with pytest.raises(BadInput, match="there is no image to start from"):
        Pool.shared(images[:0], 2)


def test_normalisation_and_size_are_inside():
    seen = []

    class Model(nn.Module):
        def forward(self, images):
            seen.append(images)
            return images.mean((2, 3))

    victim = ModuleVictim(Model(), mean=(0.5, 0.2, 0.1), std=(0.5, 0.1, 2.0), size=(8, 8))
    victim.decide(torch.ones(2, 3, 4, 4))
    assert seen[0].shape == (2, 3, 8, 8)
    assert torch.allclose(seen[0][0].mean((1, 2)), torch.tensor([1.0, 8.0, 0.45]))


class Strange(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, images):
        return self.answer(images)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda images: images.sum((1, 2, 3)), r"the shape \(4,\), where scores \(4, 3\) were expected"),
        (lambda images: images.sum(), r"the shape \(\), where scores \(4, 3\)"),
        (lambda images: (images.flatten(1)[:, :3],), "is a tuple, where scores"),
        (lambda images: images.flatten(1)[:, :2], r"the shape \(4, 2\), where scores \(4, 3\)"),
        (lambda images: images.flatten(1)[:, :3] * torch.nan, "answered NaN"),
    ],
)
@pytest.mark.parametrize("kind", [DecisionOracle, ScoreOracle, GradientOracle])
def test_strange_answers_are_refused(kind, answer, told):
    victim = ModuleVictim(Strange(answer), classes=3)
    oracle = kind(victim, images_near_the_middle(4), Goal(torch.zeros(4, dtype=torch.long)))
    with pytest.raises(BadInput, match=told):
        oracle.begin()


def test_a_single_score_is_no_answer():
    """Its class would always be 0, and nothing could ever fool it."""
    victim = ModuleVictim(Strange(lambda images: images.flatten(1)[:, :1]))
    oracle = DecisionOracle(victim, images_near_the_middle(4), Goal(torch.zeros(4).long()))
    with pytest.raises(BadInput, match="a single score, so that all are of one class"):
        oracle.begin()


@pytest.mark.parametrize("name", ["pgd", "autoattack", "fab", "jsma", "deepfool", "carlini_wagner_l2"])
def test_a_gradient_that_is_no_number_is_refused(name):
    """Its logits are finite; an attack that went on would find nothing, as if the net were robust."""
    victim = ModuleVictim(Strange(lambda images: images.flatten(1)[:, :3] + (0 * images).sum().sqrt()), classes=3)
    attack, images = attack_named(name), images_near_the_middle(4)
    oracle = attack.oracle(victim, images, Goal(victim.decide(images)), norm=attack.norms[0], eps=attack.eps)
    with pytest.raises(BadInput, match="the victim's gradient is NaN or infinite"):
        carry_out(attack, oracle, example_seeds(0, range(4)))


def test_bad_input_is_refused():
    victim, images = linear(), images_near_the_middle(2)
    labels = torch.tensor([0, 1])
    with pytest.raises(BadInput, match=r"from 0 to 1, and these go from .* to 255"):
        DecisionOracle(victim, images / images.max() * 255, Goal(labels))
    with pytest.raises(BadInput, match="from 0 to 1"):
        DecisionOracle(victim, images * torch.nan, Goal(labels))
    for one in (images.round().long(), images > 0.5, images.half()):
        with pytest.raises(BadInput, match=f"images are float32 or float64, and these are {one.dtype}"):
            DecisionOracle(victim, one, Goal(labels))
    with pytest.raises(BadInput, match="and not a ndarray"):
        DecisionOracle(victim, images.numpy(), Goal(labels))
    with pytest.raises(BadInput, match=r"labels are a tensor \(B,\) of torch.int64, and not a list"):
        Goal([0, 1])
    with pytest.raises(BadInput, match="there are 1 targets and 2 labels"):
        Goal(labels, torch.tensor([2]))
    with pytest.raises(BadInput, match="label 3 is none of the victim's 3 classes"):
        DecisionOracle(victim, images, Goal(labels + 2))
    with pytest.raises(BadInput, match="target 6 is none"):
        DecisionOracle(victim, images, Goal(labels, labels + 6))
    with pytest.raises(BadInput, match="the target of image 1 is its true label, 1"):
        Goal(labels, torch.tensor([1, 1]))
    with pytest.raises(BadInput, match="a budget of 0 queries"):
        DecisionOracle(victim, images, Goal(labels), budget=0)
    with pytest.raises(BadInput, match=r"labels are torch.int64 of the shape \(2,\), where torch.int64 of \(1,\)"):
        DecisionOracle(victim, images[:1], Goal(labels))
    with pytest.raises(BadInput, match=r"labels are torch.float32 of the shape \(2,\)"):
        DecisionOracle(victim, images, Goal(labels.float()))
    with pytest.raises(BadInput, match="there are no images"):
        DecisionOracle(victim, images[:0], Goal(labels[:0]))
    with pytest.raises(BadInput, match="there is no distance 'L2'; there are l0"):
        DecisionOracle(victim, images, Goal(labels), norm="L2")
    for eps in (-1.0, float("nan")):
        with pytest.raises(BadInput, match="eps must be at least 0"):
            DecisionOracle(victim, images, Goal(labels), eps=eps)
    with pytest.raises(BadInput, match="tells no scores"):
        ScoreOracle(CallableVictim(lambda images: images[:, 0], 2), images, Goal(labels))
    with pytest.raises(BadInput, match="has no gradients"):
        GradientOracle(CallableScoresVictim(victim.model, 3), images, Goal(labels))


@pytest.mark.parametrize("kind", [DecisionOracle, ScoreOracle, GradientOracle])
def test_a_label_is_checked_as_soon_as_the_number_of_classes_is_known(kind):
    victim = ModuleVictim(linear().model)
    oracle = kind(victim, images_near_the_middle(2), Goal(torch.tensor([0, 99])))
    with pytest.raises(BadInput, match="label 99 is none of the victim's 3 classes"):
        oracle.begin()
