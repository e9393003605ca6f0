"""Writes the results tables of the package READMEs from the results.json files under <package>/results/.

    python scripts/build_tables.py          # writes
    python scripts/build_tables.py --check  # exit code 1 if a README is not what the results say

A table stands between the lines `<!-- table: NAME -->` and `<!-- end -->`. A row whose results.json isn't there is left
out, and so is a table without rows. The command of each row is printed below its table: no figure without one.
"""

import argparse
import json
import sys
from pathlib import Path

from _tables import TABLES, Table

ROOT = Path(__file__).parent.parent


def main() -> int:
    """Writes or checks every table; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args().check
    stale = write(check=check)
    if check and stale:
        print(f"not what the results say: {', '.join(stale)}; run python scripts/build_tables.py", file=sys.stderr)
    return int(check and bool(stale))


def write(*, check: bool = False) -> list[str]:
    """Brings every table up to date, or only looks if `check`; returns the names of those that weren't."""
    stale = []
    for table in TABLES:
        readme = ROOT / table.package / "README.md"
        old = readme.read_text(encoding="utf-8")
        new = replaced(old, table.name, markdown(table))
        if new != old:
            stale.append(f"{readme.relative_to(ROOT)}: {table.name}")
            if not check:
                readme.write_text(new, encoding="utf-8")
    return stale


def replaced(text: str, name: str, table: str) -> str:
    """`text` with another table between the marks of `name`. Raises ValueError if they aren't there."""
    begin, end = f"<!-- table: {name} -->\n", "<!-- end -->"
    head, _, rest = text.partition(begin)
    if end not in rest:
        raise ValueError(f"no place for table {name}")
    return head + begin + table + end + rest.partition(end)[2]


def markdown(table: Table) -> str:
    """The table, and the command of each of its rows; nothing if none is measured."""
    found = []
    for row in table.rows:
        path = ROOT / table.package / "results" / table.name / row.cell / "results.json"
        if path.exists():
            found.append((row, json.loads(path.read_text(encoding="utf-8"))))
    if not found:
        return ""
    with_paper = any(row.paper for row, _ in found)
    columns = ["", *(["paper: success, changed words, input BLEU"] if with_paper else [])]
    columns += ["success", "changed words", "input BLEU", "disjoint words", "half BLEU", "greedy claims"]
    with_perplexity = any("perplexity_ratio" in results for _, results in found)
    columns += [*(["perplexity ratio"] if with_perplexity else []), "n"]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for row, results in found:
        cells = [row.label, *([row.paper] if with_paper else [])]
        cells += [percent(results["success"]), number(results["changed_words"]), number(results["input_bleu"])]
        cells += [percent(results[name]) for name in ("success_disjoint", "success_half_bleu", "search_success")]
        if with_perplexity:
            cells.append(number(results["perplexity_ratio"]) if "perplexity_ratio" in results else "-")
        lines.append("| " + " | ".join([*cells, str(results["success"]["n"])]) + " |")
    commands = [f"# {row.label}\n{table.command} {row.options}" for row, _ in found]
    return "\n".join(lines) + "\n\n```bash\n" + "\n".join(commands) + "\n```\n"


def percent(measure: dict) -> str:
    """A rate with its interval."""
    return "-" if measure["value"] is None else "{:.1f} % [{:.1f}, {:.1f}]".format(*(100 * measure[k] for k in KEYS))


def number(measure: dict) -> str:
    """A mean with its interval."""
    return "-" if measure["value"] is None else "{:.2f} [{:.2f}, {:.2f}]".format(*(measure[k] for k in KEYS))


KEYS = ("value", "low", "high")

if __name__ == "__main__":
    sys.exit(main())
