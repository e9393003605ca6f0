"""Compare the input gradients of two image classifiers: Table 5.9 of Cheng's dissertation.

    python scripts/compare_gradients.py --model_name_or_path runs/mixup --other_name_or_path runs/gaussian \\
        --dataset_name ylecun/mnist --max_samples 10000

The cosine of the gradients of the cross-entropy is averaged over the images: 1 where two nets are misled by the same
change, 0 where their gradients have nothing in common. The folder (--output_dir) gets results.json.
"""

from dataclasses import dataclass, field

from _estimates import estimate, print_table
from _run import launch, writable_folder, write_json

from visionadv.configs import BadInput, DataConfig

AT_ONCE = 256  # images


@dataclass(frozen=True)
class ComparedNets:
    """The two, and where their likeness is written."""

    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Hub id or folder; default: the embedded digits CNN"}
    )
    other_name_or_path: str | None = field(default=None, metadata={"help": "that of the other one"})
    max_samples: int | None = field(default=None, metadata={"help": "the first so many images; default: all"})
    output_dir: str | None = field(default=None, metadata={"help": "folder; default: runs/compare_gradients"})

    def __post_init__(self) -> None:
        if self.other_name_or_path is None:
            raise BadInput("--other_name_or_path is missing: the net to compare with")


def main(nets: ComparedNets, source: DataConfig) -> None:
    """Compares, and writes the folder."""
    from accelerate import PartialState

    from visionadv.data import load_images
    from visionadv.gradients import gradient_cosines
    from visionadv.loading import load_victim

    folder = writable_folder(nets.output_dir or "runs/compare_gradients")
    data = load_images(**source.options(max_samples=nets.max_samples))
    device, names = PartialState().device, (nets.model_name_or_path, nets.other_name_or_path)
    one, other = (load_victim(name, classes=len(data.classes), shape=data.shape) for name in names)
    for name, victim in zip(names, (one, other), strict=True):
        if not victim.differentiable:
            raise BadInput(f"{name} has no gradients to compare; give two nets")
    one, other, cosines = one.to(device), other.to(device), []
    for first in range(0, len(data), AT_ONCE):
        images = data.images(first, first + AT_ONCE).to(device)
        labels = data.labels[first : first + AT_ONCE].to(device)
        cosines += gradient_cosines(one, other, images, labels).tolist()
    results = {"cosine": estimate(cosines)}
    write_json(folder / "results.json", results)
    print_table(results)


if __name__ == "__main__":
    launch(main, ComparedNets, DataConfig, mistakes=(BadInput,), description=__doc__)
