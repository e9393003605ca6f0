"""scripts/benchmark_images.py: its parts on a few digits, the account of a peer's queries, and mistakes."""

import json
import math

import pytest
import torch
from _image_peers import Nearest
from benchmark_images import TRIED, ratios

from visionadv.data import load_images
from visionadv.loading import load_victim

TINY = "--max_samples 6 --rounds 1 --decision_samples 2 --loop_samples 1 --marks 60 150".split()


def test_every_part_tells_its_figures(tmp_path, run_here):
    done = run_here("benchmark_images.py", *TINY, "--parts", "step", "batch", "decisions", "--output_dir", "run")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["step_ratio"] > 0 and found["batch.times_one"] > 0 and found["batch.victim_times_one"] > 0
    near, far = (found[f"decisions.hop_skip_jump.ours@{mark}"]["value"] for mark in (150, 60))
    assert 0 < near <= far
    for part in ("step: ", "batch: ", "decisions: hop_skip_jump ours", "decisions: sign_opt ours"):
        assert part in done.stdout


def test_our_own_attack_is_compared_image_by_image(tmp_path, run_here, monkeypatch):
    options = ["--parts", "frugal", "--tuning_samples", "3", "--seeds", "0", "5", "--output_dir", "run"]
    done = run_here("benchmark_images.py", *TINY, *options)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["frugal.sign_opt.options"] in TRIED["sign_opt"]
    assert found["frugal.frugal_sign_opt.0@150"]["n"] == 6 and found["frugal.hop_skip_jump.5@60"]["value"] > 0
    assert 0 < found["frugal.ratio.hop_skip_jump@150"]["value"] < 10


def test_ratios_are_of_the_same_image():
    """Distances are halved on one image and doubled on another; a third is missed by one of the seeds."""
    ours, theirs = [[1.0, 8.0, 5.0], [2.0, 6.0, 1.0]], [[2.0, 4.0, 5.0], [4.0, 3.0, math.inf]]
    told = ratios([ours, theirs])
    assert told["value"] == pytest.approx(1.0) and told["n"] == 2 and told["low"] < 1 < told["high"]


def test_strength_is_judged_alike_for_everybody(tmp_path, run_here, monkeypatch):
    """A peer that returns the images as they are has no success."""
    import _image_peers

    def peer_attack(peer, attack, victim, shape, setting):
        return lambda images, labels: images if attack == "pgd" else torch.ones_like(images)

    monkeypatch.setattr(_image_peers, "installed", lambda: ["foolbox"])
    monkeypatch.setattr(_image_peers, "peer_attack", peer_attack)
    options = ["--max_samples", "4", "--rounds", "1", "--parts", "white_box", "--eps", "0.3", "--output_dir", "run"]
    monkeypatch.setattr(_image_peers, "Setting", lambda eps: _Small(eps))
    done = run_here("benchmark_images.py", *options)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["pgd.ours.success"]["value"] > 0.5 and found["pgd.foolbox.success"]["value"] == 0
    assert found["ddn.ours.median_l2"]["value"] < 2 and found["deepfool.foolbox.times_ours"] > 0
    assert found["carlini_wagner_l2_fixed.ours.median_l2"]["value"] < 2
    assert found["deepfool.foolbox.ours_over"]["value"] < 1  # it finds whiteness, or nothing
    options = ["--max_samples", "2", "--rounds", "1", "--parts", "white_box", "--attacks", "pgd", "--peers", "art"]
    done = run_here("benchmark_images.py", *options)
    assert done.returncode == 0 and "peers: none" in done.stdout, done.stderr


class _Small:
    steps, deepfool_steps, ddn_steps, batch_size = 10, 10, 20, 100
    binary_steps, adam_steps, constant, fixed_steps, fixed = 2, 20, 1.0, 60, 100.0

    def __init__(self, eps):
        self.eps = eps


def test_a_peers_queries_are_the_rows_that_its_victim_sees():
    """Against a loop over the same images; what comes after the last mark is refused."""
    victim, data = load_victim(), load_images()
    original, label = data.images([0]), int(data.labels[0])
    watched = Nearest(victim, original, label, "l2", (5, 12, 20))
    images = (original + torch.randn(30, 1, 8, 8, generator=torch.Generator().manual_seed(0)) / 2).split([3, 9, 1, 17])
    seen, expected = [], {}
    for part in images[:3]:
        watched.logits(part)
        for image in part.clamp(0, 1):
            wrong = victim.decide(image[None])[0] != label
            seen.append(float((image - original[0]).norm()) if wrong else float("inf"))
            expected[len(seen)] = min(seen)
    assert watched.queries == 13 and watched.finish() == pytest.approx([expected[5], expected[12], expected[13]])
    watched.logits(images[3])
    with pytest.raises(Nearest.Spent):
        watched.logits(images[0])


def test_a_victim_without_gradients_is_asked_for_decisions_only(tmp_path, run_here, monkeypatch):
    from visionadv import loading, victims

    decides = victims.CallableVictim(load_victim().decide, classes=10)
    monkeypatch.setattr(loading, "load_victim", lambda *_, **__: decides)
    done = run_here("benchmark_images.py", *TINY, "--parts", "batch", "step", "--output_dir", "refused")
    assert done.returncode == 2 and "--parts step: attacks by gradients" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "refused" / "results.json").exists()
    done = run_here("benchmark_images.py", *TINY, "--parts", "batch", "--output_dir", "run")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "results.json").read_text())["batch.times_one"] > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--parts", "speed"], "there is no part speed; there are step"),
        (["--peers", "cleverhans"], "there is no peer cleverhans; there are foolbox"),
        (["--attacks", "fgsm"], "white_box has no attack fgsm; it has pgd, deepfool"),
        (["--rounds", "0"], "must be at least 1"),
        (["--eps", "2"], "--eps must be above 0 and at most 1"),
        (["--max_samples", "2000", "--parts", "frugal"], "none is left to tune on"),
    ],
)
def test_mistakes_are_one_line(options, told, run_here):
    done = run_here("benchmark_images.py", *options)
    assert done.returncode == 2 and told in done.stderr.strip().splitlines()[-1]
