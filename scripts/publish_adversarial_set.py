"""Makes a data set of a finished run: its successes as Parquet, with a card, in a folder or on the Hub.

The default run's, into runs/publish_adversarial_set; offline:
    accelerate launch scripts/seq2sick.py
    python scripts/publish_adversarial_set.py --run runs/seq2sick

On the Hub; the licence is yours to name, and has to agree with that of the sentences:
    python scripts/publish_adversarial_set.py --run runs/opus --license cc-by-4.0 \\
        --push_to_hub --hub_dataset_id me/adversarial-opus

The folder is loaded by `datasets.load_dataset`, and checked again by scripts/verify_adversarial_set.py.
"""

from dataclasses import dataclass, field

from _run import RunError, launch, writable_folder, write_bytes
from train_seq2seq import push

from textadv.configs import BadInput


@dataclass(frozen=True)
class PublishArguments:
    """Which run becomes a set, and where it goes."""

    run: str = field(default="runs/seq2sick", metadata={"help": "finished run folder"})
    output_dir: str | None = field(default=None, metadata={"help": "default: runs/<script>"})
    license: str | None = field(default=None, metadata={"help": "the card's licence, as the Hub spells it: cc-by-4.0"})
    with_references: bool = field(default=False, metadata={"help": "add the data set's own outputs"})
    push_to_hub: bool = field(default=False, metadata={"help": "publish the set"})
    hub_dataset_id: str | None = field(default=None, metadata={"help": "its name there; default: the folder's"})


def main(arguments: PublishArguments) -> None:
    """Writes the set, and pushes it if that is asked for."""
    from textadv.adversarial_set import set_files
    from textadv.transfer import read_runs

    [run] = read_runs([arguments.run])
    files = set_files(run, license_name=arguments.license, with_references=arguments.with_references)
    folder = writable_folder(arguments.output_dir)
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    if others := sorted(there - set(files)):
        raise RunError(f"{folder} holds other files, such as {others[0]}; name another --output_dir")
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_bytes(folder / name, content)
    print(f"{len(run.successes)} adversarial sentences are in {folder}")
    if arguments.push_to_hub:
        name = arguments.hub_dataset_id or folder.resolve().name
        print("published:", push(folder, name, kind="dataset", wanted=list(files), left_out=[]))


if __name__ == "__main__":
    launch(main, PublishArguments, mistakes=(BadInput,), description=__doc__)
