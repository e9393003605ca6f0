"""The tables of visionadv/README.md; `reproduce_hard_label.py` measures them, from the training of the nets on."""

from _tables import RUNS, Row, Table

DATA = {"mnist": "$TEXTADV_DATA/mnist", "cifar10": "$TEXTADV_DATA/cifar10", "higgs": "$TEXTADV_DATA/higgs"}
MARKS = {"mnist": (4_000, 8_000, 14_000), "cifar10": (4_000, 8_000, 12_000)}  # queries of Table 2.2
WITHIN = {"mnist": 1.5, "cifar10": 0.5}  # its eps
TREES = {"mnist": (5_125, 11_858, 32_230), "higgs": (4_229, 11_139, 29_598)}  # queries of Table 2.1
NAMES = {
    "carlini_wagner_l2": "C&W (white box)",
    "small_steps": "C&W, steps of 0.002 (white box)",
    "ddn": "DDN (white box)",
    "boundary": "Boundary attack",
    "opt": "OPT",
    "sign_opt": "Sign-OPT",
    "svm_opt": "SVM-OPT",
    "zo_sign_sgd": "ZO-SignSGD",
    "single_query": "ZO-SignSGD, single-query oracle",
    "hop_skip_jump": "HopSkipJump",
    "frugal_sign_opt": "frugal Sign-OPT (ours)",
}
OPTIONS = {
    "single_query": "--attack zo_sign_sgd --attack_options single_query=true",
    "small_steps": "--attack carlini_wagner_l2 --attack_options step_size=0.002",
}
PAPER = {
    "mnist": {
        "carlini_wagner_l2": "0.88; 99",
        "boundary": "4.24, 4.24, 2.13; 1, 1, 16.3",
        "opt": "3.65, 2.41, 1.76; 3, 18, 36",
        "sign_opt": "1.54, 1.18, 1.09; 46, 84, 94",
    },
    "cifar10": {
        "carlini_wagner_l2": "0.25; 85",
        "boundary": "3.12, 2.84, 0.78; 2.3, 7.6, 29.2",
        "opt": "0.77, 0.43, 0.33; 37, 53, 61",
        "sign_opt": "0.26, 0.16, 0.13; 73, 90, 95",
    },
}
LOGS = {  # medians at 4,000 and 8,000 queries in logs that the authors published: with targets, and in Linf
    "mnist_targeted": {"boundary": "5.09, 4.33", "opt": "3.44, 2.84", "sign_opt": "2.24, 1.67"},
    "cifar10_targeted": {"boundary": "7.80, 4.65", "opt": "3.73, 1.92", "sign_opt": "1.14, 0.43"},
    "mnist_linf": {"opt": "0.466, 0.399", "sign_opt": "0.341, 0.286"},
}
SCRIPT = "attack_images"
TREES_PAPER = {"mnist": "0.6113, 0.5576, 0.5505", "higgs": "0.3458, 0.2179, 0.1704"}
WHITE_BOX = {  # where distances are small, steps of 0.01 are too large for some images
    "mnist": ("carlini_wagner_l2", "ddn"),
    "cifar10": ("carlini_wagner_l2", "small_steps", "ddn"),
}
DECISIONS = tuple(name for name in NAMES if name not in WHITE_BOX["cifar10"])
TARGETED = ("boundary", "opt", "sign_opt", "svm_opt", "hop_skip_jump")
DIRECTIONS = (50, 100, 200, 400)  # Q of Figure 2.5; 200 is the default
LINF = ("opt", "sign_opt", "hop_skip_jump")


def attack_row(name: str, options: str = "", paper: str = "") -> Row:
    """An attack with its paper's hyperparameters."""
    words = [OPTIONS.get(name, f"--attack {name}"), options]
    return Row(NAMES[name], name, " ".join(filter(None, words)), paper, SCRIPT)


def marks(data: str) -> str:
    """A budget, and where the distance is told."""
    return f"--budget {MARKS[data][-1]} --report_queries {' '.join(map(str, MARKS[data]))}"


def followed(data: str) -> str:
    """A budget, and all that is told along it."""
    return f"{marks(data)} --report_distance {WITHIN[data]} --unclipped true"


def victim(data: str) -> str:
    """The net, and the images that are attacked."""
    return f"--model_name_or_path {RUNS}/victims/{data} --dataset_name {DATA[data]} --max_samples 100"


def columns(data: str, *kinds: str) -> tuple[str, ...]:
    """Measures of each kind at each mark."""
    return tuple(f"{kind}@{number}" for kind in kinds for number in MARKS[data])


def untargeted(data: str) -> Table:
    """Table 2.2 of Cheng's dissertation, and Figures 2.5 and 2.6."""
    return Table(
        "visionadv",
        f"{data}_l2",
        f"{victim(data)} --norm l2",
        (
            *(attack_row(name, paper=PAPER[data].get(name, "")) for name in WHITE_BOX[data]),
            *(attack_row(name, followed(data), PAPER[data].get(name, "")) for name in DECISIONS),
        ),
        ("median_distance", *columns(data, "median", "unclipped", "within"), "confirmed"),
        paper="median L2 at these queries; % within eps",
    )


def directions(data: str) -> Table:
    """Figure 2.5: how many directions a gradient is estimated from."""
    options = {number: "" if number == 200 else f" --attack_options directions={number}" for number in DIRECTIONS}
    rows = (
        Row(f"Sign-OPT, Q = {number}", f"sign_opt-{number}", f"--attack sign_opt {followed(data)}{more}", "", SCRIPT)
        for number, more in options.items()
    )
    return Table(
        "visionadv",
        f"{data}_directions",
        f"{victim(data)} --norm l2",
        tuple(rows),
        ("median_distance", *columns(data, "median")),
    )


def further(data: str, name: str, options: str, attacks: tuple[str, ...]) -> Table:
    """The same with a target (Figures 2.7 and 2.8), or in Linf."""
    within = f" --report_distance {WITHIN[data]}" if name == "targeted" else ""
    kinds = [kind for kind, told in (("unclipped", "--unclipped" in options), ("within", within)) if told]
    logs = LOGS[f"{data}_{name}"]
    return Table(
        "visionadv",
        f"{data}_{name}",
        f"{victim(data)} {options}",
        tuple(attack_row(one, marks(data) + within, logs.get(one, "")) for one in attacks),
        ("median_distance", *columns(data, "median", *kinds), "confirmed"),
        paper="median at 4,000 and 8,000 (authors' logs)",
    )


def trees(data: str) -> Table:
    """Table 2.1: decision trees."""
    numbers = " ".join(map(str, TREES[data]))
    options = f"--budget {TREES[data][-1]} --report_queries {numbers} --unclipped true"
    return Table(
        "visionadv",
        f"{data}_trees",
        f"--model_name_or_path {RUNS}/victims/{data}-trees/model.txt --dataset_name {DATA[data]} --max_samples 100 "
        f"--norm l2 {options}",
        (attack_row("opt", paper=TREES_PAPER[data]), attack_row("sign_opt"), attack_row("hop_skip_jump")),
        (*(f"{kind}@{number}" for kind in ("median", "unclipped") for number in TREES[data]), "confirmed"),
        paper="L2 at these queries",
    )


def figure(table: str, cells: tuple[str, ...], paper: str = "none") -> str:
    """Options of draw_attacks.py for some rows of a table."""
    return f"--paper {paper} --runs {' '.join(f'{cell}={RUNS}/{table}/{cell}' for cell in cells)}"


FIGURES = {  # by what they show; in the dissertation they are spread over Figures 2.5 to 2.8
    "2.5-directions": figure("mnist_directions", tuple(f"sign_opt-{number}" for number in DIRECTIONS)),
    "2.6-mnist": figure("mnist_l2", DECISIONS, "mnist"),
    "2.6-cifar10": figure("cifar10_l2", DECISIONS, "cifar10"),
    "2.7-mnist": figure("mnist_targeted", TARGETED),
    "2.7-cifar10": figure("cifar10_targeted", TARGETED),
}
NET = "--model cnn7_batch_norm --per_device_train_batch_size 128"
TABLES = (
    Table(
        "visionadv",
        "victims",
        "",
        (
            Row(
                "CNN, MNIST",
                "mnist",
                f"--dataset_name {DATA['mnist']} {NET} --shift 1 --num_train_epochs 10",
                "99.5 %",
                "train_classifier",
            ),
            Row(
                "CNN, CIFAR-10",
                "cifar10",
                f"--dataset_name {DATA['cifar10']} {NET} --shift 2 --mirror true --num_train_epochs 24 "
                "--weight_decay 0.05",
                "82.5 %",
                "train_classifier",
                precision="bf16",
            ),
            Row(
                "100 trees, MNIST",
                "mnist-trees",
                f"--dataset_name {DATA['mnist']} --num_leaves 100",
                "98.09 %",
                "train_trees",
            ),
            Row(
                "255 trees, HIGGS",
                "higgs-trees",
                f"--dataset_name {DATA['higgs']} --num_trees 255 --num_leaves 500",
                "AUC 0.8457",
                "train_trees",
            ),
        ),
        ("accuracy", "auc"),
        paper="accuracy",
    ),
    untargeted("mnist"),
    directions("mnist"),
    further("mnist", "targeted", "--norm l2 --goal random_target --unclipped true", TARGETED),
    further("mnist", "linf", "--norm linf --unclipped true", LINF),
    untargeted("cifar10"),
    further("cifar10", "targeted", "--norm l2 --goal random_target --unclipped true", TARGETED),
    trees("mnist"),
    trees("higgs"),
)
