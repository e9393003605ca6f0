"""Checks a set of adversarial sentences: each is decoded afresh by the set's victim, and judged by the set's goal.

A set of the Hub, or in a folder:
    python scripts/verify_adversarial_set.py --dataset_name me/adversarial-opus
    python scripts/verify_adversarial_set.py --dataset_name runs/publish_adversarial_set

A set whose victim isn't on the Hub, or to be tried on another victim ('embedded' for the embedded one):
    python scripts/verify_adversarial_set.py --dataset_name me/adversarial-multi30k \\
        --model_name_or_path runs/multi30k-marian

Beams, lengths, prefix and languages are those that the set names. Exit code 0 if all sentences hold, 1 if some don't.
The run folder (--output_dir) is that of scripts/transfer_seq2sick.py; repeat a command to resume it.
"""

import json
import sys
from dataclasses import dataclass, field

from _run import Run, RunArguments, launch

from textadv.configs import BadInput, TransferConfig


@dataclass(frozen=True)
class VerifyArguments:
    """Which set, and on which victim."""

    dataset_name: str = field(
        default="runs/publish_adversarial_set", metadata={"help": "Hub id or folder of an adversarial set"}
    )
    model_name_or_path: str | None = field(
        default=None, metadata={"help": "Hub id or folder of the victim, or 'embedded'; default: the one the set names"}
    )


def main(arguments: RunArguments, chosen: VerifyArguments) -> None:
    """Judges every sentence, writes a run folder and says how many hold."""
    from textadv.adversarial_set import read_set
    from textadv.data import texts_fingerprint
    from textadv.transfer import load_columns, measures, pair_up, transfer
    from textadv.transfer_report import report

    found = read_set(chosen.dataset_name, chosen.model_name_or_path)
    [column] = load_columns(TransferConfig(), [found])
    attempts = pair_up([found], [column])
    fingerprint = {"victim": column.fingerprint, "sentences": texts_fingerprint(map(repr, attempts))}
    with Run(arguments, [chosen], fingerprint) as run:
        column.victim.to(run.device)
        for batch in run.batches(attempts):
            run.append(transfer({column.label: column.victim}, batch))
        run.finish(measures, lambda *made: report(*made, runs=[found], notes=column.notes))
        lines = (run.folder / "records.jsonl").read_bytes().splitlines()
        is_main = run.is_main
    records = [json.loads(line) for line in lines]
    fallen = [record["sentence"] for record in records if not record["success"]]
    if is_main:
        for note in column.notes:
            print(f"note: {note}", file=sys.stderr)
        print(f"{len(records) - len(fallen)} of {len(records)} adversarial sentences hold on {column.label}")
        if fallen:
            print(
                f"these don't: {', '.join(map(str, fallen))}; {run.folder / 'report.html'} shows them", file=sys.stderr
            )
    sys.exit(int(bool(fallen)))


if __name__ == "__main__":
    launch(main, RunArguments, VerifyArguments, mistakes=(BadInput,), description=__doc__)
