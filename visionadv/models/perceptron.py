"""The perceptrons: hidden layers of ReLU on the image's values.

With one hidden layer of 1,024, the 2-layer perceptron of "How training data affect the accuracy and robustness of image
classification models", Table 1: 814,090 parameters for MNIST and 3,157,002 for CIFAR-10.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from visionadv.models.classifier import Classifier


class Perceptron(Classifier):
    """`hidden` are the widths of its hidden layers."""

    architecture = "perceptron"

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        classes: int = 10,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        labels: Sequence[str] = (),
        hidden: Sequence[int] = (1024,),
    ) -> None:
        super().__init__()
        self.begin(shape, classes, mean, std, labels)
        widths = [math.prod(shape), *hidden]
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
        self.features = nn.Sequential(nn.Flatten(), *layers, nn.Linear(widths[-1], classes))
