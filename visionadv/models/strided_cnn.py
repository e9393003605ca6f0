"""The small net of Wong and Kolter (ICML 2018, arXiv:1711.00851, section 4): two convolutions of stride 2, 100 hidden.

For MNIST it has 166,406 parameters and a tenth of the work of `cnn7`, which makes it the net for adversarial training
on a CPU. `StridedCnnBatchNorm` has batch normalisation behind each convolution.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from visionadv.models.classifier import Classifier, convolution


class StridedCnn(Classifier):
    """`width` is that of the first convolution; the second one is twice as wide."""

    architecture = "strided_cnn"
    memory_format = torch.contiguous_format  # few channels, and strides
    batch_norm = False

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        classes: int = 10,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        labels: Sequence[str] = (),
        width: int = 16,
    ) -> None:
        super().__init__()
        self.begin(shape, classes, mean, std, labels, smallest=4)
        channels, height, rest = shape
        how = {"size": 4, "stride": 2, "padding": 1, "batch_norm": self.batch_norm}
        self.features = nn.Sequential(
            convolution(channels, width, **how),
            convolution(width, 2 * width, **how),
            nn.Flatten(),
            nn.Linear(2 * width * (height // 4) * (rest // 4), 100),
            nn.ReLU(),
            nn.Linear(100, classes),
        )


class StridedCnnBatchNorm(StridedCnn):
    """With batch normalisation."""

    architecture = "strided_cnn_batch_norm"
    batch_norm = True
