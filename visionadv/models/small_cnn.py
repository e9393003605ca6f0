"""A small CNN for small images: three convolutions, two dense layers. For scikit-learn's digits 31,850 parameters."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from visionadv.models.classifier import Classifier, convolution


class SmallCnn(Classifier):
    """`width` is that of the first convolution; the others are twice as wide."""

    architecture = "small_cnn"

    def __init__(
        self,
        shape: Sequence[int] = (1, 8, 8),
        classes: int = 10,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        labels: Sequence[str] = (),
        width: int = 16,
    ) -> None:
        super().__init__()
        self.begin(shape, classes, mean, std, labels, smallest=4)
        channels, height, rest = shape
        self.features = nn.Sequential(
            convolution(channels, width, padding=1),
            convolution(width, 2 * width, padding=1),
            nn.MaxPool2d(2),
            convolution(2 * width, 2 * width, padding=1),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * width * (height // 4) * (rest // 4), 8 * width),
            nn.ReLU(),
            nn.Linear(8 * width, classes),
        )
