"""An adversary against a target at many tables: the records, and what they come to.

The adversary takes what the target leaves, so that the two agree wherever the target wants a deal (AdvAgent, section
3.2.2). A success is a dialogue that the adversary wins; ties are none.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from dialogue.attacks.transfer import TransferMemory
from dialogue.attacks.white_box import Memory
from dialogue.selfplay import Table, columns, play
from dialogue.summary import geometric, own_sentences, own_turns
from dialogue.types import MARKS, THEM, YOU, Agent, AttackRecord, Attempt


def attack(adversary: Agent, target: Agent, batch: Sequence[Table], *, seed: int, **options: Any) -> list[AttackRecord]:
    """The records of an adversary's dialogues; see `selfplay.play` for the options."""
    begun = time.perf_counter()
    played = play((adversary, target), batch, seed=seed, complement=True, **options)
    seconds = (time.perf_counter() - begun) / len(batch)
    memory = played.talks[0]
    told = memory.attempts if isinstance(memory, Memory | TransferMemory) else None
    inside = memory if isinstance(memory, Memory) else None
    records = []
    for i, table in enumerate(batch):
        shared = columns(played, i, table, seed=seed, seconds=seconds)
        own = own_sentences(shared)
        attempts = told[i] if told else [Attempt("regular", text) for text in own]
        shared["queries"] += int(inside.queries[i]) if inside else 0
        said = len(attempts)  # the limit of turns may have ended the talk for the adversary
        records.append(
            AttackRecord(
                success=bool(played.score[i] > played.partner_score[i]),
                original=" ".join(attempt.base for attempt in attempts),
                adversarial=" ".join(own[:said]),
                kinds=[attempt.kind for attempt in attempts],
                bases=[attempt.base for attempt in attempts],
                losses=[attempt.loss for attempt in attempts],
                perplexity_ratios=[attempt.perplexity_ratio for attempt in attempts],
                unattacked_replies=[attempt.reply for attempt in attempts],
                unattacked_choices=[" ".join(map(str, attempt.choice)) for attempt in attempts],
                candidates=int(inside.candidates[i]) if inside else 0,
                decisions=int(inside.decisions[i]) if inside else 0,
                **shared,
            )
        )
    return records


def attack_measures(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Values to average, by name, of `AttackRecord`s as dictionaries; points are over all dialogues, no deal is 0 to 0.

    `success`, `par`: dialogues that the adversary wins, the paper's positive advantage rate; `ties`; `advantage`: its
    points less the target's; `score`, `partner_score`; `agreement`: dialogues in which the target wants a deal;
    `changed_words` and `perplexity_ratio`, a geometric mean: of attacked sentences; `special_tokens`: sentences said
    that hold marks; `attacked`: dialogues with an attacked sentence; `queries`, `candidates`.
    """
    wins = [record["success"] for record in records]
    attacked = [
        (said, base, ratio)
        for record in records
        for said, base, ratio, kind in zip(
            own_sentences(record), record["bases"], record["perplexity_ratios"], record["kinds"], strict=False
        )
        if kind in ("reactive", "preemptive")
    ]
    return {
        "success": wins,
        "par": wins,
        "ties": [record["score"] == record["partner_score"] for record in records],
        "advantage": [record["score"] - record["partner_score"] for record in records],
        "score": [record["score"] for record in records],
        "partner_score": [record["partner_score"] for record in records],
        "agreement": [bool(record["partner_choice"]) for record in records],
        "attacked": [bool({"reactive", "preemptive", "transfer"} & {*record["kinds"]}) for record in records],
        "changed_words": [changed(said, base) for said, base, _ in attacked],
        "perplexity_ratio": geometric([ratio for _, _, ratio in attacked]),
        "special_tokens": [has_marks(text) for record in records for text in own_turns(record)],
        "turns": [len(record["turns"]) for record in records],
        "queries": [record["queries"] for record in records],
        "candidates": [record["candidates"] for record in records],
    }


def changed(said: str, base: str) -> int:
    """Words that differ; an attack keeps their number."""
    return sum(one != other for one, other in zip(said.split(), base.split(), strict=True))


def has_marks(text: str) -> bool:
    """Whether there is a word in an utterance that nobody says, its end apart."""
    return bool({*MARKS, YOU, THEM} & {*text.split()[:-1]})
