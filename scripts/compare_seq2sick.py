"""Is one attack better than another on the same sentences? Differences and ratios, with bootstrap intervals.

Seq2Sick against a baseline, offline:
    accelerate launch scripts/seq2sick.py --max_words 5
    accelerate launch scripts/seq2sick_baselines.py --baseline random_words
    python scripts/compare_seq2sick.py --run runs/seq2sick --against runs/seq2sick_baselines

Both runs must be finished, and be on the same sentences, victim and goal. --max_words counts successes with more
changed words as failures in both. Ratios are of --run over --against; changed words are those of the sentences that
fell in both. Seconds aren't compared, as runs at different times aren't comparable. The folder (--output_dir) holds
results.json.
"""

from dataclasses import dataclass, field
from pathlib import Path

from _estimates import print_table
from _run import RunError, launch, writable_folder, write_json

from textadv.configs import BadInput


@dataclass(frozen=True)
class CompareArguments:
    """Which runs, under which budget."""

    run: str = field(default="runs/seq2sick", metadata={"help": "finished run folder"})
    against: str = field(default="runs/seq2sick_baselines", metadata={"help": "the one that it is compared with"})
    max_words: int | None = field(default=None, metadata={"help": "most changed words of a success; default: any"})
    output_dir: str | None = field(default=None, metadata={"help": "default: runs/<script>"})

    def __post_init__(self) -> None:
        if self.max_words is not None and self.max_words < 1:
            raise RunError(f"--max_words must be at least 1, not {self.max_words}")


def main(arguments: CompareArguments) -> None:
    """Compares two runs and writes what came out."""
    from textadv.comparison import comparison
    from textadv.transfer import read_records

    one, its_manifest, _ = read_records(Path(arguments.run))
    other, other_manifest, _ = read_records(Path(arguments.against))
    if its_manifest["fingerprint"]["victim"] != other_manifest["fingerprint"]["victim"]:
        raise BadInput(f"{arguments.run} and {arguments.against} attacked different victims; give runs on the same one")
    results = comparison(one, other, max_words=arguments.max_words)
    folder = writable_folder(arguments.output_dir)
    write_json(folder / "results.json", results)
    print_table(results)
    print(f"results are in {folder}")


if __name__ == "__main__":
    launch(main, CompareArguments, mistakes=(BadInput,), description=__doc__)
