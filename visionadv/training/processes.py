"""What several processes of one training tell each other; nothing, where there is only one."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn


def averaged(values: Tensor) -> Tensor:
    """The mean over all processes."""
    if not distributed.is_available() or not distributed.is_initialized():
        return values
    values = values.clone()
    distributed.all_reduce(values)
    return values / distributed.get_world_size()


def share_statistics(model: nn.Module) -> None:
    """Makes the running statistics of all processes their mean."""
    kinds = ("running_mean", "running_var")
    found = [values for name, values in model.named_buffers() if name.rpartition(".")[2] in kinds]
    if found:
        means = averaged(torch.cat([values.flatten() for values in found]))
        for values, mean in zip(found, means.split([values.numel() for values in found]), strict=True):
            values.copy_(mean.view_as(values))


def gathered(values: Tensor) -> Tensor:
    """Those of all processes, one after the other; each has as many."""
    if not distributed.is_available() or not distributed.is_initialized():
        return values
    found = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
    distributed.all_gather(found, values.contiguous())
    return torch.cat(found)
