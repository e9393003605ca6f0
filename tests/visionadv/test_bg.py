"""BG against an optimizer on linear victims, and where the boundary is bent."""

import pytest
import torch
from test_attacks import run
from test_box import optimum
from torch import nn
from victims_of_tests import SHAPE, Counted, images_near_the_middle, linear

from visionadv.box import reach

GENERATOR = torch.Generator().manual_seed(0)


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_near_the_faces_a_linear_victim_is_fooled_at_the_smallest_distance_within_the_cube(norm):
    victim, images = linear(3, seed=7, apart=0.3), images_near_the_middle(8, spread=0.5)
    images[:, :, :2] = images[:, :, :2].round()
    oracle = run("bg", norm, victim, images)
    weight, logits = victim.model[1].weight, victim.model(images)
    for row, label in enumerate(logits.argmax(1).tolist()):
        best = torch.inf
        for other in {0, 1, 2} - {label}:
            way, gap = weight[other] - weight[label], float(logits[row, label] - logits[row, other])
            if gap < float(reach(images[row : row + 1], way.view(1, *SHAPE))):
                best = min(best, optimum(images[row].numpy().ravel(), way.numpy(), gap, norm))
        assert oracle.distance[row].item() == pytest.approx(best, rel=1e-4)
    assert oracle.found.sum() >= 6


def net():
    """Two layers of sixteen units each."""
    generator = torch.Generator().manual_seed(2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 16), nn.Softplus(), nn.Linear(16, 4)).double()
    for layer in (model[1], model[3]):
        with torch.no_grad():
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64))
            layer.bias.copy_(torch.randn(layer.bias.shape, generator=generator, dtype=torch.float64) / 4)
    return Counted(model, classes=4)


def test_a_bent_boundary_is_found_by_bisection():
    """What is found is at a boundary, a tie of logits to the precision of the factor; a straight way may miss it."""
    images = torch.rand(12, *SHAPE, generator=GENERATOR, dtype=torch.float64)
    oracle = run("bg", "l2", net(), images)
    found = oracle.found
    assert found.sum() >= 8 and (oracle.gradients == 4).all()
    ordered = oracle.victim.model(oracle.best).sort(1, descending=True).values
    clean = oracle.clean.sort(1, descending=True).values
    assert ((ordered[:, 0] - ordered[:, 1])[found] < 1e-4 * (clean[:, 0] - clean[:, -1])[found]).all()
    ddn = run("ddn", "l2", net(), images)
    assert (oracle.distance / ddn.distance)[found].median() < 1.2


def test_many_classes_are_cut_down_to_the_likeliest():
    images = torch.rand(12, *SHAPE, generator=GENERATOR, dtype=torch.float64)
    two, all_ = run("bg", "l2", net(), images, candidates=2), run("bg", "l2", net(), images)
    assert (two.gradients == 2).all() and (two.queries <= all_.queries).all()
    assert (two.distance >= all_.distance * (1 - 1e-5)).all()
