"""ResNet for small images (He et al., CVPR 2016, arXiv:1512.03385, section 4.2): depth 6n + 2, three stages.

As Keras' example has it, which the counts of "How training data affect the accuracy and robustness of image
classification models" (Table 1) follow: convolutions have biases, a 1x1 convolution without batch normalisation widens
the shortcut, and the last average is over 8x8 places, so that larger images give more than one value a channel.
ResNet-20 has 272,778 parameters for MNIST, 278,186 for STL-10 (96x96) and 323,816 for Tiny ImageNet (64x64, 200
classes); ResNet-32 has 467,946 for CIFAR-10.

Deviations: He et al. have no biases, pad the shortcut with zeros and average over the whole map.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from visionadv.configs import BadInput
from visionadv.models.classifier import Classifier

WIDTHS = (16, 32, 64)


class Block(nn.Module):
    """Two convolutions, and what goes round them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.way = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, values: Tensor) -> Tensor:
        return (self.way(values) + self.shortcut(values)).relu()


class ResNet(Classifier):
    """`depth` is 6n + 2."""

    architecture = "resnet"

    def __init__(
        self,
        shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        labels: Sequence[str] = (),
        depth: int = 20,
    ) -> None:
        super().__init__()
        self.begin(shape, classes, mean, std, labels, smallest=4)
        if depth < 8 or depth % 6 != 2:
            raise BadInput(f"the depth of a ResNet for small images is 6n + 2, such as 20 or 32, not {depth}")
        channels, *sides = shape
        layers: list[nn.Module] = [nn.Conv2d(channels, WIDTHS[0], 3, padding=1), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU()]
        inputs = WIDTHS[0]
        for outputs in WIDTHS:
            for _ in range(depth // 6):
                layers.append(Block(inputs, outputs, 1 if inputs == outputs else 2))
                inputs = outputs
        high, wide = ((side + 3) // 4 for side in sides)
        pool = (min(8, high), min(8, wide))
        places = (high // pool[0]) * (wide // pool[1])
        self.features = nn.Sequential(
            *layers, nn.AvgPool2d(pool), nn.Flatten(), nn.Linear(WIDTHS[-1] * places, classes)
        )


class ResNet32(ResNet):
    """Of depth 32."""

    architecture = "resnet32"

    def __init__(
        self,
        shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        labels: Sequence[str] = (),
        depth: int = 32,
    ) -> None:
        super().__init__(shape, classes, mean, std, labels, depth)
