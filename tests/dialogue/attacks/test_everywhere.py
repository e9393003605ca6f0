"""Every attack at every table, whoever starts: nothing breaks, and every dialogue comes to its end."""

import pytest
import torch
from negotiators import ready_to_end, tiny_agent

from dialogue.attacks.adaptive import AdaptiveAdversary
from dialogue.attacks.attack import attack, attack_measures
from dialogue.attacks.preemptive import PreemptiveAdversary
from dialogue.attacks.reactive import ReactiveAdversary
from dialogue.attacks.transfer import TransferAdversary
from dialogue.configs import AttackConfig
from dialogue.domain import SHARES, all_scenarios
from dialogue.selfplay import Table
from dialogue.types import SELECTION

SENTENCES = ["i take the ball <eos>", "ok <eos>"]
TABLES = [Table(i, scenario) for i, scenario in enumerate(all_scenarios())]


def adversaries(target):
    speaker = tiny_agent(0, temperature=1.5)
    config = AttackConfig(search="pad_greedy", turn=1, replies=2)
    yield speaker
    yield TransferAdversary(speaker, SENTENCES, 2)
    yield ReactiveAdversary(speaker, target, config)
    yield PreemptiveAdversary(speaker, target, config)
    yield AdaptiveAdversary(speaker, target, config)
    yield AdaptiveAdversary(speaker, target, config, SENTENCES)


@pytest.mark.parametrize(
    "tables", [TABLES[::60], pytest.param(TABLES, marks=pytest.mark.slow)], ids=["one in sixty", "all 5,295"]
)
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_no_table_breaks_an_attack(tables, temperature):
    target = ready_to_end(temperature=temperature)
    shares = {*SHARES, ()}
    for adversary in adversaries(target):
        for starter in (0, 1):
            records = []
            for first in range(0, len(tables), 256):
                some = tables[first : first + 256]
                starters = torch.full((len(some),), starter)
                records += attack(adversary, target, some, seed=0, max_turns=4, starters=starters)
            assert [record.example_id for record in records] == [table.example_id for table in tables]
            for record in records:
                assert record.speakers[0] == starter and record.turns[-1].endswith(SELECTION)
                assert {tuple(record.choice), tuple(record.partner_choice)} <= shares
                assert 0 <= record.score <= 10 and 0 <= record.partner_score <= 10
            measured = attack_measures([vars(record) for record in records])
            assert not any(measured["special_tokens"]) and max(measured["changed_words"], default=0) <= 2
            assert sum(measured["agreement"]) > 0
