"""From records to the numbers that a summary averages, one list per measure."""

from typing import Any


def measures(records: list[dict[str, Any]]) -> dict[str, list[bool | float]]:
    """One entry per record that counts, in the order in which a table shows the measures.

    `records` are `AttackRecord`s as dictionaries. Rates count every sentence that wasn't skipped, failures
    included; `changed_words` and `input_bleu` describe the adversarial sentences that succeeded and are empty
    lists where none did; `skipped` counts all records. Booleans are for proportions, numbers for means.
    """
    attacked = [record for record in records if record["skipped"] is None]
    succeeded = [record for record in attacked if record["success"]]
    return {
        "success": _column(attacked, "success"),
        "success_disjoint": _column(attacked, "success_disjoint"),
        "success_half_bleu": _column(attacked, "success_half_bleu"),
        "changed_words": _column(succeeded, "changed_words"),
        "input_bleu": _column(succeeded, "input_bleu"),
        "output_bleu": _column(attacked, "output_bleu"),
        "search_success": _column(attacked, "search_success"),
        "queries": _column(attacked, "queries"),
        "skipped": [record["skipped"] is not None for record in records],
    }


def _column(records: list[dict[str, Any]], name: str) -> list[bool | float]:
    return [record[name] for record in records]
