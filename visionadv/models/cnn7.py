"""The 7-layer CNN of Carlini and Wagner (S&P 2017, arXiv:1608.04644, Table 1): four convolutions, three dense layers.

312,202 parameters for MNIST and 1,147,978 for CIFAR-10, as in Table 1 of "How training data affect the accuracy and
robustness of image classification models". Dropout of one half is behind the first dense layer, as in their code.

`Cnn7BatchNorm` is what the decision attacks were measured on (OPT, Sign-OPT; `allmodels.py` of the authors' code): with
batch normalisation behind each convolution, and dropout behind both hidden dense layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from visionadv.models.classifier import Classifier, convolution

GREY, COLOUR = (32, 64, 200), (64, 128, 256)  # widths of both pairs of convolutions, and of the dense layers


class Cnn7(Classifier):
    """Widths are those for MNIST where there is one channel, and else those for CIFAR-10."""

    architecture = "cnn7"
    batch_norm = False

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        classes: int = 10,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        labels: Sequence[str] = (),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.begin(shape, classes, mean, std, labels, smallest=16)
        channels, *sides = shape
        first, second, dense = GREY if channels == 1 else COLOUR
        height, width = (((side - 4) // 2 - 4) // 2 for side in sides)
        norm = {"batch_norm": self.batch_norm}
        self.features = nn.Sequential(
            convolution(channels, first, **norm),
            convolution(first, first, **norm),
            nn.MaxPool2d(2),
            convolution(first, second, **norm),
            convolution(second, second, **norm),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(second * height * width, dense),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dense, dense),
            nn.ReLU(),
            nn.Dropout(dropout if self.batch_norm else 0.0),
            nn.Linear(dense, classes),
        )


class Cnn7BatchNorm(Cnn7):
    """With batch normalisation, and dropout twice."""

    architecture = "cnn7_batch_norm"
    batch_norm = True
