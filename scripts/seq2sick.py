"""Seq2Sick: how few words of a source sentence must change until a sequence-to-sequence model says something else?

The embedded victim and data, offline:
    accelerate launch scripts/seq2sick.py

A model and a data set of the Hub, or of local folders:
    accelerate launch scripts/seq2sick.py --model_name_or_path Helsinki-NLP/opus-mt-en-de \\
        --dataset_name bentrevett/multi30k --source_column en --target_column de --max_samples 100

Two random keywords for each sentence, or keywords of your own:
    accelerate launch scripts/seq2sick.py --goal keywords --num_keywords 2
    accelerate launch scripts/seq2sick.py --goal keywords --keywords "Hund sitzt"

Repeat a command to resume it. The run folder (--output_dir) holds records.jsonl, results.json, manifest.json and
report.html. Two CPU processes: ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2 ...
"""

from _run import Run, RunArguments, launch

from textadv.configs import BadInput, DataConfig, Seq2SickConfig, VictimConfig, WordsConfig


def main(
    arguments: RunArguments,
    victim_config: VictimConfig,
    data: DataConfig,
    config: Seq2SickConfig,
    words: WordsConfig,
) -> None:
    """Attacks the sentences of a data set and writes a run folder."""
    from textadv.report import report
    from textadv.seq2sick import seq2sick
    from textadv.setting import load_setting
    from textadv.summary import measures

    setting = load_setting(victim_config, data, config, words, max_samples=arguments.max_samples)
    with Run(arguments, [victim_config, data, config, words], setting.fingerprint()) as run:
        setting.victim.to(run.device)
        for batch in run.batches(setting.examples):
            with run.accelerator.autocast():
                records = seq2sick(
                    setting.vocabulary,
                    batch,
                    config=config,
                    seed=arguments.seed,
                    pool=setting.pool,
                    on_finished=run.advance,
                )
            run.append(records)
        run.finish(measures, report)


if __name__ == "__main__":
    launch(
        main,
        RunArguments,
        VictimConfig,
        DataConfig,
        Seq2SickConfig,
        WordsConfig,
        mistakes=(BadInput,),
        description=__doc__,
    )
