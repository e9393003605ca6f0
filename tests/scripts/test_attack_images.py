"""scripts/attack_images.py on the embedded digits: run folders, resume, targets, transfer, trees, and mistakes."""

import json
import math
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from visionadv.attacks import ATTACKS, attack_named
from visionadv.data import load_images
from visionadv.loading import EMBEDDED, load_victim


def records_of(folder):
    rows = [json.loads(line) for line in (folder / "records.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_the_embedded_cnn_falls_and_the_images_are_there(tmp_path, run_here, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    done = run_here("attack_images.py", "--max_samples", "40", "--per_device_batch_size", "16", "--output_dir", "run")
    assert done.returncode == 0 and not torch.backends.cudnn.allow_tf32, done.stderr
    folder, rows = tmp_path / "run", records_of(tmp_path / "run")
    results = json.loads((folder / "results.json").read_text())
    assert results["success"]["value"] >= 0.5 and results["confirmed"]["value"] == 1 and results["clean"]["n"] == 40
    victim, data = load_victim(), load_images()
    for row in rows:
        file, place = row["adversarial"].split(":")
        images = load_file(folder / file)
        original, adversarial = images["original"][int(place)], images["adversarial"][int(place)]
        assert (
            torch.equal(original, data.images([row["example_id"]])[0])
            and row["label"] == data.labels[row["example_id"]]
        )
        assert (victim.decide(adversarial[None])[0] != row["label"]) == row["success"]
        assert float((adversarial - original).abs().max()) == pytest.approx(row["linf"]) and row["linf"] <= 0.3 + 1e-6
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png") == 3 * 40 and "pgd on the embedded CNN" in page


@pytest.mark.parametrize("name", ["ddn", "square", "hop_skip_jump"])
def test_an_attack_of_each_kind_resumes_whatever_the_batch(name, tmp_path, run_here):
    options = ["--attack", name, "--max_samples", "10", "--budget", "150", "--output_dir", "run"]
    assert run_here("attack_images.py", *options, "--per_device_batch_size", "4").returncode == 0
    rows = records_of(tmp_path / "run")
    assert len(rows) == 10 and max(row["queries"] for row in rows) <= 150
    lines = (tmp_path / "run" / "records.jsonl").read_text().splitlines()
    (tmp_path / "run" / "records.jsonl").write_text("\n".join(lines[:6]) + '\n{"torn')
    assert run_here("attack_images.py", *options, "--per_device_batch_size", "4").returncode == 0
    assert records_of(tmp_path / "run") == rows


def test_a_random_target_is_begun_at_images_of_it(tmp_path, run_here):
    options = ["--attack", "sign_opt", "--goal", "random_target", "--max_samples", "6", "--budget", "600"]
    done = run_here("attack_images.py", *options, "--output_dir", "run")
    assert done.returncode == 0, done.stderr
    rows = records_of(tmp_path / "run")
    assert all(row["success"] and row["adversarial_class"] == row["target"] != row["label"] for row in rows)
    assert "robust" not in json.loads((tmp_path / "run" / "results.json").read_text())


def test_a_surrogate_is_attacked_and_the_victim_sees_one_image(tmp_path, run_here):
    options = ["--surrogate_name_or_path", str(load_path()), "--max_samples", "12", "--eps", "0.2"]
    done = run_here("attack_images.py", *options, "--output_dir", "run")
    assert done.returncode == 0, done.stderr
    rows = [row for row in records_of(tmp_path / "run") if not row["already"]]
    assert {row["queries"] for row in rows} == {2} and sum(row["success"] for row in rows) >= 8, "a twin is the victim"
    assert all(row["gradients"] == 0 for row in rows)


def load_path():
    from visionadv.loading import EMBEDDED

    return EMBEDDED


def test_trees_are_attacked_by_their_decisions(tmp_path, run_here):
    pytest.importorskip("lightgbm", reason="needs LightGBM")
    done = run_here("train_trees.py", "--learning_rate", "0")
    assert done.returncode == 2 and "--learning_rate must be above 0" in done.stderr.splitlines()[-1]
    for wrong, told in (
        ("--num_leaves 200000", "--num_leaves from 2 to 131072"),
        ("--split train", "the split to score, 'train', is what is learnt from"),
        ("--seed 3000000000", "--seed of LightGBM must be below 2**31"),
        ("--max_train_samples 1", "are of one class, so that there is nothing to learn"),
    ):
        done = run_here("train_trees.py", *wrong.split())
        assert done.returncode == 2 and told in done.stderr.splitlines()[-1]
    done = run_here("train_trees.py", "--num_trees", "10", "--num_leaves", "8", "--output_dir", "trees")
    assert done.returncode == 0, done.stderr
    accuracy = json.loads((tmp_path / "trees" / "results.json").read_text())["accuracy"]
    assert accuracy["value"] > 0.8 and accuracy["n"] == len(load_images())
    victim, data = load_victim(str(tmp_path / "trees" / "model.txt")), load_images()
    images = data.images(range(len(data)))
    assert float((victim.decide(images) == data.labels).double().mean()) == pytest.approx(accuracy["value"])
    less = (1 / 32 - 1e-6) * (2 * torch.rand(images.shape, generator=torch.Generator().manual_seed(0)) - 1)
    assert victim.decide(images + less).equal(victim.decide(images)), "digits are sixteenths, thresholds lie between"
    options = ["--model_name_or_path", str(tmp_path / "trees" / "model.txt"), "--max_samples", "8", "--budget", "400"]
    done = run_here("attack_images.py", *options, "--attack", "opt", "--output_dir", "run")
    assert done.returncode == 0, done.stderr
    for row in records_of(tmp_path / "run"):
        file, place = row["adversarial"].split(":")
        decided = victim.decide(load_file(tmp_path / "run" / file)["adversarial"][int(place)][None])
        assert row["success"] and decided[0] != row["label"] and row["l2"] <= 4 and np.isfinite(row["l2"])
    done = run_here("attack_images.py", *options, "--attack", "pgd", "--output_dir", "other")
    assert done.returncode == 2 and "needs gradients, and this victim has none" in done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--attack", "pdg"], "there is no attack 'pdg'; there are fgsm"),
        (["--attack", "pgd", "--attack_options", "step=3"], "pgd has no step; it has steps"),
        (["--attack", "pgd", "--attack_options", "steps"], "--attack_options are name=value"),
        (["--attack", "ddn", "--norm", "linf"], "ddn knows no distance linf; it knows l2"),
        (["--attack", "pgd", "--norm", "l2"], "usual eps of 0.3 is for linf; give --eps for l2"),
        (["--attack", "deepfool", "--goal", "random_target"], "deepfool knows no targets"),
        (["--eps", "8"], "--eps 8.0 of linf is more than the whole range"),
        (["--eps", "0"], "--eps must be above 0"),
        (["--eps", "inf", "--norm", "l2"], "--eps must be above 0 and finite"),
        (["--budget", "1"], "--budget 1 shows no more than the unchanged image"),
        (["--unclipped", "true"], "--unclipped is for attacks by decisions, and pgd is none"),
        (["--attack", "square", "--attack_options", "share=abc"], "square's share is a number, not 'abc'"),
        (["--attack", "zoo", "--attack_options", "grow_at=2000"], "grow_at is several numbers in brackets, such as (2"),
        (["--goal", "targeted"], "--goal targeted needs --target"),
        (["--goal", "targeted", "--target=-1"], "--target -1 is no class; they are numbered from 0 on"),
        (["--target", "3"], "--target is for --goal targeted"),
        (["--goal", "targeted", "--target", "4", "--max_samples", "1"], "class 4, is the true label of all images"),
        (["--goal", "targeted", "--target", "12"], "target 12 is none of the victim's 10 classes"),
        (["--goal", "targeted", "--target", "12", "--attack", "opt"], "target 12 is none of the victim's 10 classes"),
        (["--top_k", "3"], "pgd needs the scores of all classes"),
        (
            ["--attack", "nes", "--top_k", "3", "--surrogate_name_or_path", EMBEDDED],
            "a surrogate tells the scores of all",
        ),
        (
            ["--attack", "opt", "--surrogate_name_or_path", EMBEDDED],
            "opt sees decisions, and from a surrogate there is",
        ),
        (["--budget", "9", "--surrogate_name_or_path", EMBEDDED], "--budget counts queries of the victim"),
        (["--attack", "zoo", "--budget", "100"], "zoo needs 131 queries for a first step; --budget 100 is too small"),
        (["--attack", "fgsm", "--eps", "0.3", "--budget", "2"], "fgsm needs 3 queries for a first step"),
        (["--attack", "jsma", "--budget", "3"], "jsma needs 4 queries for a first step"),
        (["--attack", "nes", "--budget", "51"], "nes needs 52 queries for a first step"),
        (["--attack", "local_search", "--budget", "7"], "local_search needs 8 queries for a first step"),
        (["--attack", "zoo", "--attack_options", "side=20"], "a side of 20 is larger than the images', 8"),
        (["--attack", "nes", "--attack_options", "sigma=0"], "nes's sigma must be above 0"),
        (["--attack", "jsma", "--attack_options", "theta=0"], "jsma's theta must not be 0"),
        (["--attack", "bg", "--attack_options", "candidates=1"], "bg's candidates must be at least 2"),
        (["--report_distance", "nan"], "--report_distance must be at least 0 and finite"),
        (["--report_queries", "100", "0"], "--report_queries are numbers of queries, from 1 on, not 0"),
        (["--seed", "99999999999"], "--seed must be at least 0 and below 2**32"),
        (["--attack", "opt", "--goal", "random_target", "--pool_split", "nope"], "no split 'nope'"),
        (["--attack", "pgd", "--attack_options", "loss=hinge"], "pgd's loss is cross_entropy or margin or dlr"),
        (["--split", "validation"], "no split 'validation'"),
        (["--model_name_or_path", "./nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_one_line(options, told, tmp_path, run_here):
    done = run_here("attack_images.py", *options, "--output_dir", "run")
    assert done.returncode == 2 and told in done.stderr.strip().splitlines()[-1], done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "run" / "manifest.json").exists(), "nor is it blocked"


@pytest.mark.slow
@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_succeeds_on_half_of_the_digits_by_default_in_two_minutes(name, tmp_path, run_here):
    begin = time.process_time()  # of this process, where run_here runs it: others may be at work on the machine
    done = run_here("attack_images.py", "--attack", name, "--max_samples", "32", "--output_dir", "run")
    assert done.returncode == 0, done.stderr
    rows = records_of(tmp_path / "run")
    assert sum(row["success"] for row in rows) >= 16 and time.process_time() - begin < 120
    limit = attack_named(name).eps or math.inf
    assert all(row[attack_named(name).norms[0]] <= limit + 1e-6 for row in rows if row["success"])
