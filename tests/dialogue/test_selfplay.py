"""Many dialogues at once are the dialogues that two agents would have alone."""

from dataclasses import asdict

import pytest
import torch
from negotiators import Scripted, tiny_agent

from dialogue.domain import NO_DEAL, SHARES, all_scenarios
from dialogue.selfplay import Table, first_speakers, selfplay
from dialogue.types import THEM, YOU

BATCH = [Table(7 * i, scenario) for i, scenario in enumerate(all_scenarios()[::97])]


@pytest.fixture(scope="module")
def agents():
    return tiny_agent(0, temperature=3.0), tiny_agent(1, temperature=2.0)


@pytest.fixture(scope="module")
def records(agents):
    return selfplay(agents, BATCH, seed=3)


def without_seconds(records) -> list[dict]:
    return [{name: value for name, value in asdict(one).items() if name != "seconds"} for one in records]


def test_records_do_not_depend_on_the_batch(agents, records):
    for size in (1, 8):
        parts = [BATCH[start : start + size] for start in range(0, len(BATCH), size)]
        again = [one for part in parts for one in selfplay(agents, part, seed=3)]
        assert without_seconds(again) == without_seconds(records)
    assert without_seconds(selfplay(agents, BATCH, seed=4)) != without_seconds(records)


def test_records_tell_the_dialogue(agents, records):
    starters = first_speakers(3, [table.example_id for table in BATCH]).tolist()
    assert {*starters} == {0, 1}
    assert len({len(one.turns) for one in records}) > 3, "they end at different times"
    for table, record, starter in zip(BATCH, records, starters, strict=True):
        assert (record.example_id, record.counts) == (table.example_id, list(table.scenario.counts))
        assert record.speakers == [(starter + turn) % 2 for turn in range(len(record.turns))]
        assert [turn.endswith("<selection>") for turn in record.turns] == [False] * (len(record.turns) - 1) + [True]
        assert record.queries == sum(record.speakers) and record.original == " ".join(record.turns)
        assert all(turn.count("<") == 1 for turn in record.turns), "one end, and nothing that can't be said"
        # What either chooses, from a reading of the whole at once.
        for side, choice in enumerate([record.choice, record.partner_choice]):
            scenario = table.scenario if side == 0 else table.scenario.swapped
            agent, words = agents[side], []
            for speaker, turn in zip(record.speakers, record.turns, strict=True):
                words += [YOU if speaker == side else THEM, *turn.split()]
            ids = torch.tensor([[agent.vocabulary.index(word) for word in words]])
            talk = agent.begin([scenario], torch.tensor([0]))
            talk.words, talk.lengths = ids, torch.tensor([len(words)])
            chosen = int(agent.choose(talk, torch.tensor([0])))
            assert choice == ([] if chosen == NO_DEAL else list(SHARES[chosen]))
        divided = [a + b for a, b in zip(record.choice, record.partner_choice, strict=False)] == record.counts
        assert record.success == divided
        worth = sum(n * v for n, v in zip(record.choice, record.values, strict=False)) if divided else 0
        theirs = (
            sum(n * v for n, v in zip(record.partner_choice, record.partner_values, strict=False)) if divided else 0
        )
        assert (record.score, record.partner_score) == (worth, theirs)


def test_everyone_hears_what_is_said():
    one, other = Scripted(["i want the book <eos>", "<selection>"]), Scripted(["ok <eos>", "deal <eos>"])
    records = selfplay((one, other), BATCH[:4], seed=0, starters=torch.tensor([0, 0, 1, 1]))
    assert records[0].turns == ["i want the book <eos>", "ok <eos>", "<selection>"]
    assert one.heard[0] == ["YOU: i want the book <eos>", "THEM: ok <eos>", "YOU: <selection>"]
    assert other.heard[0] == ["THEM: i want the book <eos>", "YOU: ok <eos>", "THEM: <selection>"]
    assert records[2].turns == ["ok <eos>", "i want the book <eos>", "deal <eos>", "<selection>"]
    assert [record.speakers for record in records[1:3]] == [[0, 1, 0], [1, 0, 1, 0]]
    assert not any(record.success or record.cut for record in records)


def test_the_limit_of_turns_ends_a_talk():
    talkers = [Scripted(["ok <eos>"] * 9), Scripted(["deal <eos>"] * 9)]
    told = []
    records = selfplay(
        tuple(talkers), BATCH[:2], seed=0, max_turns=3, starters=torch.tensor([0, 1]), on_finished=told.append
    )
    assert records[0].turns == ["ok <eos>", "deal <eos>"] * 3 + ["<selection>"]
    assert [record.speakers[-1] for record in records] == [0, 1]
    assert talkers[0].heard[0][-1] == "YOU: <selection>" and talkers[1].heard[0][-1] == "THEM: <selection>"
    assert all(record.cut for record in records) and sum(told) == 2
