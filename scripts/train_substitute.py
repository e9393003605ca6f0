"""Teach a model by a victim's decisions (Papernot et al., 2017), to attack it in the victim's place.

The embedded victim and 100 of scikit-learn's digits, offline, in seconds; then the transfer attack:

    python scripts/train_substitute.py --output_dir runs/substitute
    accelerate launch scripts/attack_images.py --surrogate_name_or_path runs/substitute

Any victim of images that attack_images.py takes, LightGBM's too, and any net of visionadv/models:

    python scripts/train_substitute.py --model_name_or_path runs/mnist --dataset_name ylecun/mnist --model cnn7 \\
        --seed_samples 150 --output_dir runs/mnist-substitute

The victim is shown --seed_samples images of --split, which should not be those that are attacked later, and what is
made of them. The folder holds the model, and results.json: `queries`, and how often the two agree on other images.
"""

from dataclasses import dataclass, field
from typing import Any

from _estimates import estimate, print_table
from _run import RunError, launch, writable_folder, write_json

from visionadv.configs import BadInput, DataConfig, VictimConfig


@dataclass(frozen=True)
class SubstituteArguments:
    """What is taught, and how; the defaults are the paper's."""

    output_dir: str | None = field(default=None, metadata={"help": "folder; default: runs/train_substitute"})
    model: str = field(default="small_cnn", metadata={"help": "the net that learns: a name of visionadv/models"})
    train_split: str = field(default="train", metadata={"help": "split of the images that the attacker has"})
    seed_samples: int = field(default=100, metadata={"help": "the first so many of them"})
    rounds: int = field(default=7, metadata={"help": "rounds of learning; between them images get companions"})
    epochs: int = field(default=10, metadata={"help": "passes over what was shown so far, in each round"})
    step_size: float = field(default=0.1, metadata={"help": "lambda: how far a companion lies away"})
    learning_rate: float = field(default=1e-3, metadata={"help": "of Adam"})
    max_eval_samples: int = field(default=1000, metadata={"help": "images of --split on which the two are compared"})
    seed: int = field(default=0, metadata={"help": "seed of weights and orders"})

    def __post_init__(self) -> None:
        if min(self.seed_samples, self.rounds, self.epochs, self.max_eval_samples) < 1:
            raise RunError("--seed_samples, --rounds, --epochs and --max_eval_samples must be at least 1")
        if not (self.step_size > 0 and self.learning_rate > 0):
            raise RunError("--step_size and --learning_rate must be positive")


def main(arguments: SubstituteArguments, named: VictimConfig, source: DataConfig) -> None:
    """Teaches, and writes the folder."""
    import torch
    from accelerate import Accelerator

    from visionadv.data import load_images
    from visionadv.loading import load_victim
    from visionadv.models import model_named
    from visionadv.substitute import Substitution
    from visionadv.training.trainer import channel_statistics

    if source.split == arguments.train_split:
        raise BadInput(f"the attacker's images are those of {source.split!r}, too; give another --split")
    folder, device = writable_folder(arguments.output_dir), Accelerator().device
    own = load_images(**source.options(split=arguments.train_split, max_samples=arguments.seed_samples))
    others = load_images(**source.options(max_samples=arguments.max_eval_samples))
    if len(own.shape) != 3:
        raise BadInput(f"{source.dataset_name} has rows of numbers, and no net here takes these; give images")
    if len(own.labels.unique()) == 1:
        told = f"the first {len(own)} images of {arguments.train_split!r} are of one class, as image folders have them"
        raise BadInput(f"{told}; give more --seed_samples, or shuffled data")
    fit: dict[str, Any] = {"classes": len(own.classes), "shape": own.shape}
    victim = load_victim(named.model_name_or_path, **fit, randomized=named.randomized)
    torch.manual_seed(arguments.seed)
    mean, std = channel_statistics(own)
    model: Any = model_named(
        arguments.model, shape=own.shape, classes=len(own.classes), mean=mean, std=std, labels=own.classes
    ).to(device)
    settings = Substitution(
        rounds=arguments.rounds,
        epochs=arguments.epochs,
        step_size=arguments.step_size,
        learning_rate=arguments.learning_rate,
    )
    shown, _ = settings.fit(model, victim.to(device), own.images(range(len(own))).to(device), seed=arguments.seed)
    results = {"agreement": estimate(agreements(model, victim.to(device), others, device))}
    model.cpu().save_pretrained(folder)
    write_json(folder / "results.json", results | {"queries": len(shown)})
    print_table(results)
    print(f"the victim was shown {len(shown)} images; the substitute is in {folder}")


def agreements(model: Any, victim: Any, data: Any, device: Any) -> list[bool]:
    """Whether the substitute says of each image what the victim says."""
    import torch

    found = []
    for start in range(0, len(data), 256):
        images = data.images(range(start, min(start + 256, len(data)))).to(device)
        with torch.no_grad():
            found += (model(images).argmax(1) == victim.decide(images)).tolist()
    return found


if __name__ == "__main__":
    launch(main, SubstituteArguments, VictimConfig, DataConfig, mistakes=(BadInput,), description=__doc__)
