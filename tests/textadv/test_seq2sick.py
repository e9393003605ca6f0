"""Algorithm 6: its proximal operator, its projection, and what parts the variants, row by row of a table."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import tiny
import torch

from textadv import seq2sick
from textadv.attack import clean_batch
from textadv.configs import Seq2SickConfig
from textadv.confirmation import Confirmation
from textadv.goals import NonOverlapping, TargetedKeywords
from textadv.refinement import loss_and_gradient
from textadv.released import ReleasedKeywords, ReleasedNonOverlapping
from textadv.seq2sick import SearchState, prox_group_lasso, prox_l2
from textadv.types import CountedVictim, Example
from textadv.vocabulary import Vocabulary

VARIANTS = ("fixed", "paper", "released")


class Setting:
    """A batch of sentences under attack in float64, and one step of Algorithm 6 on it."""

    def __init__(self) -> None:
        victim = tiny.victim(tiny.unigram())
        victim.model.double()
        self.vocabulary = Vocabulary(victim)
        texts = ["the small dog runs near a house", "woman sees", "a red cat, under the tree."]
        self.batch = clean_batch(self.vocabulary, [Example(i, text) for i, text in enumerate(texts)])
        self.sources, self.victim = self.batch.sources, self.batch.victim
        self.rows = torch.arange(len(texts))
        self.unit = self.vocabulary.unit

    def delta(self, size: float, seed: int = 0) -> torch.Tensor:
        """Random perturbations of the words that may change, each `size` units long."""
        draw = torch.Generator().manual_seed(seed)
        values = torch.randn(self.sources.embeds.shape, generator=draw, dtype=torch.float64)
        values = values / values.norm(dim=-1, keepdim=True) * size * self.unit
        return values * self.sources.changeable[..., None]

    def config(self, variant: str, **options: float) -> Seq2SickConfig:
        return replace(
            Seq2SickConfig(step_size=2.0, lasso=0.3, gradient_regularization=0.4), variant=variant, **options
        )

    def goal(self, variant: str):
        return seq2sick.wanted(self.batch, self.config(variant), seed=0, pool=())

    def gradient(self, delta: torch.Tensor, variant: str) -> torch.Tensor:
        """Of the loss at the projected words, over its largest word's length."""
        ids, _ = seq2sick.project(delta, self.sources, self.rows)
        _, gradient, _ = loss_and_gradient(ids, self.victim, self.sources, self.goal(variant), self.rows)
        longest = gradient.norm(dim=-1).max(dim=1).values
        assert (longest > 0).all()
        return gradient / longest[:, None, None]

    def step(self, delta: torch.Tensor, variant: str, **options: float) -> torch.Tensor:
        state = SearchState(self.rows, delta)
        config = self.config(variant, **options)
        return seq2sick.step(state, self.victim, self.sources, self.goal(variant), config)[0].delta

    def words(self, delta: torch.Tensor) -> torch.Tensor:
        """(n, T) pieces that x + delta lies nearest to."""
        return seq2sick.project(delta, self.sources, self.rows)[0]


@pytest.fixture(scope="module")
def setting() -> Setting:
    return Setting()


# The parts ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.0, 0.4, 1.3, 50.0])
def test_prox_against_its_closed_form_and_a_numerical_minimum(threshold):
    draw = np.random.default_rng(0)
    for size in (0.01, 0.4, 1.0, 3.0):
        delta = draw.normal(size=4)
        delta *= size / np.linalg.norm(delta)
        found = prox_group_lasso(torch.tensor(delta)[None, None], threshold)[0, 0].numpy()
        norm = float(np.linalg.norm(delta))
        closed = delta - threshold * delta / norm if norm > threshold else np.zeros(4)
        np.testing.assert_allclose(found, closed, rtol=0, atol=1e-12)

        def objective(y, delta=delta):
            return 0.5 * np.sum((y - delta) ** 2) + threshold * np.linalg.norm(y)

        best = scipy.optimize.minimize(
            objective,
            delta * 0.9,
            method="Nelder-Mead",
            options={"xatol": 1e-9, "fatol": 1e-14, "maxiter": 5000},
        )
        assert objective(found) <= best.fun + 1e-12
        np.testing.assert_allclose(found, best.x, rtol=0, atol=1e-4)


def test_prox_takes_each_word_by_itself():
    delta = torch.tensor([[[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]]], dtype=torch.float64)
    expected = torch.tensor([[[2.4, 3.2], [0.0, 0.0], [0.0, 0.0]]], dtype=torch.float64)  # 5 - 1, 0.5 - 1, 0 - 1
    torch.testing.assert_close(prox_group_lasso(delta, 1.0), expected)
    assert torch.equal(prox_group_lasso(delta, 0.0), delta)
    assert not prox_group_lasso(delta, 1e9).any()


def distances(setting: Setting, delta: torch.Tensor) -> torch.Tensor:
    """(n, T) min_j |x_i + delta_i - w_j| over the pieces allowed there and the word's own, by brute force."""
    sources, vocabulary = setting.sources, setting.vocabulary
    found = torch.zeros(delta.shape[:2], dtype=torch.float64)
    for row, at in sources.changeable.nonzero().tolist():
        allowed = [i for i in range(vocabulary.size) if vocabulary.allowed[sources.places[row, at], i]]
        own = int(sources.ids[row, at])
        points = vocabulary.victim.embed(torch.tensor([*allowed, own]))
        found[row, at] = (sources.embeds[row, at] + delta[row, at] - points).norm(dim=-1).min()
    return found


@pytest.mark.parametrize("size", [0.3, 1.0, 4.0])
def test_projection_and_the_gradient_of_the_regularization(setting, size):
    """The third term of (3.4): never the constant that the released code makes of it."""
    sources, delta = setting.sources, setting.delta(size)
    ids, towards = seq2sick.project(delta, sources, setting.rows)
    reached = (sources.embeds + delta - setting.vocabulary.victim.embed(ids)).norm(dim=-1)
    torch.testing.assert_close(reached * sources.changeable, distances(setting, delta), rtol=0, atol=1e-9)
    assert torch.equal(ids[~sources.changeable], sources.ids[~sources.changeable])
    if size > 1:
        assert (ids != sources.ids).sum() > 3

    step, expected = 1e-6, torch.zeros_like(delta)
    for axis in range(delta.shape[-1]):  # every word's distance depends on its own delta only: all at once
        moved = torch.zeros_like(delta)
        moved[..., axis] = step
        expected[..., axis] = (distances(setting, delta + moved) - distances(setting, delta - moved)) / (2 * step)
    torch.testing.assert_close(towards, expected, rtol=0, atol=1e-6)
    assert towards.norm(dim=-1)[sources.changeable].min() > 0.99


def test_the_l2_penalty_shortens_every_word_and_zeroes_none(setting):
    delta, weight = torch.tensor([0.3, -2.0, 1.0], dtype=torch.double), 0.7
    found = prox_l2(delta, weight).numpy()
    best = scipy.optimize.minimize(
        lambda y: 0.5 * ((y - delta.numpy()) ** 2).sum() + weight / 2 * (y**2).sum(), np.zeros(3)
    )
    np.testing.assert_allclose(found, best.x, atol=1e-6)
    moved = setting.delta(1.5)
    gradient = setting.gradient(moved, "fixed")
    eta = 2.0 * setting.unit
    found = setting.step(moved, "fixed", gradient_regularization=0.0, penalty="l2")
    torch.testing.assert_close(found, (moved - eta * gradient) / (1 + 2.0 * 0.3), rtol=0, atol=1e-9)


def test_words_that_have_not_moved_stay_whether_they_are_allowed_or_not(setting):
    sources = setting.sources
    assert torch.equal(setting.words(torch.zeros_like(sources.embeds)), sources.ids)
    few = Vocabulary(setting.vocabulary.victim, corpus=["tree street river"], min_count=1)
    other = Setting()
    other.sources.vocabulary = few
    near, far = (other.words(other.delta(size)) for size in (1e-3, 20.0))
    assert torch.equal(near, sources.ids)
    changed = far[far != sources.ids]
    assert len(changed) and set(changed.tolist()) <= set(few.ids.tolist())


def test_the_gradient_is_measured_by_its_largest_word():
    gradient = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    gradient[1] = 0
    found = seq2sick.normalized(gradient)
    assert found[0].norm(dim=-1).max() == pytest.approx(1)
    torch.testing.assert_close(found[0] * gradient[0].norm(dim=-1).max(), gradient[0])
    assert not found[1].any()  # and no NaN


@pytest.mark.parametrize("variant", ["fixed", "released"])
def test_a_step_moves_the_word_of_largest_gradient_by_the_step_size(setting, variant, monkeypatch):
    monkeypatch.setattr(seq2sick, "largest_entry_gradient", torch.zeros_like)
    for size in (0.1, 3.0):
        delta = setting.step(setting.delta(0), variant, lasso=0.0, step_size=size)
        longest = delta.norm(dim=-1).max(dim=1).values
        torch.testing.assert_close(longest, torch.full_like(longest, size * setting.unit))


def test_what_may_not_change_never_moves(setting):
    for variant in VARIANTS:
        first = setting.step(setting.delta(0), variant, step_size=9.0)
        second = setting.step(first, variant, step_size=9.0)
        assert first[setting.sources.changeable].any()
        assert not first[~setting.sources.changeable].any()
        assert not second[~setting.sources.changeable].any()


# The table of `seq2sick.py`, row by row -----------------------------------------------------------------


def test_row_1_small_steps_are_undone_in_paper_and_add_up_in_the_others(setting):
    """Every step is a tenth of the least distance between two words; in `paper` delta is 0 after each."""
    vectors = setting.vocabulary.victim.embed(torch.arange(setting.vocabulary.size))
    least = (torch.cdist(vectors, vectors) + 1e9 * torch.eye(len(vectors))).min().item()
    options = {"lasso": 0.0, "gradient_regularization": 0.0, "step_size": 0.1 * least / setting.unit}
    for variant in VARIANTS:
        delta, lengths = setting.delta(0), []
        for _ in range(12):
            delta = setting.step(delta, variant, **options)
            lengths.append(delta.norm().item())
        if variant == "paper":
            assert lengths == [0.0] * 12
        else:
            assert lengths[0] > 0
            assert lengths[-1] > 5 * lengths[0]


@pytest.mark.parametrize("size", [1.0, 4.0])
def test_row_1_paper_keeps_the_projected_delta(setting, size):
    expected = prox_group_lasso(setting.delta(size), 0.3 * 5 * setting.unit)
    expected = expected - 5 * setting.unit * setting.gradient(setting.delta(size), "paper")
    snapped = setting.vocabulary.victim.embed(setting.words(expected)) - setting.sources.embeds
    found = setting.step(setting.delta(size), "paper", step_size=5.0)
    torch.testing.assert_close(found, snapped, rtol=0, atol=1e-9)
    assert found.any()
    torch.testing.assert_close(setting.words(found), setting.words(expected))


def test_row_2_the_prox_comes_after_the_gradient_step_in_fixed_and_before_it_in_the_others(setting):
    eta = 2.0 * setting.unit
    delta = setting.delta(1.5)
    gradient = setting.gradient(delta, "fixed")
    found = setting.step(delta, "fixed", gradient_regularization=0.0, step_size=2.0)
    torch.testing.assert_close(found, prox_group_lasso(delta - eta * gradient, 0.3 * eta), rtol=0, atol=1e-9)
    assert not setting.step(delta, "fixed", lasso=1e6).any()  # all that the step did is shrunk away

    gradient = setting.gradient(delta, "released")
    extra = seq2sick.largest_entry_gradient(delta)
    found = setting.step(delta, "released", step_size=2.0)
    expected = prox_group_lasso(delta, 0.3 * eta) - eta * (gradient + extra)
    torch.testing.assert_close(found, expected * setting.sources.changeable[..., None], rtol=0, atol=1e-9)
    assert setting.step(delta, "released", lasso=1e6).any()  # the step of the moment is always left


def test_row_3_the_weight_of_the_regularization_matters_in_fixed_only(setting):
    delta = setting.delta(1.5)
    for variant in VARIANTS:
        without, with_it = (
            setting.step(delta, variant, lasso=0.0, gradient_regularization=weight) for weight in (0.0, 0.5)
        )
        if variant == "fixed":
            _, towards = seq2sick.project(delta, setting.sources, setting.rows)
            torch.testing.assert_close(with_it - without, -0.5 * 2 * setting.unit * towards, rtol=0, atol=1e-9)
        else:
            assert torch.equal(with_it, without)


@pytest.mark.parametrize("variant", VARIANTS)
def test_row_4_every_variant_descends(setting, variant):
    """A tiny step along what the variant does lowers the loss; `paper` is read before its projection."""
    goal, sources = setting.goal(variant), setting.sources
    direction = -setting.gradient(setting.delta(0), variant)
    if variant != "paper":
        options = {"lasso": 0.0, "gradient_regularization": 0.0}
        extra = seq2sick.largest_entry_gradient(setting.delta(0)) * (variant == "released")
        direction = setting.step(setting.delta(0), variant, **options) + 2 * setting.unit * extra
    decoded = setting.victim.greedy(sources.ids, sources.mask, setting.rows)

    def loss(delta: torch.Tensor) -> torch.Tensor:
        logits = setting.victim.logits(sources.embeds + delta, sources.mask, decoded.outputs, setting.rows)
        return goal.loss(goal.leads(logits, setting.rows), decoded.outputs, decoded.lengths, setting.rows)

    scale = 1e-5 / direction.norm()
    assert (loss(scale * direction * sources.changeable[..., None]) < loss(setting.delta(0))).all()


def test_row_5_the_extra_loss_of_released_is_the_signed_largest_entry(setting):
    delta = setting.delta(1.5)
    delta[1, 0, :] = -7.0  # largest in magnitude only
    expected = torch.zeros_like(delta)
    for row in range(len(delta)):
        for i in range(delta[row].numel()):
            moved = delta.clone()
            moved[row].view(-1)[i] += 1e-6
            expected[row].view(-1)[i] = (moved[row].max() - delta[row].max()) / 1e-6
    torch.testing.assert_close(seq2sick.largest_entry_gradient(delta), expected, rtol=0, atol=1e-6)

    eta = 2.0 * setting.unit
    delta = setting.delta(1.5)
    for variant, extra in (("fixed", 0.0), ("released", 1.0)):
        found = setting.step(delta, variant, lasso=0.0, gradient_regularization=0.0)
        beside = delta - eta * setting.gradient(delta, variant) - found
        expected = extra * eta * seq2sick.largest_entry_gradient(delta)
        torch.testing.assert_close(beside, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_row_6_only_released_has_the_released_losses(setting, variant):
    config = setting.config(variant)
    overlaps = seq2sick.wanted(setting.batch, config, seed=0, pool=())
    words = seq2sick.wanted(setting.batch, replace(config, goal="keywords"), seed=0, pool=["Hund", "Stadt"])
    kinds = (ReleasedNonOverlapping, ReleasedKeywords) if variant == "released" else (NonOverlapping, TargetedKeywords)
    assert (type(overlaps), type(words)) == kinds


class AnythingElse:
    """A goal that every output but the clean one meets."""

    def __init__(self, clean: list[str]) -> None:
        self.clean, self.margin = clean, 0.0

    def violations(self, row: int, output: str) -> int:
        return int(output == self.clean[row])


def scripted(setting: Setting, monkeypatch, lengths: list[float], words: list[int]) -> list[torch.Tensor]:
    """Replaces `step`: try i has a delta of lengths[i], changes words[i] words. Returns each call's rows."""
    calls: list[torch.Tensor] = []

    def step(state, victim, sources, goal, config):
        at = len(calls)
        calls.append(state.rows)
        ids = sources.ids[state.rows].clone()
        for line, row in enumerate(state.rows.tolist()):
            places = sources.changeable[row].nonzero().squeeze(1)[: words[at] if row == 0 else 0]
            for place in places.tolist():
                others = setting.vocabulary.allowed[sources.places[row, place]].clone()
                others[ids[line, place]] = False
                ids[line, place] = others.nonzero()[5 * at + place, 0]
        decoded = victim.greedy(ids, sources.mask[state.rows], state.rows)
        delta = torch.zeros_like(state.delta)
        delta[:, 0, 0] = lengths[at + 1] if at + 1 < len(lengths) else 0.0
        return SearchState(state.rows, delta), ids, decoded.outputs, torch.zeros(len(ids))

    monkeypatch.setattr(seq2sick, "step", step)
    return calls


@pytest.mark.parametrize(("variant", "words"), [("fixed", 2), ("paper", 2), ("released", 5)])
def test_row_7_released_keeps_the_least_delta_and_the_others_the_fewest_words(setting, monkeypatch, variant, words):
    scripted(setting, monkeypatch, lengths=[0.0, 9.0, 2.0, 5.0], words=[0, 2, 5, 3])
    goal = AnythingElse(setting.batch.outputs)
    confirmed = Confirmation(setting.victim, setting.sources, goal, setting.batch.outputs)
    seq2sick.gradient_search(confirmed, setting.rows, setting.config(variant, steps=3), lambda count: None)
    assert confirmed.words[0] == words
    assert confirmed.found_by[0] == "gradient"
    assert not confirmed.solved[1:].any()


def test_a_sentence_with_one_changed_word_leaves_the_batch(setting, monkeypatch):
    calls = scripted(setting, monkeypatch, lengths=[0.0, 1.0], words=[3, 1])
    confirmed = Confirmation(
        setting.victim, setting.sources, AnythingElse(setting.batch.outputs), setting.batch.outputs
    )
    finished: list[int] = []
    rows = torch.tensor([1, 0])
    seq2sick.gradient_search(confirmed, rows, setting.config("fixed", steps=1), finished.append)
    assert [rows.tolist() for rows in calls] == [[1, 0], [1, 0]]
    assert finished == [1]
    calls.clear()
    confirmed.words[1] = 1  # now nobody is left
    seq2sick.gradient_search(confirmed, rows[:0], setting.config("fixed", steps=2), finished.append)
    assert calls == []


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("asked", [None, True, False])
def test_row_8_refinement_and_restoration_belong_to_fixed(setting, monkeypatch, variant, asked):
    ran = []
    monkeypatch.setattr(seq2sick, "refine", lambda *arguments: ran.append("refine"))
    monkeypatch.setattr(seq2sick, "restore", lambda *arguments: ran.append("restore"))
    config = replace(Seq2SickConfig(variant=variant, steps=1), refine=asked, restore=asked)
    seq2sick.seq2sick(setting.vocabulary, setting.batch.examples, config=config, seed=0)
    expected = variant == "fixed" if asked is None else asked
    assert ran == (["refine", "restore"] if expected else [])


def test_a_step_costs_two_queries(setting):
    """One greedy decoding and one teacher-forced pass."""
    victim = CountedVictim(setting.vocabulary.victim, 3)
    rows = torch.tensor([0, 2])
    state = SearchState(rows, setting.delta(1.0)[rows])
    seq2sick.step(state, victim, setting.sources, setting.goal("fixed"), setting.config("fixed"))
    assert victim.queries == [2, 0, 2]


def test_zero_steps_change_nothing(setting):
    config = Seq2SickConfig(steps=0, refine=False, restore=False)
    for record in seq2sick.seq2sick(setting.vocabulary, setting.batch.examples, config=config, seed=0):
        assert (record.success, record.adversarial, record.queries) == (False, record.original, 1)
