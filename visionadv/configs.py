"""Every option of the package as flat dataclasses. Standard library only, so that `--help` is quick."""

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self, get_args

Method = Literal[
    "natural",
    "gaussian",
    "label_smoothing",
    "ls_ga",
    "mixup",
    "stable",
    "adversarial",
    "trades",
    "bilateral",
    "sprout",
    "free",
    "cat",
    "advprop",
    "robmask",
    "bn_finetune",
    "distillation",
]
METHODS: tuple[str, ...] = get_args(Method)
LINF_EPS, L2_EPS = 0.031, 0.5  # the first is 8/255, rounded as in the papers
JUDGES = (
    *("clean", "gradients", "rotation", "brightness", "contrast", "grayscale"),
    *("pgd", "pgd_long", "pgd_restarts", "margin", "square", "autoattack", "decision", "deepfool", "transfer"),
    *("carlini_wagner_l2", "autoattack_l2"),
)


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
class SurrogateConfig:
    """A classifier that is attacked in the victim's place."""

    surrogate_name_or_path: str | None = field(
        default=None,
        metadata={"help": "attack this one, and show the victim what comes of it: a transfer attack"},
    )


@dataclass(frozen=True)
class DataConfig:
    """The images: any image classification set of `datasets`."""

    dataset_name: str | None = field(
        default=None, metadata={"help": "Hub id or local path of the data set; default: scikit-learn's digits"}
    )
    dataset_config_name: str | None = field(default=None, metadata={"help": "configuration of the data set"})
    split: str = field(
        default="test", metadata={"help": "split that is attacked, in its order; image folders come class by class"}
    )
    image_column: str | None = field(default=None, metadata={"help": "column of images; default: the one there is"})
    label_column: str | None = field(default=None, metadata={"help": "column of labels; default: the one there is"})
    image_size: int | None = field(
        default=None,
        metadata={"help": "resize images to so many pixels, and cut them to a square; default: as they are"},
    )

    def __post_init__(self) -> None:
        if self.image_size is not None and self.image_size < 1:
            raise BadInput(f"--image_size must be at least 1, not {self.image_size}")

    def options(self, **changed: Any) -> dict[str, Any]:
        """What `data.load_images` takes, but for what is changed."""
        names = ("dataset_name", "split", "image_column", "label_column", "image_size")
        options = {name: getattr(self, name) for name in names}
        return options | {"config_name": self.dataset_config_name} | changed


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
    target: int | None = field(
        default=None, metadata={"help": "targeted: the number of the class, whose own images are left out"}
    )
    norm: Literal["l0", "l1", "l2", "linf"] | None = field(
        default=None, metadata={"help": "of the distance; default: the attack's first"}
    )
    eps: float | None = field(
        default=None,
        metadata={"help": "largest distance; default: the attack's, none for those that look for the smallest"},
    )
    budget: int | None = field(
        default=None, metadata={"help": "queries for each image; default: the attack's own, or its end"}
    )
    unclipped: bool = field(
        default=False,
        metadata={"help": "decision attacks: follow the distance before clipping, too, as OPT's authors report it"},
    )
    report_queries: list[int] = field(
        default_factory=list, metadata={"help": "numbers of queries at which results.json has the median distance"}
    )
    report_distance: float | None = field(
        default=None, metadata={"help": "and the share of images for which it is at most this"}
    )
    top_k: int | None = field(
        default=None, metadata={"help": "attacks by scores see those of so many classes; default: of all"}
    )
    pool_split: str = field(
        default="train", metadata={"help": "decision attacks with a target begin at images of this split"}
    )

    def __post_init__(self) -> None:
        if self.eps is not None and not 0 < self.eps < math.inf:
            raise BadInput(f"--eps must be above 0 and finite, not {self.eps}")
        if self.budget is not None and self.budget < 2:
            raise BadInput(f"--budget {self.budget} shows no more than the unchanged image, if that; give at least 2")
        if self.goal == "targeted" and self.target is None:
            raise BadInput("--goal targeted needs --target, the number of a class; random_target draws one")
        if self.target is not None and self.target < 0:
            raise BadInput(f"--target {self.target} is no class; they are numbered from 0 on")
        if self.goal != "targeted" and self.target is not None:
            raise BadInput(f"--target is for --goal targeted, and the goal is {self.goal}")
        if wrong := [one for one in self.report_queries if one < 1]:
            raise BadInput(f"--report_queries are numbers of queries, from 1 on, not {wrong[0]}")
        if self.report_distance is not None and not 0 <= self.report_distance < math.inf:
            raise BadInput(f"--report_distance must be at least 0 and finite, not {self.report_distance}")
        if wrong := [one for one in self.attack_options if "=" not in one]:
            raise BadInput(f"--attack_options are name=value, such as steps=100, not {wrong[0]!r}")


@dataclass(frozen=True)
class EvaluationConfig:
    """Who judges how robust a classifier is, within which distances, and how long."""

    judges: list[str] = field(
        default_factory=lambda: [
            *("clean", "gradients", "pgd", "pgd_long", "pgd_restarts", "margin", "square", "autoattack")
        ],
        metadata={
            "help": "clean, gradients; attacks within --test_eps (Linf): pgd, pgd_long, pgd_restarts, margin, square, "
            "autoattack, decision, deepfool, transfer; within --test_l2_eps: carlini_wagner_l2, autoattack_l2; "
            "after a change: rotation, brightness, contrast, grayscale"
        },
    )
    test_eps: list[float] = field(
        default_factory=list,
        metadata={"help": f"distances of Linf; default: {LINF_EPS}, or that of a training's own attack"},
    )
    test_l2_eps: list[float] = field(
        default_factory=list,
        metadata={"help": f"distances of L2; default: {L2_EPS}, or as there"},
    )
    pgd_steps: int = field(default=20, metadata={"help": "of pgd, margin and transfer"})
    pgd_step_size: float = field(
        default=0.2, metadata={"help": "of all that are called pgd, margin or transfer, in eps"}
    )
    long_steps: int = field(default=100, metadata={"help": "of pgd_long and pgd_restarts"})
    restarts: int = field(default=10, metadata={"help": "of pgd_restarts"})
    square_queries: int = field(default=5000, metadata={"help": "of square"})
    autoattack_queries: int = field(
        default=5000, metadata={"help": "of Square in autoattack and autoattack_l2; 5000 is the standard"}
    )
    decision_queries: int = field(default=1000, metadata={"help": "of decision: HopSkipJump in Linf"})

    def __post_init__(self) -> None:
        for name in ("pgd_steps", "long_steps", "restarts", "square_queries", "autoattack_queries", "decision_queries"):
            if getattr(self, name) < 1:
                raise BadInput(f"--{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.pgd_step_size < math.inf:
            raise BadInput(f"--pgd_step_size must be above 0 and finite, not {self.pgd_step_size}")
        if wrong := [eps for eps in self.test_eps if not 0 < eps <= 1]:
            raise BadInput(f"--test_eps are above 0 and at most 1, the range of images, not {wrong[0]}")
        if wrong := [eps for eps in self.test_l2_eps if not 0 < eps < math.inf]:
            raise BadInput(f"--test_l2_eps are above 0 and finite, not {wrong[0]}")
        if unknown := sorted({*self.judges} - {*JUDGES}):
            raise BadInput(f"there is no judge {', '.join(unknown)}; there are {', '.join(JUDGES)}")
        if not self.judges:
            raise BadInput(f"--judges are missing; there are {', '.join(JUDGES)}")

    def within(self, *, linf: float | None = None, l2: float | None = None) -> Self:
        """The same with distances, where none are given: these, or else the default."""
        test_eps, test_l2_eps = self.test_eps or [linf or LINF_EPS], self.test_l2_eps or [l2 or L2_EPS]
        return replace(self, test_eps=test_eps, test_l2_eps=test_l2_eps)


@dataclass(frozen=True)
class TrainClassifierConfig:
    """A classifier and its training. The defaults make the embedded one."""

    method: Method = field(default="natural", metadata={"help": "how it is trained"})
    train_eps: float | None = field(
        default=None, metadata={"help": "distance of the method's own attack; default: its paper's"}
    )
    method_options: list[str] = field(
        default_factory=list,
        metadata={"help": "hyperparameters as name=value; those that aren't given are the paper's"},
    )
    teacher_name_or_path: str | None = field(
        default=None,
        metadata={"help": "distillation: whose probabilities are learnt; without one a teacher is trained"},
    )
    model: str = field(default="small_cnn", metadata={"help": "a new net: a name of visionadv/models"})
    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "go on with this net in place of a new one: a folder of this script, or its Hub id"},
    )
    train_split: str = field(default="train", metadata={"help": "split that is learnt from"})
    num_train_epochs: float = field(default=30.0, metadata={"help": "passes over it"})
    max_steps: int = field(default=-1, metadata={"help": "stop after so many steps instead, if positive"})
    per_device_train_batch_size: int = field(default=64, metadata={"help": "images in a step on each device"})
    optimizer: Literal["adamw", "sgd"] = field(
        default="adamw", metadata={"help": "AdamW, or SGD with Nesterov's momentum of 0.9"}
    )
    learning_rate: float = field(default=2e-3, metadata={"help": "the highest"})
    lr_scheduler_type: Literal["cosine", "linear", "constant"] = field(
        default="cosine", metadata={"help": "how it falls to 0 until the end, if it does"}
    )
    warmup_steps: int = field(default=0, metadata={"help": "steps until the highest learning rate"})
    weight_decay: float = field(default=0.01, metadata={"help": "of weights, not of biases and of normalisation"})
    shift: int = field(default=0, metadata={"help": "move training images by up to so many pixels; 4 for CIFAR-10"})
    mirror: bool = field(default=False, metadata={"help": "mirror every other training image, left and right"})
    save_steps: int = field(default=500, metadata={"help": "steps between checkpoints"})
    logging_steps: int = field(default=50, metadata={"help": "steps between reports of the loss"})
    max_eval_samples: int | None = field(
        default=None, metadata={"help": "score the first so many images of --split; default: all"}
    )
    robustness_samples: int | None = field(
        default=None,
        metadata={"help": "the first of them that --judges judge, for the card; default: 100 with --push_to_hub"},
    )

    def __post_init__(self) -> None:
        for name in ("per_device_train_batch_size", "save_steps", "logging_steps"):
            if getattr(self, name) < 1:
                raise BadInput(f"--{name} must be at least 1, not {getattr(self, name)}")
        if wrong := [one for one in self.method_options if "=" not in one]:
            raise BadInput(f"--method_options are name=value, such as steps=10, not {wrong[0]!r}")
        if self.teacher_name_or_path and self.method != "distillation":
            raise BadInput(f"--teacher_name_or_path is for --method distillation, and the method is {self.method}")
        for name in ("warmup_steps", "weight_decay", "shift", "robustness_samples"):
            if (getattr(self, name) or 0) < 0:
                raise BadInput(f"--{name} must be at least 0, not {getattr(self, name)}")
        if not self.learning_rate > 0:
            raise BadInput(f"--learning_rate must be positive, not {self.learning_rate}")
        if self.max_steps < 1 and not self.num_train_epochs > 0:
            raise BadInput(f"--num_train_epochs must be positive, not {self.num_train_epochs}")
