"""`evaluate_robustness.py` as users run it: the run folder, resume, blended nets, and what is refused."""

import json
from types import SimpleNamespace

import pytest
import torch
from evaluate_robustness import check
from sklearn.tree import DecisionTreeClassifier

from visionadv.configs import BadInput, EvaluationConfig
from visionadv.loading import EMBEDDED
from visionadv.victims import PredictVictim

QUICK = "--max_samples 8 --per_device_batch_size 4 --test_eps 0.2 --long_steps 10 --restarts 2"
QUICK += " --square_queries 30 --autoattack_queries 30"


@pytest.fixture
def judge_here(run_here):
    """The script in the process of the tests."""
    return lambda *options: run_here("evaluate_robustness.py", *map(str, options), env={"ACCELERATE_USE_CPU": "true"})


def test_the_embedded_net_is_judged_and_the_run_resumes(tmp_path, judge_here):
    done = judge_here(*QUICK.split(), "--output_dir", "run")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert {"clean", "gradients", "pgd@0.2", "autoattack@0.2", "worst@0.2"} <= set(results)
    assert results["clean"]["n"] == 8 and results["clean"]["value"] > 0.8
    assert results["worst@0.2"]["value"] <= results["autoattack@0.2"]["value"] <= results["clean"]["value"]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "within 0.2: Masked gradients can't be judged: too few images" in done.stdout
    assert "be judged: too few images" in page and "AutoAttack, within 0.2" in page
    records = tmp_path / "run" / "records.jsonl"
    lines = records.read_bytes().splitlines(keepends=True)
    records.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    again = judge_here(*QUICK.split(), "--output_dir", "run")
    assert again.returncode == 0, again.stderr
    whole, resumed = (
        [json.loads(line) | {"seconds": 0} for line in one.splitlines()]
        for one in (b"".join(lines), records.read_bytes())
    )
    assert whole == resumed


def test_nets_are_blended(tmp_path, run_here, judge_here):
    """bn_finetune goes on with a net, and what lies between the two is judged; the ends are the nets themselves."""
    tiny = "--max_samples 60 --max_steps 3 --per_device_train_batch_size 8 --model resnet".split()
    environment = {"ACCELERATE_USE_CPU": "true"}
    assert run_here("train_classifier.py", *tiny, "--output_dir", "net", env=environment).returncode == 0
    more = ["--method", "bn_finetune", "--train_eps", "0.1", "--method_options", "steps=1"]
    more += ["--model_name_or_path", str(tmp_path / "net"), "--output_dir", "bn", "--learning_rate", "0.1"]
    done = run_here("train_classifier.py", *tiny, *more, env=environment)
    assert done.returncode == 0, done.stderr
    found = {}
    for name, other, share in (("net", "bn", 1.0), ("net", "bn", 0.5), ("bn", "net", 1.0)):
        options = ["--model_name_or_path", tmp_path / name, "--blend_name_or_path", tmp_path / other]
        folder = f"{name}-{share}"
        done = judge_here(
            *options, "--blend_share", share, "--judges", "clean", "--max_samples", 60, "--output_dir", folder
        )
        assert done.returncode == 0, done.stderr
        found[folder] = json.loads((tmp_path / folder / "results.json").read_text())["clean"]["value"]
    for name in ("net", "bn"):
        done = judge_here(
            "--model_name_or_path",
            tmp_path / name,
            "--judges",
            "clean",
            "--max_samples",
            60,
            "--output_dir",
            name + "-alone",
        )
        alone = json.loads((tmp_path / f"{name}-alone" / "results.json").read_text())["clean"]["value"]
        assert alone == found[f"{name}-1.0"]
    done = judge_here("--model_name_or_path", tmp_path / "net", "--blend_name_or_path", EMBEDDED, "--output_dir", "x")
    assert done.returncode == 2 and "not nets of one kind" in done.stderr


def test_training_tells_the_robustness_of_what_it_made(tmp_path, run_here, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    options = "--max_samples 60 --max_steps 3 --robustness_samples 10 --judges clean pgd autoattack --test_eps 0.1"
    options += " --autoattack_queries 20 --method adversarial --train_eps 0.1 --method_options steps=2 --output_dir run"
    done = run_here("train_classifier.py", *options.split(), env={"ACCELERATE_USE_CPU": "true"})
    assert done.returncode == 0 and not torch.backends.cudnn.allow_tf32, done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["autoattack@0.1"]["n"] == 10
    card = (tmp_path / "run" / "README.md").read_text()
    assert "| Robustness: AutoAttack, within 0.1 |" in card and "adversarial training" in card
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["config"]["method"] == "adversarial"
    other = run_here("train_classifier.py", *options.replace("adversarial", "trades").split())
    assert other.returncode == 2 and 'method "adversarial" there, "trades" here' in other.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--judges", "jury"], "there is no judge jury"),
        (["--judges", "transfer"], "needs --surrogate_name_or_path"),
        (["--test_eps", "2"], "--test_eps are above 0 and at most 1"),
        (["--blend_share", "7"], "--blend_share must be from 0 to 1, not 7.0"),
        (["--test_l2_eps", "inf"], "--test_l2_eps are above 0 and finite"),
        (["--blend_name_or_path", "x"], "give its --model_name_or_path"),
        (["--model_name_or_path", "./nowhere"], "nowhere"),
    ],
)
def test_mistakes_are_one_line(options, told, judge_here):
    done = judge_here(*options, "--output_dir", "run")
    assert done.returncode == 2 and told in done.stderr.strip().splitlines()[-1], done.stderr


@pytest.mark.parametrize(
    ("kind", "judge"),
    [("scores", "square"), ("scores", "decision"), ("decisions", "decision"), ("decisions", "transfer")],
)
def test_who_can_judge_a_victim_without_gradients(kind, judge):
    """Trees: those by scores where it tells probabilities, and whatever is found on another victim."""
    data = SimpleNamespace(shape=(1, 8, 8))
    scored, net = DecisionTreeClassifier(), SimpleNamespace(differentiable=True)
    victim = PredictVictim(scored if kind == "scores" else SimpleNamespace(predict=scored.predict), classes=2)
    check(EvaluationConfig(judges=["clean", judge]), victim, data, net)
    said = "clean square decision" if kind == "scores" else "clean decision"
    with pytest.raises(BadInput, match=f"pgd need what this victim doesn't tell; it can have --judges {said}$"):
        check(EvaluationConfig(judges=["clean", "pgd", judge]), victim, data, net)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--method", "adversarial", "--train_eps", "1.5"], "eps must be from 0 to 1, the range of images"),
        (["--method", "adversarial", "--train_eps", "-0.1"], "eps must be from 0 to 1, the range of images"),
        (["--method", "gaussian", "--train_eps", "0.1"], "gaussian has no eps; it has sigma"),
        (["--method", "cat", "--method_options", "eta"], "--method_options are name=value"),
        (["--method", "robmask"], "a small_cnn has no batch normalisation"),
        (["--method", "bn_finetune"], "give its --model_name_or_path"),
        (["--teacher_name_or_path", "x"], "is for --method distillation"),
    ],
)
def test_mistakes_of_methods_are_one_line(options, told, run_here):
    done = run_here("train_classifier.py", *options, "--output_dir", "run", env={"ACCELERATE_USE_CPU": "true"})
    assert done.returncode == 2 and told in done.stderr.strip().splitlines()[-1], done.stderr
