"""On a GPU: attacks, trainings and scripts do there what they do on the CPU. Skipped where there is none."""

import json

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from test_attacks import CASES, limit
from test_attacks import run as attacked
from trainings import normalised, perceptron, training_of, weights
from victims_of_tests import images_near_the_middle, linear

from visionadv.configs import METHODS
from visionadv.training import method_named

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator"),
]
TRAINED_ON_NORMS = ("advprop", "robmask", "bn_finetune")


@pytest.fixture(autouse=True)
def apart():
    """All Accelerators of a process share their device."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_an_attack_finds_the_same(name, norm):
    """In double precision; what SVM-OPT fits to decisions hangs on last bits, and so does where it ends."""
    options = {"eps": limit(name, norm), "budget": 600}
    here = attacked(name, norm, linear(), images_near_the_middle(), **options)
    there = attacked(name, norm, linear().to(DEVICE), images_near_the_middle().to(DEVICE), **options)
    assert there.best.device.type == DEVICE
    assert torch.equal(there.queries.cpu(), here.queries) and torch.equal(there.found.cpu(), here.found)
    assert torch.allclose(there.distance.cpu(), here.distance, rtol=0.5 if name == "svm_opt" else 1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_trains_the_same(name):
    """Dirichlet's labels of SPROUT and CAT are drawn by torch, which draws others there."""
    labels = {"sprout": {"labels": False}, "cat": {"c": 0.0}}.get(name, {})
    net = normalised if name in TRAINED_ON_NORMS else perceptron
    options = {"net": net, "optimizer": "sgd", "learning_rate": 0.05}
    here = training_of(method_named(name, **labels), **options)
    here = weights(here.run(None)).cpu()
    AcceleratorState._reset_state(reset_partial_state=True)
    there = training_of(method_named(name, **labels), accelerator=Accelerator(), **options)
    assert there.values.device.type == DEVICE
    assert torch.allclose(weights(there.run(None)).cpu(), here, atol=1e-6)


@pytest.mark.parametrize(
    ("script", "options", "told"),
    [
        ("seq2sick", "--max_samples 16", "success"),
        ("seq2sick", "--max_samples 16 --goal keywords", "success"),
        ("seq2sick_baselines", "--max_samples 8 --baseline gumbel", "success"),
        ("score_seq2seq", "--max_samples 16", "bleu"),
        ("attack_images", "--max_samples 16 --attack autoattack", "success"),
        ("attack_images", "--max_samples 16 --attack hop_skip_jump --norm l2 --budget 1000", "success"),
        ("evaluate_robustness", "--max_samples 16 --judges clean gradients rotation brightness contrast", "clean"),
        ("evaluate_robustness", "--max_samples 16 --test_eps 0.1 --judges pgd margin square autoattack", "autoattack"),
        ("evaluate_robustness", "--max_samples 16 --test_eps 0.1 --judges pgd_restarts deepfool decision", "deepfool"),
        ("evaluate_robustness", "--max_samples 16 --test_l2_eps 1 --judges carlini_wagner_l2", "carlini"),
        ("selfplay", "--max_samples 64", "agreement"),
        ("attack_negotiator", "--max_samples 32", "advantage"),
    ],
)
def test_a_script_tells_the_same(script, options, told, run_here, tmp_path):
    """In single precision, so nearly: a sentence, an image or a dialogue may turn out otherwise."""
    found = []
    for place, env in {"cpu": {"ACCELERATE_USE_CPU": "true"}, "gpu": {}}.items():
        done = run_here(f"{script}.py", *options.split(), "--output_dir", place, env=env)
        assert done.returncode == 0, done.stderr
        found.append(json.loads((tmp_path / place / "results.json").read_text()))
    assert json.loads((tmp_path / "gpu" / "manifest.json").read_text())["device"].startswith(DEVICE)
    name = next(one for one in found[0] if one.startswith(told))
    here, there = (one[name]["value"] for one in found)
    assert there == pytest.approx(here, rel=0.1, abs=0.13)


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("train_seq2seq", "--max_samples 60 --max_steps 4 --max_eval_samples 8 --d_model 16 --ffn_dim 16"),
        ("train_lm", "--max_samples 60 --max_steps 4 --max_eval_samples 8 --d_model 16 --ffn_dim 16"),
        ("train_negotiator", "--max_samples 60 --max_steps 4 --rarest 0 --hidden_size 8"),
        ("train_negotiator", "--stage reinforce --rl_dialogues 16 --validation_dialogues 8 --max_samples 60"),
        ("train_negotiator", "--stage attack --rl_dialogues 16 --validation_dialogues 8 --max_samples 60"),
        ("train_classifier", "--max_steps 8"),
        ("train_classifier", "--max_steps 8 --method sprout"),
        ("train_classifier", "--max_steps 8 --method adversarial --train_eps 0.1"),
        ("train_substitute", "--rounds 2 --epochs 2"),
        ("seq2sick", "--max_samples 8"),
        ("attack_images", "--max_samples 8"),
    ],
)
def test_half_precision_runs(script, options, run_here, tmp_path):
    done = run_here(f"{script}.py", *options.split(), "--output_dir", "run", env={"ACCELERATE_MIXED_PRECISION": "bf16"})
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run" / "results.json").read_text())
