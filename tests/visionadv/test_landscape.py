"""The loss around an image against a closed form."""

import pytest
import torch
from torch.nn.functional import cross_entropy
from victims_of_tests import images_near_the_middle, linear

from visionadv.landscape import landscape
from visionadv.noise import example_seeds


def test_the_landscape_of_a_linear_victim():
    """Logits are linear in the steps, so that the loss is known everywhere; the middle is the image's own."""
    victim, images = linear(), images_near_the_middle(5)
    labels, seeds = victim.decide(images), example_seeds(0, range(5))
    found = landscape(victim, images, labels, seeds, extent=0.2, points=5)
    assert found[2, 2].item() == pytest.approx(cross_entropy(victim.logits(images), labels).item())
    leaf = images.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(cross_entropy(victim.logits(leaf), labels), leaf)
    along = victim.logits(images + 0.2 * slopes.sign())
    assert found[4, 2].item() == pytest.approx(cross_entropy(along, labels).item())
    assert (found[1:, 2] > found[:-1, 2]).all(), "up the gradient"
    other = landscape(victim, images, labels, seeds + 1, extent=0.2, points=5)
    assert torch.allclose(found[:, 2], other[:, 2]) and not torch.allclose(found[:, 0], other[:, 0])
