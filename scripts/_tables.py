"""What a results table of a package README is: its rows, and the options of the run that measures each row.

`_tables_seq2sick.py`, `_tables_advagent.py` and `_tables_images.py` list them, `build_tables.py` writes them, and
`reproduce_seq2sick.py`, `reproduce_advagent.py` and `reproduce_hard_label.py` measure them.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line of a table: what it says, the options of its run, and the paper's figures beside it."""

    label: str
    cell: str  # folder of its results.json
    options: str
    paper: str = ""
    script: str = "seq2sick"


@dataclass(frozen=True)
class Table:
    """Rows whose runs share the options `on`; `columns` are measures of results.json, `paper` says what its are."""

    package: str
    name: str
    on: str
    rows: tuple[Row, ...]
    columns: tuple[str, ...]
    paper: str = "success, changed words, input BLEU"
