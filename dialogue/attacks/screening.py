"""A first look at candidates in half precision, so that few of them need an exact one.

The decision is most of the work of a white-box attack, and some processors multiply bfloat16 several times as fast.
Rounded losses aren't to be trusted, for a choice may tip over; but they tell which candidates can be the best. Of the
candidates for one change of one sentence, the `KEPT` that look best are scored again, exactly, and only these can be
chosen. So every loss that is compared or recorded is exact. What may be lost is a best candidate that looked worse than
`KEPT` others; `tests/dialogue/attacks/test_screening.py` holds the attacks to the same records without it.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor

from dialogue.agent import NegotiationAgent

KEPT = 16  # candidates for a change, at all places together
QUICK = ("avx512_bf16", "amx_bf16")  # what a CPU needs for it


def rough_copy(agent: NegotiationAgent, screening: str) -> NegotiationAgent | None:
    """The agent in bfloat16, or None where candidates aren't screened: see `AttackConfig.screening`."""
    if screening == "none" or (screening == "auto" and not (agent.dtype == torch.float32 and is_quick(agent.device))):
        return None
    return deepcopy(agent).bfloat16()


def is_quick(device: torch.device) -> bool:
    """Whether a device is known to multiply bfloat16 faster than float32."""
    capabilities = getattr(torch.cpu, "get_capabilities", dict)()
    return device.type == "cpu" and any(capabilities.get(one) for one in QUICK)


def worth_screening(group: Tensor) -> bool:
    """Whether any of the groups (N,) is larger than what is kept of it."""
    return int(group.bincount().max()) > KEPT


def screened(rough: Tensor, group: Tensor, exact: Callable[[Tensor], Tensor]) -> Tensor:
    """(N,) `exact` losses of the `KEPT` candidates of least rough loss (N,) in each group (N,); inf for all others.

    Args:
        exact: the losses (n,) of some candidates (n,).
    """
    order = rough.argsort(stable=True)
    order = order[group[order].argsort(stable=True)]  # group by group, the best first
    sizes = group.bincount()
    place = torch.arange(len(order), device=order.device) - (sizes.cumsum(0) - sizes)[group[order]]
    kept = order[place < KEPT]
    losses = exact(kept)
    return losses.new_full(rough.shape, torch.inf).index_copy(0, kept, losses)
