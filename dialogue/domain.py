"""Deal or No Deal: two sides divide books, hats and balls that are worth different things to them.

The game of Lewis et al. (EMNLP 2017, arXiv:1706.05125, section 2.1) after DeVault et al. (2015), that AdvAgent (Cheng,
Wei, Hsieh, NAACL 2019) attacks. Counts are known to both sides, values to their own side alone. A *choice* is what a
side says in the end that it takes: one of the 125 shares of at most four of each item, as `SHARES` numbers them, or
`NO_DEAL`. Shapes: B dialogues, I = 3 items, C = 126 choices.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Triple = tuple[int, int, int]

ITEMS = ("book", "hat", "ball")
MOST = 4  # of one item
TOTALS = range(5, 8)  # items on a table
WORTH = 10  # of everything on a table, to either side
SHARES: tuple[Triple, ...] = tuple(itertools.product(range(MOST + 1), range(MOST + 1), range(MOST + 1)))
NO_DEAL = len(SHARES)
CHOICES = NO_DEAL + 1


@dataclass(frozen=True)
class Scenario:
    """One table: how many of each item there are, and what one is worth to this side and to the partner."""

    counts: Triple
    values: Triple
    partner_values: Triple

    @property
    def swapped(self) -> Scenario:
        """The same table from the partner's chair."""
        return Scenario(self.counts, self.partner_values, self.values)

    @property
    def is_legal(self) -> bool:
        """The rules that scenarios are drawn by: 5 to 7 items, worth 10 to each side; every item is worth something to
        one side at least, and one item to both."""
        pairs = list(zip(self.values, self.partner_values, strict=True))
        return (
            all(1 <= count <= MOST for count in self.counts)
            and sum(self.counts) in TOTALS
            and all(
                min(values) >= 0 and _worth(self.counts, values) == WORTH
                for values in (self.values, self.partner_values)
            )
            and all(any(pair) for pair in pairs)
            and any(all(pair) for pair in pairs)
        )


@cache
def all_scenarios() -> tuple[Scenario, ...]:
    """Every legal scenario, 5,295 of them: both orders of the two sides are there."""
    found: list[Scenario] = []
    for counts in _triples(range(1, MOST + 1)):
        if sum(counts) in TOTALS:
            valued = [values for values in _triples(range(WORTH + 1)) if _worth(counts, values) == WORTH]
            every = (Scenario(counts, *pair) for pair in itertools.product(valued, repeat=2))
            found += [scenario for scenario in every if scenario.is_legal]
    return tuple(found)


def triple(numbers: Sequence[int]) -> Triple:
    """Three numbers. Raises ValueError if there are more or fewer."""
    one, two, three = numbers
    return one, two, three


def _triples(numbers: range) -> Iterator[Triple]:
    yield from itertools.product(numbers, numbers, numbers)


def _worth(shares: Triple, values: Triple) -> int:
    return sum(share * value for share, value in zip(shares, values, strict=True))


def tables(scenarios: Sequence[Scenario]) -> tuple[Tensor, Tensor, Tensor]:
    """Counts, values and the partner's values of scenarios: (B, I) each."""
    import torch

    columns = zip(*((one.counts, one.values, one.partner_values) for one in scenarios), strict=True)
    counts, values, partner_values = (torch.tensor(column) for column in columns)
    return counts, values, partner_values


def shares(choices: Tensor) -> Tensor:
    """What choices (...) take: (..., I), nothing for `NO_DEAL`."""
    import torch

    return torch.tensor([*SHARES, (0, 0, 0)], device=choices.device)[choices]


def legal(counts: Tensor) -> Tensor:
    """(B, C) which choices there are on tables with `counts` (B, I). `NO_DEAL` always is."""
    import torch

    return (shares(torch.arange(CHOICES, device=counts.device)) <= counts[:, None]).all(2)


def in_words(share: Sequence[int]) -> str:
    """ "1 book, 2 balls"."""
    taken = [f"{n} {item}{'s' if n > 1 else ''}" for n, item in zip(share, ITEMS, strict=True) if n]
    return ", ".join(taken) or "nothing"


def choice_of(shares: Tensor) -> Tensor:
    """The choices (...) that take shares (..., I)."""
    return (shares[..., 0] * (MOST + 1) + shares[..., 1]) * (MOST + 1) + shares[..., 2]


def complement(choices: Tensor, counts: Tensor) -> Tensor:
    """The choices (B,) that take what `choices` (B,) leave on the table; `NO_DEAL` for itself."""
    return choice_of(counts - shares(choices)).where(choices != NO_DEAL, NO_DEAL)


def agreed(choices: Tensor, partner_choices: Tensor, counts: Tensor) -> Tensor:
    """(B,) whether two choices divide the table: each item once. `NO_DEAL` on either side is no agreement."""
    divided = (shares(choices) + shares(partner_choices) == counts).all(-1)
    return divided & (choices != NO_DEAL) & (partner_choices != NO_DEAL)


def scores(
    choices: Tensor, partner_choices: Tensor, counts: Tensor, values: Tensor, partner_values: Tensor
) -> tuple[Tensor, Tensor]:
    """What both sides get, (B,) each, 0 to 10: the worth of their shares if they agreed, else 0 to either."""
    deal = agreed(choices, partner_choices, counts)
    return (shares(choices) * values).sum(-1) * deal, (shares(partner_choices) * partner_values).sum(-1) * deal
