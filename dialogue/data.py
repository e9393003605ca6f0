"""The corpus: negotiations of Deal or No Deal (Lewis et al., EMNLP 2017), or of our own simulator.

Every dialogue is there twice, once from each chair. A line of the original text is

    <input> 1 4 4 1 1 2 </input> <dialogue> THEM: i want the hats <eos> YOU: deal <eos> THEM: <selection> </dialogue>
    <output> item0=1 item1=0 item2=1 item0=0 item1=4 item2=0 </output> <partner_input> 1 0 4 2 1 2 </partner_input>

where an input holds the count and the value of each item, and an output the own share and then the partner's, or six
times why there is none. Sets of `datasets` hold the four parts as columns. The data set of the Hub is a loading script,
which `datasets` no longer runs: its id is read from where the script reads, the authors' repository.
The data are CC BY-NC 4.0: for research, and not to be shipped.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeVar

from dialogue.configs import BadInput
from dialogue.domain import NO_DEAL, SHARES, Scenario, Triple, triple
from dialogue.types import EOS, SELECTION

Read = TypeVar("Read")
Outcome = Literal["deal", "no_agreement", "disagree", "disconnect"]

ON_THE_HUB = ("mikelewis0/deal_or_no_dialog", "deal_or_no_dialog")
ORIGINAL = "https://raw.githubusercontent.com/facebookresearch/end-to-end-negotiator/bbb93bbf00f69fced75d5c0d22e855bda07c9b78/src/data/negotiate/"
FILES = {"train": "train.txt", "validation": "val.txt", "test": "test.txt", "selfplay": "selfplay.txt"}
PARTS = ("input", "dialogue", "output", "partner_input")
LINE = re.compile(" ".join(f"<{part}> (?P<{part}>.*) </{part}>" for part in PARTS))
TURN = re.compile(r"(YOU:|THEM:) ((?:(?!YOU:|THEM:|<eos>|<selection>)\S+ )*)(<eos>|<selection>)(?: |$)")


@dataclass(frozen=True)
class Dialogue:
    """One side's view of a negotiation.

    `words` are those of both sides, each turn between its speaker's mark and `<eos>`; the last turn is `<selection>`.
    `choice` (of `domain`) is what this side took, None where that isn't known: the two contradicted each other
    (disagree), or one of them left (disconnect).
    """

    scenario: Scenario
    words: tuple[str, ...]
    outcome: Outcome
    choice: int | None


def load_dialogues(name: str | None, split: str) -> list[Dialogue]:
    """All views of a split, in order; `name` as `CorpusConfig.dataset_name`.

    Raises:
        BadInput: no such data, or a line that isn't as the module says, with its number.
    """
    if name is None:
        from dialogue import simulator

        return simulator.corpus(split)
    lines = _text(name, split)
    if lines is None:
        columns = [_column(name, split, part) for part in PARTS]
        rows = (zip(PARTS, row, strict=True) for row in zip(*columns, strict=True))
        lines = [" ".join(f"<{part}> {text} </{part}>" for part, text in row) for row in rows]
    return [_numbered(i, f"{split} of {name}", read_line, line) for i, line in enumerate(lines, start=1)]


def load_scenarios(name: str, split: str) -> list[Scenario]:
    """The scenarios of a split, in order: of dialogues, or of a set for self-play, with two inputs a row.

    The original's selfplay.txt has an input a line, and two lines make a scenario. The Hub's data set, and a folder of
    the original text, hold it as the split "selfplay".

    Raises:
        BadInput: as `load_dialogues`.
    """
    if (lines := _text(name, split)) is None:
        pairs = list(zip(_column(name, split, "input"), _column(name, split, "partner_input"), strict=True))
    elif lines and LINE.fullmatch(lines[0].strip()):
        return [dialogue.scenario for dialogue in load_dialogues(name, split)]
    else:
        if len(lines) % 2:
            raise BadInput(f"{split} of {name} has {len(lines)} lines; two of them must make a scenario")
        pairs = list(zip(lines[::2], lines[1::2], strict=True))
    return [_numbered(i, f"{split} of {name}", read_scenario, *pair) for i, pair in enumerate(pairs, start=1)]


def _text(name: str, split: str) -> list[str] | None:
    """The lines of the original text of a split, None where the data are no text."""
    path = Path(name).expanduser()
    if name in ON_THE_HUB:
        return _download(split)
    there = [one for one, file in FILES.items() if (path / file).exists()]
    if path.suffix != ".txt" and not there:
        return None
    if there and split not in there:
        raise BadInput(f"no split {split!r} in {name}; there are {', '.join(there)}")
    return _column(str(path / FILES[split]) if there else name, split, "text")


def _download(split: str) -> list[str]:
    """A split of the data set of the Hub, from the repository that its script reads."""
    import datasets

    if split not in FILES:
        raise BadInput(f"no split {split!r} in {ON_THE_HUB[0]}; there are {', '.join(FILES)}")
    try:
        files = {split: ORIGINAL + FILES[split]}
        return list(datasets.load_dataset("text", data_files=files, split=split)["text"])
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(
            f"{ON_THE_HUB[0]} is read from {ORIGINAL}, which can't be reached; check the network, or give a folder "
            f"with {', '.join(FILES.values())}"
        ) from error


def _column(name: str, split: str, column: str) -> list[str]:
    from textadv.configs import DataConfig
    from textadv.data import load_texts

    return load_texts(DataConfig(dataset_name=name), split, column)


def _numbered(number: int, where: str, read: Callable[..., Read], *parts: str) -> Read:
    """`read(*parts)`, a mistake of which says on which line it is."""
    try:
        return read(*parts)
    except ValueError as error:
        raise BadInput(f"line {number} of {where}: {error}") from error


def read_line(line: str) -> Dialogue:
    """The view that a line of the original text holds. Raises ValueError saying what is wrong with it."""
    if not (parts := LINE.fullmatch(line.strip())):
        raise ValueError(f"it isn't made of {', '.join(f'<{part}>...</{part}>' for part in PARTS)}")
    scenario = read_scenario(parts["input"], parts["partner_input"])
    words = tuple(parts["dialogue"].split())
    turns = [turn.groups() for turn in TURN.finditer(" ".join(words))]
    speakers = [speaker for speaker, _, _ in turns]
    if sum(len(said.split()) + 2 for _, said, _ in turns) != len(words) or not words:
        raise ValueError("its dialogue isn't made of turns 'YOU: ... <eos>' and 'THEM: ... <eos>'")
    if any(one == other for one, other in pairwise(speakers)):
        raise ValueError("a side has two turns in a row")
    if [end for _, _, end in turns] != [EOS] * (len(turns) - 1) + [SELECTION] or turns[-1][1]:
        raise ValueError("its last turn, and no other, must be <selection>")
    return Dialogue(scenario, words, *read_output(parts["output"], scenario.counts))


def read_scenario(own: str, partner: str) -> Scenario:
    """The table of two inputs, "count value" for each item. Raises ValueError if they are no legal one."""
    numbers = [side.split() for side in (own, partner)]
    if any(len(side) != 6 or not all(number.isdecimal() for number in side) for side in numbers):
        raise ValueError("an input isn't made of six numbers, count and value of each item")
    mine, theirs = ([int(number) for number in side] for side in numbers)
    if mine[::2] != theirs[::2]:
        raise ValueError(f"the two sides count differently, {mine[::2]} and {theirs[::2]}")
    scenario = Scenario(triple(mine[::2]), triple(mine[1::2]), triple(theirs[1::2]))
    if not scenario.is_legal:
        raise ValueError(
            f"{scenario.counts} items worth {scenario.values} and {scenario.partner_values} are no scenario"
        )
    return scenario


def read_output(output: str, counts: Triple) -> tuple[Outcome, int | None]:
    """How it ended, and what this side took. Raises ValueError if the two shares don't divide the table."""
    tokens = output.split()
    for outcome in ("no_agreement", "disagree", "disconnect"):
        if tokens == [f"<{outcome}>"] * 6:
            return outcome, NO_DEAL if outcome == "no_agreement" else None
    found = re.fullmatch(" ".join([f"item{i}=(\\d)" for i in (0, 1, 2)] * 2), output.strip())
    if not found:
        raise ValueError("its output is neither two shares, item0=... item1=... item2=..., nor six times why not")
    digits = [int(digit) for digit in found.groups()]
    if tuple(a + b for a, b in zip(digits[:3], digits[3:], strict=True)) != counts:
        raise ValueError(f"the shares {digits[:3]} and {digits[3:]} don't divide {list(counts)} items")
    return "deal", SHARES.index(triple(digits[:3]))


def count_words(dialogues: Iterable[Dialogue]) -> Counter[str]:
    """How often each word is there, marks included, in the order of their first appearance."""
    counts: Counter[str] = Counter()
    for dialogue in dialogues:
        counts.update(dialogue.words)
    return counts


def corpus_fingerprint(dialogues: Iterable[Dialogue]) -> str:
    """SHA-256 of the dialogues, wherever they were loaded from."""
    from textadv.data import texts_fingerprint

    return texts_fingerprint(repr(dialogue) for dialogue in dialogues)
