"""Judges against closed forms on linear victims, the verdict on masked gradients, and the page."""

import statistics

import pytest
import torch
from torch import nn
from victims_of_tests import boundaries, images_near_the_middle, linear

from visionadv.configs import JUDGES, BadInput, EvaluationConfig
from visionadv.evaluation import ATTACKS, SINGLE, SMALLEST, evaluation_measures, judged, judges_of
from visionadv.invariance import CHANGES
from visionadv.masking import JUDGED_BY, Sign, sign, signs, verdict
from visionadv.noise import example_seeds
from visionadv.robustness_report import robustness_report
from visionadv.victims import ModuleVictim


def test_every_judge_is_listed_once():
    assert sorted(JUDGES) == sorted({*SINGLE, *ATTACKS, *SMALLEST})


def test_judges_say_what_the_closed_form_says():
    """On linear victims an image is robust within a distance if every half-space is farther away."""
    victim, images = linear(), images_near_the_middle(40)
    labels = victim.decide(images)
    labels[:3] = (labels[:3] + 1) % 3  # misclassified as they are
    linf, l2 = (boundaries(victim, images, norm).amin(1) for norm in ("linf", "l2"))
    eps, far = (float(one.median()) for one in (linf[3:], l2[3:]))
    config = EvaluationConfig(
        judges=[
            *("clean", "gradients", "pgd", "pgd_restarts", "margin", "autoattack", "carlini_wagner_l2", "deepfool"),
            "autoattack_l2",
        ],
        test_eps=[eps],
        test_l2_eps=[far],
        restarts=2,
        autoattack_queries=50,
    )
    said, shown = judged(judges_of(config), victim, images, labels, example_seeds(0, range(40)))
    right = torch.arange(40) >= 3
    assert torch.equal(said["clean"], right) and said["gradients"].all()
    for name in ("margin", "autoattack"):
        assert torch.equal(said[f"{name}@{eps:g}"], right & (linf > eps)), name
    assert torch.equal(said[f"autoattack_l2@{far:g}"], right & (l2 > far))
    for name in ("pgd", "pgd_restarts"):  # the cross-entropy doesn't always lead to the nearest of three classes
        found = said[f"{name}@{eps:g}"]
        assert (found >= (right & (linf > eps))).all() and found.sum() <= 1.2 * (linf > eps).sum()
    for name, away, limit in (("carlini_wagner_l2", l2, far), ("deepfool", linf, eps)):
        sure = (away < 0.9 * limit) | (away > limit)  # they end within a few percent of the smallest distance
        assert torch.equal(said[f"{name}@{limit:g}"][sure], (right & (away > limit))[sure]), name
    assert shown > 40 * 8 and victim.rows > shown, "what making the goal took is apart"


def test_decisions_and_transfer():
    """Farther than every boundary nothing is robust, nearer than the nearest everything is."""
    victim, images = linear(), images_near_the_middle(12)
    labels = victim.decide(images)
    near = 0.5 * float(boundaries(victim, images, "linf").min())
    config = EvaluationConfig(judges=["decision", "transfer"], test_eps=[near, 0.5], decision_queries=600)
    said, shown = judged(judges_of(config, surrogate=victim), victim, images, labels, example_seeds(0, range(12)))
    assert shown <= 12 * (600 + 2 * 2), "one search serves both distances"
    for name in ("decision", "transfer"):  # what fools itself fools itself
        assert said[f"{name}@{near:g}"].all() and not said[f"{name}@0.5"].any()
    assert not any(name.startswith("transfer") for name in judges_of(config))
    other, _ = judged(judges_of(config, surrogate=linear(seed=5)), victim, images, labels, example_seeds(0, range(12)))
    assert other["transfer@0.5"].any(), "another model's errors don't fool every image"


def test_a_model_without_gradients_is_seen():
    class Steps(nn.Module):
        def forward(self, images):
            return torch.stack([images.flatten(1).mean(1).round(), 0.5 - images.flatten(1).mean(1).round()], dim=1)

    images = torch.rand(6, 1, 4, 4)
    victim = ModuleVictim(Steps(), classes=2)
    said, _ = judged(
        judges_of(EvaluationConfig(judges=["gradients"])), victim, images, victim.decide(images), torch.arange(6)
    )
    assert not said["gradients"].any()


def test_changes_that_a_person_sees_through():
    images = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(CHANGES["brightness"](images), (1.5 * images).clamp(0, 1))
    assert torch.allclose(CHANGES["grayscale"](images)[:, 0], images.mean(1))
    grey = (images * torch.tensor([0.2989, 0.587, 0.114]).view(3, 1, 1)).sum(1)
    mean = grey.mean((1, 2)).view(-1, 1, 1, 1)
    assert torch.allclose(CHANGES["contrast"](images), (mean + 2 * (images - mean)).clamp(0, 1), atol=1e-4)
    turned = CHANGES["rotation"](images)
    assert turned.shape == images.shape and not torch.allclose(turned, images)
    away = torch.arange(33.0) - 16
    bump = (-(away**2 + away[:, None] ** 2) / 50).exp()[None, None]
    assert torch.allclose(CHANGES["rotation"](bump), bump, atol=0.01), "what is round stays as it is"
    one = torch.rand(2, 1, 8, 8)
    assert all(change(one).shape == one.shape for change in CHANGES.values())


def records(**right):
    """Records of judges, each with its words about every image."""
    names, count = list(right), len(next(iter(right.values())))
    return [{"judges": names, "right": [right[name][i] for name in names]} for i in range(count)]


def test_what_is_left_of_all_attacks():
    told = evaluation_measures(
        records(
            clean=[True, True, True],
            **{"pgd@0.1": [True, False, True], "square@0.1": [True, True, False], "pgd@0.2": [False] * 3},
        )
    )
    assert told["worst@0.1"] == [True, False, False] and told["worst@0.2"] == [False] * 3
    assert told["clean"] == [True] * 3


def said_by(n=200, **shares):
    """Judges who find so many of n images right: always the first ones."""
    told = dict.fromkeys(("pgd", "pgd_long", "pgd_restarts", "margin"), 0.6)
    shares = {"clean": 1.0, "gradients": 1.0, "square": 0.7} | told | shares
    full = {name if name in ("clean", "gradients") else f"{name}@0.1": share for name, share in shares.items()}
    return records(**{name: [i < share * n for i in range(n)] for name, share in full.items()})


@pytest.mark.parametrize(
    ("shares", "fires"),
    [
        ({}, []),
        ({"margin": 0.4}, ["losses"]),
        ({"margin": 0.56}, []),
        ({"square": 0.5}, ["scores"]),
        ({"pgd_restarts": 0.45, "square": 0.5}, ["restarts"]),
        ({"pgd": 0.8, "margin": 0.78}, []),
        ({"gradients": 0.8}, ["gradients"]),
    ],
)
def test_signs_of_masked_gradients(shares, fires):
    found = signs(said_by(**shares), 0.1)
    assert [one.name for one in found if one.fires] == fires
    text = verdict(found)
    assert text == "No sign of masked gradients." if not fires else text.startswith("Signs of masked gradients: ")


def test_a_sign_needs_more_than_chance():
    few = sign("losses", [False] * 9 + [True])
    assert few.value == pytest.approx(0.1) and not few.fires
    many = sign("losses", [i % 10 == 0 for i in range(1000)])
    assert many.fires and (many.low, many.high) == pytest.approx((0.0829, 0.1202), abs=1e-4)  # Wilson's, by hand
    assert "gets 20.0% wrong with the margin" in Sign("losses", 0.2, 0.1, 0.3).words
    assert not sign("losses", []).judged
    crossed = [{"judges": row["judges"], "right": [*row["right"]]} for row in said_by(square=0.6)]
    place = crossed[0]["judges"].index("square@0.1")
    for i in range(40):  # Square finds these alone, and misses as many that PGD finds
        crossed[i]["right"][place], crossed[160 + i]["right"][place] = False, True
    assert [one.name for one in signs(crossed, 0.1) if one.fires] == ["scores"]
    for told in (said_by(n=50, margin=0.1), said_by(pgd=0.05, margin=0.0)):
        assert verdict(signs(told, 0.1)).startswith("Masked gradients can't be judged")
        assert evaluation_measures(told)["masked_losses@0.1"] == [], "no table shows what the verdict doesn't judge"
    of_l2 = records(**{"pgd@0.1": [True], "carlini_wagner_l2@0.1": [False], "autoattack_l2@0.1": [False]})
    assert evaluation_measures(of_l2)["worst@0.1"] == [True], "a distance of L2 is another one"
    with pytest.raises(ValueError, match=r"nobody asked square@0\.1"):
        signs(
            records(
                **{
                    name: [True]
                    for name in ("clean", "gradients", "pgd@0.1", "pgd_long@0.1", "pgd_restarts@0.1", "margin@0.1")
                }
            ),
            0.1,
        )
    assert set(JUDGED_BY) <= set(JUDGES)


def test_the_signs_are_measures():
    rows = said_by(margin=0.4, gradients=0.8)
    told = evaluation_measures(rows)
    for one in signs(rows, 0.1):
        assert statistics.fmean(told[f"masked_{one.name}@0.1"]) == pytest.approx(one.value)
    assert [one.value for one in signs(rows, 0.1)] == pytest.approx([1 / 3, 0, 0, 0.2])
    assert not any(
        name.startswith("masked") for name in evaluation_measures(records(clean=[True], **{"pgd@0.1": [True]}))
    )


def test_the_page_shows_every_judge_and_the_verdict():
    rows = said_by(margin=0.3)
    results = {
        name: {"value": sum(said) / 200, "low": 0.1, "high": 0.9, "n": 200}
        for name, said in evaluation_measures(rows).items()
    }
    manifest = {"config": {"model_name_or_path": "<b>", "test_eps": [0.1]}, "seed": 3, "versions": {"torch": "2"}}
    page = robustness_report(rows, results, manifest, distances=[0.1])
    assert "Within 0.1 (L∞): Signs of masked gradients: of the images that PGD leaves right" in page
    assert "&lt;b&gt;" in page and "<svg" in page
    assert "Square, by scores, within 0.1" in page and "30.0 %" in page
    assert "masked gradients" not in robustness_report(rows, results, manifest)
    few = robustness_report(rows[:50], results, manifest, distances=[0.1])
    assert few.count("<td>can't be judged<br>") == 4 and "harmless" not in few and "0.0% wrong" not in few
    assert page == robustness_report(rows, results, manifest, distances=[0.1])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"judges": ["pgd", "jury"]}, "there is no judge jury; there are clean"),
        ({"judges": []}, "--judges are missing"),
        ({"test_eps": [0.1, 1.5]}, "--test_eps are above 0 and at most 1"),
        ({"test_l2_eps": [0.0]}, "--test_l2_eps are above 0"),
        ({"restarts": 0}, "--restarts must be at least 1"),
        ({"pgd_step_size": 0.0}, "--pgd_step_size must be above 0"),
    ],
)
def test_mistakes(options, told):
    with pytest.raises(BadInput, match=told):
        EvaluationConfig(**options)
