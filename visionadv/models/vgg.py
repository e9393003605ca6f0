"""A VGG-like CNN of 20 layers, for STL-10 and Tiny ImageNet: 17 convolutions in five blocks, three dense layers.

"How training data affect the accuracy and robustness of image classification models" has "a deeper CNN (20 layers)
with a similar structure as VGG" (Simonyan and Zisserman, ICLR 2015, arXiv:1409.1556) and tells no layers. These are
our reading: VGG's widths halved, batch normalisation behind each layer but the last, convolutions without biases. With
the running statistics of batch normalisation it has the 7,257,322 values of Table 1 for STL-10 (96x96) and the
6,044,072 for Tiny ImageNet (64x64, 200 classes); 7,249,194 and 6,035,944 of them are learnt. Other readings meet these
counts, too, none of those tried with 17 convolutions and three dense layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from visionadv.models.classifier import Classifier

BLOCKS = ((3, 32), (4, 64), (3, 128), (3, 256), (4, 256))  # convolutions, and their width
DENSE = (1024, 512)


class Vgg(Classifier):
    """Each block halves the image."""

    architecture = "vgg"

    def __init__(
        self,
        shape: Sequence[int] = (3, 96, 96),
        classes: int = 10,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        labels: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.begin(shape, classes, mean, std, labels, smallest=2 ** len(BLOCKS))
        inputs, *sides = shape
        layers: list[nn.Module] = []
        for count, width in BLOCKS:
            for _ in range(count):
                layers += [nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        values = inputs * (sides[0] // 2 ** len(BLOCKS)) * (sides[1] // 2 ** len(BLOCKS))
        layers.append(nn.Flatten())
        for width in DENSE:
            layers += [nn.Linear(values, width), nn.BatchNorm1d(width), nn.ReLU()]
            values = width
        self.features = nn.Sequential(*layers, nn.Linear(values, classes))
