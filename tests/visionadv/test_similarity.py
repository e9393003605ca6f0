"""The likeness of gradients against a closed form."""

import pytest
import torch
from victims_of_tests import images_near_the_middle, linear

from visionadv.similarity import gradient_cosines, slopes


def test_cosines_of_linear_victims():
    """Of two classes the gradient is a multiple of the difference of their weights, whatever the image."""
    one, other, images = linear(classes=2), linear(classes=2, seed=5), images_near_the_middle(6)
    labels = torch.tensor([0, 1, 0, 1, 1, 0])
    (a, b), (c, d) = one.model[1].weight, other.model[1].weight
    expected = torch.dot(a - b, c - d) / ((a - b).norm() * (c - d).norm())
    assert torch.allclose(gradient_cosines(one, other, images, labels), expected.expand(6))
    assert torch.allclose(gradient_cosines(one, one, images, labels), torch.ones(6, dtype=images.dtype))
    assert slopes(one, images, labels).abs().amax(1).tolist() == pytest.approx([1.0] * 6)
