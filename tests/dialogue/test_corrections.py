"""Corrections: what a target would have answered and decided without the attack, and that it can be learnt."""

import pytest
import torch
from negotiators import WORDS, ready_to_end, tiny_agent

from dialogue.attacks.attack import attack
from dialogue.attacks.preemptive import PreemptiveAdversary
from dialogue.attacks.reactive import ReactiveAdversary
from dialogue.configs import AttackConfig
from dialogue.corrections import Corrections
from dialogue.domain import all_scenarios
from dialogue.selfplay import Table
from dialogue.types import Utterances

TABLES = [Table(i, scenario) for i, scenario in enumerate(all_scenarios()[::300])]
KINDS = {"reactive": ReactiveAdversary, "preemptive": PreemptiveAdversary}


def records(target, kind, turn=1):
    adversary = KINDS[kind](tiny_agent(0, temperature=1.0), target, AttackConfig(attack=kind, turn=turn))
    return attack(adversary, target, TABLES, seed=0)


def heard(target, record, upto):
    """The target's talk of a record, up to a turn."""
    scenario = next(table.scenario for table in TABLES if table.example_id == record.example_id)
    talk = target.begin([scenario.swapped], torch.zeros(1, dtype=torch.long))
    for speaker, text in zip(record.speakers[:upto], record.turns[:upto], strict=True):
        target.read(talk, torch.tensor([0]), Utterances.of([text], tuple(WORDS)), own=speaker == 1)
    return talk


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_and_the_decision_are_those_for_the_unchanged_sentence(kind):
    """Of a target that is asked anew, with the sentence as the adversary's speaking module had it."""
    target, zero, row = ready_to_end(), torch.tensor([0]), 0
    found = records(target, kind)
    lessons = Corrections.of(found, target.vocabulary)
    words = [
        [WORDS[word] for word in ids[:length]]
        for ids, length in zip(lessons.batch["input_ids"], lessons.batch["lengths"], strict=True)
    ]
    learnt = [
        [WORDS[word] for word in ids[mine]]
        for ids, mine in zip(lessons.batch["input_ids"], lessons.answers, strict=True)
    ]
    for record in found:
        for number, i in enumerate([i for i, speaker in enumerate(record.speakers) if speaker == 0]):
            if number >= len(record.kinds) or record.kinds[number] != kind:
                continue
            talk = heard(target, record, i)
            target.read(talk, zero, Utterances.of([record.bases[number]], tuple(WORDS)))
            reply = target.write(talk, zero)
            if not reply.ends_talk():
                target.read(talk, zero, Utterances.of(["<selection>"], tuple(WORDS)))
            choice = int(target.choose(talk, zero))
            for k in range(3):
                assert int(lessons.batch["choices"][row + k]) == choice
                assert lessons.batch["values"][row + k].tolist() == list(record.partner_values)
                assert learnt[row + k] == ([] if k == 2 else reply.texts()[0].split())
            right, before = [WORDS[word] for word in talk.words[0, : talk.lengths[0]]], heard(target, record, i)
            first = int(before.lengths[0]) + 1  # of the attacked sentence, behind its mark
            last = first + len(record.turns[i].split())
            assert words[row] == right[:first] + record.turns[i].split() + right[last:]
            assert words[row + 1] == right
            happened = heard(target, record, i + 2)
            ended = [] if record.turns[i + 1].endswith("<selection>") else ["THEM:", "<selection>"]
            assert words[row + 2] == [WORDS[word] for word in happened.words[0, : happened.lengths[0]]] + ended
            row += 3
    assert row == len(lessons.answers) > 0


def test_no_attack_no_correction():
    adversary = tiny_agent(0, temperature=1.0)
    found = attack(adversary, ready_to_end(), TABLES[:3], seed=0)
    assert Corrections.of(found, tuple(WORDS)) is None


def test_a_target_learns_to_answer_as_if_nothing_had_been_changed():
    target = ready_to_end()
    found = records(target, "reactive")
    lessons = Corrections.of(found, target.vocabulary)

    def right() -> float:
        """The share of attacked sentences to which it answers what it would have without the attack."""
        same = []
        for record in found:
            if "reactive" in record.kinds:
                number = record.kinds.index("reactive")
                i = [i for i, speaker in enumerate(record.speakers) if speaker == 0][number]
                reply = target.write(heard(target, record, i + 1), torch.tensor([0])).texts()[0]
                same.append(reply == record.unattacked_replies[number])
        return sum(same) / len(same)

    before = right()
    optimizer = torch.optim.Adam(target.parameters(), lr=0.01)
    for _ in range(150):
        loss = lessons.loss(target(**lessons.batch))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert before < 0.5 and right() > 0.9
