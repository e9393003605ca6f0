"""DenseNet-40 (Huang et al., CVPR 2017, arXiv:1608.06993): every layer sees the outputs of all before it in its block.

Three blocks of 12 layers that add 12 channels each, without bottlenecks; a 1x1 convolution and an average between them.

Deviations: the first convolution has 24 channels, twice the growth, and not 16; with it there are 1,059,298 parameters,
as in Table 1 of "How training data affect the accuracy and robustness of image classification models". No dropout.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from visionadv.configs import BadInput
from visionadv.models.classifier import Classifier


class Layer(nn.Module):
    """What it adds is put behind what it saw."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.way = _convolution(inputs, growth, 3)

    def forward(self, values: Tensor) -> Tensor:
        return torch.cat([values, self.way(values)], dim=1)


class DenseNet(Classifier):
    """`depth` is 3n + 4, `growth` the number of channels that each layer adds."""

    architecture = "densenet"

    def __init__(
        self,
        shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        labels: Sequence[str] = (),
        depth: int = 40,
        growth: int = 12,
    ) -> None:
        super().__init__()
        self.begin(shape, classes, mean, std, labels, smallest=4)
        if depth < 7 or depth % 3 != 1:
            raise BadInput(f"the depth of a DenseNet of three blocks is 3n + 4, such as 40, not {depth}")
        width = 2 * growth
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, 3, padding=1, bias=False)]
        for block in range(3):
            if block:
                layers += [_convolution(width, width, 1), nn.AvgPool2d(2)]
            for _ in range((depth - 4) // 3):
                layers.append(Layer(width, growth))
                width += growth
        pooled = [nn.BatchNorm2d(width), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        self.features = nn.Sequential(*layers, *pooled, nn.Linear(width, classes))


def _convolution(inputs: int, outputs: int, size: int) -> nn.Module:
    """Batch normalisation and ReLU before the convolution."""
    last = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False)
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), last)
