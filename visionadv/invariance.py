"""Changes that a person sees through: Table 5.4 of Cheng's dissertation, section 5.3.4.4."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode, functional

DEGREES, BRIGHTER, CONTRAST = 10.0, 1.5, 2.0


def rotated(images: Tensor) -> Tensor:
    """By 10 degrees; what comes in is 0."""
    return functional.rotate(images, DEGREES, interpolation=InterpolationMode.BILINEAR)


def brightened(images: Tensor) -> Tensor:
    """1.5 times as bright, cut off at 1."""
    return functional.adjust_brightness(images, BRIGHTER)


def contrasted(images: Tensor) -> Tensor:
    """Twice as far from the mean of the image's grey, cut off at 0 and 1."""
    return functional.adjust_contrast(images, CONTRAST)


def greyed(images: Tensor) -> Tensor:
    """Every channel the mean of all."""
    return images.mean(1, keepdim=True).expand_as(images)


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {  # of (B, C, H, W) in [0, 1]
    "rotation": rotated,
    "brightness": brightened,
    "contrast": contrasted,
    "grayscale": greyed,
}
