"""`train_classifier.py` as users run it: what the folder holds, resume, publishing, and what is refused."""

import filecmp
import json
import signal
import time
from pathlib import Path

import forked
import pytest
import torch
import train_seq2seq
from hub import LocalHub
from safetensors.torch import load_file

from visionadv.data import load_images
from visionadv.loading import EMBEDDED, load_victim

CPU = {"ACCELERATE_USE_CPU": "true"}
TINY = "--max_samples 200 --max_steps 12 --save_steps 4 --logging_steps 6 --per_device_train_batch_size 16".split()
TINY += "--judges clean pgd --test_eps 0.1".split()


@pytest.fixture
def train_here(run_here):
    """The script in the process of the tests."""
    return lambda *options: run_here("train_classifier.py", *map(str, options), env=CPU)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder made and published as a user would, its Hub, and what a process needs to use that."""
    folder = tmp_path_factory.mktemp("trained") / "cnn"
    publish = ["--push_to_hub", "--hub_model_id", "me/cnn"]
    with LocalHub() as hub:
        environment = CPU | hub.environment(tmp_path_factory.mktemp("home"))
        done = forked.run("train_classifier.py", "--output_dir", folder, *TINY, *publish, env=environment)
        assert done.returncode == 0, done.stderr
        assert "accuracy" in done.stdout and f"the model is in {folder}" in done.stdout
        assert f"published: {hub.url}/me/cnn" in done.stdout
        yield folder, hub, environment


@pytest.fixture
def trained(published) -> Path:
    return published[0]


def test_the_folder_is_a_model(trained):
    results = json.loads((trained / "results.json").read_text())
    data = load_images()
    accuracy = (load_victim(str(trained), classes=10).decide(data.images(0)) == data.labels).double().mean()
    assert results["accuracy"]["n"] == 359 and results["accuracy"]["value"] == pytest.approx(float(accuracy))
    assert results["accuracy"]["low"] < results["accuracy"]["value"] < results["accuracy"]["high"]
    manifest = json.loads((trained / "manifest.json").read_text())
    assert manifest["config"]["method"] == "natural" and set(manifest["fingerprint"]) == {"train", "test"}
    card = (trained / "README.md").read_text()
    assert "# SmallCnn for scikit-learn-digits, natural training" in card and "--max_steps 12" in card
    assert f"--output_dir {trained.name}" in card and str(trained.parent) not in card, (
        "where it lies is no one's concern"
    )
    assert f"value: {round(results['accuracy']['value'], 4)}" in card
    assert results["pgd@0.1"]["n"] == 100 and "| Robustness: PGD, within 0.1 |" in card, "it was published"
    assert {path.name for path in trained.iterdir() if path.is_dir()} == {"checkpoint-12"}


def test_the_same_command_again_is_finished_and_another_is_refused(trained, train_here):
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    again = train_here("--output_dir", trained, *TINY)
    assert again.returncode == 0 and "already finished" in again.stdout and "accuracy" in again.stdout
    other = train_here("--output_dir", trained, *TINY, "--weight_decay", "0.5")
    assert other.returncode == 2 and "weight_decay 0.01 there, 0.5 here" in other.stderr.splitlines()[-1]
    assert before == {path: path.stat().st_mtime_ns for path in trained.rglob("*")}


def test_what_is_published_later_is_judged_then(tmp_path, train_here, monkeypatch):
    monkeypatch.setattr(train_seq2seq, "push", lambda folder, name: name)
    folder = tmp_path / "net"
    assert train_here("--output_dir", folder, *TINY).returncode == 0
    before, weights = json.loads((folder / "results.json").read_text()), (folder / "model.safetensors").read_bytes()
    assert "pgd@0.1" not in before and "Robustness" not in (folder / "README.md").read_text()
    done = train_here("--output_dir", folder, *TINY, "--push_to_hub")
    assert done.returncode == 0 and "already finished" in done.stdout and "published: net" in done.stdout
    results = json.loads((folder / "results.json").read_text())
    assert results["pgd@0.1"]["n"] == 100 and before.items() <= results.items()
    assert "| Robustness: PGD, within 0.1 |" in (folder / "README.md").read_text()
    assert (folder / "model.safetensors").read_bytes() == weights
    written = (folder / "results.json").stat().st_mtime_ns
    assert train_here("--output_dir", folder, *TINY, "--push_to_hub").returncode == 0
    assert (folder / "results.json").stat().st_mtime_ns == written, "once"


def test_going_on_with_a_model(trained, tmp_path, train_here):
    done = train_here("--output_dir", tmp_path / "more", *TINY, "--model_name_or_path", trained, "--mirror", "true")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "more" / "manifest.json").read_text())
    assert manifest["fingerprint"]["model"] == load_victim(str(trained)).fingerprint()
    old, new = (load_file(folder / "model.safetensors") for folder in (trained, tmp_path / "more"))
    assert all(not torch.equal(old[name], new[name]) for name in old), "everything was learnt further"


def test_killed_and_started_again(tmp_path, train_here):
    """`kill -9` in the middle, then the same command: the weights of an uninterrupted run, bit by bit."""
    folder = tmp_path / "cut"
    options = [*TINY, "--max_steps", "160", "--shift", "1"]
    process = forked.start("train_classifier.py", "--output_dir", folder, *options, env=CPU)
    deadline = time.monotonic() + 200
    while not list(folder.glob("checkpoint-*/state.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    (folder / "results.json").unlink(missing_ok=True)  # it may have been quicker than we
    done = train_here("--output_dir", folder, *options)
    assert done.returncode == 0, done.stderr
    whole = train_here("--output_dir", tmp_path / "whole", *options)
    assert whole.returncode == 0, whole.stderr
    for file in ("model.safetensors", "config.json"):
        assert filecmp.cmp(folder / file, tmp_path / "whole" / file, shallow=False)
    cut, once = (json.loads((one / "results.json").read_text()) for one in (folder, tmp_path / "whole"))
    for told in (cut, once):
        assert 0 < told.pop("seconds") < 300 and 0 < told.pop("cpu_seconds") < 300 and 0 < told.pop("ten_epochs") < 3000
    assert cut == once


def test_published_and_loaded_back_bit_equal(published, tmp_path):
    """Another process loads the model by its id."""
    trained, hub, environment = published
    load = "import sys; from visionadv.loading import load_classifier; m = load_classifier('me/cnn'); "
    load += "m.save_pretrained(sys.argv[1])"
    loaded = forked.run("-c", load, tmp_path / "loaded", env=environment)
    assert loaded.returncode == 0, loaded.stderr
    files = hub.files("models/me/cnn")
    weights = [load_file(folder / "model.safetensors") for folder in (trained, tmp_path / "loaded")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert files["README.md"] == (trained / "README.md").read_bytes()
    assert "manifest.json" not in files and not any("checkpoint" in path for path in files)


def test_both_nets_of_a_method_are_published(tmp_path):
    """AdvProp's net for adversarial images is a model of its own; both are judged within the distance of its attack."""
    options = ["--method", "advprop", *TINY[:-2], "--method_options", "eps=0.12", "--model", "resnet"]
    options += ["--max_steps", "1", "--output_dir", tmp_path / "net", "--push_to_hub", "--hub_model_id", "me/net"]
    with LocalHub() as hub:
        done = forked.run("train_classifier.py", *options, env=CPU | hub.environment(tmp_path / "home"))
        assert done.returncode == 0, done.stderr
        for name, folder in (("net", tmp_path / "net"), ("net-adversarial", tmp_path / "net" / "adversarial")):
            assert f"published: {hub.url}/me/{name}\n" in done.stdout
            files = hub.files(f"models/me/{name}")
            assert files["model.safetensors"] == (folder / "model.safetensors").read_bytes()
            assert sorted(files) == ["README.md", "config.json", "model.safetensors", "results.json"]
            assert b"| Robustness: PGD, within 0.12 |" in files["README.md"]


def test_tensorboard_gets_the_scores_too(tmp_path, train_here):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    judged = ["--robustness_samples", "8", "--judges", "pgd", "--test_eps", "0.1", "--report_to", "tensorboard"]
    done = train_here("--max_steps", "4", "--logging_steps", "2", *judged, "--output_dir", "run")
    assert done.returncode == 0, done.stderr
    events = EventAccumulator(str(next((tmp_path / "run").rglob("events.*")).parent)).Reload()
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    for name in ("accuracy", "pgd@0.1"):
        assert [one.value for one in events.Scalars(name)] == pytest.approx([results[name]["value"]]), name
    assert [one.step for one in events.Scalars("loss")] == [2, 4]


@pytest.mark.slow
def test_two_processes(tmp_path, train_here):
    """They share each batch, and end like one that has it whole, but for the order of sums."""
    alone, together = tmp_path / "alone", tmp_path / "together"
    options = [*TINY, "--shift", "1"]
    assert train_here("--output_dir", alone, *options).returncode == 0
    options += ["--output_dir", str(together), "--per_device_train_batch_size", "8"]
    for done in forked.together(2, "train_classifier.py", *options, env=CPU):
        assert done.returncode == 0, done.stderr
    assert json.loads((together / "manifest.json").read_text())["num_processes"] == 2
    weights = [load_file(folder / "model.safetensors") for folder in (alone, together)]
    assert all(torch.allclose(weights[0][name], weights[1][name], atol=1e-4) for name in weights[0])


def test_the_embedded_model_is_of_the_command_that_its_card_tells():
    card = (Path(EMBEDDED) / "README.md").read_text()
    assert "python scripts/train_classifier.py\n" in card and "Accuracy | 98.33%" in card


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--split", "train"], "is what is learnt from"),
        (["--split", "dev"], "no split 'dev' in scikit-learn's digits"),
        (["--model", "lenet"], "there is no model 'lenet'; there are small_cnn"),
        (["--judges", "transfer", "--robustness_samples", "8"], "the judge transfer needs a surrogate"),
        (["--model", "cnn7"], "at least 16 high and wide, not (1, 8, 8)"),
        (["--dataset_name", "./nowhere"], "./nowhere is no folder"),
        (["--model_name_or_path", "./nowhere"], "is no folder with a config.json"),
        (["--shift", "-1"], "--shift must be at least 0"),
        (["--max_samples", "0"], "zero samples"),
    ],
)
def test_mistakes_get_one_line(options, told, train_here):
    done = train_here(*options)
    assert done.returncode == 2 and told in done.stderr.splitlines()[-1]


def test_an_unknown_method_is_told_in_one_line_with_the_list(train_here):
    done = train_here("--method", "magic")
    [told] = done.stderr.splitlines()
    assert done.returncode == 2 and "invalid choice: 'magic' (choose from" in told and "robmask" in told


def test_the_sizes_of_a_model_to_go_on_with_must_fit(tmp_path, train_here):
    from visionadv.models import model_named

    model_named("perceptron", shape=(1, 4, 4), classes=3).save_pretrained(tmp_path)
    done = train_here("--model_name_or_path", tmp_path)
    assert (
        done.returncode == 2 and "knows 3 classes, and the data have (1, 8, 8) and 10" in done.stderr.splitlines()[-1]
    )
