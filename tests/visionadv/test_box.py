"""The nearest point of the cube beyond a plane, against optimizers."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize

from visionadv.box import nearest_in_box, reach
from visionadv.distances import size

GENERATOR = torch.Generator().manual_seed(0)


def optimum(image, weight, offset, norm):
    """The smallest norm of a perturbation by which the function gains the offset, by an optimizer."""
    count = len(image)
    if norm == "l2":
        gain = {"type": "ineq", "fun": lambda d: weight @ d - offset, "jac": lambda d: weight}
        bounds = list(zip(-image, 1 - image, strict=True))
        best = minimize(
            lambda d: d @ d, 0.5 * weight, jac=lambda d: 2 * d, bounds=bounds, constraints=[gain], tol=1e-14
        )
        return best.fun**0.5
    # d = up - down; of Linf a last variable bounds all of them
    extra = norm == "linf"
    cost = np.r_[np.zeros(2 * count), 1.0] if extra else np.ones(2 * count)
    below = [np.r_[-weight, weight, [0.0] * extra]]
    rest = np.eye(2 * count) if extra else np.zeros((0, 2 * count))
    matrix = np.vstack([below, np.c_[rest, -np.ones(len(rest))]]) if extra else np.array(below)
    limits = np.r_[-offset, np.zeros(len(matrix) - 1)]
    bounds = [(0, one) for one in np.r_[1 - image, image]] + [(0, None)] * extra
    return linprog(cost, A_ub=matrix, b_ub=limits, bounds=bounds).fun


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_the_nearest_point_beyond_a_plane_is_that_of_an_optimizer(norm):
    images = torch.rand(40, 2, 4, generator=GENERATOR, dtype=torch.float64)
    images[:10] = images[:10].round()  # black and white values cannot move in one direction
    weights = torch.randn(40, 2, 4, generator=GENERATOR, dtype=torch.float64)
    weights[::4, 0, :2] = 0
    share = torch.tensor([0.02, 0.3, 0.6, 0.95, 0.999], dtype=torch.float64).repeat(8)
    offsets = share * reach(images, weights)
    found = nearest_in_box(images, weights, offsets, norm)
    assert (images + found).min() >= -1e-12 and (images + found).max() <= 1 + 1e-12
    assert torch.allclose((weights * found).sum((1, 2)), offsets)
    assert not found[weights == 0].any()
    best = [
        optimum(image.ravel(), weight.ravel(), offset, norm)
        for image, weight, offset in zip(images.numpy(), weights.numpy(), offsets.tolist(), strict=True)
    ]
    assert size(found, norm).numpy() == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_what_is_gained_already_moves_nothing_and_what_is_out_of_reach_goes_to_the_corner(norm):
    images = torch.rand(6, 5, generator=GENERATOR, dtype=torch.float64)
    weights = torch.randn(6, 5, generator=GENERATOR, dtype=torch.float64)
    weights[:, 2] = 0
    weights[5] = 0
    for offset in (0.0, -1.0):
        assert not nearest_in_box(images, weights, torch.full((6,), offset), norm).any()
    for beyond in (1.0, 1.5):
        corner = images + nearest_in_box(images, weights, beyond * reach(images, weights) + 1e-9, norm)
        assert torch.allclose(corner, torch.where(weights == 0, images, (weights > 0).double()), atol=1e-8)
