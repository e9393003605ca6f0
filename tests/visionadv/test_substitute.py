"""A substitute learns the victim's boundary from its decisions."""

import pytest
import torch
from torch import nn
from victims_of_tests import SHAPE, linear

from visionadv.configs import BadInput
from visionadv.substitute import Substitution


def fitted(rounds, count=12, seed=0, **options):
    victim = linear(3, seed=1)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    images = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    settings = Substitution(rounds=rounds, learning_rate=0.05, **options)
    return victim, model, images, settings.fit(model, victim, images)


def test_every_image_is_one_query_and_its_companion_lies_along_the_slope():
    victim, _, images, (shown, labels) = fitted(rounds=2)
    assert victim.rows == len(shown) == 24 and torch.equal(shown[:12], images)
    assert torch.equal(labels, victim.model(shown).argmax(1))
    torch.manual_seed(0)
    first = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).double()
    Substitution(rounds=1, learning_rate=0.05).fit(first, victim, images)
    expected = images + 0.1 * first[1].weight[labels[:12]].view(-1, *SHAPE).sign()
    assert torch.allclose(shown[12:], expected.clamp(0, 1))


def test_the_reservoir_limits_what_is_asked():
    victim, _, _, (shown, _) = fitted(rounds=6, count=10, full_rounds=2, reservoir=15)
    assert victim.rows == len(shown) == 10 + 10 + 20 + 15 * 3


def test_companions_teach_more_than_the_first_images():
    """Of two linear models the share of images on which they agree is the measure."""
    probes = torch.rand(2000, *SHAPE, generator=torch.Generator().manual_seed(9), dtype=torch.float64)

    def agreement(rounds):
        victim, model, _, _ = fitted(rounds=rounds)
        return (victim.model(probes).argmax(1) == model(probes).argmax(1)).double().mean().item()

    assert agreement(7) > agreement(1) + 0.15


def test_the_same_seed_teaches_the_same():
    weights = [fitted(rounds=5, full_rounds=1, reservoir=7)[1][1].weight for _ in range(2)]
    assert torch.equal(*weights)


def test_too_few_classes_are_refused():
    victim = linear(3, seed=1)
    images = torch.rand(30, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).double()
    with pytest.raises(BadInput, match="the substitute has 2 classes, and the victim said 2"):
        Substitution().fit(model, victim, images)
    with pytest.raises(BadInput, match="from 0 to 1"):
        Substitution().fit(model, victim, 255 * images)
