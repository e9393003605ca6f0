"""The nearest point of the cube on a hyperplane, against scipy's solvers."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog, minimize

from visionadv.box import nearest_in_box
from visionadv.distances import size

COUNT, SIZE = 16, 6


def problems():
    """Points with values on faces, weights of which some are 0, and offsets for hyperplanes that meet the cube."""
    generator = torch.Generator().manual_seed(4)
    images = (1.6 * torch.rand(COUNT, SIZE, generator=generator, dtype=torch.float64) - 0.3).clamp(0, 1)
    weights = torch.randn(COUNT, SIZE, generator=generator, dtype=torch.float64)
    weights = weights.where(torch.rand(COUNT, SIZE, generator=generator) > 0.2, 0.0)
    inner = torch.rand(COUNT, SIZE, generator=generator, dtype=torch.float64)
    return images, weights, -(weights * inner).sum(1)


def solved(image, weight, offset, norm):
    """The smallest norm of a way to the hyperplane within the cube."""
    if norm == "l2":
        plane = {"type": "eq", "fun": lambda z: weight @ z + offset, "jac": lambda z: weight}
        found = minimize(
            lambda z: ((z - image) ** 2).sum(),
            image,
            jac=lambda z: 2 * (z - image),
            bounds=[(0, 1)] * SIZE,
            constraints=[plane],
            options={"ftol": 1e-14, "maxiter": 1000},
        )
        return np.sqrt(found.fun)
    # in z and the bounds t of |z - x|, one for each value or one for all
    ones, bounds = np.eye(SIZE), SIZE if norm == "l1" else 1
    spread = -ones if norm == "l1" else -np.ones((SIZE, 1))
    found = linprog(
        np.r_[np.zeros(SIZE), np.ones(bounds)],
        A_ub=np.block([[ones, spread], [-ones, spread]]),
        b_ub=np.r_[image, -image],
        A_eq=np.r_[weight, np.zeros(bounds)][None],
        b_eq=[-offset],
        bounds=[(0, 1)] * SIZE + [(0, None)] * bounds,
    )
    return found.fun


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_no_point_of_the_hyperplane_in_the_cube_is_nearer(norm):
    images, weights, offsets = problems()
    found = nearest_in_box(images, weights, offsets, norm)
    assert ((found >= 0) & (found <= 1)).all()
    assert torch.allclose((weights * found).sum(1), -offsets, atol=1e-12)
    best = [solved(*(one.numpy() for one in problem), norm) for problem in zip(images, weights, offsets, strict=True)]
    assert size(found - images, norm).numpy() == pytest.approx(np.array(best), abs=1e-6)
    assert torch.equal(found[weights == 0], images[weights == 0])
    assert (((found == 0) | (found == 1)) & (found != images)).any(), "faces stopped some values"


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_a_hyperplane_outside_the_cube_is_approached_as_far_as_can_be(norm):
    images, weights, _ = problems()
    far = weights.abs().sum(1) + 1
    for sign in (1, -1):
        corner = (sign * weights < 0).double()  # where sign (w z + b) is the smallest
        found = nearest_in_box(images, weights, sign * far, norm)
        assert torch.equal(found, corner.where(weights != 0, images))


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
def test_points_on_the_hyperplane_stay(norm):
    images, weights, _ = problems()
    offsets = -(weights * images).sum(1)
    assert torch.allclose(nearest_in_box(images, weights, offsets, norm), images, atol=1e-12)
    assert torch.equal(nearest_in_box(images, 0 * weights, offsets, norm), images)
