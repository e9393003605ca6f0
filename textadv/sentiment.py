"""Sentiment labels of sentences, by a text classifier of transformers or by VADER's lexicon."""

from collections.abc import Callable, Sequence
from typing import Any

import torch

from textadv.configs import BadInput

VADER = "vader"  # stands where a classifier is named
NEUTRAL = 0.05  # compound scores nearer to 0 are neutral, as VADER's authors put it


class SentimentClassifier:
    """`labels(texts)` gives one whole number for each text; `model` is None if no network is behind it."""

    def __init__(self, label: Callable[[Sequence[str]], list[int]], model: Any = None) -> None:
        self._label, self.model = label, model

    @classmethod
    def from_pretrained(cls, name: str) -> "SentimentClassifier":
        """Loads a classifier by Hub id or folder; "vader" is the lexicon of the package vaderSentiment.

        Raises:
            BadInput: no such classifier, one that knows a single label, or VADER isn't installed.
        """
        return cls(_vader()) if name == VADER else _transformer(name)

    def labels(self, texts: Sequence[str], *, batch_size: int = 32) -> list[int]:
        """The label of each text; texts are cut at what the classifier takes."""
        return [
            label
            for first in range(0, len(texts), batch_size)
            for label in self._label(texts[first : first + batch_size])
        ]

    def to(self, device: torch.device | str) -> None:
        """Moves the model."""
        if self.model is not None:
            self.model.to(device)


def agreements(
    classifier: SentimentClassifier, pairs: Sequence[tuple[str, str]], *, batch_size: int = 32
) -> list[bool]:
    """Whether the texts of each pair have one label."""
    labels = classifier.labels([text for pair in pairs for text in pair], batch_size=batch_size)
    return [a == b for a, b in zip(labels[::2], labels[1::2], strict=True)]


def _vader() -> Callable[[Sequence[str]], list[int]]:
    """-1, 0 and 1, by the lexicon and rules of Hutto and Gilbert (ICWSM 2014)."""
    try:
        from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise BadInput("sentiment by 'vader' needs vaderSentiment: pip install vaderSentiment") from error
    analyzer = SentimentIntensityAnalyzer()

    def label(texts: Sequence[str]) -> list[int]:
        scores = [analyzer.polarity_scores(text)["compound"] for text in texts]
        return [(score >= NEUTRAL) - (score <= -NEUTRAL) for score in scores]

    return label


def _transformer(name: str) -> SentimentClassifier:
    """The likeliest label."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        model: Any = AutoModelForSequenceClassification.from_pretrained(name, dtype=torch.float32).eval()
        tokenizer: Any = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise BadInput(f"{name} is no text classifier that can be loaded; check name and network") from error
    if model.config.num_labels < 2:
        raise BadInput(f"{name} has one label and can't disagree; give a classifier with two or more")
    if tokenizer.pad_token is None:  # decoders classify by the last piece that isn't padding
        tokenizer.pad_token = tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    positions = getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length
    tokenizer.model_max_length = min(positions, tokenizer.model_max_length)

    @torch.no_grad()
    def label(texts: Sequence[str]) -> list[int]:
        batch = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(model.device)
        with torch.autocast(model.device.type, enabled=False):
            logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        return logits.argmax(-1).tolist()

    return SentimentClassifier(label, model)
