"""Measures of adversarial sentences, as modules of `evaluate`.

>>> from textadv.metrics import InputBleu
>>> InputBleu().compute(predictions=adversarial, references=original)

or `evaluate.load("textadv/metrics/input_bleu")`, by the path of the folder. `evaluate` copies a module elsewhere
and runs it there, so each imports from the installed `textadv`. A class is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textadv.metrics.changed_words.changed_words import ChangedWords
    from textadv.metrics.input_bleu.input_bleu import InputBleu
    from textadv.metrics.output_drop.output_drop import OutputDrop
    from textadv.metrics.perplexity.perplexity import Perplexity
    from textadv.metrics.sentiment_agreement.sentiment_agreement import SentimentAgreement
    from textadv.metrics.similarity.similarity import Similarity
    from textadv.metrics.teapot.teapot import Teapot
    from textadv.metrics.token_error_rate.token_error_rate import TokenErrorRate

__all__ = [
    "ChangedWords",
    "InputBleu",
    "OutputDrop",
    "Perplexity",
    "SentimentAgreement",
    "Similarity",
    "Teapot",
    "TokenErrorRate",
]

_HOME = {
    "ChangedWords": "changed_words",
    "InputBleu": "input_bleu",
    "OutputDrop": "output_drop",
    "Perplexity": "perplexity",
    "SentimentAgreement": "sentiment_agreement",
    "Similarity": "similarity",
    "Teapot": "teapot",
    "TokenErrorRate": "token_error_rate",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}.{_HOME[name]}"), name)
