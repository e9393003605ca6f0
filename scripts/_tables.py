"""The results tables of the package READMEs: their rows, and the command that measures each row.

`build_tables.py` writes them, `reproduce_seq2sick.py` measures them.
"""

from dataclasses import dataclass

ATTACK = (
    "accelerate launch scripts/seq2sick.py --model_name_or_path runs/multi30k-marian "
    "--dataset_name $TEXTADV_DATA/multi30k --source_column en --target_column de --split test"
)


@dataclass(frozen=True)
class Row:
    """One line of a table: what it says, the options of its run, and the paper's figures beside it."""

    label: str
    cell: str  # folder of its results.json
    options: str
    paper: str = ""
    needs: str = ""  # a package that is not among the dependencies


@dataclass(frozen=True)
class Table:
    """Rows that are run by one command with other options."""

    package: str
    name: str
    command: str
    rows: tuple[Row, ...]


def goal_options(goal: str) -> str:
    """`non_overlapping`, or `keywords-N`."""
    name, _, count = goal.partition("-")
    return f"--goal {name}" + (f" --num_keywords {count}" if count else "")


GOALS = {
    "non_overlapping": "non-overlap",
    "keywords-1": "1 keyword",
    "keywords-2": "2 keywords",
    "keywords-3": "3 keywords",
}
SENTENCES = 500
PAPER = {
    "non_overlapping": "89.4 %, 3.5, 0.349",
    "keywords-1": "100.0 %, 1.8, 0.705",
    "keywords-2": "91.0 %, 4.0, 0.303",
    "keywords-3": "69.6 %, 5.3, 0.205",
}
PARTS = {
    "all": ("gradient search, refinement, restoration (default)", ""),
    "gradient": ("gradient search alone", "--refine false --restore false"),
    "gradient_restored": ("gradient search and restoration", "--refine false"),
    "refinement": ("refinement and restoration", "--steps 0"),
    "paper": ("`--variant paper`", "--variant paper"),
    "released": ("`--variant released`", "--variant released"),
    "english": ("default, English words only", "--source_corpus dataset"),
}
LIMITS = {
    "none": ("no limit", ""),
    "stop_words": ("stop words stay", "--protect_stop_words"),
    "max_words": ("at most 2 words", "--max_words 2"),
    "max_words_share": ("at most 20 % of the words", "--max_words_share 0.2"),
    "max_perplexity_ratio": ("at most twice the perplexity", "--max_perplexity_ratio 2"),
    "all": ("these four together", "--protect_stop_words --max_words 2 --max_words_share 0.2 --max_perplexity_ratio 2"),
    "min_similarity": ("similarity of at least 0.8", "--min_similarity 0.8"),
}
TABLES = (
    Table(
        "textadv",
        "multi30k",
        ATTACK,
        tuple(Row(GOALS[goal], goal, f"--max_samples {SENTENCES} {goal_options(goal)}", PAPER[goal]) for goal in GOALS),
    ),
    Table(
        "textadv",
        "parts",
        ATTACK + " --max_samples 100",
        tuple(
            Row(f"{GOALS[goal]}: {label}", f"{goal}.{part}", f"{goal_options(goal)} {options}".strip())
            for goal in GOALS
            for part, (label, options) in PARTS.items()
        ),
    ),
    Table(
        "textadv",
        "limits",
        ATTACK + " --max_samples 100 --perplexity_model runs/multi30k-lm",
        tuple(
            Row(
                f"{GOALS[goal]}: {label}",
                f"{goal}.{limit}",
                f"{goal_options(goal)} {options}".strip(),
                needs="sentence_transformers" if limit == "min_similarity" else "",
            )
            for goal in ("non_overlapping", "keywords-1")
            for limit, (label, options) in LIMITS.items()
        ),
    ),
)
