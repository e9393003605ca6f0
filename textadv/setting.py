"""What a script attacks: the sentences, the victim, the words that may be written, and what tells all this apart."""

from dataclasses import dataclass

import torch

from textadv.attack import refuse_too_long
from textadv.configs import BadInput, DataConfig, GoalConfig, VictimConfig, WordsConfig
from textadv.data import dataset_fingerprint, keyword_corpus, load_examples, source_corpus, texts_fingerprint
from textadv.keywords import keyword_pool, with_keywords
from textadv.limits import NO_LIMITS, Limits
from textadv.types import Example
from textadv.victim import Victim
from textadv.vocabulary import Vocabulary


@dataclass(frozen=True)
class Setting:
    """`pool` holds the words that random keywords are drawn from; it is empty where none are needed."""

    examples: list[Example]
    victim: Victim
    vocabulary: Vocabulary
    pool: list[str]
    limits: Limits

    def fingerprint(self) -> dict[str, str]:
        """SHA-256 of everything that records depend on beside the options."""
        return {
            "dataset": dataset_fingerprint(self.examples),
            "victim": self.victim.fingerprint(),
            "vocabulary": self.vocabulary.fingerprint(),
            "keyword pool": texts_fingerprint(self.pool),
            **self.limits.fingerprint(),
        }

    def to(self, device: torch.device | str) -> None:
        """Moves the models that the attack asks."""
        self.victim.to(device)
        self.limits.to(device)


def load_setting(
    victim_config: VictimConfig,
    data: DataConfig,
    goal: GoalConfig,
    words: WordsConfig,
    *,
    limits: Limits = NO_LIMITS,
    max_samples: int | None = None,
) -> Setting:
    """Loads the first `max_samples` sentences (all if None) and the victim, on the CPU.

    Raises:
        BadInput: anything that the user asks for and can't have.
    """
    examples = load_examples(data, max_samples=max_samples)
    victim = Victim.from_pretrained(victim_config)
    refuse_too_long(victim, examples)
    pool: list[str] = []
    if goal.goal == "keywords":
        examples = with_keywords(examples, words, victim)
        if not all(example.keywords for example in examples):
            pool = keyword_pool(keyword_corpus(data, words), victim)
    elif words.keywords is not None or words.keywords_file is not None:
        raise BadInput("--keywords and --keywords_file are for the keywords goal; add --goal keywords")
    corpus = source_corpus(data, words.source_corpus)
    return Setting(examples, victim, Vocabulary(victim, whole_words=goal.whole_words, corpus=corpus), pool, limits)
