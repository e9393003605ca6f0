"""Judge how robust an image classifier is: clean, under many attacks, after changes that a person sees through.

The embedded CNN of scikit-learn's digits, offline, a minute or two:

    accelerate launch scripts/evaluate_robustness.py --max_samples 200 --test_eps 0.05 0.1 0.2

Any classifier and data set; AutoAttack stands beside the paper's own attack, and so do attacks without gradients:

    accelerate launch scripts/evaluate_robustness.py --model_name_or_path runs/robust --dataset_name ylecun/mnist \\
        --max_samples 1000 --test_eps 0.1 0.2 0.3 --surrogate_name_or_path runs/mnist \\
        --judges clean gradients pgd pgd_long pgd_restarts margin square autoattack decision transfer

A net between two maskings of batch normalisation, as bn_finetune, advprop and robmask make them:

    accelerate launch scripts/evaluate_robustness.py --model_name_or_path runs/natural --blend_name_or_path runs/bn \\
        --blend_share 0.4

With the default judges it says for every distance whether anything hints at masked gradients. Repeat a command to
resume it. The run folder (--output_dir) holds records.jsonl (an image a line), results.json (clean, pgd@0.031,
autoattack@0.031, worst@0.031, ...), manifest.json and report.html.
"""

from dataclasses import dataclass, field
from typing import Any

from _run import Run, RunArguments, launch
from attack_images import Place

from visionadv.configs import BadInput, DataConfig, EvaluationConfig, SurrogateConfig, VictimConfig


@dataclass(frozen=True)
class EvaluationArguments(RunArguments):
    """As for every run."""

    per_device_batch_size: int = field(default=100, metadata={"help": "images that are judged together"})
    blend_name_or_path: str | None = field(
        default=None, metadata={"help": "a net that differs in batch normalisation only, to be blended with"}
    )
    blend_share: float = field(default=0.5, metadata={"help": "p: the first net's share of the normalisation"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.blend_share <= 1:
            raise BadInput(f"--blend_share must be from 0 to 1, not {self.blend_share}")


def main(
    arguments: EvaluationArguments,
    named: VictimConfig,
    other: SurrogateConfig,
    source: DataConfig,
    config: EvaluationConfig,
) -> None:
    """Judges every image, and writes a run folder."""
    from visionadv.data import load_images
    from visionadv.evaluation import evaluate, evaluation_measures, judges_of
    from visionadv.loading import load_victim
    from visionadv.masking import JUDGED_BY, signs, verdict
    from visionadv.robustness_report import robustness_report

    config = config.within()
    data = load_images(**source.options())
    victim, surrogate = load(arguments, named, data), None
    if other.surrogate_name_or_path:
        surrogate = load_victim(other.surrogate_name_or_path, classes=len(data.classes), shape=data.shape)
    check(config, victim, data, surrogate)
    fingerprint = {"images": data.fingerprint, "victim": victim.fingerprint()}
    if surrogate:
        fingerprint["surrogate"] = surrogate.fingerprint()
    with Run(arguments, [named, other, source, config], fingerprint) as run:
        victim, surrogate = victim.to(run.device), surrogate and surrogate.to(run.device)
        judges = judges_of(config, surrogate)
        for batch in run.batches([Place(number) for number in range(len(data))]):
            ids = [place.example_id for place in batch]
            with run.accelerator.autocast():
                run.append(evaluate(victim, data, ids, judges, seed=arguments.seed, device=run.device))
        distances = config.test_eps if {*JUDGED_BY} <= {*config.judges} else []

        def page(records: Any, results: Any, manifest: Any) -> str:
            for eps in distances:
                print(f"within {eps:g}: {verdict(signs(records, eps))}")
            return robustness_report(records, results, manifest, distances=distances)

        run.finish(evaluation_measures, page)


def load(arguments: EvaluationArguments, named: VictimConfig, data: Any) -> Any:
    """The victim, blended if it is to be."""
    from visionadv.loading import load_classifier, load_victim
    from visionadv.training.norms import blended
    from visionadv.victims import ModuleVictim

    fit: dict[str, Any] = {"classes": len(data.classes), "shape": data.shape}
    if arguments.blend_name_or_path is None:
        return load_victim(named.model_name_or_path, **fit, randomized=named.randomized)
    if named.model_name_or_path is None:
        raise BadInput("--blend_name_or_path is blended with another net; give its --model_name_or_path")
    net, other = (load_classifier(name) for name in (named.model_name_or_path, arguments.blend_name_or_path))
    return ModuleVictim(blended(net, other, arguments.blend_share), classes=len(data.classes))


def check(config: EvaluationConfig, victim: Any, data: Any, surrogate: Any) -> None:
    """Raises BadInput for judges that can't judge this victim or these data."""
    from visionadv.configs import JUDGES
    from visionadv.invariance import CHANGES

    if "transfer" in config.judges and surrogate is None:
        raise BadInput("the judge transfer needs --surrogate_name_or_path, whose images are shown to the victim")
    blind = {"clean", "decision", "transfer", *CHANGES} | ({"square"} if victim.scored else set())
    if "transfer" in config.judges and not surrogate.differentiable:
        raise BadInput("the judge transfer attacks the surrogate by its gradients, and this one has none; give a net")
    if not victim.differentiable and (needing := [one for one in config.judges if one not in blind]):
        others = " ".join(one for one in JUDGES if one in blind - {*CHANGES, "transfer"})
        raise BadInput(f"{', '.join(needing)} need what this victim doesn't tell; it can have --judges {others}")
    if len(data.shape) != 3 and (needing := [one for one in config.judges if one in CHANGES]):
        others = ", ".join(one for one in JUDGES if one not in CHANGES)
        raise BadInput(f"{', '.join(needing)} are for images, and these data are rows of numbers; there are {others}")


if __name__ == "__main__":
    configs = (EvaluationArguments, VictimConfig, SurrogateConfig, DataConfig, EvaluationConfig)
    launch(main, *configs, mistakes=(BadInput,), description=__doc__)
