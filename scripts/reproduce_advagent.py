"""Measure the tables of dialogue/README.md again, row by row, from the training of the agents on, and write them.

    export TEXTADV_DATA=...                                                # the folder of your data sets
    python scripts/reproduce_advagent.py --list                            # which rows there are, and what is measured
    python scripts/reproduce_advagent.py --tables agents selfplay          # the agents, and how they play
    python scripts/reproduce_advagent.py --tables rl_attacks --cells rl.delayed
    python scripts/reproduce_advagent.py                                   # all of them: many hours on a CPU

Every row is one command, printed below its table; it runs in its own folder (--output_dir), and the same call again
goes on where the last one stopped. As a row ends, its results.json is copied to dialogue/results/<table>/<cell>/ and
the README's table is written. A row that is measured already is left alone, unless --again, and one whose command is
another's takes that one's results. Agents, adversaries and the hardened agent are rows as well, which later ones look
for in runs/reproduce.
"""

import sys

from _reproduce import reproduce
from _tables_advagent import TABLES

if __name__ == "__main__":
    sys.exit(reproduce(TABLES, __doc__))
