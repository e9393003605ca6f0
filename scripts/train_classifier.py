"""Train an image classifier, naturally or to be robust.

The embedded CNN of scikit-learn's digits, offline, in seconds:

    python scripts/train_classifier.py
    cp runs/train_classifier/{README.md,config.json,model.safetensors} visionadv/embedded/digits/

The CNN of the decision attacks for MNIST (images moved by up to a pixel are all that is added to natural training):

    accelerate launch scripts/train_classifier.py --dataset_name ylecun/mnist --model cnn7_batch_norm --shift 1 \\
        --per_device_train_batch_size 128 --num_train_epochs 10 --output_dir runs/mnist

The same for CIFAR-10, on one GPU:

    accelerate launch --mixed_precision bf16 scripts/train_classifier.py --dataset_name uoft-cs/cifar10 \\
        --model cnn7_batch_norm --shift 4 --mirror true --per_device_train_batch_size 128 --num_train_epochs 30 \\
        --weight_decay 0.05 --output_dir runs/cifar10

--method is one of visionadv/training; what its paper sets is set, --train_eps is the distance of its own attack, and
--method_options changes the rest:

    accelerate launch scripts/train_classifier.py --dataset_name ylecun/mnist --model cnn7 --method adversarial \\
        --train_eps 0.3 --method_options steps=40 step_size=0.033 --output_dir runs/robust
    accelerate launch scripts/train_classifier.py --dataset_name uoft-cs/cifar10 --method sprout \\
        --model_name_or_path runs/cifar10 --output_dir runs/sprout
    accelerate launch scripts/train_classifier.py --dataset_name uoft-cs/cifar10 --method bn_finetune \\
        --train_eps 0.031 --model_name_or_path runs/cifar10 --output_dir runs/bn

advprop and robmask make two nets: the folder's is for clean images, and adversarial/ in it is for attacked ones; that
is published as another model, whose name ends in -adversarial.
method.safetensors has what the method itself has learnt: SPROUT's beta, CAT's distances.

--model is a name of visionadv/models, and --model_name_or_path goes on with a trained net. --split is the split that is
scored. The same command again goes on from the last checkpoint. The folder holds the net with its card, ready for
`--model_name_or_path` elsewhere, results.json (accuracy, seconds, cpu_seconds), manifest.json and
checkpoint-N/.

--push_to_hub publishes it, with a table of robustness on its card: --robustness_samples images of --split (100 of them
where it is published, else none, if the option isn't given) are judged by those --judges and within those --test_eps
that evaluate_robustness.py takes, too. Without --test_eps that is within the distance of the method's own attack:

    accelerate launch scripts/train_classifier.py --dataset_name ylecun/mnist --model cnn7 --method trades \\
        --train_eps 0.3 --robustness_samples 1000 --judges clean pgd autoattack --push_to_hub
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from _estimates import estimate, estimates, print_table
from _run import launch, public_command, without_tf32, writable_folder, write_bytes, write_json
from train_seq2seq import TrainArguments, begin, push

from visionadv.configs import JUDGES, BadInput, DataConfig, EvaluationConfig, TrainClassifierConfig

JUDGED_AT_ONCE = 100  # images
JUDGED_IF_PUBLISHED = 100  # of them, unless another number is given


def main(
    arguments: TrainArguments, source: DataConfig, config: TrainClassifierConfig, evaluation: EvaluationConfig
) -> None:
    """Trains on a split, scores on one that it hasn't seen, and writes the model's folder."""
    from visionadv.training.trainer import Training

    folder = writable_folder(arguments.output_dir)
    train, test = load_splits(arguments, source, config)
    accelerator = prepared(folder, arguments)
    samples = config.robustness_samples
    if samples is None:
        samples = JUDGED_IF_PUBLISHED if arguments.push_to_hub else 0
    if "transfer" in evaluation.judges and samples:
        raise BadInput("the judge transfer needs a surrogate, and there is none here; use evaluate_robustness.py")
    model, method = load_model(config, train), make_method(config)
    evaluation = evaluation.within(**trained_within(config, method))
    fingerprint = {"train": train.fingerprint, "test": test.fingerprint}
    if config.model_name_or_path:
        from visionadv.victims import ModuleVictim

        fingerprint["model"] = ModuleVictim(model).fingerprint()
        model.requires_grad_(True)  # a victim's weights have no gradients
    if config.teacher_name_or_path:
        from visionadv.loading import load_victim

        teacher = load_victim(config.teacher_name_or_path, classes=len(train.classes), shape=train.shape)
        fingerprint["teacher"] = teacher.fingerprint()
    machine = SimpleNamespace(
        mixed_precision=accelerator.mixed_precision,
        device=accelerator.device,
        world_size=accelerator.num_processes,
        process_index=accelerator.process_index,
    )
    training = Training(model, method, config, accelerator=accelerator, data=train, seed=arguments.seed)
    if begin(folder, machine, [arguments, source, config, evaluation], fingerprint):
        accelerator.wait_for_everyone()  # all have looked before the first one goes on
        nets, cost = fit(folder, training)
        if accelerator.is_main_process:
            save_state(folder, method)
            for name, net in reversed(nets.items()):  # the folder's own last: it says that all is done
                scores = scores_of(net, test, evaluation, accelerator.device, samples)
                save(folder / name, net, source, config, scores | cost)
                told = {f"{name}/{key}".lstrip("/"): one["value"] for key, one in scores.items()}
                accelerator.log({key: one for key, one in told.items() if one is not None}, step=training.steps)
    elif samples and accelerator.is_main_process:
        judge_finished(folder, test, source, config, evaluation, accelerator.device, samples)
    accelerator.end_training()
    if accelerator.is_main_process:
        print_table(json.loads((folder / "results.json").read_text()))
        print(f"the model is in {folder}")
        if arguments.push_to_hub:
            name = arguments.hub_model_id or folder.resolve().name
            print("published:", push(folder, name))
            for other in further_nets(folder):
                print("published:", push(other, f"{name}-{other.name}"))


def load_splits(arguments: TrainArguments, source: DataConfig, config: TrainClassifierConfig) -> tuple[Any, Any]:
    """What is learnt from and what is scored. Raises BadInput where they are the same, or differ in kind."""
    from visionadv.data import load_images

    if source.split == config.train_split:
        raise BadInput(f"the split to score, {source.split!r}, is what is learnt from; give another --split")
    train = load_images(**source.options(split=config.train_split, max_samples=arguments.max_samples))
    test = load_images(**source.options(max_samples=config.max_eval_samples))
    if (train.shape, train.classes) != (test.shape, test.classes):
        raise BadInput(
            f"{source.split} has images of {test.shape} and {len(test.classes)} classes, {config.train_split} of "
            f"{train.shape} and {len(train.classes)}; give splits of one kind"
        )
    return train, test


def prepared(folder: Path, arguments: TrainArguments) -> Any:
    """What trains, with the trackers of --report_to, and seeded."""
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from accelerate.utils import set_seed

    log_with = None if arguments.report_to == "none" else arguments.report_to
    apart = DistributedDataParallelKwargs(broadcast_buffers=False)  # some methods pass twice before they go back
    accelerator = Accelerator(log_with=log_with, project_dir=folder, kwargs_handlers=[apart])
    set_seed(arguments.seed)
    if log_with:
        accelerator.init_trackers(Path(sys.argv[0]).stem)
    return accelerator


def load_model(config: TrainClassifierConfig, train: Any) -> Any:
    """A new net for images like these, or the one to go on with. Raises BadInput if it knows other classes."""
    from visionadv.loading import load_classifier
    from visionadv.models import model_named
    from visionadv.training.trainer import channel_statistics

    if config.model_name_or_path is None:
        if len(train.shape) != 3:
            raise BadInput("nets are for images, and these data are rows of numbers; LightGBM learns from such")
        mean, std = channel_statistics(train)
        return model_named(
            config.model, shape=train.shape, classes=len(train.classes), mean=mean, std=std, labels=train.classes
        )
    model = load_classifier(config.model_name_or_path)
    if (model.shape, model.classes) != (train.shape, len(train.classes)):
        raise BadInput(
            f"{config.model_name_or_path} takes images of {model.shape} and knows {model.classes} classes, and the "
            f"data have {train.shape} and {len(train.classes)}; give a model of these data"
        )
    return model


def make_method(config: TrainClassifierConfig) -> Any:
    """The method with its hyperparameters. Raises BadInput for what it doesn't have, or can't be without."""
    from visionadv.loading import load_classifier
    from visionadv.training import method_from

    if config.method == "bn_finetune" and config.model_name_or_path is None:
        raise BadInput("bn_finetune goes on with a trained net; give its --model_name_or_path")
    more = {"teacher": load_classifier(config.teacher_name_or_path)} if config.teacher_name_or_path else {}
    return method_from(config.method, eps=config.train_eps, options=config.method_options, **more)


def trained_within(config: TrainClassifierConfig, method: Any) -> dict[str, float | None]:
    """The distance of the method's own attack, by its norm; None where that is the paper's, or there is no attack."""
    from visionadv.training import hyperparameters

    eps = getattr(method, "eps", None)
    usual = hyperparameters(config.method).get("eps")
    return {getattr(method, "norm", "linf"): None if eps == usual else eps}


def fit(folder: Path, training: Any) -> tuple[dict[str, Any], dict[str, float]]:
    """What comes of a `Training`, from the last checkpoint in `folder` on: "" is the model, and others have names.

    And what it cost: seconds, and seconds of CPU time, and those of ten epochs: see `Training.cost`.
    """
    from tqdm import tqdm

    accelerator = training.accelerator
    with tqdm(total=training.steps, unit="step", disable=not accelerator.is_main_process) as bar:

        def on_step(step: int, told: dict[str, float]) -> None:
            bar.update(step - bar.n)
            if told:
                bar.set_postfix(told)
                accelerator.log(told, step=step)

        return training.vicinity.nets(training.run(folder, on_step)), training.cost


def save_state(folder: Path, method: Any) -> None:
    """What the method has learnt itself, such as SPROUT's beta and CAT's distances, if there is anything."""
    from safetensors.torch import save as as_bytes

    state = {name: values.detach().cpu().contiguous() for name, values in method.state_dict().items()}
    if state:
        write_bytes(folder / "method.safetensors", as_bytes(state))


def further_nets(folder: Path) -> list[Path]:
    """The folders of a method's further nets, such as AdvProp's for attacked images."""
    return [path.parent for path in sorted(folder.glob("*/config.json"))]


def scores_of(model: Any, test: Any, evaluation: EvaluationConfig, device: Any, samples: int) -> dict[str, Any]:
    """Accuracy, and what judges say of the first `samples` images, if there are to be any."""
    from visionadv.training.trainer import right

    scores = {"accuracy": estimate(right(model, test, device))}
    return scores | (robustness_of(model, test, evaluation, device, samples) if samples else {})


def robustness_of(model: Any, test: Any, evaluation: EvaluationConfig, device: Any, samples: int) -> dict[str, Any]:
    """What judges say of the first `samples` images; `model` is on the device."""
    from visionadv.evaluation import evaluate, evaluation_measures, judges_of
    from visionadv.victims import ModuleVictim

    without_tf32()
    victim, judges, records = ModuleVictim(model, classes=len(test.classes)), judges_of(evaluation), []
    count = min(samples, len(test))
    print(f"judging {count} images for the card")
    for first in range(0, count, JUDGED_AT_ONCE):
        ids = range(first, min(first + JUDGED_AT_ONCE, count))
        records += [asdict(one) for one in evaluate(victim, test, ids, judges, seed=0, device=device)]
    return estimates(evaluation_measures(records))


def judge_finished(
    folder: Path,
    test: Any,
    source: DataConfig,
    config: TrainClassifierConfig,
    evaluation: EvaluationConfig,
    device: Any,
    samples: int,
) -> None:
    """Robustness for the cards of a finished training that has none, since it wasn't to be published then."""
    from visionadv.evaluation import judge_of
    from visionadv.loading import load_classifier

    for path in (*further_nets(folder), folder):
        scores = json.loads((path / "results.json").read_text())
        if not any(judge_of(measure) in JUDGES for measure in scores):
            net = load_classifier(str(path)).to(device)
            found = robustness_of(net, test, evaluation, device, samples)
            save(path, net, source, config, {"accuracy": scores["accuracy"]} | found | scores)


def save(
    folder: Path, model: Any, source: DataConfig, config: TrainClassifierConfig, scores: dict[str, Any], **more: str
) -> None:
    """Model, card and scores; results.json comes last, and says that the training is finished.

    `more` is for `model_card`.
    """
    from textadv.adversarial_set import public_name
    from visionadv.card import model_card

    name, command = public_name(source.dataset_name) or "scikit-learn-digits", public_command()
    told = {"method": config.method, "dataset": name, "split": source.split, "command": command} | more
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text(model_card(model, scores=scores, **told), encoding="utf-8")
    model.cpu().save_pretrained(folder)
    write_json(folder / "results.json", scores)


if __name__ == "__main__":
    configs = (TrainArguments, DataConfig, TrainClassifierConfig, EvaluationConfig)
    launch(main, *configs, mistakes=(BadInput,), description=__doc__)
