"""How strong and how fast the image attacks are, beside the victim's own passes and beside peers, in one run.

    python scripts/benchmark_images.py
    python scripts/benchmark_images.py --model_name_or_path runs/mnist-cnn --dataset_name ylecun/mnist --eps 0.1

Six parts, all or those that --parts names. `step`: a run of PGD over the victim's own passes, forward and backward.
`white_box`: PGD, Carlini and Wagner, DeepFool and DDN with the same numbers of steps as Foolbox's, torchattacks' and
ART's; Carlini and Wagner also with a fixed c, which is all that torchattacks' knows. `autoattack`: the robust accuracy
that torchattacks' AutoAttack leaves, and ours. `batch`: images per second of a decision attack on all at once, over one
after the other, and what the victim itself gains so. `decisions`: the median distance after so many queries of
HopSkipJump beside Foolbox's, and of Sign-OPT beside ART's, which attack one image after the other; ours over theirs,
image by image; and their time over ours for all at once. Every image that the victim sees is counted, of peers too.
`frugal`: our own decision attack beside HopSkipJump and Sign-OPT, image by image and for each of --seeds; each of the
three is tuned by as many tries before, on other images.

Rightly classified images are attacked. What is found is judged by one rule: clipped, and shown to the victim again.
Times are compared within a run only; what is compared takes turns. Peers that aren't installed or not among --peers are
left out.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from _image_peers import PEERS, Nearest, Setting, installed, peer_attack, peer_decisions
from _run import RunError, launch, writable_folder, write_json

from visionadv.configs import BadInput, DataConfig, VictimConfig

PARTS = ("step", "white_box", "autoattack", "batch", "decisions", "frugal")
BY_DECISIONS = {"batch", "decisions", "frugal"}  # parts that need no gradients
WHITE_BOX = ("pgd", "deepfool", "ddn", "carlini_wagner_l2", "carlini_wagner_l2_fixed")
AS_THEIRS = {"sign_opt": {"start_tolerance": 1e-3}}  # in `decisions`: what a peer has by itself
TRIED: dict[str, list[dict[str, Any]]] = {  # what attacks are tuned by in `frugal`
    "frugal_sign_opt": [{}, {"directions": 20}, {"directions": 45}, {"alpha": 0.25}, {"focus": 0.25}, {"memory": 0.25}],
    "hop_skip_jump": [{}, {"vectors": 25}, {"vectors": 50}, {"vectors": 200}, {"gamma": 0.1}, {"gamma": 10.0}],
    "sign_opt": [
        {},
        {"directions": 50},
        {"directions": 100},
        {"alpha": 0.5},
        {"beta": 3e-3},
        {"beta": 1e-2},
    ],
}


@dataclass(frozen=True)
class BenchmarkArguments:
    """What is measured."""

    parts: list[str] = field(default_factory=lambda: [*PARTS], metadata={"help": f"of {', '.join(PARTS)}"})
    attacks: list[str] = field(
        default_factory=lambda: [*WHITE_BOX], metadata={"help": f"of the part white_box: of {', '.join(WHITE_BOX)}"}
    )
    peers: list[str] = field(
        default_factory=lambda: [*PEERS], metadata={"help": f"those to compare with: of {', '.join(PEERS)}"}
    )
    max_samples: int = field(default=100, metadata={"help": "images"})
    eps: float = field(default=0.1, metadata={"help": "of PGD and AutoAttack, Linf"})
    rounds: int = field(default=3, metadata={"help": "times that each time is taken"})
    decision_samples: int = field(default=20, metadata={"help": "images of the part decisions"})
    marks: list[int] = field(
        default_factory=lambda: [500, 1000, 2000], metadata={"help": "queries at which decision attacks are compared"}
    )
    loop_samples: int = field(default=3, metadata={"help": "images that are attacked one after the other in batch"})
    seed: int = field(default=0, metadata={"help": "seed of our attacks"})
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2], metadata={"help": "seeds of the part frugal"})
    tuning_samples: int = field(default=50, metadata={"help": "further images on which frugal's attacks are tuned"})
    output_dir: str | None = field(default=None, metadata={"help": "where results.json goes; default: nowhere"})

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.parts) - set(PARTS)):
            raise RunError(f"there is no part {unknown[0]}; there are {', '.join(PARTS)}")
        if unknown := sorted(set(self.attacks) - set(WHITE_BOX)):
            raise RunError(f"white_box has no attack {unknown[0]}; it has {', '.join(WHITE_BOX)}")
        if unknown := sorted(set(self.peers) - set(PEERS)):
            raise RunError(f"there is no peer {unknown[0]}; there are {', '.join(PEERS)}")
        samples = self.max_samples, self.decision_samples, self.loop_samples, self.tuning_samples
        if min(*samples, self.rounds, *self.marks) < 1:
            raise RunError("numbers of samples, --rounds and --marks must be at least 1")
        if not 0 < self.eps <= 1:
            raise RunError(f"--eps must be above 0 and at most 1, not {self.eps}")


def main(arguments: BenchmarkArguments, named: VictimConfig, source: DataConfig) -> None:
    """Prints the figures, and writes them if there is a folder."""
    import torch

    folder = writable_folder(arguments.output_dir) if arguments.output_dir else None
    victim, (images, labels), spare = load(arguments, named, source)
    print(f"{len(images)} images, {torch.get_num_threads()} threads, peers: {', '.join(beside(arguments)) or 'none'}")
    found: dict[str, Any] = {}
    for part in PARTS:
        if part in arguments.parts:
            more = {"spare": spare} if part == "frugal" else {}
            found |= MEASURES[part](arguments, victim, images, labels, **more)
    if folder:
        write_json(folder / "results.json", found)


def beside(arguments: BenchmarkArguments) -> list[str]:
    """The peers that are there and asked for."""
    return [peer for peer in installed() if peer in arguments.peers]


def load(arguments: BenchmarkArguments, named: VictimConfig, source: DataConfig) -> tuple[Any, Any, Any]:
    """The victim, images that it classifies rightly with their labels, and further ones."""
    from visionadv.data import load_images
    from visionadv.loading import load_victim

    data = load_images(**source.options())
    fit: dict[str, Any] = {"classes": len(data.classes), "shape": data.shape}
    victim = load_victim(named.model_name_or_path, **fit, randomized=named.randomized)
    if not victim.differentiable and (parts := set(arguments.parts) - BY_DECISIONS):
        told = f"--parts {' '.join(sorted(parts))}: attacks by gradients, and this victim has none"
        raise BadInput(f"{told}; give a net, or --parts {' '.join(sorted(BY_DECISIONS))}")
    most, further = arguments.max_samples, arguments.tuning_samples if "frugal" in arguments.parts else 0
    ids = list(range(min(len(data), 2 * (most + further))))
    images, labels = data.images(ids), data.labels[ids]
    right = (victim.decide(images) == labels).nonzero()[: most + further, 0]
    if len(right) == 0:
        raise BadInput(f"of the first {len(ids)} images none is classified rightly; give a model of these data")
    if len(right) <= most and further:
        raise BadInput(f"{len(right)} images are classified rightly, and {most} are attacked; none is left to tune on")
    return victim, *[(images[some], labels[some]) for some in (right[:most], right[most:])]


def ours(name: str, victim: Any, images: Any, labels: Any, arguments: BenchmarkArguments, **options: Any) -> Any:
    """Our attack's oracle, after it."""
    from visionadv.attack import carry_out
    from visionadv.attacks import attack_named
    from visionadv.goals import Goal
    from visionadv.noise import example_seeds

    limits = {name: options.pop(name) for name in ("norm", "eps", "budget") if name in options}
    attack = attack_named(name, **options)
    oracle = attack.oracle(victim, images, Goal(labels), **({"norm": attack.norms[0]} | limits))
    carry_out(attack, oracle, example_seeds(arguments.seed, range(len(images))))
    return oracle


def timed(calls: dict[str, Callable[[], Any]], rounds: int) -> tuple[dict[str, Any], dict[str, float]]:
    """What calls return the last time, and their median seconds; they take turns."""
    results, seconds = {}, {name: list[float]() for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            begin = time.perf_counter()
            results[name] = call()
            seconds[name].append(time.perf_counter() - begin)
    return results, {name: statistics.median(values) for name, values in seconds.items()}


def measure_step(arguments: BenchmarkArguments, victim: Any, images: Any, labels: Any) -> dict[str, Any]:
    """A run of PGD on images that withstand it, over the passes that it needs, of as many images at once."""
    import torch

    from visionadv.oracles import equal_parts

    steps, tiny = 20, 1e-6
    parts = list(zip(*(equal_parts(one, victim.at_once) for one in (images, labels)), strict=True))

    def passes() -> None:
        for _ in range(steps):
            for part, its in parts:
                some = part.clone().requires_grad_()
                loss = torch.nn.functional.cross_entropy(victim.logits(some), its, reduction="sum")
                torch.autograd.grad(loss, some)
        for part, _ in parts * 2:  # it looks at the unchanged images, and at the end
            victim.decide(part)

    def attack() -> None:
        ours("pgd", victim, images, labels, arguments, eps=tiny, steps=steps)

    passes()
    _, seconds = timed({"passes": passes, "pgd": attack}, max(arguments.rounds, 5))
    ratio = seconds["pgd"] / seconds["passes"]
    print(f"step: PGD takes {ratio:.3f} of the victim's own passes")
    return {"step_ratio": ratio}


def measure_white_box(arguments: BenchmarkArguments, victim: Any, images: Any, labels: Any) -> dict[str, Any]:
    """Strength and time of each attack and of each peer's."""
    from _estimates import estimate

    from visionadv.summary import median

    setting = Setting(arguments.eps)
    options = {
        "pgd": {"eps": setting.eps, "steps": setting.steps},
        "deepfool": {"steps": setting.deepfool_steps},
        "ddn": {"steps": setting.ddn_steps},
        "carlini_wagner_l2": {
            "binary_steps": setting.binary_steps,
            "steps": setting.adam_steps,
            "constant": setting.constant,
        },
        "carlini_wagner_l2_fixed": {"binary_steps": 1, "steps": setting.fixed_steps, "constant": setting.fixed},
    }
    found = {}
    for name in arguments.attacks:
        own = name.removesuffix("_fixed")
        calls: dict[str, Callable[[], Any]] = {
            "ours": lambda own=own, given=options[name]: ours(own, victim, images, labels, arguments, **given).best
        }
        for peer in beside(arguments):
            call = peer_attack(peer, name, victim, tuple(images.shape[1:]), setting)
            if call is not None:
                calls[peer] = partial(call, images, labels)
        results, seconds = timed(calls, arguments.rounds)
        eps = setting.eps if name == "pgd" else None
        values = {who: reached_by(victim, images, labels, adversarial, eps) for who, adversarial in results.items()}
        for who, value in values.items():
            judged = {"success": estimate(value)} if eps else {"median_l2": median(value)}
            judged |= {"seconds": seconds[who], "times_ours": seconds[who] / seconds["ours"]}
            if who != "ours" and not eps:
                judged["ours_over"] = ratios([[values["ours"]], [value]])
            found |= {f"{name}.{who}.{measure}": value for measure, value in judged.items()}
            told = " ".join(f"{measure} {show(value)}" for measure, value in judged.items())
            print(f"white_box: {name} {PEERS.get(who, who)}: {told}", flush=True)
    return found


def reached_by(victim: Any, images: Any, labels: Any, adversarial: Any, eps: float | None) -> list[Any]:
    """Of each image whether what an attack returns succeeds within eps (Linf), or else at which L2 distance."""
    import torch

    from visionadv.distances import fits, size

    adversarial = adversarial.clamp(0, 1)
    wrong = victim.decide(adversarial) != labels
    delta = adversarial - images
    if eps is not None:
        return (wrong & fits(size(delta, "linf"), eps)).tolist()
    return size(delta, "l2").where(wrong, torch.inf).tolist()


def show(value: Any) -> str:
    """A number, or an estimate with its interval; None is more than any number."""
    if not isinstance(value, dict):
        return "-" if value is None else f"{value:.3g}"
    return "{} [{}, {}]".format(*("-" if value[k] is None else f"{value[k]:.4g}" for k in ("value", "low", "high")))


def measure_autoattack(arguments: BenchmarkArguments, victim: Any, images: Any, labels: Any) -> dict[str, Any]:
    """Robust accuracy under AutoAttack, ours and torchattacks'."""
    from _estimates import estimate

    setting = Setting(arguments.eps)
    calls = {"ours": lambda: ours("autoattack", victim, images, labels, arguments, eps=setting.eps).best}
    if "torchattacks" in beside(arguments):
        call = peer_attack("torchattacks", "autoattack", victim, tuple(images.shape[1:]), setting)
        calls["torchattacks"] = lambda: call(images, labels) if call else images
    results, seconds = timed(calls, 1)
    found = {}
    for who, adversarial in results.items():
        judged = estimate(reached_by(victim, images, labels, adversarial, setting.eps))
        found |= {f"autoattack.{who}.success": judged, f"autoattack.{who}.seconds": seconds[who]}
        print(f"autoattack: {PEERS.get(who, who)}: success {show(judged)}, {seconds[who]:.1f} s")
    return found


def measure_batch(arguments: BenchmarkArguments, victim: Any, images: Any, labels: Any) -> dict[str, Any]:
    """Images per second of Sign-OPT, at once and one after the other; and how much the victim gains so."""
    import torch

    budget, loop, batches = max(arguments.marks), arguments.loop_samples, 16
    crowd = images[torch.arange(batches * victim.at_once) % len(images)]

    def together() -> None:
        ours("sign_opt", victim, images, labels, arguments, budget=budget)

    def alone() -> None:
        for row in range(min(loop, len(images))):
            ours("sign_opt", victim, images[row : row + 1], labels[row : row + 1], arguments, budget=budget)

    def decide(images: Any, at_once: int) -> None:
        for part in images.split(at_once):
            victim.decide(part)

    calls = {"together": together, "alone": alone}
    calls["victim"] = partial(decide, crowd, victim.at_once)
    calls["victim_alone"] = partial(decide, crowd[: victim.at_once], 1)
    _, seconds = timed(calls, arguments.rounds)
    rate, alone_rate = len(images) / seconds["together"], min(loop, len(images)) / seconds["alone"]
    limit = batches * seconds["victim_alone"] / seconds["victim"]
    print(f"batch: Sign-OPT with {budget} queries: {rate:.3g} images a second, {rate / alone_rate:.1f} times that")
    print(f"       of one image after the other, {alone_rate:.3g}; the victim alone is {limit:.1f} times as fast with")
    print(f"       {victim.at_once} images at once as with one after the other")
    return {"batch.images_per_second": rate, "batch.times_one": rate / alone_rate, "batch.victim_times_one": limit}


def measure_decisions(arguments: BenchmarkArguments, victim: Any, images: Any, labels: Any) -> dict[str, Any]:
    """The median L2 distance at each mark, of our attacks and of the peers', the ratio of these, and their time."""
    import numpy as np
    import torch

    from visionadv.summary import median

    images, labels = images[: arguments.decision_samples], labels[: arguments.decision_samples]
    marks, found = tuple(sorted(arguments.marks)), {}
    for name, peer in (("hop_skip_jump", "foolbox"), ("sign_opt", "art")):
        begin = time.perf_counter()
        oracle = ours(name, victim, images, labels, arguments, norm="l2", budget=marks[-1], **AS_THEIRS.get(name, {}))
        seconds = {"ours": time.perf_counter() - begin}
        reached = {"ours": reached_at(oracle, marks)}
        if peer in beside(arguments):
            torch.manual_seed(arguments.seed)
            np.random.seed(arguments.seed)  # noqa: NPY002  ART draws from it
            begin, rows = time.perf_counter(), []
            for row in range(len(images)):
                watched = Nearest(victim, images[row : row + 1], int(labels[row]), "l2", marks)
                peer_decisions(name, watched, tuple(images.shape[1:]))
                rows.append(watched.finish())
            seconds[peer] = time.perf_counter() - begin
            reached[peer] = [list(column) for column in zip(*rows, strict=True)]
        for who, columns in reached.items():
            judged = {mark: median(column) for mark, column in zip(marks, columns, strict=True)}
            found |= {f"decisions.{name}.{who}@{mark}": value for mark, value in judged.items()}
            found[f"decisions.{name}.{who}.times_ours"] = seconds[who] / seconds["ours"]
            told = ", ".join(f"{show(value)} at {mark}" for mark, value in judged.items())
            print(f"decisions: {name} {PEERS.get(who, who)}: {told}; {seconds[who] / seconds['ours']:.3g} of our time")
        for place, mark in enumerate(marks):
            if peer in reached:
                ratio = ratios([[reached[who][place]] for who in ("ours", peer)])
                found[f"decisions.{name}.ratio.{peer}@{mark}"] = ratio
                print(f"decisions: {name} over {PEERS[peer]} on the same image at {mark}: {show(ratio)}")
    return found


def measure_frugal(
    arguments: BenchmarkArguments, victim: Any, images: Any, labels: Any, *, spare: tuple[Any, Any]
) -> dict[str, Any]:
    """Medians of each attack, tuned on spare images, and how much nearer than by others ours is on the same image."""
    from visionadv.summary import median

    marks, found, reached = tuple(sorted(arguments.marks)), {}, {}

    def attacked(name: str, options: dict[str, Any], shown: tuple[Any, Any], seed: int) -> list[list[float]]:
        limits = {"norm": "l2", "budget": marks[-1]}
        return reached_at(ours(name, victim, *shown, replace(arguments, seed=seed), **limits, **options), marks)

    for name, tried in TRIED.items():
        medians = [median(attacked(name, options, spare, arguments.seed)[-1])["value"] for options in tried]
        best = tried[min(range(len(tried)), key=lambda number: medians[number] or float("inf"))]
        print(f"frugal: {name} is tuned to {best or 'what it is by default'}, of medians", *map(show, medians))
        found[f"frugal.{name}.options"] = best
        reached[name] = [attacked(name, best, (images, labels), seed) for seed in arguments.seeds]
        for seed, columns in zip(arguments.seeds, reached[name], strict=True):
            judged = {mark: median(column) for mark, column in zip(marks, columns, strict=True)}
            found |= {f"frugal.{name}.{seed}@{mark}": value for mark, value in judged.items()}
            told = ", ".join(f"{show(value)} at {mark}" for mark, value in judged.items())
            print(f"frugal: {name}, seed {seed}: {told}")
    own, *others = TRIED
    for name in others:
        for place, mark in enumerate(marks):
            ratio = ratios([[run[place] for run in reached[one]] for one in (own, name)])
            found[f"frugal.ratio.{name}@{mark}"] = ratio
            print(f"frugal: {own} over {name} on the same image at {mark}: {show(ratio)}")
    return found


def ratios(pair: list[list[list[float]]]) -> dict[str, Any]:
    """The geometric mean over images of one attack's distances over another's (attack, seed, image), with its interval.

    An image counts once, by the mean of its logarithms over seeds; one that an attack has missed is left out.
    """
    import math

    from _estimates import estimate

    logs = []
    for runs in zip(*(zip(*attack, strict=True) for attack in pair), strict=True):
        ours, theirs = runs
        if all(map(math.isfinite, (*ours, *theirs))):
            logs.append(statistics.fmean(math.log(one / other) for one, other in zip(ours, theirs, strict=True)))
    told = estimate(logs)
    return told | {key: None if told[key] is None else math.exp(told[key]) for key in ("value", "low", "high")}


def reached_at(oracle: Any, marks: tuple[int, ...]) -> list[list[float]]:
    """For each mark the distance of each image's nearest success among so many queries."""
    from visionadv.attack import by_row
    from visionadv.summary import distance_at

    curves = by_row(oracle.curve)
    return [[distance_at(curves[row], mark) for row in range(len(oracle.images))] for mark in marks]


MEASURES = {
    "step": measure_step,
    "white_box": measure_white_box,
    "autoattack": measure_autoattack,
    "batch": measure_batch,
    "decisions": measure_decisions,
    "frugal": measure_frugal,
}

if __name__ == "__main__":
    launch(main, BenchmarkArguments, VictimConfig, DataConfig, mistakes=(BadInput,), description=__doc__)
