"""Every option of the package as flat dataclasses. Standard library only, so that `--help` is quick."""

from dataclasses import dataclass, field

from textadv.configs import BadInput

__all__ = ["BadInput", "CorpusConfig"]


@dataclass(frozen=True)
class CorpusConfig:
    """Negotiations that people, or scripts, have had."""

    dataset_name: str | None = field(
        default=None,
        metadata={
            "help": "Hub id, folder or file of Deal-or-No-Deal dialogues: columns input, dialogue, output and "
            "partner_input, or the original text; default: dialogues of the simulator"
        },
    )
