"""A first look in half precision: which candidates are kept, that these are scored exactly, and what it changes."""

import pytest
import torch
from negotiators import ready_to_end, tiny_agent

from dialogue.attacks.adaptive import AdaptiveAdversary
from dialogue.attacks.attack import attack
from dialogue.attacks.screening import KEPT, is_quick, rough_copy, screened, worth_screening
from dialogue.configs import AttackConfig
from dialogue.domain import all_scenarios
from dialogue.loading import EMBEDDED, load_agent
from dialogue.selfplay import Table


def test_the_best_looking_of_each_group_are_scored_exactly():
    generator = torch.Generator().manual_seed(0)
    group = torch.randint(5, (200,), generator=generator)
    exact = torch.randn(200, generator=generator)
    rough = exact + 0.1 * torch.randn(200, generator=generator)
    asked = []

    def score(some):
        asked.extend(some.tolist())
        return exact[some]

    found = screened(rough, group, score)
    kept = [
        i for one in range(5) for i in sorted((group == one).nonzero()[:, 0].tolist(), key=lambda i: rough[i])[:KEPT]
    ]
    assert sorted(asked) == sorted(kept)
    others = torch.ones(200, dtype=torch.bool).index_fill(0, torch.tensor(kept), False)
    assert torch.equal(found[kept], exact[kept]) and found[others].isinf().all()


def test_small_groups_are_scored_exactly_at_once():
    assert not worth_screening(torch.arange(3).repeat(KEPT))
    assert worth_screening(torch.arange(3).repeat(KEPT + 1))


def test_who_is_screened():
    single, double = load_agent(EMBEDDED["supervised"]), tiny_agent()
    assert (rough_copy(single, "auto") is not None) == is_quick(single.device)
    assert rough_copy(double, "auto") is None, "what is asked for in double precision is meant to be exact"
    assert rough_copy(single, "none") is None
    rough = rough_copy(double, "bf16")
    assert rough is not None and rough.dtype == torch.bfloat16 and double.dtype == torch.float64


def records(speaker, target, tables, screening):
    adversary = AdaptiveAdversary(speaker, target, AttackConfig(turn=1, screening=screening))
    return attack(adversary, target, tables, seed=0)


@pytest.mark.parametrize("agents", ["tiny", "embedded"])
def test_an_attack_finds_what_it_finds_without_screening(agents):
    tables = [Table(i, scenario) for i, scenario in enumerate(all_scenarios()[::600])]
    if agents == "embedded":
        tables = tables[:3]  # it has ten times as many sentences to score
    if agents == "tiny":
        speaker, target = tiny_agent(0, temperature=1.0), ready_to_end()
    else:
        speaker, target = (load_agent(EMBEDDED[stage]) for stage in ("supervised", "reinforce"))
        target.temperature = 0.0
    plain, quick = (records(speaker, target, tables, screening) for screening in ("none", "bf16"))
    same = [
        one.turns == other.turns and one.losses == pytest.approx(other.losses)
        for one, other in zip(plain, quick, strict=True)
    ]
    assert sum(same) >= 0.9 * len(tables)
    assert sum(record.decisions for record in quick) > sum(record.decisions for record in plain), "it was screened"
