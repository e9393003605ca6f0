"""torchvision's VGG-16 and ResNet-18, as everyone changes them for images of 32 by 32: those of the dissertation.

VGG-16 with batch normalisation keeps its 13 convolutions and has one dense layer behind them: 14,728,266 parameters for
CIFAR-10. ResNet-18 begins with a 3x3 convolution of stride 1, and without pooling: 11,173,962. And ResNet-18 and
ResNet-50 as they are, for pictures, of 224 by 224 in the papers: 11,689,512 and 25,557,032 for ImageNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from visionadv.models.classifier import Classifier


class Vgg16(Classifier):
    """Each of five blocks halves the image."""

    architecture = "vgg16"

    def __init__(
        self,
        shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        labels: Sequence[str] = (),
    ) -> None:
        from torchvision.models import vgg16_bn

        super().__init__()
        self.begin(shape, classes, mean, std, labels, smallest=32)
        layers = list(vgg16_bn(weights=None).features.children())
        layers[0] = nn.Conv2d(shape[0], 64, 3, padding=1)
        values = 512 * (shape[1] // 32) * (shape[2] // 32)
        self.features = nn.Sequential(*layers, nn.Flatten(), nn.Linear(values, classes))


class ResNet18(Classifier):
    """Three of four stages halve the image, and what is left is averaged."""

    architecture = "resnet18"

    def __init__(
        self,
        shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        labels: Sequence[str] = (),
    ) -> None:
        from torchvision.models import resnet18

        super().__init__()
        self.begin(shape, classes, mean, std, labels, smallest=8)
        net: Any = resnet18(weights=None, num_classes=classes)
        net.conv1 = nn.Conv2d(shape[0], 64, 3, padding=1, bias=False)
        net.maxpool = nn.Identity()
        self.features = net


class TorchvisionResNet18(Classifier):
    """Five halvings, of which the first convolution and the pooling behind it are two."""

    architecture = "torchvision_resnet18"

    def __init__(
        self,
        shape: Sequence[int] = (3, 224, 224),
        classes: int = 1000,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        labels: Sequence[str] = (),
    ) -> None:
        from torchvision import models

        super().__init__()
        self.begin(shape, classes, mean, std, labels, smallest=32)
        net = getattr(models, self.architecture.removeprefix("torchvision_"))(weights=None, num_classes=classes)
        if shape[0] != 3:
            net.conv1 = nn.Conv2d(shape[0], 64, 7, stride=2, padding=3, bias=False)
        self.features = net


class TorchvisionResNet50(TorchvisionResNet18):
    """The same with bottlenecks."""

    architecture = "torchvision_resnet50"
