"""The estimate against the gradient, and what an attack by partial scores sees and does not see."""

import pytest
import torch
from test_attacks import run
from torch import nn
from victims_of_tests import SHAPE, Counted, images_near_the_middle, linear

from visionadv.attack import carry_out
from visionadv.attacks import attack_named
from visionadv.attacks.nes import Nes
from visionadv.configs import BadInput
from visionadv.goals import Goal
from visionadv.losses import cross_entropy
from visionadv.noise import example_seeds
from visionadv.oracles import GradientOracle, ScoreOracle
from visionadv.pool import Pool

EVERYONE = torch.arange(4)
POOL = torch.rand(40, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("targeted", [False, True])
def test_the_estimate_points_along_the_gradient(targeted):
    victim, images = linear(3), images_near_the_middle(4)
    labels = victim.model(images).argmax(1)
    goal = Goal(labels, (labels + 1) % 3 if targeted else None)
    scores, gradients = ScoreOracle(victim, images, goal), GradientOracle(victim, images, goal)
    scores.begin()
    gradients.begin()
    values, slopes, _ = gradients.gradient(images, EVERYONE, cross_entropy)
    told, estimate = Nes(samples=4000).estimate(scores, images, EVERYONE, example_seeds(0, range(4)), 0)
    assert (scores.queries == 4001).all()
    assert torch.allclose(told, values, atol=0.02)
    assert torch.cosine_similarity(estimate.flatten(1), slopes.flatten(1)).min() > 0.99
    assert torch.allclose(estimate.flatten(1).norm(dim=1), slopes.flatten(1).norm(dim=1), rtol=0.1)


def test_only_the_likeliest_scores_are_told():
    victim, images = linear(5), images_near_the_middle(4)
    goal, logits = Goal(victim.model(images).argmax(1)), victim.model(images)
    for count in (1, 2, 5):
        oracle = ScoreOracle(victim, images, goal, top_k=count)
        oracle.begin()
        for told in (oracle.clean, oracle.logits(images, EVERYONE)):
            assert (told.isfinite().sum(1) == count).all()
            seen = logits.argsort(1, descending=True)[:, :count]
            assert torch.allclose(told.gather(1, seen), logits.log_softmax(1).gather(1, seen))


class Shuffled(nn.Module):
    """A victim whose scores below the k-th have changed places."""

    def __init__(self, model, count):
        super().__init__()
        self.model, self.count = model, count

    def forward(self, images):
        logits = self.model(images)
        order = logits.argsort(1, descending=True)
        hidden = order[:, self.count :]
        return logits.scatter(1, hidden, logits.gather(1, hidden.flip(1)))


@pytest.mark.parametrize("count", [1, 2])
def test_partial_scores_are_all_that_it_goes_by(count):
    """The same to the last bit for a victim whose hidden scores are others; and it comes within eps of the original."""
    plain, images = linear(5, seed=4), images_near_the_middle(4)
    labels = plain.model(images).argmax(1)
    runs = []
    for victim in (plain, Counted(Shuffled(plain.model, count), classes=5)):
        goal = Goal(labels, (labels + torch.tensor([1, 2, 3, 1])) % 5)
        attack = attack_named("nes", sigma=1e-4)
        pool = Pool.shared(POOL, len(images))
        oracle = attack.oracle(victim, images, goal, norm="linf", eps=0.2, top_k=count, pool=pool)
        carry_out(attack, oracle, example_seeds(0, range(4)))
        runs.append(oracle)
    assert torch.equal(runs[0].best, runs[1].best) and torch.equal(runs[0].queries, runs[1].queries)
    assert runs[0].found.all() and (runs[0].distance <= 0.2 + 1e-6).all()
    assert torch.equal(plain.model(runs[0].best).argmax(1), runs[0].goal.targets)


def test_partial_scores_of_the_label_are_all_scores_as_long_as_there_is_no_success():
    victim, images = linear(2, seed=4, apart=0.3), images_near_the_middle(4)
    labels = victim.model(images).argmax(1)
    runs = []
    for count in (None, 2):
        attack = attack_named("nes")
        oracle = attack.oracle(victim, images, Goal(labels), norm="l2", eps=0.5, top_k=count)
        carry_out(attack, oracle, example_seeds(0, range(4)))
        runs.append(oracle)
    assert runs[0].found.all() and torch.allclose(runs[0].best, runs[1].best)


@pytest.mark.parametrize("budget", [6, 7, 8, 60, 333])
def test_a_budget_is_held_with_partial_scores_and_neither_batch_nor_budget_changes_the_way(budget):
    victim, images = linear(5, seed=4), images_near_the_middle(4)
    labels = victim.model(images).argmax(1)

    def carried(rows, budget):
        attack = attack_named("nes", samples=4)
        goal = Goal(labels[rows], (labels[rows] + 1) % 5)
        limits = {"norm": "l2", "eps": 0.2, "budget": budget}
        oracle = attack.oracle(victim, images[rows], goal, **limits, top_k=2, pool=Pool.shared(POOL, len(rows)))
        carry_out(attack, oracle, example_seeds(0, rows))
        return oracle

    together, alone = carried([0, 1, 2, 3], budget), carried([2], budget)
    assert together.queries.max() <= budget
    assert together.queries[2] == alone.queries[0] and torch.allclose(together.best[2], alone.best[0], atol=1e-12)


def test_bad_input_is_refused():
    victim, images = linear(3), images_near_the_middle(4)
    labels = victim.model(images).argmax(1)
    with pytest.raises(BadInput, match="top_k is 4, and the victim has 3 classes"):
        ScoreOracle(victim, images, Goal(labels), top_k=4)
    with pytest.raises(BadInput, match="sees the scores of all classes; leave out top_k"):
        GradientOracle(victim, images, Goal(labels), top_k=1)
    attack = attack_named("zoo")
    with pytest.raises(BadInput, match="Zoo needs the scores of all classes; leave out top_k, or take nes"):
        carry_out(attack, attack.oracle(victim, images, Goal(labels), top_k=1), example_seeds(0, range(4)))
    attack = attack_named("nes")
    oracle = attack.oracle(victim, images, Goal(labels, (labels + 1) % 3), eps=0.1, norm="linf", top_k=1)
    with pytest.raises(BadInput, match="by partial scores begins at images of the target"):
        carry_out(attack, oracle, example_seeds(0, range(4)))
    with pytest.raises(BadInput, match="Nes needs 52 queries for a first step; a budget of 5 is too small"):
        run("nes", "linf", victim, images, eps=0.1, budget=5)
