"""Measure the Seq2Sick tables of textadv/README.md again, row by row, and write them.

    export TEXTADV_DATA=...                                         # the folder of your data sets
    python scripts/reproduce_seq2sick.py --list                     # which rows there are, and what is measured
    python scripts/reproduce_seq2sick.py --tables multi30k          # one table
    python scripts/reproduce_seq2sick.py --tables multi30k --cells keywords-3
    python scripts/reproduce_seq2sick.py                            # all of them: hours on a CPU

Every row is one command, printed below its table; it runs in its own folder (--output_dir), and the same call again
goes on where the last one stopped. As a row ends, its results.json is copied to textadv/results/<table>/<cell>/
and the README's table is written. A row that is measured already is left alone, unless --again. Victims and language
models (runs/multi30k-marian and so on) are made by the commands of textadv/README.md. A row that needs a package that
isn't installed is left out, and named.
"""

import sys

from _reproduce import reproduce
from _tables_seq2sick import TABLES

if __name__ == "__main__":
    sys.exit(reproduce(TABLES, __doc__))
