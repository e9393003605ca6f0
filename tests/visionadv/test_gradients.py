"""Gradients and their likeness against closed forms."""

import torch
from victims_of_tests import images_near_the_middle, linear

from visionadv.gradients import gradient_cosines, input_gradients


def test_cosines_of_linear_victims():
    """Of two classes the gradient is a multiple of the difference of their weights, whatever the image."""
    one, other, images = linear(classes=2), linear(classes=2, seed=5), images_near_the_middle(6)
    labels = torch.tensor([0, 1, 0, 1, 1, 0])
    (a, b), (c, d) = one.model[1].weight, other.model[1].weight
    expected = torch.dot(a - b, c - d) / ((a - b).norm() * (c - d).norm())
    assert torch.allclose(gradient_cosines(one, other, images, labels), expected.expand(6))
    assert torch.allclose(gradient_cosines(one, one, images, labels), torch.ones(6, dtype=images.dtype))


def test_each_image_has_its_own_gradient():
    """Of logits W x + b it is W^T (p - y), whatever the other images are; and 0, not an error, where p is y."""
    victim, images = linear(), images_near_the_middle(4)
    labels = torch.tensor([0, 1, 2, 0])
    expected = (victim.logits(images).softmax(1) - torch.eye(3)[labels]) @ victim.model[1].weight
    found = input_gradients(victim, images, labels)
    assert torch.allclose(found.flatten(1), expected)
    assert torch.allclose(input_gradients(victim, images[2:3], labels[2:3]), found[2:3])
    flat = linear(classes=2)
    with torch.no_grad():
        flat.model[1].weight.zero_()
    assert gradient_cosines(flat, linear(classes=2), images, labels.clamp(max=1)).tolist() == [0.0] * 4
