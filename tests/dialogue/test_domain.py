"""Scenarios, choices and scores against brute force over all 5,295 scenarios."""

import itertools

import pytest
import torch

from dialogue.domain import (
    CHOICES,
    NO_DEAL,
    SHARES,
    Scenario,
    agreed,
    all_scenarios,
    choice_of,
    complement,
    legal,
    scores,
    shares,
    tables,
)


def test_scenarios_are_those_that_the_rules_allow():
    expected = set()
    for numbers in itertools.product(range(1, 5), repeat=3):
        if not 5 <= sum(numbers) <= 7:
            continue
        for mine in itertools.product(range(11), repeat=3):
            if sum(n * v for n, v in zip(numbers, mine, strict=True)) != 10:
                continue
            for theirs in itertools.product(range(11), repeat=3):
                if (
                    sum(n * v for n, v in zip(numbers, theirs, strict=True)) == 10
                    and all(a + b > 0 for a, b in zip(mine, theirs, strict=True))
                    and sum(a * b for a, b in zip(mine, theirs, strict=True)) > 0
                ):
                    expected.add((numbers, mine, theirs))
    found = [(one.counts, one.values, one.partner_values) for one in all_scenarios()]
    assert len(found) == len(set(found)) == 5295
    assert set(found) == expected
    assert {one.swapped for one in all_scenarios()} == set(all_scenarios())
    assert all(one.is_legal for one in all_scenarios())


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario((1, 1, 2), (4, 2, 2), (2, 2, 3)),  # four items
        Scenario((5, 1, 1), (0, 5, 5), (2, 0, 0)),  # five of one
        Scenario((1, 2, 2), (2, 2, 2), (2, 2, 3)),  # worth 12 to the partner
        Scenario((1, 2, 2), (0, 2, 3), (0, 3, 2)),  # books are worth nothing to anybody
        Scenario((1, 2, 2), (10, 0, 0), (0, 3, 2)),  # nothing is worth anything to both
        Scenario((1, 2, 2), (12, -1, 0), (2, 2, 2)),
    ],
)
def test_what_the_rules_forbid(scenario):
    assert not scenario.is_legal


def test_choices_scores_and_agreement_on_every_scenario():
    for numbers, group in itertools.groupby(all_scenarios(), key=lambda one: one.counts):
        cases = list(group)
        counts, values, partner_values = tables(cases)
        there = [all(s <= n for s, n in zip(share, numbers, strict=True)) for share in SHARES] + [True]
        assert legal(counts).tolist() == [there] * len(cases)
        for mine in itertools.compress(range(CHOICES), there):
            left = NO_DEAL
            if mine != NO_DEAL:
                left = SHARES.index(tuple(n - s for n, s in zip(numbers, SHARES[mine], strict=True)))
            one = torch.full((len(cases),), mine)
            assert complement(one, counts).tolist() == [left] * len(cases)
            for theirs in (left, (mine + 1) % CHOICES, NO_DEAL):
                other = torch.full((len(cases),), theirs)
                deal = mine != NO_DEAL and theirs == left
                assert agreed(one, other, counts).tolist() == [deal] * len(cases)
                found = torch.stack(scores(one, other, counts, values, partner_values), dim=1).tolist()
                expected = [[0, 0]] * len(cases)
                if deal:
                    expected = [[worth(mine, case.values), worth(theirs, case.partner_values)] for case in cases]
                assert found == expected


def worth(choice: int, values: tuple[int, ...]) -> int:
    return sum(share * value for share, value in zip(SHARES[choice], values, strict=True))


def test_choices_are_numbered_by_their_shares():
    every = torch.arange(NO_DEAL)
    assert choice_of(shares(every)).tolist() == every.tolist()
    assert shares(torch.tensor(NO_DEAL)).tolist() == [0, 0, 0]
