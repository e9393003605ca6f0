"""Train a victim: an encoder-decoder for translation or summarization, its tokenizer included.

The embedded victim, by default, from our own grammar: offline, five minutes of one CPU core:

    python scripts/train_seq2seq.py
    cp runs/train_seq2seq/{README.md,*config.json,model.safetensors,tokenizer.json} textadv/embedded/victim/

A Transformer for Multi30k, on one GPU:

    accelerate launch --mixed_precision bf16 scripts/train_seq2seq.py --output_dir runs/multi30k \\
        --dataset_name bentrevett/multi30k --source_column en --target_column de --vocab_size 6000 \\
        --d_model 256 --num_layers 3 --ffn_dim 768 --dropout 0.2 --num_train_epochs 8 --learning_rate 1.5e-3

The LSTM of the Seq2Sick paper, word by word, for the same data:

    accelerate launch scripts/train_seq2seq.py --output_dir runs/multi30k-lstm --architecture lstm --tokenizer word \\
        --dataset_name bentrevett/multi30k --source_column en --target_column de --vocab_size 16000 \\
        --d_model 500 --num_layers 2 --dropout 0.3 --num_train_epochs 10 --learning_rate 1e-3

Fine-tune a model of the Hub and push the result:

    accelerate launch scripts/train_seq2seq.py --output_dir runs/t5 --model_name_or_path google-t5/t5-small \\
        --source_prefix "summarize: " --dataset_name EdinburghNLP/xsum --source_column document \\
        --target_column summary --learning_rate 1e-4 --push_to_hub --hub_model_id me/t5-small-xsum

A new model is trained unless --model_name_or_path names one. --split is the split that is scored. The same
command again goes on from the last checkpoint. The folder holds the model with its card, ready for
`--model_name_or_path` elsewhere, results.json (BLEU and ROUGE-L), manifest.json and checkpoint-N/.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import util
from pathlib import Path
from typing import Any, Literal

from _run import (
    RunError,
    check_same_config,
    launch,
    manifest,
    public_command,
    writable_folder,
    write_json,
)

from textadv.configs import BadInput, DataConfig, TrainerConfig, TrainSeq2SeqConfig, VictimConfig
from textadv.types import Example


@dataclass(frozen=True)
class TrainArguments:
    """Where the training runs and what becomes of the model."""

    output_dir: str | None = field(default=None, metadata={"help": "default: runs/<script>"})
    seed: int = field(default=0, metadata={"help": "seed of all randomness"})
    max_samples: int | None = field(
        default=None, metadata={"help": "learn from the first so many of each data set; default: all"}
    )
    report_to: Literal["none", "tensorboard"] = field(default="none", metadata={"help": "where the loss goes too"})
    push_to_hub: bool = field(default=False, metadata={"help": "publish the finished model"})
    hub_model_id: str | None = field(default=None, metadata={"help": "its name there; default: the folder's"})

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise RunError(f"--seed must be at least 0 and below 2**32, not {self.seed}")
        if self.report_to == "tensorboard" and util.find_spec("tensorboard") is None:
            raise RunError("--report_to tensorboard needs it installed: pip install tensorboard")


def main(arguments: TrainArguments, data: DataConfig, victim: VictimConfig, config: TrainSeq2SeqConfig) -> None:
    from textadv.data import dataset_fingerprint

    folder = writable_folder(arguments.output_dir)
    train, test = load_splits(arguments, data, config, config.extra_datasets)
    fingerprint = {"train": dataset_fingerprint(train), "test": dataset_fingerprint(test)}
    length = {"num_train_epochs": config.num_train_epochs, "max_steps": config.max_steps}
    options = training_arguments(folder, arguments, config, **length)
    if begin(folder, options, [arguments, data, victim, config], fingerprint):
        model, tokenizer = fit(folder, options, victim, config, train)
        if options.process_index == 0:
            from textadv.scoring import score

            save(folder, model, tokenizer, data, score(model, tokenizer, test, victim.source_prefix))
    if options.process_index == 0:
        tell(folder, arguments)


def load_splits(
    arguments: TrainArguments, data: DataConfig, config: TrainerConfig, extra_datasets: Sequence[str] = ()
) -> tuple[list[Example], list[Example]]:
    """What is learnt from and what is scored. Raises BadInput where they are the same, or there are no references."""
    from textadv.data import load_examples

    learnt = [replace(data, split=config.train_split)]
    learnt += [replace(learnt[0], dataset_name=name, dataset_config_name=None) for name in extra_datasets]
    train = [example for one in learnt for example in load_examples(one, max_samples=arguments.max_samples)]
    test = load_examples(data, max_samples=config.max_eval_samples)
    if train[0].reference is None:
        raise BadInput("training needs references; name their --target_column")
    if train[: len(test)] == test:
        raise BadInput(f"the split to score, {data.split!r}, is what is learnt from; give another --split")
    return train, test


def begin(folder: Path, options: Any, configs: list[Any], fingerprint: dict[str, str]) -> bool:
    """Writes the manifest unless it is there; whether anything is left to do. Refuses the folder of another run."""
    precision = options.mixed_precision.replace("no", "fp32")
    if precision == "fp16" and options.device.type == "cpu":
        precision = "fp32"
        print("warning: fp16 does nothing on a CPU, this run is fp32; bf16 works", file=sys.stderr)
    machine = {"device": str(options.device), "num_processes": options.world_size}
    made = manifest(configs, precision, fingerprint, **machine)
    found = check_same_config(folder, made)
    if options.process_index == 0 and found is None:
        write_json(folder / "manifest.json", made)
    finished = (folder / "results.json").exists()
    if options.process_index == 0 and finished:
        print("already finished")
    return not finished


def tell(folder: Path, arguments: TrainArguments) -> None:
    """Prints the scores of a finished training, and publishes it if that is asked for."""
    from textadv.training import METRICS

    for name, score in json.loads((folder / "results.json").read_text()).items():
        print(METRICS[name][1], "{value:.2f} ({low:.2f} to {high:.2f}) on {n} sentences".format(**score))
    print(f"the model is in {folder}")
    if arguments.push_to_hub:
        print("published:", push(folder, arguments.hub_model_id or folder.resolve().name))


def training_arguments(folder: Path, arguments: TrainArguments, config: TrainerConfig, **length: Any) -> Any:
    """Our options in the Trainer's words; device and precision are `accelerate launch`'s.

    `length` is `max_steps` or `num_train_epochs`, or both as the Trainer takes them.
    """
    import torch
    from transformers import Seq2SeqTrainingArguments

    return Seq2SeqTrainingArguments(
        output_dir=str(folder),
        seed=arguments.seed,
        report_to=arguments.report_to,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        label_smoothing_factor=config.label_smoothing_factor,
        **length,
        per_device_train_batch_size=config.per_device_train_batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        train_sampling_strategy=config.train_sampling_strategy,
        save_steps=config.save_steps,
        save_total_limit=2,
        logging_steps=config.logging_steps,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def fit(
    folder: Path, options: Any, victim: VictimConfig, config: TrainSeq2SeqConfig, train: list[Example]
) -> tuple[Any, Any]:
    """The trained model and its tokenizer, from the last checkpoint in `folder` on."""
    from transformers import set_seed

    from textadv import training

    set_seed(options.seed)
    texts = [text for pair in train for text in (pair.source, pair.reference or "")]
    model, tokenizer = training.build(config, victim, texts)
    return learn(folder, options, model, tokenizer, train, victim.source_prefix), tokenizer


def learn(folder: Path, options: Any, model: Any, tokenizer: Any, train: list[Example], prefix: str) -> Any:
    """The model after its training on pairs of source and reference, from the last checkpoint in `folder` on."""
    from transformers import DataCollatorForSeq2Seq, Seq2SeqTrainer

    from textadv import training

    trainer = Seq2SeqTrainer(
        model=model,
        args=options,
        train_dataset=training.Pairs(tokenizer, train, prefix),
        data_collator=DataCollatorForSeq2Seq(tokenizer, model=model),
        processing_class=tokenizer,
    )
    trainer.train(resume_from_checkpoint=training.last_checkpoint(folder))
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    model.config.use_cache = True  # the Trainer turns it off
    return model


def save(folder: Path, model: Any, tokenizer: Any, data: DataConfig, scores: dict[str, Any], **more: Any) -> None:
    """Model, tokenizer, card and scores; results.json comes last, and says that the training is finished.

    `more` is for `model_card`.
    """
    from textadv.adversarial_set import public_name
    from textadv.training import model_card

    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    name, command = public_name(data.dataset_name) or "embedded-grammar", public_command()
    card = model_card(model, dataset=name, split=data.split, scores=scores, command=command, **more)
    (folder / "README.md").write_text(card, encoding="utf-8")
    write_json(folder / "results.json", scores)


MODEL_FILES = ["*.json", "*.safetensors", "README.md"]  # a "*" takes in folders
NOT_MODEL_FILES = ["*/*", "manifest.json"]


def push(
    folder: Path,
    name: str,
    *,
    kind: str = "model",
    wanted: Sequence[str] = MODEL_FILES,
    left_out: Sequence[str] = NOT_MODEL_FILES,
) -> str:
    """Publish files of a folder, a model's by default (with tokenizer, card and score), and return their address."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HTTPError  # pyright: ignore[reportPrivateImportUsage]

    api = HfApi()
    try:
        url = api.create_repo(name, repo_type=kind, exist_ok=True)
        api.upload_folder(
            repo_id=url.repo_id,
            repo_type=kind,
            folder_path=folder,
            allow_patterns=list(wanted),
            ignore_patterns=list(left_out),
            commit_message=f"Upload the {kind}",
        )
    except (OSError, ValueError, HTTPError) as error:
        raise RunError(f"{name} can't be published: {error}; check its name, HF_TOKEN and the network") from error
    return str(url)


if __name__ == "__main__":
    configs = (TrainArguments, DataConfig, VictimConfig, TrainSeq2SeqConfig)
    launch(main, *configs, mistakes=(BadInput,), description=__doc__)
