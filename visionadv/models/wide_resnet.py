"""The wide residual net of Zagoruyko and Komodakis (BMVC 2016, arXiv:1605.07146, Table 1): depth 6n + 4, width k.

WRN-34-10, which adversarial training is compared on since Madry et al.: 46,160,474 parameters for CIFAR-10.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from visionadv.configs import BadInput
from visionadv.models.classifier import Classifier


class Block(nn.Module):
    """Normalisation and ReLU before each of two convolutions; a shortcut that widens begins behind the first ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.way = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        )
        self.shortcut = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, values: Tensor) -> Tensor:
        ready = self.before(values)
        return self.way(ready) + (values if self.shortcut is None else self.shortcut(ready))


class WideResNet(Classifier):
    """`depth` is 6n + 4, and the three stages are `width` times 16, 32 and 64 channels wide."""

    architecture = "wide_resnet"

    def __init__(
        self,
        shape: Sequence[int] = (3, 32, 32),
        classes: int = 10,
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
        labels: Sequence[str] = (),
        depth: int = 34,
        width: int = 10,
    ) -> None:
        super().__init__()
        self.begin(shape, classes, mean, std, labels, smallest=4)
        if depth < 10 or depth % 6 != 4 or width < 1:
            raise BadInput(f"the depth of a wide ResNet is 6n + 4, such as 28 or 34, not {depth}, its width at least 1")
        layers: list[nn.Module] = [nn.Conv2d(shape[0], 16, 3, padding=1, bias=False)]
        inputs = 16
        for stage, narrow in enumerate((16, 32, 64)):
            for place in range(depth // 6):
                layers.append(Block(inputs, narrow * width, 2 if stage and not place else 1))
                inputs = narrow * width
        layers += [nn.BatchNorm2d(inputs), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]
        self.features = nn.Sequential(*layers)
