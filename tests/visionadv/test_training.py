"""The trainer: against torch's own loop, its batches, its checkpoints, and what it costs."""

import json
import os
import subprocess
import sys
import time
from collections import Counter

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.nn.functional import cross_entropy
from trainings import SHAPE, data_of, training_of, weights

from visionadv import data as visionadv_data
from visionadv.configs import BadInput, TrainClassifierConfig
from visionadv.models import model_named
from visionadv.training import trainer
from visionadv.training.augmentation import mirrored, shifted
from visionadv.training.trainer import Training, channel_statistics, right
from visionadv.training.vicinity import Vicinity


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_natural_training_is_torchs_own_loop(optimizer):
    options = {"weight_decay": 0.1, "learning_rate": 0.05, "optimizer": optimizer, "warmup_steps": 4}
    training, data = training_of(**options), data_of()
    torch.manual_seed(0)
    model = model_named("perceptron", shape=SHAPE, classes=3, hidden=[8]).double()
    biases = [one for one in model.parameters() if one.ndim == 1]
    groups = [{"params": [one for one in model.parameters() if one.ndim == 2]}, {"params": biases, "weight_decay": 0.0}]
    kind = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[optimizer]
    more = {"sgd": {"momentum": 0.9, "nesterov": True}, "adamw": {}}[optimizer]
    own = kind(groups, lr=0.05, weight_decay=0.1, **more)
    falls = torch.optim.lr_scheduler.CosineAnnealingLR(own, 16)
    for step in range(20):
        rows = training.batch(step).rows
        if step < 4:
            for group in own.param_groups:
                group["lr"] = 0.05 * (step + 1) / 4
        own.zero_grad()
        cross_entropy(model(data.values[rows].double() / 255), data.labels[rows]).backward()
        own.step()
        if step >= 4:
            falls.step()
    trained = training.run(None)
    assert torch.allclose(weights(trained), weights(model), atol=1e-9)


def test_an_epoch_has_every_image_once():
    training, data = training_of(num_train_epochs=4, max_steps=-1), data_of()
    assert training.steps == 25
    rows = torch.cat([training.batch(step).rows for step in range(25)])
    assert [Counter(rows[k * 50 : (k + 1) * 50].tolist()) for k in range(4)] == [Counter(range(50))] * 4
    assert rows[:50].tolist() != rows[50:100].tolist()
    other = training_of(seed=4)
    assert other.batch(0).rows.tolist() != rows[:8].tolist()
    batch = training.batch(3)
    assert torch.equal(batch.images, data.values[batch.rows].double() / 255)
    assert torch.equal(batch.labels, data.labels[batch.rows])
    assert torch.equal(batch.seeds, training.seeds[batch.rows]) and torch.equal(batch.host_seeds, batch.seeds)


class Repeated(Vicinity):
    """Learns three times from a batch, with a state that moves with each step and a parameter of its own."""

    repeats = 3

    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(50))
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def inputs(self, model, batch):
        return self.scale * batch.images

    def after(self, model, batch):
        self.seen.index_add_(0, batch.rows, torch.ones(len(batch.rows)))
        with torch.no_grad():
            self.scale -= 0.01 * self.scale.grad


def test_a_vicinity_may_repeat_a_batch_and_has_a_state():
    training = training_of(Repeated(), num_train_epochs=1, max_steps=-1)
    batches = [training.batch(step) for step in range(6)]
    assert [one.repeat for one in batches] == [0, 1, 2, 0, 1, 2]
    assert torch.equal(batches[0].rows, batches[2].rows) and not torch.equal(batches[2].rows, batches[3].rows)
    training.run(None)
    assert training.steps == 21 and training.vicinity.seen.sum() == 21 * 8
    assert training.vicinity.scale != 1


def test_interrupted_training_ends_like_an_uninterrupted_one(tmp_path):
    """Weights, AdamW's moments, the vicinity's state and dropout's random numbers come back."""

    def begun(dropout=0.5):
        training = training_of(Repeated(), save_steps=5)
        model = training.accelerator.unwrap_model(training.model)
        model.features.append(nn.Dropout(dropout))
        return training

    whole = begun()
    expected = weights(whole.run(tmp_path / "whole"))

    class Killed(Exception):
        pass

    def kill(step, told):
        if step == 13:
            raise Killed

    with pytest.raises(Killed):
        begun().run(tmp_path / "cut", kill)
    assert [path.name for path in (tmp_path / "cut").iterdir()] == ["checkpoint-10"]
    assert not list((tmp_path / "cut").glob("*/custom_checkpoint*")), "the method's state is no pickle"
    (tmp_path / "cut" / "checkpoint-15").mkdir()  # torn: its state was never written
    torch.manual_seed(99)
    steps = []
    again = begun()
    assert torch.equal(weights(again.run(tmp_path / "cut", lambda step, told: steps.append(step))), expected)
    assert torch.equal(again.vicinity.seen, whole.vicinity.seen) and torch.equal(
        again.vicinity.scale, whole.vicinity.scale
    )
    assert steps == list(range(11, 21))


def test_what_the_memory_does_not_hold_is_read_ahead(monkeypatch):
    """The same weights from a disk as from memory, each batch read once, however often it is repeated."""
    expected = weights(training_of(Repeated(), shift=1).run(None))
    monkeypatch.setattr(visionadv_data, "HELD", 20 * 36)
    monkeypatch.setattr(trainer, "MEASURED", 10)
    data, read = data_of(), []
    inner = data._read
    data._read = lambda rows: read.append([*rows]) or inner(rows)
    training = training_of(Repeated(), data=data, shift=1)
    assert not data.held and torch.equal(weights(training.run(None)), expected)
    assert sorted(read) == sorted(training._rows(number).tolist() for number in range(7))
    assert "values" not in vars(data)
    mean, std = channel_statistics(data)
    some = data.images(range(0, 50, 5))
    assert mean == [pytest.approx(float(some.mean()), abs=1e-4)]
    assert std == [pytest.approx(float(some.std(correction=0)), abs=1e-4)]

    def broken(rows):
        raise BadInput("image 7 can't be read")

    data._read = broken
    with pytest.raises(BadInput, match="image 7 can't be read"):
        training_of(data=data).run(None)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"step": 5, "processes": 2}, "checkpoint-5 is of 2 processes, and now there are 1; go on with as many"),
        ({"step": 5, "processes": 1}, "checkpoint-5 is of another method, net or data set"),
        ({"step": 5, "method": "Gaussian"}, "checkpoint-5 is of the method Gaussian, and not Repeated"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused(changed, told, tmp_path):
    training_of(max_steps=5).run(tmp_path)
    (tmp_path / "checkpoint-5" / "state.json").write_text(json.dumps(changed))
    with pytest.raises(BadInput, match=told):
        training_of(Repeated()).run(tmp_path)


def test_what_has_nothing_to_do_with_the_checkpoint_is_not_told_of_it(tmp_path, monkeypatch):
    training_of(max_steps=5).run(tmp_path)
    again = training_of(max_steps=5)

    def fails(folder):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(again.accelerator, "load_state", fails)
    with pytest.raises(RuntimeError, match="out of memory"):
        again.run(tmp_path)


def test_one_class_is_nothing_to_learn():
    with pytest.raises(BadInput, match="all images are of one class"):
        training_of(data=data_of(classes=1))


SEVERAL = """
import sys
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from trainings import data_of, normalised
from visionadv.configs import TrainClassifierConfig
from visionadv.training import method_named
from visionadv.training.trainer import Training


def training(name, save_steps=5):
    torch.manual_seed(0)
    config = TrainClassifierConfig(per_device_train_batch_size=4, max_steps=20, logging_steps=1, save_steps=save_steps)
    apart = DistributedDataParallelKwargs(broadcast_buffers=False)
    accelerator = Accelerator(kwargs_handlers=[apart])
    data, method = data_of(), method_named(name, eps=0.1)
    return Training(normalised(data).double(), method, config, accelerator=accelerator, data=data, seed=3)


def kill(step, told):
    if step == 13:
        raise KeyboardInterrupt


for name in ("cat", "robmask", "adversarial"):
    folder = Path(sys.argv[1]) / name
    whole = training(name)
    expected = whole.run(folder / "whole").state_dict()
    try:
        training(name).run(folder / "cut", kill)
    except KeyboardInterrupt:
        pass
    torch.manual_seed(99)
    again = training(name)
    found = again.run(folder / "cut").state_dict()
    assert all(torch.equal(found[key], expected[key]) for key in expected), name
    assert all(map(torch.equal, again.vicinity.buffers(), whole.vicinity.buffers())), name
    assert whole.accelerator.num_processes == 2
    seldom = training(name, save_steps=20).run(folder / "seldom").state_dict()
    assert all(torch.equal(seldom[key], expected[key]) for key in expected), "whenever it is saved"
    print(name, "resumes")
"""


@pytest.mark.slow
def test_several_processes_resume_too(tmp_path):
    (tmp_path / "several.py").write_text(SEVERAL)
    launcher = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    done = subprocess.run(
        [*launcher, "--main_process_port", "0", str(tmp_path / "several.py"), str(tmp_path)],
        env=os.environ
        | {"PYTHONPATH": os.pathsep.join(sys.path), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0 and done.stdout.count("resumes") == 6, done.stderr


def test_a_loss_that_is_no_number_ends_the_training():
    class Broken(Vicinity):
        def loss(self, model, batch):
            return super().loss(model, batch) * torch.nan

    with pytest.raises(BadInput, match="the loss is nan after 1 steps; lower --learning_rate"):
        training_of(Broken()).run(None)


def test_what_is_told_of_steps():
    told = {}
    training_of(logging_steps=8, lr_scheduler_type="linear", learning_rate=0.1).run(
        None, lambda step, one: told.update({step: one} if one else {})
    )
    assert list(told) == [8, 16, 20], "the last one, too"
    assert told[16]["learning_rate"] == pytest.approx(0.1 * 5 / 20) and told[20]["loss"] > 0


def test_shifts_are_uniform_and_bring_in_zeros():
    images = torch.rand(2000, 2, 4, 5) + 1
    seeds = torch.arange(2000) * 7919
    moved = shifted(images, seeds, 3, 1)
    found = Counter()
    padded = nn.functional.pad(images, [1] * 4)
    views = {(y, x): padded[:, :, y : y + 4, x : x + 5] for y in range(3) for x in range(3)}
    for where, view in views.items():
        found[where] = int((view == moved).flatten(1).all(1).sum())
    assert sum(found.values()) == 2000 and all(170 < count < 275 for count in found.values())
    assert torch.equal(shifted(images[5:9], seeds[5:9], 3, 1), moved[5:9]), "whatever the batch"
    assert torch.equal(shifted(images, seeds, 3, 0), images)
    turned = mirrored(images, seeds, 3)
    same = (turned == images).flatten(1).all(1)
    assert torch.equal(turned[~same], images[~same].flip(3)) and 900 < same.sum() < 1100


def test_statistics_of_channels_and_accuracy():
    data = data_of(700, shape=(2, 5, 4))
    mean, std = channel_statistics(data)
    values = data.values.double() / 255
    assert mean == pytest.approx(values.mean((0, 2, 3)).tolist(), abs=1e-4)
    assert std == pytest.approx(values.std((0, 2, 3)).tolist(), abs=1e-4)
    model = model_named("perceptron", shape=(2, 5, 4), classes=3).eval()
    expected = model(data.images(0)).argmax(1) == data.labels
    assert right(model, data, "cpu") == expected.tolist()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"per_device_train_batch_size": 0}, "per_device_train_batch_size must be at least 1"),
        ({"shift": -1}, "shift must be at least 0"),
        ({"learning_rate": 0}, "learning_rate must be positive"),
        ({"num_train_epochs": 0}, "num_train_epochs must be positive"),
    ],
)
def test_mistakes(options, told):
    with pytest.raises(BadInput, match=told):
        TrainClassifierConfig(**options)


@pytest.mark.slow
def test_a_step_costs_little_more_than_the_models_own(tmp_path):
    """Our trainer, transformers' Trainer and a bare loop on one CNN; `pytest -m slow -k costs -s` tells the figures."""
    from transformers import Trainer, TrainingArguments

    batch, data = 64, data_of(1500, shape=(1, 8, 8), classes=6)
    images, labels = data.images(0)[:batch], data.labels[:batch]
    rows = [{"images": image, "labels": int(label)} for image, label in zip(data.images(0), data.labels, strict=True)]

    def bare(steps):
        model = model_named("small_cnn", classes=6)
        model.to(memory_format=model.memory_format)
        own = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for _ in range(steps):
            cross_entropy(model(images), labels).backward()
            own.step()
            own.zero_grad()

    def ours(steps):
        config = TrainClassifierConfig(max_steps=steps, per_device_train_batch_size=batch, save_steps=10**6)
        model = model_named("small_cnn", classes=6)
        Training(model, Vicinity(), config, accelerator=Accelerator(cpu=True), data=data, seed=0).run(None)

    class Theirs(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            return cross_entropy(model(inputs["images"]), inputs["labels"])

    def theirs(steps):
        options = {"report_to": "none", "save_strategy": "no", "disable_tqdm": True, "remove_unused_columns": False}
        made = TrainingArguments(
            output_dir=str(tmp_path), max_steps=steps, per_device_train_batch_size=batch, use_cpu=True, **options
        )
        model = model_named("small_cnn", classes=6)
        Theirs(model=model.to(memory_format=model.memory_format), args=made, train_dataset=rows).train()

    def seconds(one, steps):
        begin = time.process_time()
        one(steps)
        return time.process_time() - begin

    found = {}
    for _ in range(7):  # the least of several, in turns; what comes before the first step falls out
        for one in (bare, ours, theirs):
            for steps in (10, 110):
                found[one, steps] = min(found.get((one, steps), 9e9), seconds(one, steps))
    cost = [10 * (found[one, 110] - found[one, 10]) for one in (bare, ours, theirs)]
    print("ms a step: bare {:.2f}, ours {:.2f}, the Trainer's {:.2f}".format(*cost))
    assert cost[1] < 1.1 * cost[0]
