"""What many dialogues come to: agreement, points, how the first agent speaks."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats

from dialogue.domain import SHARES, Scenario, triple


def measures(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Values to average, by name, of `DialogueRecord`s as dictionaries. Points are over all dialogues: none is 0 to 0.

    `agreement`; `score` and `partner_score`, 0 to 10; `advantage`, their difference; `par`: dialogues in which the
    first agent gets more points, and `ties`, in which neither does; `pareto`: of the agreed ones, how many leave no
    division that is better for one and no worse for the other (Lewis et al., section 5.2); `turns`, of both sides;
    `utterance_length`: words of the first agent's utterances, a mean for each dialogue, ends excluded;
    `distinct_utterances`: how many of them are different ones.
    """
    agreed = [record for record in records if record["success"]]
    return {
        "agreement": [record["success"] for record in records],
        "score": [record["score"] for record in records],
        "partner_score": [record["partner_score"] for record in records],
        "advantage": [record["score"] - record["partner_score"] for record in records],
        "par": [record["score"] > record["partner_score"] for record in records],
        "ties": [record["score"] == record["partner_score"] for record in records],
        "pareto": [is_pareto(record) for record in agreed],
        "turns": [len(record["turns"]) for record in records],
        "utterance_length": [_mean(len(text.split()) - 1 for text in own) for r in records if (own := own_turns(r))],
        "distinct_utterances": distinct([text for record in records for text in own_turns(record)]),
    }


def own_sentences(record: dict[str, Any]) -> list[str]:
    """What the first agent said, turn by turn."""
    return [text for speaker, text in zip(record["speakers"], record["turns"], strict=True) if speaker == 0]


def own_turns(record: dict[str, Any]) -> list[str]:
    """What the first agent said, a bare <selection> excluded."""
    return [text for text in own_sentences(record) if text != "<selection>"]


def distinct(texts: Sequence[str]) -> dict[str, Any]:
    """How many of all utterances are different ones: a share that falls as an agent repeats itself, and with n."""
    share = len(set(texts)) / len(texts) if texts else None
    return {"value": share, "low": None, "high": None, "n": len(texts)}


def geometric(values: Sequence[float]) -> dict[str, Any]:
    """The geometric mean of positive values, with Student's 95 % interval of the mean of their logarithms."""
    logs = np.log(values)
    if len(logs) < 2:
        return {"value": float(np.exp(logs[0])) if len(logs) else None, "low": None, "high": None, "n": len(logs)}
    half = stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs)
    value, low, high = (float(np.exp(logs.mean() + shift)) for shift in (0, -half, half))
    return {"value": value, "low": low, "high": high, "n": len(logs)}


def is_pareto(record: dict[str, Any]) -> bool:
    """Whether no division gives one side more and the other no less."""
    scenario = Scenario(triple(record["counts"]), triple(record["values"]), triple(record["partner_values"]))
    mine, theirs = record["score"], record["partner_score"]
    return not any((a > mine and b >= theirs) or (a >= mine and b > theirs) for a, b in divisions(scenario))


def divisions(scenario: Scenario) -> list[tuple[int, int]]:
    """The points of both sides for every division of a table."""
    found = []
    for share in SHARES:
        if all(number <= count for number, count in zip(share, scenario.counts, strict=True)):
            rest = (count - number for count, number in zip(scenario.counts, share, strict=True))
            mine = sum(number * value for number, value in zip(share, scenario.values, strict=True))
            theirs = sum(number * value for number, value in zip(rest, scenario.partner_values, strict=True))
            found.append((mine, theirs))
    return found


def _mean(numbers: Any) -> float:
    found = list(numbers)
    return sum(found) / len(found)
