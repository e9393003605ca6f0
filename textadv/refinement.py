"""Discrete refinement: parallel searches over single-word substitutions, exact where the gradient only guesses.

Not in the paper. Starting from the original sentence, each round predicts to first order what every (position, piece)
substitution would do to the loss, decodes the best `candidates` of each example in one batch, and goes on from the best
by what the decoded outputs really do. A round changes one more word at most, so the first success met changes few; once
a budget of words is spent, each round gives a changed word back before. `beam` lines of sentences are followed side by
side; where the goal has several demands (keywords), a line goes for one at a time, and each line for another: a
gradient for all of them at once leads to none. The first-order ranking goes back to HotFlip (Ebrahimi et al., ACL 2018,
eq. 10), the exact evaluation of a batch of candidates to GCG (Zou et al., 2023, Algorithm 1).

Where it differs from both: the gradient is not taken at the word that stands there, but at a *blank*, the mean of
all allowed vectors. The prediction for piece j in place i of sentence x is
    L(x with blank b at i) + (w_j - b) . dL/dx_i (x with blank b at i).
A word's own vector is a far and biased place to look at all the others from. The gradient is taken along the output
that would be *reported* (beams, from the sentence's text), as that is where the keyword has to appear; candidates are
compared along their own greedy outputs, while they are decoded, for beams cost several times as much.
"""

from collections.abc import Callable
from copy import copy

import torch
from torch import Tensor

from textadv.configs import Seq2SickConfig
from textadv.confirmation import Confirmation
from textadv.decoding import Decoded
from textadv.goals import Goal
from textadv.sources import Sources
from textadv.types import CountedVictim

PER_WORD = 8  # candidates for one place, at most, so that they spread over the sentence; of more than 64, an eighth
CHUNK_LOGITS = 48 * 2**20  # logits held at once under gradient
CONFIRM_AT_ONCE = 8  # greedy successes of one example that are decoded with beams in one round


def refine(confirmed: Confirmation, rows: Tensor, config: Seq2SickConfig, on_finished: Callable[[int], None]) -> None:
    """Looks, for each of `rows`, for a success that changes fewer words than the confirmed one, within the budget."""
    victim, sources = confirmed.victim, confirmed.sources
    goal = copy(confirmed.goal)
    goal.margin = config.refine_margin
    rows = rows[sources.changeable[rows].any(1)]
    lines = sources.ids[rows][:, None].repeat(1, min(config.beam, goal.demands), 1)  # (n, W, T)
    settled = torch.zeros_like(rows)  # (n,) rounds since the lines became what they are
    for turn in range(1, config.refine_rounds + 1):
        improvable = (confirmed.words[rows] > turn) & (settled < sources.budget[rows])
        if gone := int((~improvable).sum()):
            on_finished(gone)
        rows, lines, settled = rows[improvable], lines[improvable], settled[improvable]
        if len(rows) == 0:
            return
        shorter = with_room(lines, sources, rows, turn)
        candidates, real = propose(shorter, victim, sources, goal, rows, config.candidates, turn)
        if not real.any():
            return  # no other word is allowed in these sentences
        owners, flat = rows.repeat_interleave(real.sum(1)), candidates[real]
        loss, outputs = exact_loss(flat, victim, sources, goal, owners)
        violations = confirmed.judge(owners, flat, outputs, loss)
        measured = loss.new_full((2, *real.shape), torch.inf)
        measured[:, real] = torch.stack([violations, loss])
        order = measured[1].argsort(dim=1, stable=True)  # by violations, then by loss
        order = order.gather(1, measured[0].gather(1, order).argsort(dim=1, stable=True))
        promising = order[:, :CONFIRM_AT_ONCE]
        hits = measured[0].gather(1, promising) == 0
        example = hits.nonzero()[:, 0]
        confirmed.offer(rows[example], candidates[example, promising[hits]], by="refinement")
        best = order[:, : config.beam] if lines.shape[1] < config.beam else best_of_each_line(order, config.beam)
        # A short sentence may have fewer candidates than lines: what isn't real starts afresh.
        before, lines = lines, candidates.gather(1, best[..., None].expand(-1, -1, candidates.shape[2]))
        lines = lines.where(real.gather(1, best)[..., None], sources.ids[rows][:, None])
        settled = (settled + 1) * (lines == before).flatten(1).all(1)


def with_room(lines: Tensor, sources: Sources, rows: Tensor, turn: int) -> Tensor:
    """Lines (n, W, T) in which another word may change: one that has spent its budget gives a changed word back.

    In the next turn it gives back the next one.
    """
    original = sources.ids[rows][:, None]
    changed, budget = lines != original, sources.budget[rows][:, None]
    place = turn % budget  # which of the changed words, from the left
    given_back = (changed.sum(2) >= budget)[..., None] & changed & (changed.cumsum(2) == place[..., None] + 1)
    return lines.where(~given_back, original)


def best_of_each_line(order: Tensor, lines: int) -> Tensor:
    """(n, W) the best candidate of each line, where `order` (n, C) ranks candidates that stand line by line."""
    rank = order.argsort(dim=1).unflatten(1, (lines, -1))  # (n, W, C / W)
    return rank.argmin(2) + torch.arange(lines, device=order.device) * rank.shape[2]


def propose(
    lines: Tensor,
    victim: CountedVictim,
    sources: Sources,
    goal: Goal,
    rows: Tensor,
    count: int,
    turn: int = 0,
) -> tuple[Tensor, Tensor]:
    """The `count` most promising substitutions of each example's sentences (n, W, T), by first order.

    Each line goes for another of the goal's open demands, and in the next turn for the next one.

    Returns:
        candidates (n, C, T), those of a line side by side, and (n, C) which of them are real: a short sentence has
        fewer.
    """
    vocabulary = sources.vocabulary
    per_word = max(PER_WORD, count // 8)
    n, beam, width = lines.shape
    flat, owners = lines.reshape(-1, width), rows.repeat_interleave(beam)
    sentence, position = sources.changeable[owners].nonzero().unbind(1)  # (R,) every word that may change
    turns = turn + torch.arange(beam, device=rows.device).repeat(n)
    loss, gradient = blank_gradient(flat, sentence, position, victim, sources, goal, owners, turns)
    pieces, slopes = vocabulary.lowest(
        gradient, sources.places[owners[sentence], position], flat[sentence, position], per_word
    )
    predicted = loss[:, None] + slopes - gradient @ vocabulary.blank[:, None]  # (R, K)
    score = predicted.new_full((*flat.shape, pieces.shape[1]), torch.inf)
    choice = torch.zeros(score.shape, dtype=torch.long, device=flat.device)
    score[sentence, position], choice[sentence, position] = predicted, pieces
    best = score.flatten(1).topk(min(-(-count // beam), score[0].numel()), dim=1, largest=False)  # (n W, C / W)
    place = best.indices // score.shape[2]
    candidates = flat[:, None].repeat(1, best.indices.shape[1], 1)
    candidates.scatter_(2, place[..., None], choice.flatten(1).gather(1, best.indices)[..., None])
    return candidates.view(n, -1, width), best.values.isfinite().view(n, -1)


def blank_gradient(
    ids: Tensor,
    sentence: Tensor,
    position: Tensor,
    victim: CountedVictim,
    sources: Sources,
    goal: Goal,
    rows: Tensor,
    turn: Tensor,
) -> tuple[Tensor, Tensor]:
    """What each word would have to be: the loss (R,) with one word of a sentence blank, and its gradient (R, d) there.

    The loss is taken along the sentence's reported output.

    Args:
        ids: (N, T) sentences of the examples `rows` (N,).
        sentence, position: (R,) the words that are blanked, one at a time.
        turn: (N,) which of the goal's open demands the loss is about.
    """
    mask = sources.mask[rows]
    decoded = reported_with_leads(ids, victim, sources, goal, rows)
    focus = goal.focus(decoded.observed, decoded.outputs, decoded.lengths, rows, turn)
    loss = sources.embeds.new_zeros(len(sentence))
    gradient = sources.embeds.new_zeros(len(sentence), sources.embeds.shape[-1])
    lengths = mask.sum(1)
    order = lengths[sentence].argsort(stable=True)  # like lengths together: less padding
    for some in order.split(_rows_at_once(decoded.outputs, sources)):
        at, owner = sentence[some], rows[sentence[some]]
        source, output = int(lengths[at].max()), int(decoded.lengths[at].max())
        embeds = sources.vocabulary.victim.embed(ids[at, :source]).clone()
        line = torch.arange(len(some), device=ids.device)
        embeds[line, position[some]] = sources.vocabulary.blank.to(embeds.dtype)
        embeds.requires_grad_()
        outputs = decoded.outputs[at, :output]
        with torch.enable_grad():
            logits = victim.logits(embeds, mask[at, :source], outputs, owner).float()
            part = None if focus is None else focus[at]
            losses = goal.loss(goal.leads(logits, owner), outputs, decoded.lengths[at], owner, part)
            (slope,) = torch.autograd.grad(losses.sum(), embeds)
        loss[some] = losses.detach().to(loss.dtype)
        gradient[some] = slope[line, position[some]].to(gradient.dtype)
    return loss, gradient


@torch.no_grad()
def reported_with_leads(ids: Tensor, victim: CountedVictim, sources: Sources, goal: Goal, rows: Tensor) -> Decoded:
    """The outputs that would be reported for pieces (N, T), with the goal's leads (N, M, P) along them."""
    outputs = victim.generate_pieces(sources.text(rows, ids), rows)
    ends = torch.isin(outputs, torch.tensor(sources.vocabulary.victim.eos_ids, device=ids.device)).long()
    lengths = (ends.cumsum(1) - ends == 0).sum(1)  # pieces with no end before them
    embeds, mask = sources.vocabulary.victim.embed(ids), sources.mask[rows]
    leads = [
        goal.leads(victim.logits(embeds[some], mask[some], outputs[some], rows[some]).float(), rows[some])
        for some in torch.arange(len(ids), device=ids.device).split(_rows_at_once(outputs, sources))
    ]
    return Decoded(outputs, lengths, torch.cat(leads))


def _rows_at_once(outputs: Tensor, sources: Sources) -> int:
    """Outputs (N, M) whose logits fit into the memory set aside for them."""
    return max(CHUNK_LOGITS // (outputs.shape[1] * sources.vocabulary.victim.model.config.vocab_size), 1)


def exact_loss(ids: Tensor, victim: CountedVictim, sources: Sources, goal: Goal, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The loss (N,) of pieces (N, T) along their own greedy outputs (N, M), without a second pass."""
    decoded = decode_with_leads(ids, victim, sources, goal, rows)
    return goal.loss(decoded.observed, decoded.outputs, decoded.lengths, rows), decoded.outputs


def decode_with_leads(ids: Tensor, victim: CountedVictim, sources: Sources, goal: Goal, rows: Tensor) -> Decoded:
    """The greedy outputs of pieces (N, T), with the goal's leads (N, M, P) observed on the way."""

    def observe(logits: Tensor, at: Tensor, t: int) -> Tensor:
        return goal.leads(logits[:, None], rows[at], start=t)[:, 0]

    return victim.greedy(ids, sources.mask[rows], rows, observe)


def loss_and_gradient(
    ids: Tensor, victim: CountedVictim, sources: Sources, goal: Goal, rows: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The goal's loss (n,) at pieces (n, T), its gradient (n, T, d) at their vectors, and the greedy outputs (n, M)."""
    decoded = victim.greedy(ids, sources.mask[rows], rows)
    embeds = sources.vocabulary.victim.embed(ids)
    return *gradient_along(decoded, embeds, victim, sources, goal, rows), decoded.outputs


def gradient_along(
    decoded: Decoded, embeds: Tensor, victim: CountedVictim, sources: Sources, goal: Goal, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """The goal's loss (n,) of source vectors (n, T, d) along given outputs, and its gradient (n, T, d) there.

    The gradient is zero where a word may not change.
    """
    embeds = embeds.detach().requires_grad_()
    with torch.enable_grad():
        logits = victim.logits(embeds, sources.mask[rows], decoded.outputs, rows).float()
        loss = goal.loss(goal.leads(logits, rows), decoded.outputs, decoded.lengths, rows)
        (gradient,) = torch.autograd.grad(loss.sum(), embeds)
    return loss.detach(), gradient * sources.changeable[rows][..., None]
