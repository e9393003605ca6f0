"""What a results table of a package README is: its rows, and the options of the run that measures each row.

`_tables_seq2sick.py`, `_tables_advagent.py`, `_tables_images.py` and `_tables_defenses.py` list them, `build_tables.py`
writes them, and `reproduce_seq2sick.py`, `reproduce_advagent.py`, `reproduce_hard_label.py` and `reproduce_defenses.py`
measure them.
"""

from dataclasses import dataclass

RUNS = "runs/reproduce"  # where the run folders are, in commands that name one another's


@dataclass(frozen=True)
class Row:
    """One line of a table: what it says, the options of its run, and the paper's figures beside it.

    With several `seeds` it is a run for each, whose figures are told together. "{seed}" in the options is the seed's
    number, and "{next}" that of the one behind it, the first one's behind the last. A row `of` another table is
    measured for that one, as its row of the same cell.
    """

    label: str
    cell: str  # folder of its results.json
    options: str
    paper: str = ""
    script: str = "seq2sick"
    seeds: tuple[int, ...] = ()
    precision: str = ""  # of Accelerate, where it isn't the default
    of: str = ""

    @property
    def runs(self) -> dict[str, str]:
        """The options of each run, by the name of its folder."""
        if not self.seeds:
            return {self.cell: self.options}
        behind = (*self.seeds[1:], self.seeds[0])
        return {
            f"{self.cell}-{seed}": self.options.format(seed=seed, next=other)
            for seed, other in zip(self.seeds, behind, strict=True)
        }


@dataclass(frozen=True)
class Table:
    """Rows whose runs share the options `on`; `columns` are measures of results.json, `paper` says what its are.

    Where there is a row `against` which the others are to be compared, their differences are told, seed by seed.
    """

    package: str
    name: str
    on: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    paper: str = "success, changed words, input BLEU"
    page: str = "README.md"  # where it stands, in the package's folder
    against: str = ""  # the cell of that row
