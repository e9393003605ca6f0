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

Repeat a command to resume it. The run folder (--output_dir) holds records.jsonl, results.json, manifest.json and
report.html. Two CPU processes: ACCELERATE_USE_CPU=true accelerate launch --multi_gpu --num_processes 2 ...
"""

from _run import Run, RunArguments, launch

from textadv.configs import BadInput, DataConfig, MeasuresConfig, Seq2SickConfig, VictimConfig, WordsConfig


def main(
    arguments: RunArguments,
    victim_config: VictimConfig,
    data: DataConfig,
    config: Seq2SickConfig,
    words: WordsConfig,
    measured: MeasuresConfig,
) -> None:
    """Attacks the sentences of a data set and writes a run folder."""
    from textadv.attack import refuse_too_long
    from textadv.data import dataset_fingerprint, load_corpus, load_examples, source_corpus, texts_fingerprint
    from textadv.keywords import keyword_pool, with_keywords
    from textadv.language_model import LanguageModel, perplexities
    from textadv.report import report
    from textadv.seq2sick import seq2sick
    from textadv.summary import measures
    from textadv.victim import Victim
    from textadv.vocabulary import Vocabulary

    examples = load_examples(data, max_samples=arguments.max_samples)
    victim = Victim.from_pretrained(victim_config)
    refuse_too_long(victim, examples)
    pool: list[str] = []
    if config.goal == "keywords":
        examples = with_keywords(examples, words, victim)
        if not all(example.keywords for example in examples):
            pool = keyword_pool(load_corpus(data, words.keyword_corpus, data.target_column), victim)
    elif words.keywords is not None or words.keywords_file is not None:
        raise BadInput("--keywords and --keywords_file are for the keywords goal; add --goal keywords")
    vocabulary = Vocabulary(victim, whole_words=config.whole_words, corpus=source_corpus(data, words.source_corpus))
    judge = LanguageModel.from_pretrained(measured.perplexity_model) if measured.perplexity_model else None
    fingerprint = {
        "dataset": dataset_fingerprint(examples),
        "victim": victim.fingerprint(),
        "vocabulary": vocabulary.fingerprint(),
        "keyword pool": texts_fingerprint(pool),
    }
    with Run(arguments, [victim_config, data, config, words, measured], fingerprint) as run:
        victim.to(run.device)
        for batch in run.batches(examples):
            with run.accelerator.autocast():
                records = seq2sick(
                    vocabulary, batch, config=config, seed=arguments.seed, pool=pool, on_finished=run.advance
                )
            run.append(records)
        if judge is not None:
            judge.model.to(run.device)
        run.finish(lambda records: measures(records) | (perplexities(judge, records) if judge else {}), report)


if __name__ == "__main__":
    launch(
        main,
        RunArguments,
        VictimConfig,
        DataConfig,
        Seq2SickConfig,
        WordsConfig,
        MeasuresConfig,
        mistakes=(BadInput,),
        description=__doc__,
    )
