"""What counts in each measure."""

from dataclasses import asdict

from textadv.summary import measures
from textadv.types import AttackRecord


def record(success: bool, changed: int, *, skipped: str | None = None, disjoint: bool = False) -> dict:
    return asdict(
        AttackRecord(
            example_id=changed,
            seed=0,
            success=success,
            queries=10 * changed,
            seconds=0.5,
            original="A dog runs.",
            adversarial="A cat runs.",
            skipped=skipped,
            keywords=[],
            reference=None,
            clean_output="Ein Hund läuft.",
            adversarial_output="Die Katze schläft.",
            changed_words=changed,
            input_bleu=changed / 10,
            output_bleu=changed / 100,
            success_disjoint=disjoint,
            success_half_bleu=not disjoint,
            search_success=True,
            found_by=None,
        )
    )


def test_measures():
    """A success, a failure and a skipped sentence, whose own figures must appear nowhere but in `skipped`."""
    records = [record(True, 2, disjoint=True), record(False, 3), record(False, 7, skipped="empty")]
    assert measures(records) == {
        "success": [True, False],
        "success_disjoint": [True, False],
        "success_half_bleu": [False, True],
        "changed_words": [2],
        "input_bleu": [0.2],
        "output_bleu": [0.02, 0.03],
        "search_success": [True, True],
        "queries": [20, 30],
        "skipped": [False, False, True],
    }


def test_order_is_that_of_the_table():
    assert list(measures([])) == [
        "success",
        "success_disjoint",
        "success_half_bleu",
        "changed_words",
        "input_bleu",
        "output_bleu",
        "search_success",
        "queries",
        "skipped",
    ]


def test_nothing_to_measure():
    assert set(map(len, measures([]).values())) == {0}
    all_skipped = measures([record(False, 0, skipped="too long")])
    assert all_skipped.pop("skipped") == [True]
    assert set(map(len, all_skipped.values())) == {0}
