"""Images that the attacker has, for searches that begin at one of the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from visionadv.configs import BadInput
from visionadv.goals import Goal


@dataclass(frozen=True)
class Pool:
    """Images (P, ...), and which of them (B, M) are for each image that is attacked, in the order of their trial.

    Where there are fewer than M, -1 stands behind the last one.

    Raises:
        BadInput: there is none for an image.
    """

    images: Tensor
    places: Tensor

    def __post_init__(self) -> None:
        if self.places.shape[1] == 0 or (self.places[:, 0] < 0).any():
            raise BadInput("there is no image to start from; give at least one for each that is attacked")

    def __len__(self) -> int:
        return self.places.shape[1]

    def holds(self, rows: Tensor, number: int) -> Tensor:
        """(n,) whether there are so many, and one more, for the images of `rows` (n,)."""
        return self.places[rows, number] >= 0

    def of(self, rows: Tensor) -> Pool:
        """The same for some of the images alone."""
        return Pool(self.images, self.places[rows])

    def take(self, rows: Tensor, number: int) -> Tensor:
        """(n, ...) where the images of `rows` (n,) may start from, by a number below M that they hold."""
        return self.images[self.places[rows, number]]

    @classmethod
    def shared(cls, images: Tensor, count: int) -> Pool:
        """All images (M, ...) for each of so many that are attacked."""
        return cls(images, torch.arange(len(images), device=images.device).expand(count, -1))


class TargetImages:
    """The first images of each class of some data, read as they are needed.

    Args:
        data: `data.Images`, others than those that are attacked.
        most: images of a class.
    """

    def __init__(self, data: Any, most: int) -> None:
        self.data, self.most, self._read = data, most, dict[int, Tensor]()

    def of(self, goal: Goal) -> Pool:
        """The images of each target's class.

        Raises:
            BadInput: there is none of a class.
        """
        assert goal.targets is not None
        targets = goal.targets.tolist()
        for target in set(targets) - self._read.keys():
            rows = (self.data.labels == target).nonzero()[: self.most, 0]
            if len(rows) == 0:
                raise BadInput(f"there is no image of class {target} to start from; give another --pool_split")
            self._read[target] = self.data.images(rows)
        classes = sorted(set(targets))
        images = torch.cat([self._read[target] for target in classes]).to(goal.labels.device)
        counts = torch.tensor([len(self._read[target]) for target in classes])
        which = torch.tensor([classes.index(target) for target in targets])
        number = torch.arange(int(counts.max()))
        places = (counts.cumsum(0) - counts)[which, None] + number
        return Pool(images, places.where(number < counts[which, None], -1).to(goal.labels.device))
