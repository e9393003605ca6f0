"""GBDA (Guo, Sablayrolles, Jégou, Kiela, EMNLP 2021, arXiv:2104.13733): a distribution over sentences is attacked.

Section 3. A matrix Theta holds log-coefficients of every allowed piece in every place that may change. Gumbel-softmax
draws of it mix the pieces' vectors into soft sentences, Adam lowers the loss expected of them, and sentences drawn
from the Theta that comes out are decoded. Defaults are those of the authors' code: 100 steps, learning rate 0.3,
original coefficient 15, temperature 1, 100 draws; but one soft sentence a step in place of ten.

Deviations from the paper:

- The loss is the goal's, (2.8) or (2.12) with `confidence` as its margin, of the soft sentence, teacher-forced along
  the greedy output of the likeliest sentence. Where Theta is sure, that is the discrete sentence's loss.
- The similarity terms (a language model's perplexity and BERTScore) are replaced by `keep_weight` times the expected
  number of changed words, the sum over places of 1 - softmax(Theta)[original]: Seq2Sick keeps words, not meanings.
- A drawn sentence with more changed words than its budget (`--max_words`) keeps those whose drawn coefficients lead the
  original's by most. So does the likeliest sentence, which is tried after every step.
- A sentence stops as soon as one changed word is enough.
- Theta's columns are the allowed pieces and the original one. Sentences are optimised together as far as their Thetas
  fit into `CHUNK_COEFFICIENTS`; none depends on the others.
"""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from textadv.configs import BaselineConfig
from textadv.confirmation import Confirmation
from textadv.decoding import Decoded
from textadv.goals import Goal, padded
from textadv.noise import gumbel as gumbel_noise
from textadv.refinement import CONFIRM_AT_ONCE, decode_with_leads
from textadv.sources import Sources
from textadv.types import CountedVictim

CHUNK_COEFFICIENTS = 8 * 2**20  # of Theta, held at once; a step takes about ten tensors of its size
DECAY, SQUARE_DECAY, SMALLEST = 0.9, 0.999, 1e-8  # Adam's


@dataclass(frozen=True)
class Coefficients:
    """Theta of n sentences with R words that may change; K allowed pieces. Adam's moments beside it."""

    rows: Tensor  # (n,) which examples of the batch
    sentence: Tensor  # (R,) which of the n
    position: Tensor  # (R,) where in it
    pieces: Tensor  # (R, 1 + K) what the columns stand for: the original piece, then the vocabulary's
    theta: Tensor  # (R, 1 + K); -inf for what isn't allowed there
    mean: Tensor  # (R, 1 + K)
    square: Tensor  # (R, 1 + K)


def gumbel(
    confirmed: Confirmation, rows: Tensor, config: BaselineConfig, seeds: Tensor, on_finished: Callable[[int], None]
) -> None:
    """Optimises a distribution for each of `rows`, and tries what is drawn from it.

    Args:
        seeds: (B,) of all examples of the batch.
    """
    sources = confirmed.sources
    rows = rows[sources.changeable[rows].any(1)]
    coefficients = sources.ids.shape[1] * (len(sources.vocabulary.ids) + 1) * config.gumbel_samples
    for some in rows.split(max(CHUNK_COEFFICIENTS // coefficients, 1)):
        state = optimized(confirmed, init(sources, some, config.initial_coefficient), config, seeds, on_finished)
        if len(state.rows):
            try_draws(confirmed, state, config, seeds)


def init(sources: Sources, rows: Tensor, coefficient: float) -> Coefficients:
    """Theta of rows (n,): `coefficient` for the original pieces and 0 for the others."""
    vocabulary = sources.vocabulary
    sentence, position = sources.changeable[rows].nonzero().unbind(1)
    own = sources.ids[rows[sentence], position][:, None]
    shut = vocabulary.forbidden[sources.places[rows[sentence], position]] | (vocabulary.ids == own)
    others = vocabulary.points.new_zeros(shut.shape).masked_fill(shut, -torch.inf)
    theta = torch.cat([others.new_full((len(own), 1), coefficient), others], dim=1)
    pieces = torch.cat([own, vocabulary.ids.expand(len(own), -1)], dim=1)
    return Coefficients(rows, sentence, position, pieces, theta, torch.zeros_like(theta), torch.zeros_like(theta))


def optimized(
    confirmed: Confirmation,
    state: Coefficients,
    config: BaselineConfig,
    seeds: Tensor,
    on_finished: Callable[[int], None],
) -> Coefficients:
    """Adam on Theta, the likeliest sentence tried after each step. Sentences with a one-word success leave."""
    victim, sources = confirmed.victim, confirmed.sources
    goal = copy(confirmed.goal)
    goal.margin = config.confidence
    real = sources.vocabulary.victim
    ids = torch.full_like(sources.ids[state.rows], -1)  # the likeliest sentences, of which none is decoded yet
    outputs = ids.new_full((len(ids), real.config.max_new_tokens), real.pad_id)
    lengths = ids.new_zeros(len(ids))
    for turn in range(config.gumbel_steps + 1):
        before, ids = ids, sentences(state, state.theta, sources)
        new = (ids != before).any(1)  # in most steps few are
        if new.any():
            decoded = tried(confirmed, goal, state.rows[new], ids[new])
            outputs[new], lengths[new] = padded(decoded.outputs, outputs.shape[1], real.pad_id), decoded.lengths
        left = confirmed.words[state.rows] > 1
        if gone := int((~left).sum()):
            on_finished(gone)
            state, ids, outputs, lengths = kept(state, left), ids[left], outputs[left], lengths[left]
        if len(ids) == 0 or turn == config.gumbel_steps:
            break
        noise = step_noise(state, seeds, turn, config.gumbel_samples)
        written = outputs[:, : int(lengths.max())]
        _, gradient = soft_loss(state, noise, written, lengths, victim, sources, goal, config)
        state = adam(state, gradient, turn + 1, config.gumbel_learning_rate)
    return state


def soft_loss(
    state: Coefficients,
    noise: Tensor,
    outputs: Tensor,
    lengths: Tensor,
    victim: CountedVictim,
    sources: Sources,
    goal: Goal,
    config: BaselineConfig,
) -> tuple[Tensor, Tensor]:
    """The goal's loss of soft sentences along outputs (n, M), end pieces counted in their lengths (n,).

    Args:
        noise: (S, R, 1 + K) of S soft sentences for each example.

    Returns:
        its mean over the soft sentences (n,), and the gradient at Theta (R, 1 + K) of that mean and of the weighted
        number of changed words.
    """
    samples, rows = len(noise), state.rows.repeat(len(noise))
    with torch.enable_grad():
        theta = state.theta.detach().requires_grad_()
        embeds = soft_sentences(state, (theta + noise) / config.temperature, sources).flatten(0, 1)
        outputs, lengths = outputs.repeat(samples, 1), lengths.repeat(samples)
        logits = victim.logits(embeds, sources.mask[rows], outputs, rows).float()
        loss = goal.loss(goal.leads(logits, rows), outputs, lengths, rows).unflatten(0, (samples, -1)).mean(0)
        changed = (1 - theta.softmax(-1)[:, 0]).sum()
        (gradient,) = torch.autograd.grad(loss.sum() + config.keep_weight * changed, theta)
    return loss.detach(), gradient


def soft_sentences(state: Coefficients, scores: Tensor, sources: Sources) -> Tensor:
    """(S, n, T, d) the sentences with mixtures of vectors, softmax(scores (S, R, 1 + K)), where words may change."""
    own = sources.embeds[state.rows[state.sentence], state.position]  # (R, d)
    with torch.autocast(own.device.type, enabled=False):  # a mixture of thousands is no place for few digits
        shares = scores.softmax(-1)
        mixed = shares[..., :1] * own + shares[..., 1:] @ sources.vocabulary.points
    embeds = sources.embeds[state.rows].repeat(len(scores), 1, 1, 1)
    sample = torch.arange(len(scores), device=own.device)[:, None]
    return embeds.index_put((sample, state.sentence, state.position), mixed)


def step_noise(state: Coefficients, seeds: Tensor, turn: int, samples: int) -> Tensor:
    """(S, R, 1 + K) Gumbel noise."""
    which = torch.arange(samples, device=seeds.device)[:, None, None]
    own_seeds = seeds[state.rows[state.sentence]][:, None]
    noise = gumbel_noise(own_seeds, which.new_tensor(turn), which, state.position[:, None], state.pieces)
    return noise.to(state.theta.dtype)


def adam(state: Coefficients, gradient: Tensor, turn: int, learning_rate: float) -> Coefficients:
    """Step `turn`, from 1, of Adam (Kingma and Ba, ICLR 2015, Algorithm 1)."""
    mean = DECAY * state.mean + (1 - DECAY) * gradient
    square = SQUARE_DECAY * state.square + (1 - SQUARE_DECAY) * gradient.square()
    towards = (mean / (1 - DECAY**turn)) / ((square / (1 - SQUARE_DECAY**turn)).sqrt() + SMALLEST)
    return replace(state, theta=state.theta - learning_rate * towards, mean=mean, square=square)


def kept(state: Coefficients, left: Tensor) -> Coefficients:
    """The sentences for which `left` (n,) is true."""
    words = left[state.sentence]
    number = left.long().cumsum(0) - 1
    return Coefficients(
        rows=state.rows[left],
        sentence=number[state.sentence[words]],
        position=state.position[words],
        pieces=state.pieces[words],
        theta=state.theta[words],
        mean=state.mean[words],
        square=state.square[words],
    )


def sentences(state: Coefficients, scores: Tensor, sources: Sources) -> Tensor:
    """(n, T) with the piece of the highest score (R, 1 + K) in each place, as far as the budget of words goes.

    Where more would, those stay changed whose best piece leads the original one by most.
    """
    best, at = scores[:, 1:].max(1)
    ids = sources.ids[state.rows].clone()
    gain = best.new_full(ids.shape, -torch.inf)
    gain[state.sentence, state.position] = best - scores[:, 0]
    other = ids.clone()
    other[state.sentence, state.position] = state.pieces[:, 1:].gather(1, at[:, None]).squeeze(1)
    budget = sources.budget[state.rows][:, None]
    top = gain.topk(min(int(budget.max()), ids.shape[1]), dim=1)
    rank = torch.arange(top.indices.shape[1], device=ids.device)
    chosen = other.gather(1, top.indices).where((top.values > 0) & (rank < budget), ids.gather(1, top.indices))
    return ids.scatter(1, top.indices, chosen)


def tried(confirmed: Confirmation, goal: Goal, rows: Tensor, ids: Tensor) -> Decoded:
    """Decodes sentences (N, T) greedily; the most promising successes of each example are offered."""
    decoded = decode_with_leads(ids, confirmed.victim, confirmed.sources, goal, rows)
    loss = goal.loss(decoded.observed, decoded.outputs, decoded.lengths, rows)
    hits = confirmed.judge(rows, ids, decoded.outputs, loss) == 0
    confirmed.offer_best(rows[hits], ids[hits], loss[hits], most=CONFIRM_AT_ONCE, by="gumbel")
    return decoded


def try_draws(confirmed: Confirmation, state: Coefficients, config: BaselineConfig, seeds: Tensor) -> None:
    """Tries `config.gumbel_tries` sentences drawn from each Theta; equal ones once."""
    drawn = []
    for number in range(config.gumbel_tries):
        # Steps are numbered from 0, so that these numbers were not used before.
        [noise] = step_noise(state, seeds, config.gumbel_steps + number, 1)
        ids = sentences(state, state.theta + noise, confirmed.sources)
        drawn.append(torch.cat([state.rows[:, None], ids], dim=1))
    found = torch.cat(drawn).unique(dim=0)
    rows, ids = found[:, 0], found[:, 1:]
    changed = confirmed.sources.changed(rows, ids)
    better = (changed > 0) & (changed < confirmed.words[rows])
    if better.any():
        goal = copy(confirmed.goal)
        goal.margin = config.confidence
        tried(confirmed, goal, rows[better], ids[better])
