"""Figures of dialogues by hand and by brute force, and the page that shows them."""

import itertools
from dataclasses import asdict, replace

import pytest
from negotiators import tiny_agent

from dialogue.domain import all_scenarios
from dialogue.report import report
from dialogue.selfplay import Table, selfplay
from dialogue.summary import divisions, is_pareto, measures
from dialogue.types import DialogueRecord

RECORD = DialogueRecord(
    example_id=5,
    seed=0,
    success=True,
    queries=1,
    seconds=0.1,
    original="",
    adversarial="",
    counts=[1, 4, 1],
    values=[4, 1, 2],
    partner_values=[0, 2, 2],
    speakers=[0, 1, 0],
    turns=["i want the <b>book</b> <eos>", "deal <eos>", "<selection>"],
    choice=[1, 0, 1],
    partner_choice=[0, 4, 0],
    score=6,
    partner_score=8,
    cut=False,
)
FAILED = replace(RECORD, example_id=6, success=False, score=0, partner_score=0, partner_choice=[])


def test_figures_by_hand():
    found = measures([asdict(RECORD), asdict(FAILED)])
    assert found["agreement"] == [True, False]
    assert (found["score"], found["partner_score"], found["advantage"]) == ([6, 0], [8, 0], [-2, 0])
    assert (found["par"], found["ties"]) == ([False, False], [False, True])
    assert found["turns"] == [3, 3] and found["utterance_length"] == [4, 4]
    assert found["distinct_utterances"] == {"value": 0.5, "low": None, "high": None, "n": 2}
    assert len(found["pareto"]) == 1, "of the agreed ones"


@pytest.mark.parametrize("scenario", all_scenarios()[::1500])
def test_pareto_by_brute_force(scenario):
    every = []
    for share in itertools.product(*(range(count + 1) for count in scenario.counts)):
        mine = sum(n * v for n, v in zip(share, scenario.values, strict=True))
        rest = [count - n for count, n in zip(scenario.counts, share, strict=True)]
        every.append((mine, sum(n * v for n, v in zip(rest, scenario.partner_values, strict=True))))
    assert sorted(divisions(scenario)) == sorted(every)
    for mine, theirs in every:
        worse = any(a >= mine and b >= theirs and (a, b) != (mine, theirs) for a, b in every)
        table = {name: list(getattr(scenario, name)) for name in ("counts", "values", "partner_values")}
        assert is_pareto({**table, "score": mine, "partner_score": theirs}) != worse


def test_the_page_escapes_what_was_said():
    manifest = {"config": {"model_name_or_path": "me/<i>agent"}, "seed": 3}
    page = report([asdict(RECORD), asdict(FAILED)], {}, manifest)
    assert "&lt;b&gt;book&lt;/b&gt;" in page and "<b>book" not in page and "me/&lt;i&gt;agent" in page
    assert "1 of 2 dialogues end in agreement." in page and "seed 3" in page
    assert page.count('class="turn own"') == 4 and "(selection)" in page
    assert page == report(
        [asdict(RECORD), asdict(FAILED)], {}, {"config": {"model_name_or_path": "me/<i>agent"}, "seed": 3}
    )


def test_a_page_of_real_records_and_of_many():
    tables = [Table(i, scenario) for i, scenario in enumerate(all_scenarios()[:12])]
    records = [asdict(one) for one in selfplay((tiny_agent(), tiny_agent(1)), tables, seed=0, max_turns=2)]
    results = {
        "agreement": {"value": 0.25, "low": 0.1, "high": 0.5, "n": 12},
        "turns": {"value": 3.0, "low": None, "high": None, "n": 12},
    }
    page = report(records, results, {}, max_cards=5)
    assert page.count('class="talk panel') == 5 and "Shown are 5 of 12." in page
    assert "25.0 %" in page and "10.0 to 50.0 %" in page and "3.00" in page
