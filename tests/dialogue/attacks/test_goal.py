"""What a choice of the target's is worth, against its definition; the losses, against theirs."""

import pytest
import torch

from dialogue.attacks.goal import ENOUGH, gains, margin, released
from dialogue.domain import NO_DEAL, SHARES, all_scenarios, complement, legal, scores, tables


def test_gains_are_the_points_after_the_complement():
    """For every legal choice of every scenario: the adversary takes the rest, both are paid."""
    scenarios = all_scenarios()
    gain = gains(scenarios)
    counts, values, target_values = tables(scenarios)
    there = legal(counts)
    for choice in range(len(SHARES)):
        theirs = torch.full((len(scenarios),), choice)
        mine, other = scores(complement(theirs, counts), theirs, counts, values, target_values)
        assert torch.equal((mine - other)[there[:, choice]], gain[there[:, choice], choice])
    assert (gain[:, NO_DEAL] == 0).all()
    share = (gain > 0)[there].double().mean().item()
    assert 0.4 < share < 0.5 and (gain > 0).logical_and(there).any(1).all(), "never empty"


def test_the_margin_is_negative_when_the_decision_is_ours():
    generator = torch.Generator().manual_seed(0)
    scores_ = torch.randn(200, 126, generator=generator, dtype=torch.float64)
    gain = torch.randint(-3, 4, (200, 126), generator=generator)
    ours = gain.gather(1, scores_.argmax(1, keepdim=True))[:, 0] > 0
    loss = margin(scores_, gain)
    assert torch.equal(loss <= ENOUGH["reactive"]["paper"], ours) and ours.any() and not ours.all()
    for row in (0, 7):
        inside = [s for s, g in zip(scores_[row].tolist(), gain[row].tolist(), strict=True) if g > 0]
        outside = [s for s, g in zip(scores_[row].tolist(), gain[row].tolist(), strict=True) if g <= 0]
        assert loss[row].item() == pytest.approx(max(outside) - max(inside))


def test_the_released_loss_wants_a_large_gain():
    scores_ = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 3.0]])
    gain = torch.tensor([[0, 4, 9], [-2, 0, 6]])
    assert released(scores_, gain).tolist() == [5 * (2 - 1) - 4, -6]
