"""What Seq2Sick is measured against: random words, word importance, gradient swaps, Gumbel-softmax, nearest neighbour.

The embedded victim and data, offline:
    accelerate launch scripts/seq2sick_baselines.py

Another baseline, goal and budget; model and data are named as for scripts/seq2sick.py:
    accelerate launch scripts/seq2sick_baselines.py --baseline gradient_swaps --max_words 3
    accelerate launch scripts/seq2sick_baselines.py --baseline gumbel --goal keywords --num_keywords 2
    accelerate launch scripts/seq2sick_baselines.py --baseline word_importance \\
        --model_name_or_path Helsinki-NLP/opus-mt-en-de \\
        --dataset_name bentrevett/multi30k --source_column en --target_column de --max_samples 100

Seq2Sick without its projection: "search_success" of results.json says how often the vectors met the goal, "success"
how often the words that are nearest to them do:
    accelerate launch scripts/seq2sick_baselines.py --baseline nearest_neighbor --goal keywords

The run folder and the limits (--max_words, 5 if not given, and the others) are those of scripts/seq2sick.py, and random
keywords are the same for the same seed.
"""

from _run import Run, RunArguments, launch

from textadv.configs import (
    BadInput,
    BaselineConfig,
    DataConfig,
    LimitsConfig,
    MeasuresConfig,
    VictimConfig,
    WordsConfig,
)


def main(
    arguments: RunArguments,
    victim_config: VictimConfig,
    data: DataConfig,
    config: BaselineConfig,
    words: WordsConfig,
    limited: LimitsConfig,
    measured: MeasuresConfig,
) -> None:
    """Attacks the sentences of a data set and writes a run folder."""
    from textadv.baselines.baseline import baseline
    from textadv.limits import Limits
    from textadv.report import report
    from textadv.setting import load_setting
    from textadv.summary import TextMeasures, measures

    on_text = TextMeasures.from_config(measured)
    limits = Limits.from_config(limited, on_text.language_model)
    setting = load_setting(victim_config, data, config, words, limits=limits, max_samples=arguments.max_samples)
    configs = [victim_config, data, config, words, limited, measured]
    with Run(arguments, configs, setting.fingerprint()) as run:
        setting.to(run.device)
        for batch in run.batches(setting.examples):
            with run.accelerator.autocast():
                records = baseline(
                    setting.vocabulary,
                    batch,
                    config=config,
                    seed=arguments.seed,
                    pool=setting.pool,
                    limits=setting.limits,
                    on_finished=run.advance,
                )
            run.append(records)
        on_text.to(run.device)
        run.finish(lambda records: measures(records) | on_text(records), report)


if __name__ == "__main__":
    launch(
        main,
        RunArguments,
        VictimConfig,
        DataConfig,
        BaselineConfig,
        WordsConfig,
        LimitsConfig,
        MeasuresConfig,
        mistakes=(BadInput,),
        description=__doc__,
    )
