"""Measure the tables of robust training in visionadv/README.md again, from the training of the nets on, and write them.

    export TEXTADV_DATA=...                                          # the folder of your data sets
    python scripts/reproduce_defenses.py --list                      # which rows there are; minutes, where measured
    python scripts/reproduce_defenses.py --tables defenses           # the nets of chapters 4 and 5
    python scripts/reproduce_defenses.py --tables chapter_4          # CAT among others: Tables 4.2, 4.4 and 4.6
    python scripts/reproduce_defenses.py --jobs 2                    # all of the small setting: hours on a CPU
    python scripts/reproduce_defenses.py --jobs 2 --minutes 60       # an hour of it; the same call again goes on
    python scripts/reproduce_defenses.py --figures                   # the figures of what is measured

The small setting is Fashion-MNIST, its first 10,000 images, nets of 166,000 parameters, three seeds. The full one is
the dissertation's, CIFAR-10, VGG-16 and ResNet-18 over 200 epochs, on a GPU; its tables' names begin with full_:

    python scripts/reproduce_defenses.py --tables full_defenses full_chapter_4

Every run is one command, printed below its table; it has its own folder (--output_dir), and the same call again goes on
where the last one stopped, or was stopped by --minutes. --cells measures a part of a table. As a run ends, its
results.json is copied to visionadv/results/<table>/<cell>/ and the table is written; the full setting's stand in
visionadv/results/full_scale.md. What is measured already is left alone, unless --again. Without --tables only those of
the small setting are measured. Figures are drawn by draw_defenses.py into visionadv/results/figures/.
"""

import sys

from _reproduce import reproduce
from _tables_defenses import FIGURES, FULL, TABLES

if __name__ == "__main__":
    sys.exit(reproduce(TABLES, __doc__, left_out=FULL.prefix, figures=FIGURES))
