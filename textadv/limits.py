"""What an adversarial sentence must keep to, beside the goal, to be a success. Nothing, by default.

Limits on words are known before anything is decoded, so that a search draws no sentence that breaks them: the places
of protected words are frozen in `sources.py`, and its `budget` is how many of the other words may change. Limits on
text (similarity, perplexity) are read off a sentence and its original by a model, which is asked about what has met
the goal; what breaks them is no success, greedy or reported (`confirmation.py`). Whatever the search did, the text of
every success was held against all of them.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch

from textadv.configs import BadInput, LimitsConfig
from textadv.data import texts_fingerprint
from textadv.language_model import LanguageModel
from textadv.similarity import SentenceEncoder, cosines
from textadv.words import changed_positions, changed_words, is_punctuation, share, split_words

NO_BUDGET = 10**6  # more words than any sentence has


class TextLimit(Protocol):
    """A limit on the text of a sentence, beside that of its original."""

    name: ClassVar[str]

    @property
    def model(self) -> LanguageModel | SentenceEncoder: ...

    def describe(self, texts: Sequence[str]) -> Sequence[Any] | np.ndarray:
        """What `allows` wants to know of each text; asked once for a text."""
        ...

    def allows(self, original: Any, adversarial: Any) -> bool:
        """Whether the limit is held, from the descriptions of both."""
        ...


@dataclass(frozen=True)
class MaxPerplexityRatio:
    """exp of the mean -log p of a piece: at most `most` times that of the original.

    A text of which no piece can be predicted (a single one, without a start token) is not allowed.
    """

    model: LanguageModel
    most: float
    name: ClassVar[str] = "perplexity"

    def describe(self, texts: Sequence[str]) -> Sequence[float]:
        found = self.model.likelihoods(texts)
        return [found[i : i + 1].per_piece for i in range(len(texts))]

    def allows(self, original: float, adversarial: float) -> bool:
        return adversarial - original <= math.log(self.most)  # false for NaN


@dataclass(frozen=True)
class MinSimilarity:
    """Cosine of the sentence embeddings: at least `least`."""

    model: SentenceEncoder
    least: float
    name: ClassVar[str] = "similarity"

    def describe(self, texts: Sequence[str]) -> np.ndarray:
        return self.model.embeddings(texts)

    def allows(self, original: np.ndarray, adversarial: np.ndarray) -> bool:
        return bool(cosines(original[None], adversarial[None])[0] >= self.least)


@dataclass(frozen=True)
class Limits:
    """The limits of a run."""

    protected: frozenset[str] = frozenset()  # words that stay; case-folded
    max_words: int | None = None
    max_words_share: float | None = None
    usual_words: int | None = None  # budget of an attack that has its own, where `max_words` is None
    on_text: tuple[TextLimit, ...] = ()

    @classmethod
    def from_config(cls, config: LimitsConfig, language_model: LanguageModel | None = None) -> "Limits":
        """Reads lists of words and loads the sentence encoder, where they are asked for.

        Raises:
            BadInput: no words, no encoder, or no language model to take perplexity from.
        """
        on_text: list[TextLimit] = []
        if config.max_perplexity_ratio is not None:
            if language_model is None:
                raise BadInput("--max_perplexity_ratio needs a language model; name one by --perplexity_model")
            on_text.append(MaxPerplexityRatio(language_model, config.max_perplexity_ratio))
        protected = frozenset() if config.protected_words is None else named_words(config.protected_words)
        if config.protect_stop_words:
            from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

            protected |= ENGLISH_STOP_WORDS
        if config.min_similarity is not None:
            encoder = SentenceEncoder.from_pretrained(config.similarity_model)
            on_text.append(MinSimilarity(encoder, config.min_similarity))
        return cls(protected, config.max_words, config.max_words_share, on_text=tuple(on_text))

    def __bool__(self) -> bool:
        """Whether there is any limit beside an attack's own budget."""
        return bool(self.protected or self.on_text) or self.max_words is not None or self.max_words_share is not None

    def protects(self, text: str) -> bool:
        """Whether one of the words of a text stays."""
        return bool(self.protected) and any(word.casefold() in self.protected for word in split_words(text))

    def budget(self, original: str) -> int:
        """How many words of a sentence may change."""
        most = self.usual_words if self.max_words is None else self.max_words
        most = NO_BUDGET if most is None else most
        if self.max_words_share is None:
            return most
        words = len(split_words(original))
        return min(most, sum(share(k, words) <= self.max_words_share for k in range(1, words + 1)))

    def keeps_words(self, original: str, adversarial: str) -> bool:
        """Whether the limits on words are held, seen from the texts alone."""
        words = split_words(original)
        if self.protected:
            changed = changed_positions(original, adversarial)
            if any(words[i].casefold() in self.protected for i in changed):
                return False
        count = changed_words(original, adversarial)
        within = self.max_words is None or count <= self.max_words
        return within and (self.max_words_share is None or share(count, len(words)) <= self.max_words_share)

    def to(self, device: torch.device | str) -> None:
        """Moves the models."""
        for limit in self.on_text:
            limit.model.to(device)

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of what records depend on beside the options: lists of words, and models."""
        found = {f"{limit.name} model": limit.model.fingerprint() for limit in self.on_text}
        return found | ({"protected words": texts_fingerprint(sorted(self.protected))} if self.protected else {})


NO_LIMITS = Limits()


class HeldLimits:
    """The limits of a run, held against the texts of one batch; no text is given to a model twice."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._known: list[dict[str, Any]] = [{} for _ in limits.on_text]

    def held(self, originals: Sequence[str], texts: Sequence[str]) -> list[bool]:
        """(N,) whether each text holds every limit."""
        if not self._limits:
            return [True] * len(texts)
        found = [self._limits.keeps_words(*pair) for pair in zip(originals, texts, strict=True)]
        for limit, known in zip(self._limits.on_text, self._known, strict=True):
            left = [i for i, held in enumerate(found) if held]
            new = {text: None for i in left for text in (originals[i], texts[i]) if text not in known}
            if new:
                known.update(zip(new, limit.describe(list(new)), strict=True))
            for i in left:
                found[i] = limit.allows(known[originals[i]], known[texts[i]])
        return found


def named_words(given: str) -> frozenset[str]:
    """The words of a text file of that name, else of the text itself; case-folded, without punctuation.

    Raises:
        BadInput: there is none, or what stands between two spaces isn't one word.
    """
    try:
        found = (Path(given).read_text(encoding="utf-8") if os.path.isfile(given) else given).split()
    except (OSError, UnicodeError) as error:
        raise BadInput(f"--protected_words {given} can't be read; give words, or a text file of them") from error
    words = set()
    for one in found:
        spoken = [word for word in split_words(one) if not is_punctuation(word)]
        if len(spoken) != 1:
            raise BadInput(f"--protected_words: {one} is neither a file nor one word; put spaces between words")
        words.add(spoken[0].casefold())
    if not words:
        raise BadInput("--protected_words holds no word; name one, or leave it out")
    return frozenset(words)
