"""Draw how nets were trained and what became of them: the figures of chapters 4 to 6 of Cheng's dissertation.

    python scripts/draw_defenses.py --figure landscape --dataset_name ylecun/mnist \\
        --nets natural=runs/natural adversarial=runs/robust cat=runs/cat
    python scripts/draw_defenses.py --figure curves --nets natural=runs/natural-judged cat=runs/cat-judged
    python scripts/draw_defenses.py --figure radar --nets natural=runs/natural-judged sprout=runs/sprout-judged
    python scripts/draw_defenses.py --figure sensitivity --curve_judges pgd \\
        --nets 0.01,0.2=runs/alpha-0.01-a-0.2 0.1,0.2=runs/alpha-0.1-a-0.2
    python scripts/draw_defenses.py --figure labels --nets sprout=runs/sprout
    python scripts/draw_defenses.py --figure distances --nets cat=runs/cat
    python scripts/draw_defenses.py --figure norms --nets before=runs/robust after=runs/robust-bn
    python scripts/draw_defenses.py --figure maps --dataset_name ylecun/mnist --nets before=runs/robust after=runs/bn

Each net is a name and a folder: of train_classifier.py, and for curves and radar of evaluate_robustness.py; for
sensitivity of either, and the name is SPROUT's alpha and a. For radar a net may have several folders, each with its
name before it; where that of its training is among them it has the speed of training, too. The picture is written to
--output_dir (runs/draw_defenses) under the figure's name, or another one. `reproduce_defenses.py --figures` draws all
figures of the dissertation so.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from _run import launch, writable_folder, write_picture

from visionadv.configs import BadInput, DataConfig


@dataclass(frozen=True)
class FigureArguments:
    """Which figure, of what."""

    figure: Literal["landscape", "curves", "radar", "sensitivity", "labels", "distances", "norms", "maps"] = field(
        default="landscape", metadata={"help": "what is drawn"}
    )
    nets: list[str] = field(default_factory=list, metadata={"help": "name=folder of each net"})
    output_dir: str | None = field(default=None, metadata={"help": "folder; default: runs/draw_defenses"})
    name: str | None = field(default=None, metadata={"help": "of the picture; default: the figure's"})
    count: int = field(default=100, metadata={"help": "landscape: images of the split, whose mean loss is drawn"})
    extent: float = field(default=0.1, metadata={"help": "landscape: how far, in either direction"})
    points: int = field(default=21, metadata={"help": "landscape: of either axis"})
    image: int = field(default=0, metadata={"help": "maps: the number of the image"})
    curve_judges: list[str] = field(
        default_factory=lambda: ["pgd", "autoattack"],
        metadata={"help": "curves, radar and sensitivity: whose accuracy; for radar also within one distance: pgd@0.1"},
    )
    seed: int = field(default=0, metadata={"help": "landscape: seed of the random signs"})

    def __post_init__(self) -> None:
        if wrong := [one for one in self.nets if "=" not in one]:
            raise BadInput(f"--nets are name=folder, not {wrong[0]!r}")
        if min(self.count, self.points) < 1 or self.image < 0 or not self.extent > 0:
            raise BadInput("--count and --points must be at least 1, --image at least 0, and --extent above 0")
        if not self.nets:
            raise BadInput("--nets are missing: name=folder of each")


def main(arguments: FigureArguments, source: DataConfig) -> None:
    """Draws one figure."""
    folder = writable_folder(arguments.output_dir or "runs/draw_defenses")
    nets = dict(one.split("=", 1) for one in arguments.nets)
    if len(nets) < len(arguments.nets) and arguments.figure != "radar":
        raise BadInput("--nets names a net twice; only radar takes several folders of one")
    draw = {
        "landscape": draw_landscape,
        "curves": draw_curves,
        "radar": draw_radar,
        "sensitivity": draw_sensitivity,
        "labels": draw_labels,
        "distances": draw_distances,
        "norms": draw_norms,
        "maps": draw_maps,
    }[arguments.figure]
    path = folder / f"{arguments.name or arguments.figure}.png"
    write_picture(path, draw(arguments, source, nets))
    print(f"the picture is {path}")


def draw_landscape(arguments: FigureArguments, source: DataConfig, nets: dict[str, str]) -> Any:
    """The loss around the first images."""
    from visionadv.data import load_images
    from visionadv.figures import landscapes
    from visionadv.landscape import landscape
    from visionadv.loading import load_victim
    from visionadv.noise import example_seeds

    data = load_images(**source.options(max_samples=arguments.count))
    images, seeds, grids = data.images(0), example_seeds(arguments.seed, range(len(data))), {}
    for name, path in nets.items():
        victim = load_victim(path, classes=len(data.classes), shape=data.shape)
        if not victim.differentiable:
            raise BadInput(f"{path} has no gradients to look along; give a net")
        where = {"extent": arguments.extent, "points": arguments.points}
        grids[name] = landscape(victim, images, data.labels, seeds, **where).numpy()
    return landscapes(grids, arguments.extent)


def draw_curves(arguments: FigureArguments, source: DataConfig, nets: dict[str, str]) -> Any:
    """Robust accuracy against the distance."""
    from visionadv.figures import robustness_curves

    results = {name: results_of(path) for name, path in nets.items()}
    for judge in arguments.curve_judges:
        if lacking := [name for name, one in results.items() if not any(m.startswith(f"{judge}@") for m in one)]:
            raise BadInput(f"{nets[lacking[0]]} was not judged by {judge}; give other --curve_judges")
    return robustness_curves(results, arguments.curve_judges)


def draw_radar(arguments: FigureArguments, source: DataConfig, nets: dict[str, str]) -> Any:
    """What all nets were judged by."""
    from visionadv.figures import radar

    return radar(properties_of(arguments))


def properties_of(arguments: FigureArguments) -> dict[str, dict[str, float]]:
    """By a net's name clean accuracy, what these judges leave, invariance, and speed of training where it is told."""
    from visionadv.invariance import CHANGES

    results: dict[str, dict[str, Any]] = {}
    for name, path in (one.split("=", 1) for one in arguments.nets):
        first = results.get(name, {})  # of several folders that one's counts
        results[name] = results_of(path, "accuracy") | first
    wanted = {"clean", *arguments.curve_judges}
    if not wanted & {*CHANGES}:
        wanted |= {*CHANGES}
    shared = [
        measure
        for measure in next(iter(results.values()))
        if {measure, measure.partition("@")[0]} & wanted and all(measure in one for one in results.values())
    ]
    told = {*shared} | {measure.partition("@")[0] for measure in shared}
    if unknown := [one for one in arguments.curve_judges if one not in told]:
        raise BadInput(f"not all of these runs were judged by {unknown[0]}; give other --curve_judges")
    if len(shared) < 3:
        raise BadInput("these runs have fewer than three measures in common; judge them by the same judges")
    values = {name: {measure: one[measure]["value"] for measure in shared} for name, one in results.items()}
    spent = {name: one.get("ten_epochs", 0.0) for name, one in results.items()}
    if all(spent.values()):
        fastest = min(spent.values())
        values = {name: one | {"speed of training": fastest / spent[name]} for name, one in values.items()}
    return values


def draw_sensitivity(arguments: FigureArguments, source: DataConfig, nets: dict[str, str]) -> Any:
    """What judges leave of nets of several alphas and a, each within its largest distance."""
    from visionadv.figures import sensitivity

    values: dict[str, dict[tuple[float, float], float]] = {judge: {} for judge in arguments.curve_judges}
    largest: dict[str, float] = {}
    for name, path in nets.items():
        try:
            alpha, a = map(float, name.split(","))
        except ValueError:
            raise BadInput(
                f"--nets of sensitivity are alpha,a=folder, such as 0.01,0.2=runs/net, not {name!r}"
            ) from None
        results = results_of(path)
        for judge, told in values.items():
            within = [float(eps) for name, _, eps in (one.partition("@") for one in results) if name == judge and eps]
            if not within:
                raise BadInput(f"{path} was not judged by {judge}; give other --curve_judges")
            if max(within) != largest.setdefault(judge, max(within)):
                raise BadInput(f"{path} was judged within {max(within):g}, others within {largest[judge]:g}")
            told[alpha, a] = results[f"{judge}@{max(within):g}"]["value"]
    return sensitivity(values, ("alpha", "a"))


def draw_labels(arguments: FigureArguments, source: DataConfig, nets: dict[str, str]) -> Any:
    """SPROUT's beta."""
    from visionadv.figures import label_correlation
    from visionadv.loading import load_classifier

    path = only(nets)
    beta = state_of(path, "beta")
    labels = load_classifier(path).labels
    return label_correlation(beta, labels or [str(number) for number in range(len(beta))])


def draw_distances(arguments: FigureArguments, source: DataConfig, nets: dict[str, str]) -> Any:
    """CAT's distances."""
    from visionadv.figures import histogram

    values = state_of(only(nets), "distances")
    return histogram(values, float(values.max()) or 1.0)


def draw_norms(arguments: FigureArguments, source: DataConfig, nets: dict[str, str]) -> Any:
    """The first layer of batch normalisation of two nets."""
    from visionadv.figures import norm_statistics

    before, after = (first_norm(path)[1] for path in two(nets))
    names = {"running mean": "running_mean", "running variance": "running_var", "gamma": "weight", "beta": "bias"}
    told = [{name: getattr(layer, key).detach().numpy() for name, key in names.items()} for layer in (before, after)]
    return norm_statistics(*told)


def draw_maps(arguments: FigureArguments, source: DataConfig, nets: dict[str, str]) -> Any:
    """What comes out of the first normalisation and ReLU for one image, of two nets."""
    from visionadv.data import load_images
    from visionadv.figures import feature_maps

    data, found = load_images(**source.options(max_samples=arguments.image + 1)), {}
    if arguments.image >= len(data):
        raise BadInput(f"--image {arguments.image} is beyond the data, which have {len(data)}; the first is 0")
    image = data.images(arguments.image, arguments.image + 1)
    for name, path in zip(nets, two(nets), strict=True):
        model, layer = first_norm(path)
        seen: list[Any] = []
        handle = layer.register_forward_hook(lambda module, given, out, seen=seen: seen.append(out))
        model(image)
        handle.remove()
        found[name] = seen[0][0].relu().detach().numpy()
    return feature_maps(found)


def results_of(path: str, *or_else: str) -> dict[str, Any]:
    """results.json of a run folder. Raises BadInput if there is none, or it has no clean accuracy (nor what else)."""
    file = Path(path) / "results.json"
    try:
        found = json.loads(file.read_text()) if file.exists() else {}
    except ValueError as error:
        raise BadInput(f"{file} is no JSON: {error}; measure it again") from error
    if not {"clean", *or_else} & {*found}:
        raise BadInput(f"{path} is no run folder of evaluate_robustness.py with the judge clean; name one")
    if "clean" in found and found["clean"]["value"] is None:
        raise BadInput(f"{file} is of no images; judge some")
    return found


def state_of(path: str, name: str) -> Any:
    """A part of a method's state. Raises BadInput if the folder doesn't have it."""
    from safetensors.numpy import load_file

    file = Path(path) / "method.safetensors"
    found = load_file(file) if file.exists() else {}
    if name not in found:
        raise BadInput(f"{path} has no {name} of a method; name a folder of train_classifier.py --method sprout or cat")
    return found[name]


def first_norm(path: str) -> tuple[Any, Any]:
    """A net, and its first layer of batch normalisation."""
    from visionadv.loading import load_classifier
    from visionadv.training.norms import norms_of

    model: Any = load_classifier(path)
    return model, norms_of(model)[0][1]


def only(nets: dict[str, str]) -> str:
    """The folder of the one net. Raises BadInput for several."""
    if len(nets) != 1:
        raise BadInput(f"this figure is of one net, and --nets names {len(nets)}")
    return next(iter(nets.values()))


def two(nets: dict[str, str]) -> list[str]:
    """The folders of two nets. Raises BadInput for another number."""
    if len(nets) != 2:
        raise BadInput(f"this figure is of two nets, before and after, and --nets names {len(nets)}")
    return list(nets.values())


if __name__ == "__main__":
    launch(main, FigureArguments, DataConfig, mistakes=(BadInput,), description=__doc__)
