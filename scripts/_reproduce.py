"""Measures rows of results tables by their commands, keeps their results and writes the tables."""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import build_tables
from _tables import Row, Table


def reproduce(tables: Sequence[Table], description: str | None, left_out: str | None = None) -> int:
    """Measures what the command line asks for of these tables; returns the exit code.

    Tables whose names begin with `left_out` are measured only where they are asked for by name.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=[t.name for t in tables], metavar="TABLE", help="default: all")
    parser.add_argument("--cells", nargs="+", metavar="CELL", help="rows by name; default: all of the tables'")
    parser.add_argument("--output_dir", default="runs/reproduce", help="where the run folders go")
    parser.add_argument("--again", action="store_true", help="measure rows anew; their finished folders are deleted")
    parser.add_argument("--list", action="store_true", help="only say what would be measured")
    arguments = parser.parse_args()
    default = [table.name for table in tables if not (left_out and table.name.startswith(left_out))]
    runs = [
        Measurement(table, row, cell, options)
        for table in tables
        for row in table.rows
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
            print(f"{run.table.name} {run.cell}{' (measured)' if run.kept.exists() else ''}: {run.row.label}")
        return 0
    if "TEXTADV_DATA" not in os.environ and any("$TEXTADV_DATA" in run.table.on + run.options for run in chosen):
        return refuse("TEXTADV_DATA is not set; it names the folder that holds multi30k and the other data sets")
    for run in chosen:
        if run.kept.exists() and not arguments.again:
            continue
        twin = next((other for other in runs if other.command == run.command and other.kept.exists()), None)
        if twin and not arguments.again:
            print(f"{run.table.name} {run.cell}: the same command as {twin.table.name} {twin.cell}", flush=True)
            keep(twin.kept, run.kept)
            continue
        folder = Path(arguments.output_dir) / run.table.name / run.cell
        if arguments.again and (folder / "results.json").exists():
            shutil.rmtree(folder)
        if code := measure(run, folder):
            return code
    return 0


@dataclass(frozen=True)
class Measurement:
    """A run of a row, of one seed where it has several; whether it was done or not."""

    table: Table
    row: Row
    cell: str
    options: str

    @property
    def command(self) -> list[str]:
        """Its script and options; the same command gives the same figures."""
        return [self.row.script, *shlex.split(f"{self.table.on} {self.options}")]

    @property
    def kept(self) -> Path:
        """Where its results are kept."""
        return build_tables.ROOT / self.table.package / "results" / self.table.name / self.cell / "results.json"


def measure(run: Measurement, folder: Path) -> int:
    """Does a run in `folder`, keeps its results and writes the tables; returns the exit code."""
    print(f"{run.table.name}, {run.row.label}{f' ({run.cell})' if run.row.seeds else ''}", flush=True)
    name, *options = (os.path.expandvars(word) for word in run.command)
    script = str(build_tables.ROOT / "scripts" / f"{name}.py")
    code = subprocess.run([sys.executable, script, *options, "--output_dir", str(folder)]).returncode
    if code == 0:
        keep(folder / "results.json", run.kept)
    return code


def keep(results: Path, kept: Path) -> None:
    """Copies results to where they are kept, and writes the tables."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(results, kept)
    build_tables.write()


def refuse(why: str) -> int:
    """Says what is wrong; returns the exit code."""
    print(why, file=sys.stderr)
    return 2
