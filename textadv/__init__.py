"""Adversarial attacks on sequence-to-sequence models: Seq2Sick and what belongs to it.

>>> from textadv import Seq2SickConfig, Victim, VictimConfig, Vocabulary
>>> from textadv.seq2sick import seq2sick
>>> victim = Victim.from_pretrained(VictimConfig(model_name_or_path="Helsinki-NLP/opus-mt-en-de"))
>>> records = seq2sick(Vocabulary(victim), examples, config=Seq2SickConfig(), seed=0)

Importing the package imports no torch; a name does when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from textadv.configs import BadInput, BaselineConfig, DataConfig, LimitsConfig, Seq2SickConfig, VictimConfig
    from textadv.limits import Limits
    from textadv.types import AttackRecord, Example
    from textadv.victim import Victim
    from textadv.vocabulary import Vocabulary

__all__ = [
    "AttackRecord",
    "BadInput",
    "BaselineConfig",
    "DataConfig",
    "Example",
    "Limits",
    "LimitsConfig",
    "Seq2SickConfig",
    "Victim",
    "VictimConfig",
    "Vocabulary",
]

_HOME = {
    "AttackRecord": "types",
    "BadInput": "configs",
    "BaselineConfig": "configs",
    "DataConfig": "configs",
    "Example": "types",
    "Limits": "limits",
    "LimitsConfig": "configs",
    "Seq2SickConfig": "configs",
    "Victim": "victim",
    "VictimConfig": "configs",
    "Vocabulary": "vocabulary",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
