"""The tables of textadv/README.md; `reproduce_seq2sick.py` measures them."""

from _tables import Row, Table

SEQ2SICK = ("success", "changed_words", "input_bleu", "success_disjoint", "success_half_bleu", "search_success")
FLUENCY = ("original_perplexity", "adversarial_perplexity")
MEASURED = (*SEQ2SICK, "minutes")
NEWS_COLUMNS = (*SEQ2SICK, *FLUENCY, "sentiment_agreement", "minutes")
COMPARED = ("success", "changed_words", "input_bleu", "search_success", "queries", "minutes")
PAIRED = ("success", "other_success", "success_difference", "success_ratio", "changed_words_ratio", "queries_ratio")
HARDENED = (
    "success_before",
    "success",
    "success_drop",
    "changed_words_before",
    "changed_words",
    "transferred",
    "bleu_before",
    "bleu",
    "minutes",
)


def goal_options(goal: str) -> str:
    """`non_overlapping`, or `keywords-N`."""
    name, _, count = goal.partition("-")
    return f"--goal {name}" + (f" --num_keywords {count}" if count else "")


def goal_rows(paper: dict[str, str]) -> tuple[Row, ...]:
    """One row for each goal, with the paper's figures for it."""
    return tuple(Row(GOALS[goal], goal, goal_options(goal), paper[goal]) for goal in GOALS)


GOALS = {
    "non_overlapping": "non-overlap",
    "keywords-1": "1 keyword",
    "keywords-2": "2 keywords",
    "keywords-3": "3 keywords",
}
MULTI30K = "--dataset_name $TEXTADV_DATA/multi30k --source_column en --target_column de"
NEWS = "--source_column document --target_column summary"
NEWS_VICTIMS = {  # what it is called, its goals, and options of its own
    "headlines-lstm": ("LSTM", tuple(GOALS), ""),
    "headlines-bart": ("BART, first 100", ("non_overlapping", "keywords-1"), "--max_samples 100"),
}
TRANSFORMER = f"--model_name_or_path runs/multi30k-marian {MULTI30K}"
LSTM = f"--model_name_or_path runs/multi30k-lstm {MULTI30K}"
ON_TEXT = "--perplexity_model runs/news-lm --sentiment_model vader"
MULTI30K_PAPER = {
    "non_overlapping": "89.4 %, 3.5, 0.349",
    "keywords-1": "100.0 %, 1.8, 0.705",
    "keywords-2": "91.0 %, 4.0, 0.303",
    "keywords-3": "69.6 %, 5.3, 0.205",
}
GIGAWORD_PAPER = {
    "non_overlapping": "86.0 %, 2.17, 0.828",
    "keywords-1": "99.8 %, 2.04, 0.801",
    "keywords-2": "96.5 %, 4.96, 0.523",
    "keywords-3": "43.0 %, 8.86, 0.413",
}
DUC2004_PAPER = {
    "non_overlapping": "84.2 %, 2.50, 0.816",
    "keywords-1": "99.6 %, 2.21, 0.773",
    "keywords-2": "87.8 %, 5.1, 0.421",
    "keywords-3": "37.4 %, 9.3, 0.340",
}
VICTIMS = {  # folder, what it is, what it is scored on
    "multi30k-marian": ("Transformer (Marian), Multi30k", MULTI30K),
    "multi30k-lstm": ("LSTM, Multi30k", MULTI30K),
    "headlines-bart": ("Transformer (BART), headlines", f"--dataset_name $TEXTADV_DATA/headlines {NEWS}"),
    "headlines-lstm": ("LSTM, headlines", f"--dataset_name $TEXTADV_DATA/headlines {NEWS}"),
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
GLOVE = "--similarity_model runs/glove.6B.100d.txt"
LIMITS = {
    "none": ("no limit", ""),
    "stop_words": ("stop words stay", "--protect_stop_words"),
    "max_words": ("at most 2 words", "--max_words 2"),
    "max_words_share": ("at most 20 % of the words", "--max_words_share 0.2"),
    "max_perplexity_ratio": ("at most twice the perplexity", "--max_perplexity_ratio 2"),
    "all": ("these four together", "--protect_stop_words --max_words 2 --max_words_share 0.2 --max_perplexity_ratio 2"),
    "min_similarity": ("similarity of at least 0.8", f"--min_similarity 0.8 {GLOVE}"),
    "min_similarity-0.95": ("similarity of at least 0.95", f"--min_similarity 0.95 {GLOVE}"),
}
BASELINE_GOALS = ("non_overlapping", "keywords-1", "keywords-2")
BASELINES = {
    "random_words": "random words",
    "word_importance": "word importance (TextFooler's search)",
    "gradient_swaps": "gradient swaps (HotFlip, GCG)",
    "gumbel": "Gumbel-softmax (GBDA)",
    "nearest_neighbor": "nearest neighbour afterwards (3.1.2)",
}
BLACK_BOX = {"random_words", "word_importance"}
WIDER = (
    Row(
        "non-overlap: Seq2Sick, 256 candidates a round",
        "non_overlapping.seq2sick_256",
        "--goal non_overlapping --candidates 256",
    ),
    Row(
        "non-overlap: gradient swaps, 256 a step",
        "non_overlapping.gradient_swaps_256",
        "--baseline gradient_swaps --goal non_overlapping --swap_candidates 256",
        script="seq2sick_baselines",
    ),
)
WITHOUT_REFINEMENT = {
    "default": ("gradient search", ""),
    "l2": ("l2 penalty instead of group lasso", "--penalty l2"),
    "no_regularization": ("without gradient regularisation", "--gradient_regularization 0"),
    "no_penalty": ("without both", "--lasso 0 --gradient_regularization 0"),
    "paper": ("`--variant paper`", "--variant paper"),
    "released": ("`--variant released`", "--variant released"),
}
TRANSFERS = {  # of the runs of a table, shown to a victim
    "multi30k": ("found on the Transformer, shown to the LSTM", "runs/multi30k-lstm"),
    "multi30k_lstm": ("found on the LSTM, shown to the Transformer", "runs/multi30k-marian"),
}
HARDENING = {
    "non_overlapping.seq2sick": ("non-overlap: against Seq2Sick", "--goal non_overlapping"),
    "non_overlapping.random_words": (
        "non-overlap: against random words",
        "--goal non_overlapping --adversary random_words",
    ),
    "non_overlapping.none": ("non-overlap: more training", "--goal non_overlapping --adversary none"),
    "keywords-1.seq2sick": ("1 keyword: against Seq2Sick", "--goal keywords"),
}


def news_rows(paper: dict[str, str]) -> tuple[Row, ...]:
    """One row for each goal of a victim, with the paper's figures beside it."""
    return tuple(
        Row(
            f"{name}: {GOALS[goal]}",
            f"{goal}.{victim}",
            f"--model_name_or_path runs/{victim} {goal_options(goal)} {options}".strip(),
            paper[goal],
        )
        for victim, (name, goals, options) in NEWS_VICTIMS.items()
        for goal in goals
    )


def baselines_of(goal: str) -> dict[str, str]:
    """Those that are measured: black-box ones take hours for two keywords, having found few for one."""
    return {name: label for name, label in BASELINES.items() if goal != "keywords-2" or name not in BLACK_BOX}


def baseline_rows(goal: str) -> tuple[Row, ...]:
    """Seq2Sick and each baseline on one goal."""
    baselines = (
        Row(
            f"{GOALS[goal]}: {label}",
            f"{goal}.{name}",
            f"--baseline {name} {goal_options(goal)}",
            script="seq2sick_baselines",
        )
        for name, label in baselines_of(goal).items()
    )
    return (Row(f"{GOALS[goal]}: Seq2Sick", f"{goal}.seq2sick", goal_options(goal)), *baselines)


def compared_row(label: str, one: str, other: str) -> Row:
    """A cell of the table of baselines against another one."""
    runs = "runs/reproduce/baselines"
    return Row(label, other, f"--run {runs}/{one} --against {runs}/{other}", script="compare_seq2sick")


TABLES = (
    Table(
        "textadv",
        "victims",
        "",
        tuple(
            Row(label, name, f"--model_name_or_path runs/{name} {on}", script="score_seq2seq")
            for name, (label, on) in VICTIMS.items()
        ),
        ("bleu", "rouge_l", "minutes"),
    ),
    Table(
        "textadv",
        "multi30k",
        f"{TRANSFORMER} --max_samples 500",
        goal_rows(MULTI30K_PAPER),
        MEASURED,
    ),
    Table(
        "textadv",
        "multi30k_lstm",
        f"{LSTM} --max_samples 500",
        goal_rows(MULTI30K_PAPER),
        MEASURED,
    ),
    Table(
        "textadv",
        "gigaword",
        f"--dataset_name $TEXTADV_DATA/gigaword_test {NEWS} --max_samples 250 {ON_TEXT}",
        news_rows(GIGAWORD_PAPER),
        NEWS_COLUMNS,
    ),
    Table(
        "textadv",
        "duc2004",
        "--dataset_name $TEXTADV_DATA/duc2004 --drop_duplicates --source_column document --target_column none "
        f"--keyword_corpus $TEXTADV_DATA/headlines --keyword_column summary {ON_TEXT}",
        news_rows(DUC2004_PAPER),
        NEWS_COLUMNS,
    ),
    Table(
        "textadv",
        "parts",
        f"{TRANSFORMER} --max_samples 100",
        tuple(
            Row(f"{GOALS[goal]}: {label}", f"{goal}.{part}", f"{goal_options(goal)} {options}".strip())
            for goal in ("non_overlapping", "keywords-1")
            for part, (label, options) in PARTS.items()
        ),
        MEASURED,
    ),
    Table(
        "textadv",
        "ablation",
        f"{TRANSFORMER} --max_samples 100",
        tuple(
            Row(
                f"{GOALS[goal]}: {label}",
                f"{goal}.{part}",
                f"{goal_options(goal)} --refine false --restore false {options}".strip(),
            )
            for goal in ("non_overlapping", "keywords-1")
            for part, (label, options) in WITHOUT_REFINEMENT.items()
        ),
        MEASURED,
    ),
    Table(
        "textadv",
        "baselines",
        f"{TRANSFORMER} --max_samples 100 --max_words 5",
        (*(row for goal in BASELINE_GOALS for row in baseline_rows(goal)), *WIDER),
        COMPARED,
    ),
    Table(
        "textadv",
        "compared",
        "",
        (
            *(
                compared_row(f"{GOALS[goal]}: {label}", f"{goal}.seq2sick", f"{goal}.{name}")
                for goal in BASELINE_GOALS
                for name, label in baselines_of(goal).items()
            ),
            compared_row("non-overlap: gradient swaps, both with 256", *(row.cell for row in WIDER)),
        ),
        PAIRED,
    ),
    Table(
        "textadv",
        "limits",
        f"{TRANSFORMER} --max_samples 100 --perplexity_model runs/multi30k-lm",
        tuple(
            Row(
                f"{GOALS[goal]}: {label}",
                f"{goal}.{limit}",
                f"{goal_options(goal)} {options}".strip(),
            )
            for goal in ("non_overlapping", "keywords-1")
            for limit, (label, options) in LIMITS.items()
        ),
        (*SEQ2SICK, "perplexity_ratio", "minutes"),
    ),
    Table(
        "textadv",
        "transfer",
        "",
        tuple(
            Row(
                f"{GOALS[goal]}: {label}",
                f"{goal}.{table}",
                f"--runs runs/reproduce/{table}/{goal} --victims {victim}",
                script="transfer_seq2sick",
            )
            for goal in GOALS
            for table, (label, victim) in TRANSFERS.items()
        ),
        ("success", "minutes"),
    ),
    Table(
        "textadv",
        "hardening",
        f"{TRANSFORMER} --rounds 3 --attacked_samples 1000 --steps_per_round 300",
        tuple(Row(label, cell, options, script="harden_seq2seq") for cell, (label, options) in HARDENING.items()),
        HARDENED,
    ),
)
