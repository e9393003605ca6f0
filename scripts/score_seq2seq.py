"""How good is a victim before anyone attacks it? BLEU and ROUGE-L of its outputs against the references.

The embedded victim and data, offline:
    accelerate launch scripts/score_seq2seq.py

A model and a data set of the Hub, or of local folders:
    accelerate launch scripts/score_seq2seq.py --model_name_or_path Helsinki-NLP/opus-mt-en-de \\
        --dataset_name bentrevett/multi30k --source_column en --target_column de

Outputs are decoded as the attacks report them (--num_beams, --max_new_tokens), and an empty sentence counts too. Repeat
a command to resume it. The run folder (--output_dir) holds records.jsonl, results.json and manifest.json.
"""

import time

from _run import Run, RunArguments, launch

from textadv.configs import BadInput, DataConfig, VictimConfig


def main(arguments: RunArguments, victim_config: VictimConfig, data: DataConfig) -> None:
    """Decodes the sentences of a data set, scores the outputs and writes a run folder."""
    from textadv.attack import refuse_too_long
    from textadv.data import dataset_fingerprint, load_examples
    from textadv.scoring import measures
    from textadv.types import CleanOutput
    from textadv.victim import Victim

    examples = load_examples(data, max_samples=arguments.max_samples)
    if examples[0].reference is None:
        raise BadInput("a score needs references; name their --target_column")
    victim = Victim.from_pretrained(victim_config)
    refuse_too_long(victim, examples)
    fingerprint = {"dataset": dataset_fingerprint(examples), "victim": victim.fingerprint()}
    with Run(arguments, [victim_config, data], fingerprint) as run:
        victim.to(run.device)
        for batch in run.batches(examples):
            start = time.perf_counter()
            outputs = victim.generate([example.source for example in batch])
            share = (time.perf_counter() - start) / len(batch)
            run.append([CleanOutput.of(*pair, seconds=share) for pair in zip(batch, outputs, strict=True)])
        run.finish(measures, lambda *_: None)


if __name__ == "__main__":
    launch(main, RunArguments, VictimConfig, DataConfig, mistakes=(BadInput,), description=__doc__)
