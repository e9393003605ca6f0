"""The shell that every script shares: options, run folder, records, resume, summary.

A script is `launch(main, RunArguments, ...)`; `main` opens a `Run`, attacks its `batches`, appends the
records and finishes. Nothing imports torch before a `Run` is made, so that `--help` answers at once.
"""

import fcntl
import io
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile
from argparse import ArgumentDefaultsHelpFormatter, RawDescriptionHelpFormatter
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from importlib import metadata, util
from pathlib import Path
from typing import Any, Literal, NoReturn

from _estimates import estimates, print_table
from tqdm import tqdm
from transformers import HfArgumentParser

INDIFFERENT = set("output_dir report_to push_to_hub hub_model_id perplexity_model sentiment_model".split())
INDIFFERENT |= {"report_queries", "report_distance"}


class RunError(Exception):
    """A run that cannot start or go on. One line: what is wrong, and what would be right."""


@dataclass(frozen=True)
class RunArguments:
    """What every attack script takes. Raises `RunError` for values that make no run."""

    output_dir: str | None = field(default=None, metadata={"help": "run folder; default: runs/<script>"})
    seed: int = field(default=0, metadata={"help": "seed of all randomness"})
    max_samples: int | None = field(default=None, metadata={"help": "attack the first so many; default: all"})
    per_device_batch_size: int = field(default=32, metadata={"help": "examples that are attacked together"})
    report_to: Literal["none", "tensorboard"] = field(default="none", metadata={"help": "log the summary"})

    def __post_init__(self) -> None:
        if self.max_samples is not None and self.max_samples < 1:
            raise RunError(f"zero samples: --max_samples must be at least 1, not {self.max_samples}")
        if self.per_device_batch_size < 1:
            raise RunError(f"--per_device_batch_size must be at least 1, not {self.per_device_batch_size}")
        if self.report_to == "tensorboard" and util.find_spec("tensorboard") is None:
            raise RunError("--report_to tensorboard needs it installed: pip install tensorboard")


def launch(
    main: Callable[..., None], *classes: Any, mistakes: tuple[type[Exception], ...], description: str | None
) -> None:
    """Parse the command line into one object of each of `classes` and call `main` with them.

    `RunError` and the types `mistakes` are the user's: one line at the end of stderr and exit code 2.
    """
    script = Path(sys.argv[0]).name
    style = type("Help", (RawDescriptionHelpFormatter, ArgumentDefaultsHelpFormatter), {})
    options = {"prog": script, "description": description, "formatter_class": style, "allow_abbrev": False}
    parser = _Parser(classes, **options)
    try:
        parser.parse_args()  # refuses unknown options as argparse does; the next line would with a traceback
        given = parser.parse_args_into_dataclasses(look_for_args_file=False)
        _check_numbers(given)
        main(*given)
    except (RunError, *mistakes) as error:
        if int(os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0"))) == 0:
            print(f"{script}: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


class _Parser(HfArgumentParser):
    """Its mistakes are one line, too, without the pages of usage."""

    def error(self, message: str) -> NoReturn:
        raise RunError(message)


def _check_numbers(configs: Sequence[Any]) -> None:
    """Raises RunError for an option that is NaN or infinite, and for a seed that no generator takes."""
    for name, value in (option for config in configs for option in vars(config).items()):
        values = value if isinstance(value, list) else [value]
        if wrong := [one for one in values if isinstance(one, float) and not math.isfinite(one)]:
            raise RunError(f"--{name} must be finite, not {wrong[0]}")
        if name in ("seed", "seeds") and (wrong := [one for one in values if one is not None and not 0 <= one < 2**32]):
            raise RunError(f"--{name} must be at least 0 and below 2**32, not {wrong[0]}")


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = "not a folder" if isinstance(error, FileExistsError) else error.strerror
        raise RunError(f"cannot write to {path}: {why}; name another --output_dir") from error


def writable_folder(output_dir: str | None) -> Path:
    """`output_dir`, by default runs/<script>, made if need be. Raises `RunError` if it can't be written."""
    folder = Path(output_dir or Path("runs", Path(sys.argv[0]).stem))
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    return folder


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file as a whole: a reader, or a crash, meets the old text or the new one."""
    part = path.with_name(path.name + ".part")  # a fixed name: what a crash leaves is overwritten
    with _writing(path):
        with open(part, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)


def write_json(path: Path, obj: Any) -> None:
    """`write_bytes` of strict JSON. Raises ValueError for NaN."""
    write_bytes(path, (json.dumps(obj, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())


def public_command() -> str:
    """The command line of this process, for a card; absolute paths are told by their last part."""
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    return shlex.join(["python", f"scripts/{Path(sys.argv[0]).name}", *words])


def write_picture(path: Path, figure: Any) -> None:
    """`write_bytes` of a figure of matplotlib, as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120, bbox_inches="tight", metadata={"Software": None})
    write_bytes(path, buffer.getvalue())


def without_tf32() -> None:
    """On a GPU too single precision is just that: with 10 bits a success near a boundary is none in another batch."""
    import torch

    torch.backends.cudnn.allow_tf32 = False


def manifest(configs: Sequence[Any], precision: str, fingerprint: dict[str, str], **machine: Any) -> dict:
    """What made a run folder, as plain JSON: all options but tokens, data and victim, code and machine.

    `configs` are dataclass objects with no field name in common; `fingerprint` tells the data set, the victim
    and so on from others of the same name; `machine` (device, num_processes) is only for the reader.
    """
    options = {name: value for part in configs for name, value in asdict(part).items()}
    config = {name: options[name] for name in options if not f"_{name}".endswith("_token")}
    packages = ("textadv", "torch", "transformers", "datasets", "accelerate", "textattack")
    found = (one for package in packages for one in metadata.distributions(name=package))
    versions = {one.name: one.version for one in found}
    here = {"cwd": Path(__file__).parent, "shell": True, "text": True, "capture_output": True}
    git_hash = subprocess.run("git rev-parse --verify --quiet HEAD", **here).stdout.strip() or None
    made = {"seed": config.pop("seed", None), "config": config, "precision": precision}
    made |= {"fingerprint": fingerprint, "versions": {"python": sys.version.split()[0]} | versions}
    return json.loads(json.dumps(made | {"git_hash": git_hash} | machine, default=str))


def _identity(made: dict) -> dict[str, str]:
    """What records depend on, as flat keys."""
    fingerprint = {f"{name} fingerprint": value for name, value in made["fingerprint"].items()}
    flat = made["config"] | {"seed": made["seed"], "precision": made["precision"]} | fingerprint
    return {key: json.dumps(flat[key], ensure_ascii=False) for key in flat if key not in INDIFFERENT}


def check_same_config(folder: Path, made: dict) -> dict | None:
    """The manifest that `folder` has, if any. Raises `RunError` with every key that differs from `made`."""
    records = folder / "records.jsonl"  # empty after a run that ended before its first record
    if not (records.stat().st_size if records.exists() else (folder / "manifest.json").exists()):
        return None
    try:
        found = json.loads((folder / "manifest.json").read_bytes())
        old, new = _identity(found), _identity(made)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{folder} has no readable manifest.json; name another --output_dir") from error
    if keys := [key for key in new | old if old.get(key) != new.get(key)]:
        told = ", ".join(f"{key} {old.get(key, 'unset')} there, {new.get(key, 'unset')} here" for key in keys)
        raise RunError(f"{folder} holds another run: {told}; repeat its options or name another --output_dir")
    return found


def _lines(records: Sequence[dict]) -> bytes:
    return b"".join(json.dumps(one, ensure_ascii=False, allow_nan=False).encode() + b"\n" for one in records)


class Run(AbstractContextManager):
    """One run folder, from manifest to report, by however many processes there are.

    Examples are cut into batches before anything else, and of an interrupted batch nothing is kept: neither
    interruption nor the number of processes shows. Raises `RunError` for a folder that isn't its own. A run that is a
    part of something larger is given that one's `accelerator`, and leaves it open.
    """

    def __init__(
        self, arguments: RunArguments, configs: Sequence[Any], fingerprint: dict[str, str], accelerator: Any = None
    ) -> None:
        from accelerate import Accelerator, InitProcessGroupKwargs
        from accelerate.utils import set_seed

        without_tf32()
        self.arguments, self.folder = arguments, writable_folder(arguments.output_dir)
        patience = InitProcessGroupKwargs(timeout=timedelta(days=30))  # one may wait for another for days
        log_with = None if arguments.report_to == "none" else arguments.report_to
        own = {"log_with": log_with, "project_dir": self.folder, "kwargs_handlers": [patience]}
        self.accelerator, self._is_part = accelerator or Accelerator(**own), accelerator is not None
        self.device, self.is_main = self.accelerator.device, self.accelerator.is_main_process
        set_seed(arguments.seed)
        precision = self.accelerator.mixed_precision.replace("no", "fp32")
        if precision == "fp16" and self.device.type == "cpu":
            precision = "fp32"
            self.accelerator.print("warning: fp16 on a CPU does nothing, bf16 does", file=sys.stderr)
        machine = {"device": str(self.device), "num_processes": self.accelerator.num_processes}
        made = manifest([arguments, *configs], precision, fingerprint, **machine)
        self.manifest = ((found := check_same_config(self.folder, made)) or made) | {"config": made["config"]}
        self.accelerator.wait_for_everyone()  # all have looked before the first one writes
        if self.is_main and self.manifest != found:
            write_json(self.folder / "manifest.json", self.manifest)
        self._path, self._mine = self.folder / "records.jsonl", -1
        self._batch, self._bar, self._end = list[Any](), tqdm(disable=True), 0  # handed out; where it takes the bar

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        self._bar.close()  # ends its line, so that a message gets one of its own
        if error and self._batch and not self.is_main:  # a mistake that the main process can't report
            print(f"process {self.accelerator.process_index}: {error}", file=sys.stderr)
        if not self._is_part:
            self.accelerator.end_training()

    def batches(self, examples: Sequence[Any]) -> Iterator[list[Any]]:
        """This process's share of the batches that have no records yet, behind a progress bar.

        Examples have an `example_id`. A batch's records must be appended before the next is asked for.
        """
        size, examples = self.arguments.per_device_batch_size, examples[: self.arguments.max_samples]
        if not examples:
            raise RunError("zero samples: the data set, or the split of it, is empty; choose another")
        self._cut = [list(examples[start : start + size]) for start in range(0, len(examples), size)]
        if self.is_main:
            self._settle()
        self.accelerator.wait_for_everyone()
        self._mine = os.open(self._path, os.O_RDONLY)
        _, pending = self._split()
        self.accelerator.wait_for_everyone()  # all have read before the first one appends
        mine = pending[self.accelerator.process_index :: self.accelerator.num_processes]
        self._bar = tqdm(total=sum(map(len, mine)), unit="example", disable=not (self.is_main and mine))
        for self._batch in mine:
            self._end += len(self._batch)
            yield self._batch
            self.advance(self._end)
        self._bar.close()

    def advance(self, n: int = 1) -> None:
        """Move the progress bar by `n` examples of the batch in hand; its end sets the bar right anyway."""
        self._bar.update(min(n, self._end - self._bar.n))

    def append(self, records: Sequence[Any]) -> None:
        """The frozen dataclasses of the whole batch in hand, on disk when this returns."""
        rows = [asdict(record) for record in records]
        if [row["example_id"] for row in rows] != [example.example_id for example in self._batch]:
            raise ValueError("these are not the records of the batch in hand, one for each example in order")
        with self._locked() as file:
            if file.write(_lines(rows)) < len(_lines(rows)):  # one write; a resumed run redoes what is torn
                raise OSError(0, "only a part of the batch went in")
            os.fsync(file.fileno())
        self._batch = []

    def finish(self, measures: Callable[[list[dict]], dict], report: Callable[..., str | None]) -> None:
        """Wait for all processes, put the records in order, write results and report, print the table.

        `measures(records)` gives values to average, or estimates, by name; `report(records, results, manifest)` a page.
        """
        self.accelerator.wait_for_everyone()
        if self.is_main:
            records = self._settle()
            if len(records) < sum(map(len, self._cut)):
                raise ValueError("finish was called before all batches had their records")
            summary = estimates(measures(records))
            seconds = math.fsum(record["seconds"] for record in records)
            speed = {"seconds": seconds, "examples_per_second": len(records) / seconds if seconds else None}
            write_json(self.folder / "results.json", summary | speed)
            if (page := report(records, summary | speed, self.manifest)) is not None:
                write_bytes(self.folder / "report.html", page.encode())
            if self.arguments.report_to == "tensorboard":
                self.accelerator.init_trackers("tensorboard")
                self.accelerator.log({name: one["value"] for name, one in summary.items()})
            print_table(summary)
            print(f"{len(records)} examples in {seconds:.1f} s; records and results are in {self.folder}")
        self.accelerator.wait_for_everyone()

    def _split(self) -> tuple[list[dict], list[list[Any]]]:
        """The records of finished batches, in the examples' order, and the batches that aren't."""
        found = defaultdict(list)
        for line in self._path.read_bytes().split(b"\n")[:-1]:
            with suppress(ValueError):  # a line that a crash tore, wherever it stands, is no JSON
                record = json.loads(line)
                found[record["example_id"]].append(record)
        done, pending = [], []
        for batch in self._cut:
            lines = [found[example.example_id] for example in batch]
            if all(len(same) == 1 for same in lines):
                done += [record for [record] in lines]
            else:
                pending.append(batch)
        return done, pending

    def _settle(self) -> list[dict]:
        """Keep the records of finished batches only, in order. A run that still adds others is shut out."""
        with self._locked():
            done, pending = self._split()
            if pending or _lines(done) != self._path.read_bytes():
                write_bytes(self._path, _lines(done))
        return done

    @contextmanager
    def _locked(self) -> Iterator[Any]:
        """The record file to oneself. Raises `RunError` if a later run has put its own in that place."""
        with _writing(self._path), open(self._path, "ab", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if self._mine >= 0 and os.fstat(self._mine).st_ino != os.stat(self._path).st_ino:
                raise RunError(f"another run has taken over {self.folder}; let it end")
            yield file
