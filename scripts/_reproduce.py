"""Measures rows of results tables by their commands, keeps their results and writes the tables."""

import argparse
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import build_tables
from _tables import RUNS, Row, Table

OF_RESULTS = ("curves", "radar", "sensitivity")  # figures of draw_defenses.py that need no nets
STOPPED = 3  # exit code
NO_DATA = "TEXTADV_DATA is not set; it names the folder that holds multi30k and the other data sets"


def reproduce(
    tables: Sequence[Table],
    description: str | None,
    left_out: str | None = None,
    figures: Mapping[str, str] | None = None,
    artist: str = "draw_defenses",
) -> int:
    """Measures what the command line asks for of these tables; returns the exit code.

    Tables whose names begin with `left_out` are measured only where they are asked for by name. `figures` are options
    of the script `artist`, by the name of the picture.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=[t.name for t in tables], metavar="TABLE", help="default: all")
    parser.add_argument("--cells", nargs="+", metavar="CELL", help="rows by name; default: all of the tables'")
    parser.add_argument("--output_dir", default="runs/reproduce", help="where the run folders go")
    parser.add_argument("--again", action="store_true", help="measure rows anew; their finished folders are deleted")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time, which share the cores")
    parser.add_argument(
        "--minutes",
        type=float,
        default=math.inf,
        help="stop then, with exit code 3 if runs are left; the same call goes on, from their last batch or checkpoint",
    )
    parser.add_argument(
        "--per_device_batch_size", type=int, help="examples at once, of runs that attack or judge; a GPU likes many"
    )
    parser.add_argument("--list", action="store_true", help="only say what would be measured")
    if figures:
        parser.add_argument("--figures", action="store_true", help="only draw the figures of what is measured")
    arguments = parser.parse_args()
    if figures and arguments.figures:
        if arguments.tables or arguments.cells or arguments.list:
            return refuse("--figures draws all that there are results for; leave out --tables, --cells and --list")
        if "TEXTADV_DATA" not in os.environ and any("$TEXTADV_DATA" in options for options in figures.values()):
            return refuse(NO_DATA)
        return draw_all(figures, artist, Path(arguments.output_dir))
    default = [table.name for table in tables if not (left_out and table.name.startswith(left_out))]
    runs = [
        Measurement(table, row, cell, options)
        for table in tables
        for row in table.rows
        if not row.of
        for cell, options in row.runs.items()
    ]
    chosen = [
        run
        for run in runs
        if run.table.name in (arguments.tables or default)
        and (arguments.cells is None or {run.cell, run.row.cell} & {*arguments.cells})
    ]
    known = {name for run in runs for name in (run.cell, run.row.cell)}
    if unknown := sorted(set(arguments.cells or ()) - known):
        return refuse(f"no row is named {', '.join(unknown)}; --list shows the names")
    if not chosen:
        return refuse("these tables have no such rows; --list shows which have")
    if arguments.list:
        for run in chosen:
            print(f"{run.table.name} {run.cell}{run.told}: {run.row.label}")
        return 0
    if "TEXTADV_DATA" not in os.environ and any("$TEXTADV_DATA" in run.table.on + run.options for run in chosen):
        return refuse(NO_DATA)
    if arguments.jobs < 1:
        return refuse("--jobs must be at least 1")
    if not arguments.minutes > 0:
        return refuse("--minutes must be above 0")
    if arguments.again and math.isfinite(arguments.minutes):
        return refuse("--again measures finished rows anew in every call, so that none goes on; leave out --minutes")
    if arguments.per_device_batch_size is not None and arguments.per_device_batch_size < 1:
        return refuse("--per_device_batch_size must be at least 1")
    waiting = [run for run in chosen if arguments.again or not run.kept.exists()]
    if not waiting:
        print(f"all {len(chosen)} runs of these rows are measured already; --again measures them anew")
    return measure_all(waiting, runs, arguments)


@dataclass(frozen=True)
class Measurement:
    """A run of a row, of one seed where it has several; whether it was done or not."""

    table: Table
    row: Row
    cell: str
    options: str

    @property
    def command(self) -> list[str]:
        """Its script and options."""
        return [self.row.script, *shlex.split(f"{self.table.on} {self.options}")]

    @property
    def same(self) -> tuple[list[str], str]:
        """What gives the same figures where it is the same."""
        return self.command, self.row.precision

    @property
    def name(self) -> str:
        """Its folder, among those of all runs."""
        return f"{self.table.name}/{self.cell}"

    @property
    def sources(self) -> set[str]:
        """The names of runs whose nets it takes."""
        taken = (word.removeprefix(f"{RUNS}/") for word in self.command if word.startswith(f"{RUNS}/"))
        return {"/".join(word.split("/")[:2]) for word in taken}

    @property
    def told(self) -> str:
        """Whether it is measured, and in how many minutes."""
        if not self.kept.exists():
            return ""
        seconds = json.loads(self.kept.read_bytes()).get("seconds")
        return " (measured)" if seconds is None else f" (measured in {seconds / 60:.1f} minutes)"

    @property
    def kept(self) -> Path:
        """Where its results are kept."""
        return build_tables.ROOT / self.table.package / "results" / self.table.name / self.cell / "results.json"


def measure_all(waiting: list[Measurement], runs: Sequence[Measurement], arguments: argparse.Namespace) -> int:
    """Does runs, some at the same time if they are to be, each behind those that it needs; returns the exit code."""
    root, going = Path(arguments.output_dir), dict[Future[int | None], Measurement]()
    measured = [] if arguments.again else [run for run in runs if run.kept.exists()]
    end, stopped = time.monotonic() + 60 * arguments.minutes, list[Measurement]()
    with ThreadPoolExecutor(arguments.jobs) as pool:
        while waiting or going:
            if time.monotonic() >= end:
                stopped, waiting = stopped + waiting, []
            for run in list(waiting):
                if twin := next((other for other in measured if other.same == run.same), None):
                    print(f"{run.table.name} {run.cell}: the same command as {twin.table.name} {twin.cell}", flush=True)
                    keep(twin.kept, run.kept)
                    waiting.remove(run)
                    continue
                if any(other.same == run.same for other in going.values()):
                    continue
                needed = [other for other in runs if other is not run and other.name in run.sources]
                if len(going) == arguments.jobs or any(one in waiting or one in going.values() for one in needed):
                    continue
                if missing := [one for one in needed if not (root / one.name / "results.json").exists()]:
                    for other in going:
                        other.result()
                    told = f"{run.name} needs {root / missing[0].name}, which isn't there; first measure"
                    sources = {name for one in (run, *waiting) for name in one.sources}
                    cells = [
                        one.cell
                        for one in runs
                        if one.name in sources
                        and one.table is missing[0].table
                        and not (root / one.name / "results.json").exists()
                    ]
                    return refuse(f"{told} --tables {missing[0].table.name} --cells {' '.join(cells)} --again")
                waiting.remove(run)
                if arguments.again and (root / run.name / "results.json").exists():
                    shutil.rmtree(root / run.name)
                print(f"{run.table.name}, {run.row.label}{f' ({run.cell})' if run.row.seeds else ''}", flush=True)
                how = (arguments.jobs, arguments.per_device_batch_size, end)
                going[pool.submit(measure, run, root, *how)] = run
            for done in wait(going, return_when=FIRST_COMPLETED).done if going else ():
                run, code = going.pop(done), done.result()
                if code is None:
                    stopped.append(run)
                    continue
                if code:
                    return code  # the others come to their end
                keep(root / run.name / "results.json", run.kept)
                measured.append(run)
    if stopped:
        print(f"\nstopped after {arguments.minutes:g} minutes; {len(stopped)} runs are left, and the same call goes on")
    return STOPPED if stopped else 0


def measure(run: Measurement, root: Path, jobs: int, batch_size: int | None, end: float) -> int | None:
    """Does a run in its folder under `root`, with so many examples at once; returns the exit code.

    None, where it had to be stopped at the `end`, in seconds of the monotonic clock.
    """
    name, *options = filled(run.command, root)
    if batch_size and not name.startswith("train_"):
        options += ["--per_device_batch_size", str(batch_size)]
    script = str(build_tables.ROOT / "scripts" / f"{name}.py")
    environment = os.environ | ({"ACCELERATE_MIXED_PRECISION": run.row.precision} if run.row.precision else {})
    if jobs > 1 and "OMP_NUM_THREADS" not in environment:
        environment["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // jobs))
    command = [sys.executable, script, *options, "--output_dir", str(root / run.name)]
    left = max(0.0, end - time.monotonic())
    try:
        return subprocess.run(command, env=environment, timeout=left if math.isfinite(left) else None).returncode
    except subprocess.TimeoutExpired:
        return None


def filled(words: Sequence[str], root: Path) -> list[str]:
    """Words of a command as they are run: $TEXTADV_DATA in its place, and run folders under `root`."""
    return [os.path.expandvars(word).replace(f"{RUNS}/", f"{root}/") for word in words]


def draw_all(figures: Mapping[str, str], artist: str, root: Path) -> int:
    """Draws the figures whose runs are there, and names the others; returns the exit code.

    Where a figure is of results alone, those that are kept will do for a run whose folder is gone.
    """
    script = build_tables.ROOT / "scripts" / f"{artist}.py"
    home = build_tables.ROOT / "visionadv" / "results"
    folder = home / "figures"
    for name, options in figures.items():
        words = filled(shlex.split(options), root)
        if artist == "draw_attacks" or any(kind in words for kind in OF_RESULTS):
            words = [kept_instead(word, root, home) for word in words]
        folders = [Path(word.partition("=")[2]) for word in words if f"={root}/" in word]
        if missing := [one for one in folders if not (one / "results.json").exists()]:
            print(f"figure {name}: {missing[0]} isn't there yet", flush=True)
            continue
        command = [sys.executable, str(script), *words, "--name", name, "--output_dir", str(folder)]
        if code := subprocess.run(command).returncode:
            return code
    return 0


def kept_instead(word: str, root: Path, home: Path) -> str:
    """A word "name=folder" as it is, or with the folder of kept results in place of a run's that isn't there."""
    name, _, path = word.partition(f"={root}/")
    if not path or (root / path / "results.json").exists() or not (home / path / "results.json").exists():
        return word
    return f"{name}={home / path}"


def keep(results: Path, kept: Path) -> None:
    """Copies results to where they are kept, and writes the tables."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(results, kept)
    build_tables.write()


def refuse(why: str) -> int:
    """Says what is wrong; returns the exit code."""
    print(why, file=sys.stderr)
    return 2
