"""The embedded corpus: scripted negotiators who divide tables in a few words, so that everything runs offline.

Each wants a share that is worth its aspiration, proposes one that takes as few items as possible, says yes to whatever
is worth as much, and else asks for less from turn to turn, down to a limit of its own. Who has nothing left to offer
ends the talk without a deal. What they say is drawn from templates. Nothing here is taken from any corpus.
"""

import random
from collections.abc import Iterator
from functools import cache

from dialogue.configs import BadInput
from dialogue.data import Dialogue
from dialogue.domain import ITEMS, NO_DEAL, SHARES, Scenario, Triple, all_scenarios
from dialogue.types import EOS, SELECTION, THEM, YOU

DIALOGUES = {"train": 4_000, "validation": 300, "test": 300}  # each is two views
SHARE_OF_SCENARIOS = {"train": 0.8, "validation": 0.1, "test": 0.1}
PATIENCE = 3  # proposals of a side

OPENINGS = ("", "", "hi , ", "hello . ")
REFUSALS = ("no , ", "sorry , ", "that does not work for me . ", "i can not do that . ", "i need more . ")
PROPOSALS = (
    "i want {mine}",
    "i would like {mine}",
    "i would like {mine} and you can have the rest",
    "can i have {mine} ?",
    "you get {rest}",
    "i take {mine} , you take {rest}",
    "if i get {mine} you can have everything else",
)
YESSES = (  # who agrees says to what
    "deal , i take {mine}",
    "deal , you get {rest}",
    "sounds good , i get {mine}",
    "that works for me , i take {mine}",
    "okay , you get {rest}",
    "yes , i take {mine} , you take {rest}",
)
NOES = ("no deal", "then we can not agree", "sorry , no deal")


def corpus(split: str) -> list[Dialogue]:
    """Both views of every dialogue of a split. No two splits share a table, whoever sits where."""
    if split not in DIALOGUES:
        raise BadInput(f"no split {split!r} in the embedded data set; there are {', '.join(DIALOGUES)}")
    return list(_corpus(split))


@cache
def _corpus(split: str) -> tuple[Dialogue, ...]:
    """`corpus`, played once in a process: seconds of work."""
    tables = scenarios(split)
    rngs = [random.Random(f"{split}:{i}") for i in range(DIALOGUES[split])]
    return tuple(view for rng in rngs for view in negotiate(rng.choice(tables), rng))


def scenarios(split: str) -> list[Scenario]:
    """The split's share of all scenarios, in the order of `all_scenarios`."""
    start = 0.0
    for name, share in SHARE_OF_SCENARIOS.items():
        if name == split:
            return [one for one in all_scenarios() if start <= _place(one) < start + share]
        start += share
    raise BadInput(f"no split {split!r}; there are {', '.join(SHARE_OF_SCENARIOS)}")


def _place(scenario: Scenario) -> float:
    """A number in [0, 1) that a scenario has in common with its swapped one."""
    sides = sorted([scenario.values, scenario.partner_values])
    return random.Random(f"{scenario.counts}{sides}").random()


def negotiate(scenario: Scenario, rng: random.Random) -> tuple[Dialogue, Dialogue]:
    """One negotiation, as the first side and as its partner see it. Either may start."""
    sides = (scenario, scenario.swapped)
    plans = [list(_plan(side, rng)) for side in sides]
    turns: list[tuple[int, str]] = []
    speaker = rng.randrange(2)
    asked: Triple | None = None  # what the other side has asked for
    choice = None  # of the one who speaks, once it ends
    while choice is None:
        counts, values = scenario.counts, sides[speaker].values
        turn = len(turns) // 2
        wanted = plans[speaker][min(turn, PATIENCE - 1)]
        left = counts if asked is None else _rest(counts, asked)
        if asked is not None and _worth(left, values) >= _worth(wanted, values):
            said, mine, choice = rng.choice(YESSES), left, SHARES.index(left)
        elif turn >= PATIENCE:
            said, mine, choice = rng.choice(NOES), left, NO_DEAL
        else:
            said = rng.choice(OPENINGS if asked is None else REFUSALS) + rng.choice(PROPOSALS)
            mine = asked = wanted
        turns.append((speaker, said.format(mine=_phrase(mine, counts), rest=_phrase(_rest(counts, mine), counts))))
        speaker = 1 - speaker
    turns.append((speaker, SELECTION))
    other = NO_DEAL if choice == NO_DEAL else SHARES.index(_rest(scenario.counts, SHARES[choice]))
    choices = (choice, other) if speaker == 1 else (other, choice)  # the one who ended it spoke before `speaker`
    one, two = (_view(sides[side], side, turns, choices[side]) for side in (0, 1))
    return one, two


def _plan(side: Scenario, rng: random.Random) -> Iterator[Triple]:
    """The shares that a side asks for, turn by turn: worth less and less, with as few items as possible."""
    aspiration, limit = rng.choice((7, 8, 9, 10)), rng.choice((2, 3, 4, 5))
    for turn in range(PATIENCE):
        least = max(limit, aspiration - turn * rng.choice((2, 3, 4)))
        yield rng.choice(_cheapest(side.counts, side.values, least))


@cache
def _cheapest(counts: Triple, values: Triple, least: int) -> list[Triple]:
    """The shares of fewest items that are worth at least so much."""
    there = (one for one in SHARES if all(number <= count for number, count in zip(one, counts, strict=True)))
    enough = [share for share in there if _worth(share, values) >= least]
    fewest = min(map(sum, enough))
    return [share for share in enough if sum(share) == fewest]


def _view(scenario: Scenario, side: int, turns: list[tuple[int, str]], choice: int) -> Dialogue:
    """What one side has seen and said, and what it takes."""
    words: list[str] = []
    for speaker, said in turns:
        words += [YOU if speaker == side else THEM, *said.split(), *([] if said == SELECTION else [EOS])]
    return Dialogue(scenario, tuple(words), "no_agreement" if choice == NO_DEAL else "deal", choice)


def _phrase(share: Triple, counts: Triple) -> str:
    """ "the hat and 2 balls"."""
    if share == counts:
        return "everything"
    named = [_item(number, count, name) for number, count, name in zip(share, counts, ITEMS, strict=True) if number]
    return " and ".join(named) or "nothing"


def _item(number: int, count: int, name: str) -> str:
    if count == 1:
        return f"the {name}"
    return f"{number} {name}{'s' if number > 1 else ''}"


def _rest(counts: Triple, share: Triple) -> Triple:
    one, two, three = (count - number for count, number in zip(counts, share, strict=True))
    return one, two, three


def _worth(share: Triple, values: Triple) -> int:
    return sum(number * value for number, value in zip(share, values, strict=True))
