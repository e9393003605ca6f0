"""Train a causal language model, its tokenizer included: what perplexity is measured with where the Hub has no better.

The embedded grammar's English, by default: offline, a few minutes of one CPU core:

    python scripts/train_lm.py
    python scripts/seq2sick.py --perplexity_model runs/train_lm

The English side of Multi30k, on one GPU:

    accelerate launch --mixed_precision bf16 scripts/train_lm.py --output_dir runs/multi30k-lm \\
        --dataset_name bentrevett/multi30k --source_column en --vocab_size 6000 --d_model 256 --num_layers 4 \\
        --ffn_dim 1024 --dropout 0.2 --num_train_epochs 10 --learning_rate 1e-3

Fine-tune a model of the Hub on target sentences, and push the result:

    accelerate launch scripts/train_lm.py --output_dir runs/gpt2-de --model_name_or_path dbmdz/german-gpt2 \\
        --dataset_name bentrevett/multi30k --side target --target_column de --learning_rate 5e-5 \\
        --push_to_hub --hub_model_id me/german-gpt2-multi30k

--side names the column that is learnt. A new model is trained unless --model_name_or_path names one. --split is the
split that is scored. The same command again goes on from the last checkpoint. The folder holds the model with its
card, ready for `--perplexity_model`, results.json (perplexity), manifest.json and checkpoint-N/.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from _run import RunError, launch, writable_folder
from train_seq2seq import TrainArguments, begin, save, tell, training_arguments

from textadv.configs import BadInput, DataConfig, TrainLMConfig


def main(arguments: TrainArguments, data: DataConfig, config: TrainLMConfig) -> None:
    """Trains on one column of a data set, scores on another split of it, and writes the model's folder."""
    from textadv.data import texts_fingerprint

    folder = writable_folder(arguments.output_dir)
    learnt = [data, *(replace(data, dataset_name=name, dataset_config_name=None) for name in config.extra_datasets)]
    train = [text for one in learnt for text in column(one, config.train_split, config.side, arguments.max_samples)]
    test = column(data, data.split, config.side, config.max_eval_samples)
    if train[: len(test)] == test:
        raise BadInput(f"the split to score, {data.split!r}, is what is learnt from; give another --split")
    fingerprint = {"train": texts_fingerprint(train), "test": texts_fingerprint(test)}
    length = {"num_train_epochs": config.num_train_epochs, "max_steps": config.max_steps}
    options = training_arguments(folder, arguments, config, **length)
    if begin(folder, options, [arguments, data, config], fingerprint):
        model, tokenizer = fit(folder, options, config, train)
        if options.process_index == 0:
            from textadv.lm_training import score

            save(folder, model, tokenizer, data, {"perplexity": score(model, tokenizer, test)})
    if options.process_index == 0:
        tell(folder, arguments)


def column(data: DataConfig, split: str, side: str, most: int | None) -> list[str]:
    """The first `most` texts of a split's source or target column, blank ones left out."""
    from textadv.data import load_texts

    name = data.source_column if side == "source" else data.target_column
    if name is None or name.lower() == "none":
        raise BadInput("--side target needs a column; name it by --target_column")
    if most is not None and most < 1:
        raise RunError(f"zero samples: at least 1 is needed, not {most}")
    texts = [text for text in load_texts(data, split, name)[:most] if text.strip()]
    if not texts:
        raise BadInput(f"zero samples: column {name!r} of split {split!r} holds no text; choose another")
    return texts


def fit(folder: Path, options: Any, config: TrainLMConfig, train: list[str]) -> tuple[Any, Any]:
    """The trained model and its tokenizer, from the last checkpoint in `folder` on."""
    from transformers import DataCollatorForSeq2Seq, Trainer, set_seed

    from textadv import lm_training
    from textadv.training import last_checkpoint

    set_seed(options.seed)
    model, tokenizer = lm_training.build(config, train)
    trainer = Trainer(
        model=model,
        args=options,
        train_dataset=lm_training.Texts(tokenizer, train),
        data_collator=DataCollatorForSeq2Seq(tokenizer),  # pads the labels as well, with what isn't counted
        processing_class=tokenizer,
    )
    trainer.train(resume_from_checkpoint=last_checkpoint(folder))
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    model.config.use_cache = True  # the Trainer turns it off
    return model, tokenizer


if __name__ == "__main__":
    launch(main, TrainArguments, DataConfig, TrainLMConfig, mistakes=(BadInput,), description=__doc__)
