"""Runs a baseline as `seq2sick` is run: the same clean outputs, goals, confirmation from text, and records."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor

from textadv.attack import CleanBatch, attack, keywords_goal, non_overlapping_goal, not_blank
from textadv.baselines.gradient_swaps import gradient_swaps
from textadv.baselines.gumbel import gumbel
from textadv.baselines.nearest_neighbor import nearest_neighbor
from textadv.baselines.random_words import random_words
from textadv.baselines.word_importance import word_importance
from textadv.configs import BaselineConfig
from textadv.confirmation import Confirmation
from textadv.goals import Goal
from textadv.limits import NO_LIMITS, Limits
from textadv.noise import example_seeds
from textadv.types import AttackRecord, Example
from textadv.vocabulary import Vocabulary

USUAL_WORDS = 5  # most changed words where the limits name no number
BASELINES = {
    "random_words": random_words,
    "word_importance": word_importance,
    "gradient_swaps": gradient_swaps,
    "gumbel": gumbel,
    "nearest_neighbor": nearest_neighbor,
}


def baseline(
    vocabulary: Vocabulary,
    examples: Sequence[Example],
    *,
    config: BaselineConfig,
    seed: int,
    pool: Sequence[str] = (),
    limits: Limits = NO_LIMITS,
    on_finished: Callable[[int], None] = lambda count: None,
) -> list[AttackRecord]:
    """Attacks a batch of sentences with `config.baseline`, within the limits and by 5 changed words if they name none.

    Args and errors are those of `seq2sick`.
    """
    seeds = example_seeds(seed, [example.example_id for example in not_blank(examples)])

    def search(confirmed: Confirmation, rows: Tensor) -> None:
        BASELINES[config.baseline](confirmed, rows, config, seeds.to(rows.device), on_finished)

    def goal(batch: CleanBatch) -> Goal:
        if config.goal == "non_overlapping":
            return non_overlapping_goal(batch)
        return keywords_goal(batch, count=config.num_keywords, pool=pool, seed=seed)

    return attack(
        vocabulary,
        examples,
        goal=goal,
        search=search,
        seed=seed,
        whole_words=config.whole_words,
        limits=replace(limits, usual_words=USUAL_WORDS),
    )
