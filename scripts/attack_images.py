"""Attack an image classifier by its gradients, its scores, or its decisions alone.

The embedded CNN on scikit-learn's digits under PGD, offline, in seconds:

    accelerate launch scripts/attack_images.py

A classifier and images of your own, by Hub id or folder; the classifier may be transformers', torchvision's, one of
train_classifier.py's, or for decisions and scores LightGBM's:

    accelerate launch scripts/attack_images.py --model_name_or_path microsoft/resnet-18 --dataset_name DATASET \\
        --split validation --max_samples 500 --attack apgd --eps 0.0157
    accelerate launch scripts/attack_images.py --model_name_or_path torchvision:resnet50 --dataset_name FOLDER \\
        --attack hop_skip_jump --norm l2 --budget 5000 --goal random_target

--attack takes any file of visionadv/attacks; what its paper sets is set, and --attack_options changes it:

    accelerate launch scripts/attack_images.py --attack pgd --eps 0.1 --attack_options steps=100 restarts=10 loss=dlr

Repeat a command to resume it. The run folder (--output_dir) holds records.jsonl (an image a line), examples/ (originals
and adversarial images), results.json (success, robust, median_distance, ...), manifest.json and report.html.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from _run import Run, RunArguments, launch, write_bytes

from visionadv.configs import AttackConfig, BadInput, DataConfig, SurrogateConfig, VictimConfig

POOL = 100  # images of each target that decision attacks may begin at


@dataclass(frozen=True)
class AttackArguments(RunArguments):
    """As for every run."""

    per_device_batch_size: int = field(default=100, metadata={"help": "images that are attacked together"})


@dataclass(frozen=True)
class Place:
    """Where an image stands in the data set."""

    example_id: int


def main(
    arguments: AttackArguments, named: VictimConfig, other: SurrogateConfig, source: DataConfig, config: AttackConfig
) -> None:
    """Attacks every image, and writes a run folder."""
    from visionadv.attack import attack_batch
    from visionadv.attacks import attack_named, parse_options
    from visionadv.data import load_images
    from visionadv.loading import load_victim
    from visionadv.report import report
    from visionadv.summary import attack_measures

    attack = attack_named(config.attack, **parse_options(config.attack, config.attack_options))
    norm = config.norm or attack.norms[0]
    data = load_images(**source.options())
    fit: dict[str, Any] = {"classes": len(data.classes), "shape": data.shape}
    victim = load_victim(named.model_name_or_path, **fit, randomized=named.randomized)
    surrogate = None
    if other.surrogate_name_or_path:
        surrogate = load_victim(other.surrogate_name_or_path, **fit)
    check(attack, config, norm, data.shape, surrogate or victim, surrogate=surrogate is not None)
    starts = images_to_start_from(config, source, attack, data.shape)
    oracles = make_oracles(config, attack, norm, starts, surrogate is not None)
    attacked = places(data, config.target, arguments.max_samples)
    fingerprint = {"images": data.fingerprint, "victim": victim.fingerprint()}
    if surrogate:
        fingerprint["surrogate"] = surrogate.fingerprint()
    if starts:
        fingerprint["starts"] = starts.data.fingerprint
    with Run(arguments, [named, other, source, config], fingerprint) as run:
        victim, surrogate = victim.to(run.device), surrogate and surrogate.to(run.device)
        for batch in run.batches(attacked):
            ids = [place.example_id for place in batch]
            images, labels = data.images(ids).to(run.device), data.labels[ids].to(run.device)
            oracle = oracles(victim, images, labels, arguments.seed, ids)
            file = f"examples/{ids[0]:06d}.safetensors"
            with run.accelerator.autocast():
                records = attack_batch(attack, oracle, ids, seed=arguments.seed, file=file, surrogate=surrogate)
            save(run, file, oracle)
            run.append(records)
        shown = pictures(run.folder) if len(data.shape) == 3 else None
        page = partial(report, norm=norm, pictures=shown, classes=data.classes)
        at = {"queries": config.report_queries, "within": config.report_distance}
        run.finish(partial(attack_measures, norm=norm, **at), page)


def places(data: Any, target: int | None, most: int | None) -> list[Place]:
    """The first images of the data, but for those of the target's own class. Raises BadInput if none is left."""
    labels = data.labels[:most].tolist()
    found = [Place(number) for number, label in enumerate(labels) if label != target]
    if labels and not found:
        raise BadInput(f"the target, class {target}, is the true label of all images; choose another --target")
    return found


def check(
    attack: Any, config: AttackConfig, norm: str, shape: tuple[int, ...], victim: Any, *, surrogate: bool
) -> None:
    """Raises BadInput for what the attack can't do to images of a shape and this victim; `surrogate`: it is one."""
    from visionadv.attacks import least_budget
    from visionadv.oracles import DecisionOracle, GradientOracle

    name = config.attack
    if norm not in attack.norms:
        raise BadInput(f"{name} knows no distance {norm}; it knows {', '.join(attack.norms)}")
    if norm == "linf" and (config.eps or 0) > 1:
        raise BadInput(f"--eps {config.eps} of linf is more than the whole range; images are from 0 to 1")
    if config.goal != "untargeted" and not getattr(attack, "targeted", True):
        raise BadInput(f"{name} knows no targets; use --goal untargeted")
    if config.eps is None and attack.eps is not None and norm != attack.norms[0]:
        raise BadInput(f"{name}'s usual eps of {attack.eps} is for {attack.norms[0]}; give --eps for {norm}")
    if config.unclipped and attack.oracle is not DecisionOracle:
        raise BadInput(f"--unclipped is for attacks by decisions, and {name} is none")
    if config.target is not None and config.target >= (victim.classes or config.target + 1):
        raise BadInput(f"--target {config.target} is none of the victim's {victim.classes} classes, from 0 on")
    if config.top_k is not None and not getattr(attack, "partial", False):
        raise BadInput(f"{name} needs the scores of all classes; leave out --top_k, or use --attack nes")
    if config.top_k is not None and surrogate:
        raise BadInput("a surrogate tells the scores of all classes; leave out --top_k, or the surrogate")
    if surrogate and attack.oracle is DecisionOracle:
        raise BadInput(f"{name} sees decisions, and from a surrogate there is more to be had; use pgd, or another")
    if surrogate and config.budget is not None:
        raise BadInput("--budget counts queries of the victim, which sees one image of a transfer attack; leave it out")
    if hasattr(attack, "check"):
        attack.check(shape)
    least = least_budget(attack, shape)
    if (config.budget or least) < least:
        raise BadInput(f"{name} needs {least} queries for a first step; --budget {config.budget} is too small")
    if attack.oracle is GradientOracle and not victim.differentiable:
        raise BadInput(f"{name} needs gradients, and this victim has none; hop_skip_jump needs decisions only")
    if attack.oracle is not DecisionOracle and not victim.scored:
        raise BadInput(f"{name} needs scores, and this victim tells none; hop_skip_jump needs decisions only")


def images_to_start_from(config: AttackConfig, source: DataConfig, attack: Any, shape: tuple[int, ...]) -> Any:
    """Those of the targets, for attacks that must begin there; else none. Raises BadInput for another shape."""
    from visionadv.data import load_images
    from visionadv.oracles import DecisionOracle
    from visionadv.pool import TargetImages

    if config.goal == "untargeted" or (attack.oracle is not DecisionOracle and config.top_k is None):
        return None
    data = load_images(**source.options(split=config.pool_split))
    if data.shape != shape:
        told = f"the images of --pool_split {config.pool_split} have the shape {tuple(data.shape)}"
        raise BadInput(f"{told}, and those that are attacked {tuple(shape)}; give --image_size, or another split")
    return TargetImages(data, POOL)


def make_oracles(config: AttackConfig, attack: Any, norm: str, starts: Any, transfer: bool) -> Any:
    """What makes the oracle of a batch."""
    from visionadv.goals import make_goal
    from visionadv.oracles import DecisionOracle

    options: dict[str, Any] = {"norm": norm, "eps": attack.eps if config.eps is None else config.eps}
    options["budget"] = config.budget or getattr(attack, "budget", None)
    if config.top_k is not None:
        options["top_k"] = config.top_k
    if config.unclipped:
        options["unclipped"] = True

    def oracle(victim: Any, images: Any, labels: Any, seed: int, ids: list[int]) -> Any:
        about = {"victim": victim, "images": images, "seed": seed, "example_ids": ids}
        goal = make_goal(config.goal, labels, target=config.target, **about)
        pool = starts.of(goal) if starts else None
        return (DecisionOracle if transfer else attack.oracle)(victim, images, goal, **options, pool=pool)

    return oracle


def save(run: Run, file: str, oracle: Any) -> None:
    """The originals and what was found of a batch, before its records."""
    from safetensors.torch import save as as_bytes

    (run.folder / file).parent.mkdir(exist_ok=True)
    found = {"original": oracle.images, "adversarial": oracle.best}
    write_bytes(run.folder / file, as_bytes({name: one.float().cpu().contiguous() for name, one in found.items()}))


def pictures(folder: Any) -> Any:
    """What shows the images of a record."""
    from functools import lru_cache

    from safetensors.numpy import load_file

    load = lru_cache(maxsize=4)(load_file)

    def show(record: dict[str, Any]) -> tuple[Any, Any]:
        places = [record[name].rsplit(":", 1) for name in ("original", "adversarial")]
        original, adversarial = (
            load(folder / file)[name][int(row)]
            for name, (file, row) in zip(("original", "adversarial"), places, strict=True)
        )
        return original, adversarial

    return show


if __name__ == "__main__":
    configs = (AttackArguments, VictimConfig, SurrogateConfig, DataConfig, AttackConfig)
    launch(main, *configs, mistakes=(BadInput,), description=__doc__)
