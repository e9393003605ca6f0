"""Train gradient-boosted decision trees (LightGBM), a victim that has no gradients.

Scikit-learn's digits, offline, in seconds; then the trees of Cheng's dissertation (2.5.0.5), on MNIST and on HIGGS:

    python scripts/train_trees.py
    python scripts/train_trees.py --dataset_name ylecun/mnist --num_leaves 100 --output_dir runs/mnist-trees
    python scripts/train_trees.py --dataset_name FOLDER --num_trees 255 --num_leaves 500 --output_dir runs/higgs-trees

The folder (--output_dir) holds model.txt, LightGBM's own format, which attack_images.py takes as --model_name_or_path,
and results.json (accuracy on the test split, and with two classes the area under the ROC curve). It needs LightGBM:
pip install -e ".[trees]".

LightGBM gives zeros a bin of their own, whose upper end is 1e-35, so that a black pixel of 1e-34 is no longer black to
its trees. So they learn values that are moved by one, none of which is zero, and their thresholds are moved back.
"""

import re
import time
from dataclasses import dataclass, field
from importlib.util import find_spec

from _estimates import estimate, estimate_auc, print_table
from _run import RunError, launch, writable_folder, write_bytes, write_json

from visionadv.configs import BadInput, DataConfig

MOST_LEAVES = 131072  # LightGBM's limit


@dataclass(frozen=True)
class TreesConfig:
    """What is trained."""

    output_dir: str | None = field(default=None, metadata={"help": "folder; default: runs/train_trees"})
    train_split: str = field(default="train", metadata={"help": "split that is learnt"})
    num_trees: int = field(default=100, metadata={"help": "trees of each class"})
    num_leaves: int = field(default=31, metadata={"help": "of a tree, at most"})
    learning_rate: float = field(default=0.1, metadata={"help": "shrinkage of each tree"})
    max_train_samples: int | None = field(default=None, metadata={"help": "learn the first so many; default: all"})
    seed: int = field(default=0, metadata={"help": "seed of LightGBM"})

    def __post_init__(self) -> None:
        if self.num_trees < 1 or not 2 <= self.num_leaves <= MOST_LEAVES:
            raise RunError(f"--num_trees must be at least 1, and --num_leaves from 2 to {MOST_LEAVES}")
        if self.seed >= 2**31:
            raise RunError(f"--seed of LightGBM must be below 2**31, not {self.seed}")
        if not self.learning_rate > 0:
            raise RunError(f"--learning_rate must be above 0, not {self.learning_rate}")


def main(config: TreesConfig, source: DataConfig) -> None:
    """Trains, and writes the folder."""
    if find_spec("lightgbm") is None:
        raise RunError('trees need LightGBM: pip install -e ".[trees]"')
    import lightgbm
    import numpy as np

    from visionadv.data import load_images

    if source.split == config.train_split:
        raise RunError(f"the split to score, {source.split!r}, is what is learnt from; give another --split")
    folder = writable_folder(config.output_dir)
    train = load_images(**source.options() | {"split": config.train_split, "max_samples": config.max_train_samples})
    test = load_images(**source.options())
    count = len(train.classes)
    options = {"objective": "binary"} if count == 2 else {"objective": "multiclass", "num_class": count}
    options |= {"num_leaves": config.num_leaves, "learning_rate": config.learning_rate, "seed": config.seed}
    options |= {"verbosity": -1, "deterministic": True, "force_row_wise": True}
    if train.labels.min() == train.labels.max():
        raise RunError(f"all images of {config.train_split!r} are of one class, so that there is nothing to learn")
    begin = time.perf_counter()
    rows = train.images(range(len(train))).flatten(1).double().numpy()
    try:
        booster = lightgbm.train(options, lightgbm.Dataset(rows + 1, train.labels.numpy()), config.num_trees)
    except lightgbm.basic.LightGBMError as error:
        raise RunError(f"LightGBM refuses: {error}") from error
    text = moved(booster.model_to_string(), -1)
    write_bytes(folder / "model.txt", text.encode())
    booster = lightgbm.Booster(model_str=text)
    told = np.asarray(booster.predict(test.images(range(len(test))).flatten(1).numpy()))
    decided = told > 0.5 if count == 2 else told.argmax(1)
    results = {"accuracy": estimate([bool(one) for one in decided == test.labels.numpy()])}
    if count == 2:
        results["auc"] = estimate_auc(test.labels.numpy(), told)
    write_json(folder / "results.json", results | {"seconds": time.perf_counter() - begin})
    print_table(results)
    print(f"the model is {folder / 'model.txt'}")


def moved(model: str, way: float) -> str:
    """LightGBM's text of a model, all thresholds moved; without the trees' lengths, which are others then."""

    def move(line: re.Match[str]) -> str:
        return "threshold=" + " ".join(repr(float(value) + way) for value in line[1].split())

    return re.sub("^threshold=(.*)$", move, re.sub("^tree_sizes=.*\n", "", model, flags=re.M), flags=re.M)


if __name__ == "__main__":
    launch(main, TreesConfig, DataConfig, mistakes=(BadInput,), description=__doc__)
