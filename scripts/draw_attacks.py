"""Draw what attacks reach against queries, several runs in one picture: Figures 2.5 to 2.8 of Cheng's dissertation.

    python scripts/draw_attacks.py --runs sign_opt=runs/sign_opt hop_skip_jump=runs/hop_skip_jump
    python scripts/draw_attacks.py --paper mnist --runs opt=runs/opt sign_opt=runs/sign_opt

Each run is a name and a folder of attack_images.py. One panel has the median distance; where all runs have a
--report_distance another has the share of images that are a success within it. Lines are of all queries where the
folder has its records, and else of the --report_queries of its results.json, with 95 % intervals. Crosses are what the
paper prints of an untargeted attack of that name in L2 (--paper); a folder of results alone, which doesn't tell, is
taken for one. Of OPT and Sign-OPT they are distances before clipping, which a dashed line shows beside them where the
run followed them (--unclipped). The picture is written to --output_dir (runs/draw_attacks) as NAME.png (--name).
`reproduce_hard_label.py --figures` draws the figures of the dissertation so.
"""

import json
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from _run import launch, writable_folder, write_picture

from visionadv.configs import BadInput

POINTS = 60  # of a line
KINDS = ("median", "unclipped", "within")  # of what is told by the number of queries


@dataclass(frozen=True)
class AttackFigureArguments:
    """Which runs."""

    runs: list[str] = field(default_factory=list, metadata={"help": "name=folder of each run"})
    output_dir: str | None = field(default=None, metadata={"help": "folder; default: runs/draw_attacks"})
    name: str = field(default="queries", metadata={"help": "of the picture"})
    paper: Literal["none", "mnist", "cifar10"] = field(
        default="none", metadata={"help": "draw the medians that the dissertation prints for this data set"}
    )

    def __post_init__(self) -> None:
        if wrong := [one for one in self.runs if "=" not in one]:
            raise BadInput(f"--runs are name=folder, not {wrong[0]!r}")
        if not self.runs:
            raise BadInput("--runs are missing: name=folder of each")
        if len({one.partition("=")[0] for one in self.runs}) < len(self.runs):
            raise BadInput("--runs names a run twice")


def main(arguments: AttackFigureArguments) -> None:
    """Draws one picture."""
    from visionadv.figures import query_curves
    from visionadv.papers import printed_medians

    folder = writable_folder(arguments.output_dir)
    folders = {name: Path(path) for name, path in (one.split("=", 1) for one in arguments.runs)}
    curves = {name: curves_of(path) for name, path in folders.items()}
    configs = {name: config for name, path in folders.items() if (config := config_of(path))}
    norm, within = common(configs, "norm"), common(configs, "report_distance")
    goals = {name: configs.get(name, {}).get("goal", "untargeted") for name in folders}
    printed = {
        name: points
        for name, goal in goals.items()
        if (points := printed_medians(arguments.paper, "", name, norm or "l2", goal))
    }
    path = folder / f"{arguments.name}.png"
    write_picture(path, query_curves(curves, printed, norm=norm, within=within))
    print(f"the picture is {path}")


def config_of(folder: Path) -> dict[str, Any]:
    """What a run was told, its norm always among it; nothing where only its results are kept.

    Raises:
        BadInput: the folder is of another script.
    """
    from visionadv.attacks import attack_named

    if not (folder / "manifest.json").exists():
        return {}
    config = json.loads((folder / "manifest.json").read_text())["config"]
    if "attack" not in config:
        raise BadInput(f"{folder} is no finished run of attack_images.py; name one")
    return config | {"norm": config.get("norm") or attack_named(config["attack"]).norms[0]}


def common(configs: dict[str, dict[str, Any]], option: str) -> Any:
    """What all runs have of an option, None if none is known. Raises BadInput where they differ."""
    values = [(name, config.get(option)) for name, config in configs.items()]
    for (one, first), (other, second) in pairwise(values):
        if first != second:
            raise BadInput(f"--{option} is {first} in {one} and {second} in {other}; draw them apart")
    return values[0][1] if values else None


def curves_of(folder: Path) -> dict[str, dict[int, dict[str, Any]]]:
    """Estimates by the number of queries, of those of `KINDS` that there are.

    Raises:
        BadInput: the folder is no finished run of attack_images.py, or one that didn't follow the queries.
    """
    try:
        results = json.loads((folder / "results.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{folder} is no finished run of attack_images.py; name one") from error
    if (folder / "records.jsonl").exists() and (folder / "manifest.json").exists():
        results = along(folder)
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for measure, told in results.items():
        kind, _, number = measure.partition("@")
        if kind in KINDS and number.isdigit():
            found.setdefault(kind, {})[int(number)] = told
    if "median" not in found:
        raise BadInput(f"{folder} has no records, and results at no numbers of queries; use --report_queries")
    return found


def along(folder: Path) -> dict[str, Any]:
    """The measures of a run with its records, at queries from one to its last in equal ratios."""
    import numpy as np
    from _estimates import estimates

    from visionadv.summary import attack_measures

    config = config_of(folder)
    records = [json.loads(line) for line in (folder / "records.jsonl").read_bytes().splitlines()]
    last = max((record["queries"] for record in records), default=1)
    queries = sorted({int(one) for one in np.geomspace(min(10, last), last, POINTS)})
    return estimates(attack_measures(records, config["norm"], queries, config.get("report_distance")))


if __name__ == "__main__":
    launch(main, AttackFigureArguments, mistakes=(BadInput,), description=__doc__)
