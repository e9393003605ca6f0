"""One trainer for all methods: batches in an order of the seed's, steps, checkpoints that are gone on from.

It uses Accelerate directly. transformers' Trainer reads examples one by one and does more in a step than a small CNN
needs; README.md tells what that costs. The images lie in memory as bytes, and a batch is cut out of them at once; where
they are too many for that, threads read the next batches from the disk while a step is made, and decode them. Where no
loss is to be scaled, torch's own backward pass and optimizer are called, for Accelerate's look for packages on the
disk in every step.
"""

from __future__ import annotations

import json
import math
import random
import re
import shutil
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from accelerate import DistributedType
from torch import Tensor

from visionadv.configs import BadInput, TrainClassifierConfig
from visionadv.data import Images
from visionadv.noise import example_seeds
from visionadv.training.ahead import Ahead
from visionadv.training.augmentation import mirrored, shifted
from visionadv.training.processes import share_statistics
from visionadv.training.vicinity import Batch, Vicinity

SCORED_AT_ONCE = 512  # images
MEASURED = 10_000  # images, for the statistics of channels, of more than memory holds
BARE = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)
STATE = "state.json"  # written last: without it a checkpoint isn't whole


class Training:
    """A training in progress.

    Args:
        model: takes images in [0, 1], (B, C, H, W), and says logits.
        vicinity: the method.
        accelerator: it has device, precision and processes.
        data: what is learnt from.
        seed: of the order of the images and of all `noise`; dropout takes torch's global generator.

    Raises:
        BadInput: the method can't train this model, or not in this precision; or there is only one class.
    """

    def __init__(
        self,
        model: Any,
        vicinity: Vicinity,
        config: TrainClassifierConfig,
        *,
        accelerator: Any,
        data: Images,
        seed: int,
    ) -> None:
        self.config, self.accelerator, self.seed, self.step = config, accelerator, seed, 0
        shape = (config.per_device_train_batch_size, *data.shape)
        if len(data.classes) < 2:
            raise BadInput("all images are of one class, so that there is nothing to learn; give data of at least two")
        if accelerator.mixed_precision == "fp16" and vicinity.own_gradients:
            raise BadInput("the method takes gradients of its own, which fp16 would scale; use bf16")
        vicinity.begin(model, count=len(data), classes=len(data.classes), shape=shape)
        model.to(memory_format=getattr(model, "memory_format", torch.channels_last))
        self.model, self.optimizer = accelerator.prepare(model, _optimizer(model, config, accelerator.device))
        self.vicinity = vicinity.to(accelerator.device)
        self._bare = accelerator.scaler is None and accelerator.distributed_type in BARE
        self._ahead: Ahead | None = None
        if not data.held:
            batches = math.ceil(self.steps / vicinity.repeats)
            self._ahead = Ahead(self._rows, data.raw, batches, share=accelerator.num_processes)
        else:
            self.values = data.values.to(accelerator.device)
        self.labels, self.full = data.labels.to(accelerator.device), data.full
        self.host_seeds = example_seeds(seed, range(len(data)))
        self.seeds = self.host_seeds.to(accelerator.device)
        self.common = example_seeds(seed, [len(data)]).to(accelerator.device)
        self.dtype = next(model.parameters()).dtype
        self._spent, self._since = (0.0, 0.0), _clocks()

    @property
    def cost(self) -> dict[str, float]:
        """Seconds, and seconds of this process's CPU time, that the training took so far, up to each interruption.

        And those of ten epochs, each of them as many batches as hold all images, however often they are repeated: on a
        CPU its own time, since others may be at work there, elsewhere that of the wall.
        """
        told = (before + now - since for before, now, since in zip(self._spent, _clocks(), self._since, strict=True))
        seconds = dict(zip(("seconds", "cpu_seconds"), told, strict=True))
        epochs = self.step * self._batch / len(self.labels) / self.vicinity.repeats
        own = seconds["cpu_seconds" if self.accelerator.device.type == "cpu" else "seconds"]
        return seconds | {"ten_epochs": 10 * own / epochs if epochs else 0.0}

    @property
    def steps(self) -> int:
        """Of the whole training."""
        if self.config.max_steps > 0:
            return self.config.max_steps
        return math.ceil(self.config.num_train_epochs * len(self.labels) / self._batch) * self.vicinity.repeats

    @property
    def _method(self) -> str:
        """The method's name, for checkpoints."""
        return type(self.vicinity).__name__

    @property
    def _method_file(self) -> str:
        """Of a checkpoint: what the method knows in this process."""
        return f"method-{self.accelerator.process_index}.safetensors"

    @property
    def _batch(self) -> int:
        return self.config.per_device_train_batch_size * self.accelerator.num_processes

    def run(
        self, folder: Path | None, on_step: Callable[[int, dict[str, float]], None] = lambda step, told: None
    ) -> Any:
        """The model after all steps, from the last checkpoint in `folder` on; None keeps no checkpoints.

        Args:
            on_step: told the number of every step, and where it is due the loss and the learning rate.
        """
        if folder is not None:
            self._load(folder)
        self.model.train()
        self._since = _clocks()
        try:
            while self.step < self.steps:
                told = self._step()
                on_step(self.step, told)
                if folder is not None and (self.step % self.config.save_steps == 0 or self.step == self.steps):
                    self._save(folder)
        finally:
            if self._ahead:
                self._ahead.close()
        return self.accelerator.unwrap_model(self.model, keep_fp32_wrapper=False).eval()

    def batch(self, step: int) -> Batch:
        """This process's share of the images of a step.

        Each epoch has all images, in an order of its own. A batch may hold the end of one and the start of the next,
        and so the same image twice.
        """
        number, repeat = divmod(step, self.vicinity.repeats)
        host_rows = self._rows(number)
        rows = host_rows.to(self.accelerator.device)
        values = self._ahead.take(number).to(rows.device) if self._ahead else self.values[rows]
        images, seeds = values.to(self.dtype) / self.full, self.seeds[rows]
        images = shifted(images, seeds, number, self.config.shift)
        if self.config.mirror:
            images = mirrored(images, seeds, number)
        return Batch(images, self.labels[rows], rows, seeds, step, self.common, self.host_seeds[host_rows], repeat)

    def _rows(self, number: int) -> Tensor:
        """(B,) the images of this process's share of a batch, on the CPU."""
        share = self.config.per_device_train_batch_size
        first = number * self._batch + self.accelerator.process_index * share
        count, rows = len(self.labels), []
        while share:
            epoch, place = divmod(first, count)
            rows.append(_order(self.seed, epoch, count)[place : place + share])
            first, share = first + len(rows[-1]), share - len(rows[-1])
        return torch.cat(rows)

    def _step(self) -> dict[str, float]:
        batch, rate = self.batch(self.step), self.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self.accelerator.autocast():
            loss = self.vicinity.loss(self.model, batch)
        optimizer = self.optimizer
        if self._bare:
            loss.backward()
            optimizer = optimizer.optimizer
        else:
            self.accelerator.backward(loss)
        optimizer.step()
        self.vicinity.after(self.model, batch)
        if self.accelerator.num_processes > 1:
            share_statistics(self.model)  # inner attacks go by them
        optimizer.zero_grad()
        self.vicinity.zero_grad()
        self.step += 1
        if self.step % self.config.logging_steps and self.step < self.steps:
            return {}
        value = float(loss.detach())
        if not math.isfinite(value):
            raise BadInput(f"the loss is {value} after {self.step} steps; lower --learning_rate")
        return {"loss": value, "learning_rate": rate}

    def rate(self, step: int) -> float:
        """The learning rate: it rises to its highest in `warmup_steps`, and then falls to 0 if it is to."""
        if step < self.config.warmup_steps:
            return self.config.learning_rate * (step + 1) / self.config.warmup_steps
        gone = (step - self.config.warmup_steps) / max(1, self.steps - self.config.warmup_steps)
        left = {"constant": 1.0, "linear": 1 - gone, "cosine": (1 + math.cos(math.pi * gone)) / 2}
        return self.config.learning_rate * left[self.config.lr_scheduler_type]

    def _save(self, folder: Path) -> None:
        """A checkpoint of everything, whole or not at all; the one before goes."""
        part, name = folder / "checkpoint.part", f"checkpoint-{self.step}"
        if self.accelerator.is_main_process and part.exists():
            shutil.rmtree(part)
        self.accelerator.wait_for_everyone()
        self.accelerator.save_state(str(part))
        state = {name: one.detach().cpu().contiguous() for name, one in self.vicinity.state_dict().items()}
        (part / self._method_file).write_bytes(safetensors.torch.save(state))
        self.accelerator.wait_for_everyone()  # every process has put its own state there
        if self.accelerator.is_main_process:
            state = {"step": self.step, "processes": self.accelerator.num_processes, "method": self._method}
            (part / STATE).write_text(json.dumps(state | self.cost))
            shutil.rmtree(folder / name, ignore_errors=True)
            part.rename(folder / name)
            for old in folder.glob("checkpoint-*"):
                if old.name != name:
                    shutil.rmtree(old)
        self.accelerator.wait_for_everyone()

    def _load(self, folder: Path) -> None:
        """Goes back to the newest checkpoint, if there is one. Raises BadInput if another training has made it."""
        found = sorted(folder.glob(f"checkpoint-*/{STATE}"), key=lambda path: int(path.parent.name.split("-")[1]))
        if not found:
            return
        part, state = found[-1].parent, json.loads(found[-1].read_text())
        if state.get("method", self._method) != self._method:
            raise BadInput(f"{part} is of the method {state['method']}, and not {self._method}; give another folder")
        processes = state.get("processes", self.accelerator.num_processes)
        if processes != self.accelerator.num_processes:
            raise BadInput(
                f"{part} is of {processes} processes, and now there are {self.accelerator.num_processes}; go on with "
                "as many, since each has its share of a batch and a state of its own"
            )
        try:
            self.vicinity.load_state_dict(safetensors.torch.load((part / self._method_file).read_bytes()))
            self.accelerator.load_state(str(part))
        except (RuntimeError, ValueError) as error:
            if not re.search("state.?dict", str(error)):  # names or shapes, of a method, a net or its optimizer
                raise
            raise BadInput(f"{part} is of another method, net or data set; give another --output_dir") from error
        self.step, self._spent = state["step"], (state.get("seconds", 0.0), state.get("cpu_seconds", 0.0))


def _clocks() -> tuple[float, float]:
    """Of the wall, and of the CPU."""
    return time.perf_counter(), time.process_time()


def channel_statistics(data: Images) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of images in [0, 1], to four places.

    Of all images, or where memory doesn't hold them of `MEASURED`, at equal distances.
    """
    chosen = len(data) if data.held else min(MEASURED, len(data))
    count = chosen * math.prod(data.shape[1:])
    total = square = torch.zeros(data.shape[0], dtype=torch.float64)
    for rows in (torch.arange(chosen) * len(data) // chosen).split(SCORED_AT_ONCE):
        values = data.raw(rows).double() / data.full
        total, square = total + values.sum((0, 2, 3)), square + (values**2).sum((0, 2, 3))
    mean = total / count
    std = (square / count - mean**2).sqrt().clamp(min=1e-3)
    return [round(one, 4) for one in mean.tolist()], [round(one, 4) for one in std.tolist()]


@torch.no_grad()
def right(model: Any, data: Images, device: Any) -> list[bool]:
    """Whether each image is given its class."""
    found = []
    for start in range(0, len(data), SCORED_AT_ONCE):
        images: Tensor = data.images(start, start + SCORED_AT_ONCE).to(device)
        found += (model(images).argmax(1).cpu() == data.labels[start : start + SCORED_AT_ONCE]).tolist()
    return found


def _optimizer(model: Any, config: TrainClassifierConfig, device: torch.device) -> torch.optim.Optimizer:
    """Weights decay, but for biases and those of normalisation; what requires no gradient isn't learnt."""
    learnt = [one for one in model.parameters() if one.requires_grad]
    groups = [
        {"params": [one for one in learnt if one.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [one for one in learnt if one.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = device.type == "cuda" or None  # a small net's step there is mostly the starting of kernels
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=0.9, nesterov=True, fused=fused)
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=fused)


@lru_cache(4)
def _order(seed: int, epoch: int, count: int) -> Tensor:
    """(count,) a shuffled order of so many images."""
    order = list(range(count))
    random.Random(f"images:{seed}:{epoch}").shuffle(order)
    return torch.tensor(order)
