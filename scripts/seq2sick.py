"""Seq2Sick: how few words of a source sentence must change until a sequence-to-sequence model says something else?

The embedded victim and data, offline:
    accelerate launch scripts/seq2sick.py

A model and a data set of the Hub, or of local folders:
    accelerate launch scripts/seq2sick.py --model_name_or_path Helsinki-NLP/opus-mt-en-de \\
        --dataset_name bentrevett/multi30k --source_column en --target_column de --max_samples 100

Two random keywords for each sentence, or keywords of your own:
    accelerate launch scripts/seq2sick.py --goal keywords --num_keywords 2
    accelerate launch scripts/seq2sick.py --goal keywords --keywords "Hund sitzt"

Perplexity of the adversarial sentences, under a model of the Hub or one that scripts/train_lm.py made:
    accelerate launch scripts/seq2sick.py --perplexity_model openai-community/gpt2

Limits on the adversarial sentence, each a part of what success means:
    accelerate launch scripts/seq2sick.py --max_words 2 --protect_stop_words
    accelerate launch scripts/seq2sick.py --max_perplexity_ratio 2 --perplexity_model openai-community/gpt2

Repeat a command to resume it. The run folder (--output_dir) holds records.jsonl, results.json, manifest.json and
report.html. Two CPU processes: ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2 ...
"""

from typing import Any

from _run import Run, RunArguments, launch

from textadv.configs import (
    BadInput,
    DataConfig,
    LimitsConfig,
    MeasuresConfig,
    Seq2SickConfig,
    VictimConfig,
    WordsConfig,
)


def main(
    arguments: RunArguments,
    victim_config: VictimConfig,
    data: DataConfig,
    config: Seq2SickConfig,
    words: WordsConfig,
    limited: LimitsConfig,
    measured: MeasuresConfig,
) -> None:
    """Attacks the sentences of a data set and writes a run folder."""
    from textadv.limits import Limits
    from textadv.report import report
    from textadv.setting import load_setting
    from textadv.summary import TextMeasures, measures

    on_text = TextMeasures.from_config(measured)
    limits = Limits.from_config(limited, on_text.language_model)
    setting = load_setting(victim_config, data, config, words, limits=limits, max_samples=arguments.max_samples)
    configs = [victim_config, data, config, words, limited, measured]
    with Run(arguments, configs, setting.fingerprint()) as run:
        attack(run, setting, config)
        on_text.to(run.device)
        run.finish(lambda records: measures(records) | on_text(records), report)


def attack(run: Run, setting: Any, config: Seq2SickConfig) -> None:
    """Attacks what the run has no records of yet, and appends them. `setting` is a `textadv.setting.Setting`."""
    from textadv.seq2sick import seq2sick

    setting.to(run.device)
    for batch in run.batches(setting.examples):
        with run.accelerator.autocast():
            records = seq2sick(
                setting.vocabulary,
                batch,
                config=config,
                seed=run.arguments.seed,
                pool=setting.pool,
                limits=setting.limits,
                on_finished=run.advance,
            )
        run.append(records)


if __name__ == "__main__":
    launch(
        main,
        RunArguments,
        VictimConfig,
        DataConfig,
        Seq2SickConfig,
        WordsConfig,
        LimitsConfig,
        MeasuresConfig,
        mistakes=(BadInput,),
        description=__doc__,
    )
