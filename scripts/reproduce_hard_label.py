"""Measure the tables of visionadv/README.md again, row by row, from the training of the nets on, and write them.

    export TEXTADV_DATA=...                                             # the folder of your data sets
    python scripts/reproduce_hard_label.py --list                       # which rows there are, and what is measured
    python scripts/reproduce_hard_label.py --tables victims             # the nets and the trees
    python scripts/reproduce_hard_label.py --tables mnist_l2            # Table 2.2 of Cheng's dissertation, for MNIST
    python scripts/reproduce_hard_label.py                              # all of them: many hours on a CPU
    python scripts/reproduce_hard_label.py --figures                    # the figures of what is measured

Every row is one command, printed below its table; it runs in its own folder (--output_dir), and the same call again
goes on where the last one stopped. As a row ends, its results.json is copied to visionadv/results/<table>/<cell>/ and
the README's table is written. A row that is measured already is left alone, unless --again. Figures are drawn by
draw_attacks.py into visionadv/results/figures/, and the report.html of a row's folder draws that row's curve alone.
"""

import sys

from _reproduce import reproduce
from _tables_images import FIGURES, TABLES

if __name__ == "__main__":
    sys.exit(reproduce(TABLES, __doc__, figures=FIGURES, artist="draw_attacks"))
