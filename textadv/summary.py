"""From records to the numbers that a summary averages, one list per measure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from textadv.configs import MeasuresConfig
from textadv.language_model import LanguageModel, perplexities
from textadv.sentiment import SentimentClassifier, agreements


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


@dataclass(frozen=True)
class TextMeasures:
    """What is measured on the texts of the successes, by models: nothing by default."""

    language_model: LanguageModel | None = None
    sentiment: SentimentClassifier | None = None

    @classmethod
    def from_config(cls, config: MeasuresConfig) -> "TextMeasures":
        """Loads the models. Raises BadInput if one can't be loaded."""
        return cls(
            LanguageModel.from_pretrained(config.perplexity_model) if config.perplexity_model else None,
            SentimentClassifier.from_pretrained(config.sentiment_model) if config.sentiment_model else None,
        )

    def to(self, device: torch.device | str) -> None:
        """Moves the models."""
        for model in (self.language_model, self.sentiment):
            if model is not None:
                model.to(device)

    def __call__(self, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Perplexities as estimates, agreement of sentiment with the original as a list, by name."""
        found: dict[str, Any] = {}
        if self.language_model is not None:
            found |= perplexities(self.language_model, records)
        if self.sentiment is not None:
            successes = [record for record in records if record["skipped"] is None and record["success"]]
            pairs = [(record["original"], record["adversarial"]) for record in successes]
            found["sentiment_agreement"] = agreements(self.sentiment, pairs)
        return found


def _column(records: list[dict[str, Any]], name: str) -> list[bool | float]:
    return [record[name] for record in records]
