"""Every option of the package as flat dataclasses. Standard library only, so that `--help` is quick."""

from dataclasses import dataclass, field
from typing import Literal


class BadInput(Exception):
    """A user's mistake. One line: what is wrong, and what would be right."""


@dataclass(frozen=True)
class VictimConfig:
    """The classifier under attack."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder, torchvision:NAME, or a LightGBM file; default: the embedded digits CNN"},
    )
    randomized: bool = field(default=False, metadata={"help": "the victim may answer differently each time"})


@dataclass(frozen=True)
class DataConfig:
    """The images: any image classification set of `datasets`."""

    dataset_name: str | None = field(
        default=None, metadata={"help": "Hub id or local path of the data set; default: scikit-learn's digits"}
    )
    dataset_config_name: str | None = field(default=None, metadata={"help": "configuration of the data set"})
    split: str = field(default="test", metadata={"help": "split that is attacked"})
    image_column: str | None = field(default=None, metadata={"help": "column of images; default: the one there is"})
    label_column: str | None = field(default=None, metadata={"help": "column of labels; default: the one there is"})


@dataclass(frozen=True)
class AttackConfig:
    """What attacks, and what it may."""

    attack: str = field(default="pgd", metadata={"help": "a file of visionadv/attacks"})
    attack_options: list[str] = field(
        default_factory=list,
        metadata={"help": "hyperparameters as name=value; those that aren't given are the paper's"},
    )
    goal: Literal["untargeted", "targeted", "random_target", "least_likely"] = field(
        default="untargeted", metadata={"help": "what counts as success: any wrong class, or a certain one"}
    )
    target: int | None = field(default=None, metadata={"help": "targeted: the class"})
    norm: Literal["l0", "l1", "l2", "linf"] | None = field(
        default=None, metadata={"help": "of the distance; default: the attack's first"}
    )
    eps: float | None = field(
        default=None,
        metadata={"help": "largest distance; default: the attack's, none for those that look for the smallest"},
    )
    budget: int | None = field(default=None, metadata={"help": "queries for each image; default: the attack's own end"})
    pool_split: str = field(
        default="train", metadata={"help": "decision attacks with a target begin at images of this split"}
    )

    def __post_init__(self) -> None:
        if self.eps is not None and not self.eps > 0:
            raise BadInput(f"--eps must be above 0, not {self.eps}")
        if self.norm == "linf" and self.eps is not None and self.eps > 1:
            raise BadInput(f"--eps {self.eps} of Linf is more than the whole range, 1; images are from 0 to 1")
        if self.budget is not None and self.budget < 1:
            raise BadInput(f"--budget {self.budget} doesn't even show the unchanged image; give at least 1")
        if self.goal == "targeted" and self.target is None:
            raise BadInput("--goal targeted needs --target, the number of a class; random_target draws one")
        if self.goal != "targeted" and self.target is not None:
            raise BadInput(f"--target is for --goal targeted, and the goal is {self.goal}")
        if wrong := [one for one in self.attack_options if "=" not in one]:
            raise BadInput(f"--attack_options are name=value, such as steps=100, not {wrong[0]!r}")
