"""What becomes of an attack: goals, records, measures, the page."""

import json
import math
from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy import stats
from victims_of_tests import images_near_the_middle, linear

from visionadv.attack import attack_batch
from visionadv.attacks import attack_named, parse_options
from visionadv.configs import BadInput
from visionadv.goals import Goal, make_goal
from visionadv.pool import TargetImages
from visionadv.report import report
from visionadv.summary import attack_measures, distance_at, median, median_curve


def records_of(name="sign_opt", norm="l2", seed=3, labels=None, victim=None, **options):
    victim, images = victim or linear(classes=4, seed=5), images_near_the_middle(5)
    attack = attack_named(name, **options)
    labels = victim.model(images).argmax(1) if labels is None else labels
    oracle = attack.oracle(victim, images, Goal(labels), norm=norm, budget=400)
    return oracle, [asdict(one) for one in attack_batch(attack, oracle, range(10, 15), seed=seed, file="x.safetensors")]


def test_records_say_what_the_oracle_saw():
    victim = linear(classes=4, seed=5)
    labels = victim.model(images_near_the_middle(5)).argmax(1)
    labels[2] = (labels[2] + 1) % 4
    oracle, records = records_of(labels=labels, steps=5, victim=victim)
    assert [record["example_id"] for record in records] == [*range(10, 15)]
    for row, record in enumerate(records):
        delta = (oracle.best[row] - oracle.images[row]).flatten()
        for norm, order in {"l0": 0, "l1": 1, "l2": 2, "linf": math.inf}.items():
            assert record[norm] == pytest.approx(float(torch.linalg.vector_norm(delta, order)))
        assert record["queries"] == oracle.queries[row] and record["adversarial"] == f"x.safetensors:{row}"
        assert record["adversarial_class"] == victim.model(oracle.best[row][None]).argmax()
        assert record["clean_class"] == victim.model(oracle.images[row][None]).argmax()
        numbers, distances = zip(*record["curve"], strict=True)
        assert list(numbers) == sorted(set(numbers)) and list(distances) == sorted(set(distances), reverse=True)
        assert distances[-1] == record["l2"] and numbers[-1] <= record["queries"]
    assert [record["already"] for record in records] == [False, False, True, False, False]
    assert records[2]["queries"] == 1 and all(record["confirmed"] == 1 for record in records)


def test_a_randomized_victim_is_asked_again():
    victim, images = linear(), images_near_the_middle()
    labels = victim.model(images).argmax(1)
    victim.randomized = True
    steady, count = victim.decide, iter(range(1000))
    attack = attack_named("fgsm")
    oracle = attack.oracle(victim, images, Goal(labels), norm="linf", eps=0.3)
    victim.decide = lambda some: steady(some).where(torch.tensor(next(count) % 2 == 0), labels)
    records = attack_batch(attack, oracle, range(6), seed=0)
    assert all(record.confirmed == (0.5 if record.success else 0.0) for record in records)
    assert any(record.success for record in records)


def test_goals_by_name():
    victim, images = linear(classes=4, seed=5), images_near_the_middle(200)
    labels, ids = victim.model(images).argmax(1), range(200)
    assert make_goal("untargeted", labels).targets is None
    assert (make_goal("targeted", labels.clamp(max=2), target=3).targets == 3).all()
    drawn = make_goal("random_target", labels, victim=victim, seed=1, example_ids=ids).targets
    assert (drawn != labels).all() and (drawn >= 0).all() and (drawn < 4).all()
    steps = torch.bincount((drawn - labels) % 4, minlength=4)
    assert stats.chisquare(steps[1:]).pvalue > 1e-3
    few = make_goal("random_target", labels[5:9], victim=victim, seed=1, example_ids=ids[5:9]).targets
    assert torch.equal(few, drawn[5:9]), "an image's target is its own"
    least = make_goal("least_likely", labels, victim=victim, images=images).targets
    assert torch.equal(least, victim.model(images).argmin(1))
    with pytest.raises(BadInput, match="needs its class"):
        make_goal("targeted", labels)
    with pytest.raises(BadInput, match="the number of the victim's classes must be known"):
        make_goal("random_target", labels)
    with pytest.raises(BadInput, match="drawn by example_id: give one for each of 200 images"):
        make_goal("random_target", labels, victim=victim)
    with pytest.raises(BadInput, match="the victim's for the unchanged images: give both"):
        make_goal("least_likely", labels, victim=victim)
    with pytest.raises(BadInput, match="no goal 'any'"):
        make_goal("any", labels)


def test_hyperparameters_are_texts_of_their_types():
    told = parse_options("pgd", ["steps=7", "step_size=1", "random_start=false", "loss=dlr"])
    assert told == {"steps": 7, "step_size": 1.0, "random_start": False, "loss": "dlr"}
    assert isinstance(told["step_size"], float)
    for wrong, why in [("steps=2.5", "a whole number, such as 40"), ("random_start=1", "true or false")]:
        with pytest.raises(BadInput, match=why):
            parse_options("pgd", [wrong])
    with pytest.raises(BadInput, match="pgd's steps is given twice"):
        parse_options("pgd", ["steps=7", "loss=dlr", "steps=8"])


def test_medians_and_their_intervals():
    """The interval is that of the order statistics: it holds the true median 95 % of the time, or more."""
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(400):
        one = median(generator.exponential(size=25).tolist())
        held += one["low"] <= math.log(2) <= one["high"]
    assert held >= 375
    assert median([3.0, 1.0, math.inf]) == {"value": 3.0, "low": None, "high": None, "n": 3}
    assert median([1.0, math.inf, math.inf, 2.0])["value"] is None and median([])["n"] == 0
    assert median([4.0, 1.0, 2.0, 3.0])["value"] == 2.5


def test_measures_and_curves():
    _, records = records_of(steps=5)
    found = attack_measures(records, "l2")
    assert found["success"] == [True] * 5 and found["robust"] == [False] * 5 and found["clean"] == [True] * 5
    assert found["median_distance"]["value"] == sorted(record["l2"] for record in records)[2]
    assert distance_at(records[0]["curve"], 0) == math.inf and distance_at(records[0]["curve"], 400) == records[0]["l2"]
    curve = median_curve(records, [1, 50, 400])
    assert curve[0] == math.inf and curve[1] >= curve[2] == found["median_distance"]["value"]
    failed = [record | {"success": False, "curve": []} for record in records]
    assert attack_measures(failed, "l2")["median_distance"]["value"] is None


def test_the_page_shows_images_and_curves_and_escapes_names():
    oracle, records = records_of(steps=5)
    results = json.loads(json.dumps({"success": {"value": 1.0, "low": 0.6, "high": 1.0, "n": 5}}))

    def pictures(record):
        row = int(record["original"].split(":")[1])
        return oracle.images[row].numpy(), oracle.best[row].numpy()

    config = {"attack": "sign_opt", "dataset_name": "a/mnist", "model_name_or_path": "<b>"}
    told = {"config": config, "seed": 3, "versions": {"torch": "2"}}
    classes = ["<i>0", "1", "2", "3"]
    page = report(records, results, told, norm="l2", pictures=pictures, classes=classes)
    assert page == report(records, results, told, norm="l2", pictures=pictures, classes=classes)
    assert page.count("data:image/png;base64,") == 15 and page.count("<svg") == 2 and "the paper prints" in page
    followed = [record | {"unclipped_curve": record["curve"]} for record in records]
    within = report(followed, results, {"config": config | {"report_distance": 0.5}}, norm="l2")
    assert within.count("<svg") == 3 and "before clipping" in within and "Success within L2 0.5" in within
    trees = report(records, results, {"config": config | {"model_name_or_path": "model.txt"}}, norm="l2")
    assert "the paper prints" not in trees, "it has no Sign-OPT on trees"
    assert "<b>" not in page and "&lt;b&gt;" in page and "<i>0" not in page and "<script" not in page
    assert "5 of 5 images are pushed" in page
    empty = report([record | {"success": False, "curve": []} for record in records], {}, {}, norm="l2")
    assert "data:image" not in empty and "0 of 5" in empty and "<svg" not in empty


def test_a_pool_holds_images_of_each_target():
    class Data:
        labels = torch.tensor([2, 0, 1, 2, 0, 2, 1])

        def images(self, rows):
            return torch.as_tensor(rows).double().view(-1, 1, 1, 1)

    starts = TargetImages(Data(), most=3)
    goal = Goal(torch.tensor([0, 1, 0]), torch.tensor([2, 0, 1]))
    pool = starts.of(goal)
    for number, expected in enumerate([[0, 1, 2], [3, 4, 6]]):
        assert pool.take(torch.arange(3), number).flatten().tolist() == expected
    assert len(pool) == 3 and pool.holds(torch.arange(3), 2).tolist() == [True, False, False]
    assert pool.take(torch.tensor([0]), 2).item() == 5 and len(pool.of(torch.tensor([1]))) == 3
    assert starts.of(Goal(torch.tensor([0]), torch.tensor([2]))).take(torch.tensor([0]), 2).item() == 5
    with pytest.raises(BadInput, match="no image of class 3 to start from"):
        starts.of(Goal(torch.tensor([0]), torch.tensor([3])))
