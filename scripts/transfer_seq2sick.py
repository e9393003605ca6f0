"""Do adversarial sentences carry over to other victims? A matrix of runs and victims.

The default run again on the victim that it attacked, which verifies it; offline:
    accelerate launch scripts/seq2sick.py
    accelerate launch scripts/transfer_seq2sick.py

Sentences that were found on two victims, on these and a third one of the Hub:
    accelerate launch scripts/transfer_seq2sick.py --runs runs/marian runs/lstm \\
        --victims runs/multi30k-marian runs/multi30k-lstm Helsinki-NLP/opus-mt-en-de

The successes of each run (the first --max_samples) are decoded by each victim with the reporting settings, and judged
by the goal of their run: non-overlap against that victim's own clean output, or the same keywords. A run on its own
victim must hold by 100 %; where it doesn't, or where a victim isn't what it was, the report says why. All victims are
held in memory. Repeat a command to resume it. The run folder is that of scripts/seq2sick.py.
"""

from dataclasses import replace

from _run import Run, RunArguments, launch

from textadv.configs import BadInput, TransferConfig


def main(arguments: RunArguments, config: TransferConfig) -> None:
    """Judges every success of the runs on every victim and writes a run folder."""
    from textadv.data import texts_fingerprint
    from textadv.transfer import load_columns, measures, pair_up, read_runs, transfer
    from textadv.transfer_report import report

    runs = read_runs(config.runs)
    columns = load_columns(config, runs)
    attempts = pair_up(runs, columns, most=arguments.max_samples)
    if not attempts:
        raise BadInput(f"zero samples: {', '.join(config.runs)} hold no success; there is nothing to judge")
    fingerprint = {f"victim {column.label}": column.fingerprint for column in columns}
    fingerprint |= {"sentences": texts_fingerprint(map(repr, attempts)), "max_samples": str(arguments.max_samples)}
    notes = [note for column in columns for note in column.notes]
    arguments = replace(arguments, max_samples=None)  # it counts sentences, and here the examples are pairs
    with Run(arguments, [config], fingerprint) as run:
        victims = {column.label: column.victim for column in columns}
        for victim in victims.values():
            victim.to(run.device)
        for batch in run.batches(attempts):
            run.append(transfer(victims, batch))
        run.finish(measures, lambda *made: report(*made, runs=runs, notes=notes))
        for note in notes:
            run.accelerator.print(f"note: {note}; these pairs verify nothing")


if __name__ == "__main__":
    launch(main, RunArguments, TransferConfig, mistakes=(BadInput,), description=__doc__)
