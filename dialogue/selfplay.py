"""Two agents at many tables at once: turn by turn, and who has come to an end leaves the batch.

All dialogues of a batch are at the same turn. Half of them have the first agent speaking and half the other one; each
agent speaks for all of its tables in one batch, and hears what was said to it in another. A dialogue ends with
`<selection>`, or after `max_turns` turns a side: then whoever's turn it is has to say it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dialogue import domain
from dialogue.configs import PlayConfig
from dialogue.data import load_scenarios
from dialogue.domain import NO_DEAL, SHARES, Scenario, agreed, all_scenarios, scores, tables
from dialogue.types import MARKS, SELECTION, Agent, DialogueRecord, Utterances
from textadv.noise import example_seeds

MAX_TURNS = 10  # of a side (AdvAgent, section 3.2.1)


@dataclass(frozen=True)
class Table:
    """A scenario with its number, seen from the first agent's chair."""

    example_id: int
    scenario: Scenario


def load_tables(config: PlayConfig) -> list[Table]:
    """The tables that a config names, none twice; `example_id` is their number in `all_scenarios`, or in the set.

    Raises:
        BadInput: as `data.load_scenarios`.
    """
    if config.scenarios != "all":
        found = dict.fromkeys(load_scenarios(config.scenarios, config.scenario_split))
        return [Table(i, scenario) for i, scenario in enumerate(found)]
    tables = [Table(i, scenario) for i, scenario in enumerate(all_scenarios())]
    random.Random("scenarios").shuffle(tables)
    return tables


@dataclass
class Transcript:
    """What was said at B tables."""

    speakers: Tensor  # (B, turns) which agent spoke, 0 or 1; -1 once it was over
    turns: list[list[str]]  # of each table, with their ends
    cut: Tensor  # (B,) whether the limit ended it


@dataclass
class Played:
    """B dialogues and their ends, seen from the first agent's chair."""

    scenarios: list[Scenario]
    talks: tuple[Any, Any]  # what either agent remembers
    transcript: Transcript
    choice: Tensor  # (B,)
    partner_choice: Tensor
    agreed: Tensor
    score: Tensor
    partner_score: Tensor


def first_speakers(seed: int, example_ids: Sequence[int]) -> Tensor:
    """(B,) which agent starts, 0 or 1, by a coin of the table's own."""
    return torch.tensor([random.Random(f"starter:{seed}:{i}").randrange(2) for i in example_ids])


def starters_of(starter: str, count: int) -> Tensor | None:
    """(B,) who starts at `count` tables, as `PlayConfig.starter` says; None for a coin."""
    return None if starter == "either" else torch.full((count,), ("agent", "partner").index(starter))


def play(
    agents: tuple[Agent, Agent],
    batch: Sequence[Table],
    *,
    seed: int,
    max_turns: int = MAX_TURNS,
    starters: Tensor | None = None,
    complement: bool = False,
    on_finished: Callable[[int], None] = lambda count: None,
) -> Played:
    """Lets two agents talk at every table, and choose. What happens at one doesn't depend on the others.

    Args:
        agents: the first one, and its partner.
        seed: each table's randomness comes from (seed, example_id).
        max_turns: of a side.
        starters: (B,) which agent starts at each table, 0 or 1; by default a coin decides.
        complement: the first agent isn't asked what it takes: it takes what the partner leaves (AdvAgent, 3.2.2).
        on_finished: told how many talks have just ended.
    """
    ids, scenarios = [table.example_id for table in batch], [table.scenario for table in batch]
    starters = first_speakers(seed, ids) if starters is None else starters
    # Two agents must not draw the same numbers: each side has a series of its own.
    seeds = [example_seeds(seed, [2 * i + side for i in ids]) for side in (0, 1)]
    talks = (
        agents[0].begin(scenarios, seeds[0]),
        agents[1].begin([scenario.swapped for scenario in scenarios], seeds[1]),
    )
    transcript = converse(agents, talks, starters, max_turns, on_finished)
    everyone = torch.arange(len(batch))
    counts, values, partner_values = tables(scenarios)
    partner_choice = agents[1].choose(talks[1], everyone).cpu()
    if complement:
        choice = domain.complement(partner_choice, counts)
    else:
        choice = agents[0].choose(talks[0], everyone).cpu()
    points = scores(choice, partner_choice, counts, values, partner_values)
    return Played(scenarios, talks, transcript, choice, partner_choice, agreed(choice, partner_choice, counts), *points)


def selfplay(agents: tuple[Agent, Agent], batch: Sequence[Table], *, seed: int, **options: Any) -> list[DialogueRecord]:
    """The records of what two agents `play`, with its options."""
    begun = time.perf_counter()
    played = play(agents, batch, seed=seed, **options)
    seconds = (time.perf_counter() - begun) / len(batch)
    return [
        DialogueRecord(
            success=bool(played.agreed[i]),
            original=" ".join(played.transcript.turns[i]),
            adversarial="",
            **columns(played, i, table, seed=seed, seconds=seconds),
        )
        for i, table in enumerate(batch)
    ]


def columns(played: Played, i: int, table: Table, *, seed: int, seconds: float) -> dict[str, Any]:
    """What every record tells of one dialogue, the `i`-th that was played."""
    speakers = [speaker for speaker in played.transcript.speakers[i].tolist() if speaker >= 0]
    return {
        "example_id": table.example_id,
        "seed": seed,
        "queries": speakers.count(1),
        "seconds": seconds,
        "counts": list(table.scenario.counts),
        "values": list(table.scenario.values),
        "partner_values": list(table.scenario.partner_values),
        "speakers": speakers,
        "turns": played.transcript.turns[i],
        "choice": taken(played.choice[i]),
        "partner_choice": taken(played.partner_choice[i]),
        "score": int(played.score[i]),
        "partner_score": int(played.partner_score[i]),
        "cut": bool(played.transcript.cut[i]),
    }


def taken(choice: Tensor) -> list[int]:
    """A choice's share; empty for no deal."""
    return [] if choice == NO_DEAL else list(SHARES[int(choice)])


def converse(
    agents: tuple[Agent, Agent],
    talks: tuple[Any, Any],
    starters: Tensor,
    max_turns: int,
    on_finished: Callable[[int], None],
) -> Transcript:
    """Talks until every table has its `<selection>`."""
    count = len(starters)
    open_ = torch.ones(count, dtype=torch.bool)
    turns: list[list[str]] = [[] for _ in range(count)]
    speakers: list[Tensor] = []
    cut = torch.zeros(count, dtype=torch.bool)
    for turn in range(2 * max_turns + 1):
        if turn == 2 * max_turns:
            cut = open_.clone()
        speaking = (starters + turn) % 2
        before = open_.clone()
        for side in (0, 1):
            rows = (before & (speaking == side)).nonzero()[:, 0]
            if len(rows) == 0:
                continue
            if turn == 2 * max_turns:
                said = Utterances.of([SELECTION] * len(rows), MARKS)
                agents[side].read(talks[side], rows, said, own=True)
            else:
                said = agents[side].write(talks[side], rows)
            agents[1 - side].read(talks[1 - side], rows, said)
            over = said.ends_talk().cpu()
            open_[rows[over]] = False
            for row, text in zip(rows.tolist(), said.texts(), strict=True):
                turns[row].append(text)
        speakers.append(speaking.where(before, -1))
        on_finished(int((before & ~open_).sum()))
        if not open_.any():
            break
    return Transcript(torch.stack(speakers, dim=1), turns, cut)
