"""Measures rows of results tables by their commands, keeps their results and writes the tables."""

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import build_tables
from _tables import Row, Table


def reproduce(tables: Sequence[Table], description: str | None) -> int:
    """Measures what the command line asks for of these tables; returns the exit code."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=[t.name for t in tables], metavar="TABLE", help="default: all")
    parser.add_argument("--cells", nargs="+", metavar="CELL", help="rows by name; default: all of the tables'")
    parser.add_argument("--output_dir", default="runs/reproduce", help="where the run folders go")
    parser.add_argument("--again", action="store_true", help="measure rows anew that are measured already")
    parser.add_argument("--list", action="store_true", help="only say what would be measured")
    arguments = parser.parse_args()
    chosen = [
        (table, row)
        for table in tables
        for row in table.rows
        if (arguments.tables is None or table.name in arguments.tables)
        and (arguments.cells is None or row.cell in arguments.cells)
    ]
    known = {row.cell for table in tables for row in table.rows}
    if unknown := sorted(set(arguments.cells or ()) - known):
        return refuse(f"no row is named {', '.join(unknown)}; --list shows the names")
    if not chosen:
        return refuse("these tables have no such rows; --list shows which have")
    if arguments.list:
        for table, row in chosen:
            print(f"{table.name} {row.cell}{' (measured)' if kept(table, row).exists() else ''}: {row.label}")
        return 0
    if "TEXTADV_DATA" not in os.environ and any("$TEXTADV_DATA" in table.on + row.options for table, row in chosen):
        return refuse("TEXTADV_DATA is not set; it names the folder that holds multi30k and the other data sets")
    for table, row in chosen:
        if kept(table, row).exists() and not arguments.again:
            continue
        if code := measure(table, row, Path(arguments.output_dir) / table.name / row.cell):
            return code
    return 0


def measure(table: Table, row: Row, folder: Path) -> int:
    """Runs a row's command into `folder`, keeps its results and writes the tables; returns the exit code."""
    print(f"{table.name}, {row.label}", flush=True)
    script = str(build_tables.ROOT / "scripts" / f"{row.script}.py")
    options = shlex.split(os.path.expandvars(f"{table.on} {row.options}"))
    code = subprocess.run([sys.executable, script, *options, "--output_dir", str(folder)]).returncode
    if code == 0:
        target = kept(table, row)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / "results.json", target)
        build_tables.write()
    return code


def kept(table: Table, row: Row) -> Path:
    """Where a row's results are kept."""
    return build_tables.ROOT / table.package / "results" / table.name / row.cell / "results.json"


def refuse(why: str) -> int:
    """Says what is wrong; returns the exit code."""
    print(why, file=sys.stderr)
    return 2
