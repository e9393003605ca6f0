"""Discrete refinement: a beam search over single-word substitutions, exact where the gradient only guesses.

Not in the paper. Starting from the original sentence, each round takes the gradient of the loss at the sentences
of the beam, ranks all (position, piece) substitutions by their first-order change of the loss
    (w_j - x_i) . grad_i,
decodes the best `candidates` of each example in one batch, and keeps the best `beam` by what the decoded
outputs really do. Each round changes one more word, so the first success met changes few. The ranking is that of
HotFlip (Ebrahimi et al., ACL 2018, eq. 10); the exact evaluation of a batch of candidates that of GCG (Zou et al.,
2023, Algorithm 1). The loss of every candidate is taken along its own greedy output while it is decoded.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from textadv.configs import Seq2SickConfig
from textadv.confirmation import Confirmation
from textadv.goals import Goal
from textadv.sources import Sources
from textadv.types import CountedVictim

VIOLATION = 1e3  # what a violation seen in the decoded text weighs against the loss, in logits
PER_WORD = 8  # most candidates for one place, so that they spread over the sentence
CONFIRM_AT_ONCE = 3  # greedy successes of one example that are decoded with beams in one round


def refine(
    confirmed: Confirmation, rows: Tensor, config: Seq2SickConfig, on_finished: Callable[[int], None]
) -> None:
    """Looks, for each of `rows`, for a success that changes fewer words than the confirmed one."""
    victim, sources, goal = confirmed.victim, confirmed.sources, confirmed.goal
    beams = sources.ids[rows][:, None]  # (n, W, T)
    for words in range(1, config.refine_words + 1):
        open_rows = confirmed.words[rows] > words
        if gone := int((~open_rows).sum()):
            on_finished(gone)
        rows, beams = rows[open_rows], beams[open_rows]
        if len(rows) == 0:
            return
        candidates, real = propose(beams, victim, sources, goal, rows, config.candidates)  # (n, C, T), (n, C)
        n, count, width = candidates.shape
        owners = rows.repeat_interleave(real.sum(1))
        flat = candidates[real]
        loss, outputs = exact_loss(flat, victim, sources, goal, owners)
        violations = confirmed.judge(owners, flat, outputs, loss)
        rank = torch.full((n, count), torch.inf, device=rows.device)
        rank[real] = loss + VIOLATION * violations
        order = rank.argsort(dim=1, stable=True)
        best = order[:, : config.beam]
        promising = order[:, :CONFIRM_AT_ONCE]
        hits = rank.gather(1, promising) < VIOLATION
        example = hits.nonzero()[:, 0]
        confirmed.offer(rows[example], candidates[example, promising[hits]], by="refinement")
        beams = candidates.gather(1, best[..., None].expand(-1, -1, width))


def propose(
    beams: Tensor, victim: CountedVictim, sources: Sources, goal: Goal, rows: Tensor, count: int
) -> tuple[Tensor, Tensor]:
    """The `count` most promising substitutions of each example's sentences (n, W, T), by first order.

    Returns:
        candidates (n, C, T), and (n, C) which of them are real: a short sentence has fewer.
    """
    vocabulary = sources.vocabulary
    n, beam, width = beams.shape
    flat, owners = beams.reshape(-1, width), rows.repeat_interleave(beam)
    _, gradient, _ = loss_and_gradient(flat, victim, sources, goal, owners)
    gain = (gradient * vocabulary.victim.embed(flat)).sum(-1, keepdim=True) - gradient @ vocabulary.points.T
    places = sources.places[owners]
    gain = gain.masked_fill_((places < 0)[..., None], -torch.inf)  # (n W, T, K)
    gain = gain.masked_fill_(vocabulary.forbidden[places.clamp(min=0)], -torch.inf)
    gain = gain.masked_fill_(flat[..., None] == vocabulary.ids, -torch.inf)  # no change
    kept = gain.topk(min(PER_WORD, gain.shape[2]), dim=2)  # spread over the words of the sentence
    top = kept.values.view(n, -1).topk(min(count, kept.values[0].numel() * beam), dim=1)  # (n, C) of W * T * PER_WORD
    pieces = vocabulary.ids[kept.indices.view(n, -1).gather(1, top.indices)]
    slot = top.indices // kept.values.shape[2]
    parent, position = slot // width, slot % width
    candidates = beams.gather(1, parent[..., None].expand(-1, -1, width)).clone()
    return candidates.scatter_(2, position[..., None], pieces[..., None]), top.values > -torch.inf


def exact_loss(
    ids: Tensor, victim: CountedVictim, sources: Sources, goal: Goal, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """The loss (N,) of pieces (N, T) along their own greedy outputs (N, M), without a second pass."""

    def observe(logits: Tensor, at: Tensor, t: int) -> Tensor:
        return goal.leads(logits[:, None], rows[at], start=t)[:, 0]

    decoded = victim.greedy(ids, sources.mask[rows], rows, observe)
    assert decoded.observed is not None
    return goal.loss(decoded.observed, decoded.outputs, decoded.lengths, rows), decoded.outputs


def loss_and_gradient(
    ids: Tensor, victim: CountedVictim, sources: Sources, goal: Goal, rows: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The goal's loss (n,) at pieces (n, T), its gradient (n, T, d) at their vectors, and the greedy outputs (n, M)."""
    mask = sources.mask[rows]
    decoded = victim.greedy(ids, mask, rows)
    embeds = sources.vocabulary.victim.embed(ids).requires_grad_()
    with torch.enable_grad():
        logits = victim.logits(embeds, mask, decoded.outputs, rows).float()
        loss = goal.loss(goal.leads(logits, rows), decoded.outputs, decoded.lengths, rows)
        (gradient,) = torch.autograd.grad(loss.sum(), embeds)
    return loss.detach(), gradient * sources.changeable[rows][..., None], decoded.outputs
