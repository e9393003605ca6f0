"""What a step of each method of training costs, in steps of natural training: all of them in turns, in one run.

    python scripts/benchmark_training.py
    python scripts/benchmark_training.py --benchmark_model resnet --image_shape 3 32 32 --methods adversarial sprout
    accelerate launch --mixed_precision bf16 scripts/benchmark_training.py --benchmark_model vgg16 --image_shape 3 32 32

Random images. Told are the time of a step over that of natural training and, for comparison, how many forward and
backward passes the method needs at least: a pass of the inner attack has no gradients of weights, and is cheaper. The
trainer's own overhead is natural training by it over a bare loop. Free training and SPROUT need gradients that natural
training doesn't, in the same pass; what those of the images cost is told, too.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from _run import launch

from visionadv.configs import METHODS, BadInput, TrainClassifierConfig

STEPS = {"adversarial": 10, "trades": 10, "cat": 10, "advprop": 7, "robmask": 7, "bilateral": 1}  # of inner attacks
PASSES = {  # forward and backward passes of a step of the weights, for k inner steps
    "adversarial": lambda k: k + 1,
    "trades": lambda k: k + 2,
    "bilateral": lambda k: k + 1,
    "cat": lambda k: k + 1,
    "advprop": lambda k: k + 2,
    "robmask": lambda k: k + 2,
    "stable": lambda k: 2,
    "free": lambda k: 1,
    "sprout": lambda k: 1,
}


@dataclass(frozen=True)
class BenchmarkArguments:
    """Which methods on which net, and how often."""

    methods: list[str] = field(
        default_factory=lambda: [name for name in METHODS if name not in ("bn_finetune", "distillation")],
        metadata={"help": "what is measured; natural always is"},
    )
    benchmark_model: str = field(default="cnn7_batch_norm", metadata={"help": "a name of visionadv/models"})
    image_shape: list[int] = field(default_factory=lambda: [1, 28, 28], metadata={"help": "channels, height, width"})
    batch: int = field(default=64, metadata={"help": "images in a step"})
    rounds: int = field(default=5, metadata={"help": "times that all are measured, in turns; the least counts"})
    steps: int = field(default=5, metadata={"help": "of each in a round"})

    def __post_init__(self) -> None:
        if unknown := sorted({*self.methods} - {*METHODS}):
            raise BadInput(f"there is no method {', '.join(unknown)}; there are {', '.join(METHODS)}")
        if min(self.batch, self.rounds, self.steps, *self.image_shape) < 1 or len(self.image_shape) != 3:
            raise BadInput("--batch, --rounds, --steps and the three of --image_shape must be at least 1")


def main(arguments: BenchmarkArguments) -> None:
    """Measures all in turns, and prints a line for each."""
    names = list(dict.fromkeys(["natural", *arguments.methods]))
    runs: dict[str, Any] = {"bare": bare(arguments), "both gradients": bare(arguments, of_images=True)}
    runs |= {name: trainer(arguments, name) for name in names}
    least = dict.fromkeys(runs, float("inf"))
    for round_number in range(arguments.rounds + 1):  # the first one warms up
        for name, step in runs.items():
            begun = clock()
            for _ in range(arguments.steps):
                step()
            if round_number:
                least[name] = min(least[name], (clock() - begun) / arguments.steps)
    natural, both = least["natural"], least["both gradients"] / least["bare"]
    print(f"natural: {1000 * natural:.1f} ms a step, {natural / least['bare']:.3f} of a bare loop", end="")
    print(f"; with gradients of the images, too, that takes {both:.2f} times as long")
    for name in names[1:]:
        passes = f", {PASSES[name](STEPS.get(name, 0))} passes" if name in PASSES else ""
        ratio = least[name] / natural
        over = f", {ratio / PASSES[name](STEPS.get(name, 0)):.2f} of them" if name in PASSES else ""
        print(f"{name}: {ratio:.2f} of natural{passes}{over}")


def clock() -> float:
    """Seconds: of this process's CPU time, or where there is a GPU of the wall, when it has done all."""
    import torch

    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def model_of(arguments: BenchmarkArguments) -> Any:
    """A new net, the same for all."""
    import torch

    from visionadv.models import model_named

    torch.manual_seed(0)
    return model_named(arguments.benchmark_model, shape=tuple(arguments.image_shape), classes=10)


def images_of(arguments: BenchmarkArguments) -> Any:
    """Random images."""
    import torch

    from visionadv.data import Images

    count, generator = 20 * arguments.batch, torch.Generator().manual_seed(0)
    shape = tuple(arguments.image_shape)
    values = torch.randint(256, (count, *shape), generator=generator, dtype=torch.uint8)
    labels = torch.randint(10, (count,), generator=generator)
    return Images(labels, [str(one) for one in range(10)], shape, lambda rows: values[list(rows)], fingerprint="")


def trainer(arguments: BenchmarkArguments, name: str) -> Any:
    """A step of the trainer by a method."""
    from accelerate import Accelerator

    from visionadv.training import method_named
    from visionadv.training.trainer import Training

    config = TrainClassifierConfig(per_device_train_batch_size=arguments.batch, max_steps=10**6, logging_steps=10**6)
    options = {"steps": STEPS[name]} if name in STEPS else {}
    method = method_named(name, **options)
    training = Training(
        model_of(arguments), method, config, accelerator=Accelerator(), data=images_of(arguments), seed=0
    )
    training.model.train()
    return training._step


def bare(arguments: BenchmarkArguments, of_images: bool = False) -> Any:
    """A step of torch's own, in which the images may have gradients as well as the weights."""
    import torch
    from accelerate import Accelerator

    accelerator, model, data = Accelerator(), model_of(arguments).train(), images_of(arguments)
    device = accelerator.device
    model.to(device, memory_format=getattr(model, "memory_format", torch.channels_last))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=device.type == "cuda")
    images, labels = (one[: arguments.batch].to(device) for one in (data.images(0), data.labels))

    def step() -> None:
        with accelerator.autocast():
            loss = torch.nn.functional.cross_entropy(model(images.detach().requires_grad_(of_images)), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


if __name__ == "__main__":
    launch(main, BenchmarkArguments, mistakes=(BadInput,), description=__doc__)
