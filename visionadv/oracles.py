"""All that an attack may ask of a victim, by how much it may see: decisions, scores, or gradients.

An oracle stands between an attack and a victim, for a batch of B images. It counts the queries of each image (one row
that the victim sees is one query, the unchanged image included), refuses what is beyond the budget, and keeps the
nearest success that the victim has confirmed. So an attack can neither cheat nor miscount: its result is what its
oracle saw. Images are clipped to [0, 1] before anything else, and distances are those of the clipped ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from visionadv.configs import BadInput
from visionadv.distances import NORMS, fits, size
from visionadv.goals import Goal
from visionadv.losses import Loss
from visionadv.pool import Pool
from visionadv.victims import check_shape


class DecisionOracle:
    """Tells whether the goal is reached, and nothing else.

    Args:
        victim: see `victims`.
        images: (B, ...) the originals, in [0, 1].
        goal: of these images.
        norm: of the distance that is to be small.
        eps: the largest distance that counts, none for any.
        budget: queries for each image, none for any number.
        pool: images that the attacker has, to start from where there is a target.
        unclipped: whether distances before clipping are followed, too, as the authors of OPT and Sign-OPT report them.

    Raises:
        BadInput: images outside [0, 1] or none, not a label for each, labels that the victim doesn't have, a norm that
            there isn't, a negative eps, an empty budget.
    """

    top_k: int | None = None  # classes of which a score is told, None for all

    def __init__(
        self,
        victim: Any,
        images: Tensor,
        goal: Goal,
        *,
        norm: str = "l2",
        eps: float | None = None,
        budget: int | None = None,
        pool: Pool | None = None,
        unclipped: bool = False,
    ) -> None:
        check_images(images)
        images = images.detach()
        check_labels(goal, victim.classes, len(images))
        if norm not in NORMS:
            raise BadInput(f"there is no distance {norm!r}; there are {', '.join(NORMS)}")
        if eps is not None and not eps >= 0:
            raise BadInput(f"eps must be at least 0, not {eps}")
        if budget is not None and budget < 1:
            raise BadInput(f"a budget of {budget} queries doesn't even show the unchanged image; give at least 1")
        self.victim, self.images, self.goal, self.norm, self.eps, self.budget = victim, images, goal, norm, eps, budget
        self.pool = pool
        self.queries = torch.zeros(len(images), dtype=torch.long, device=images.device)
        self.gradients = torch.zeros_like(self.queries)
        self.best = images.clone()
        self.distance = torch.full((len(images),), torch.inf, dtype=images.dtype, device=images.device)
        self.decisions = torch.full_like(self.queries, -1)
        self.closed = torch.zeros_like(self.queries, dtype=torch.bool)
        self.already = torch.zeros_like(self.closed)  # where the unchanged image is a success
        self.clean_classes = torch.full_like(self.queries, -1)  # of the unchanged images, the first that are shown
        self.curve: list[tuple[Tensor, Tensor, Tensor]] = []
        self.unclipped_curve: list[tuple[Tensor, Tensor, Tensor]] = []
        self._unclipped = torch.full_like(self.distance, torch.inf) if unclipped else None  # the least so far

    def begin(self) -> None:
        """Shows the unchanged images, a query each; where the goal is reached already, that is all."""
        everyone = torch.arange(len(self.images), device=self.images.device)
        self.already = self.reached(self.images, everyone)
        check_labels(self.goal, self.victim.classes, len(everyone))  # now that their number may be known
        self.close(everyone[self.already])

    @property
    def limit(self) -> float:
        """`eps`, for attacks that need one. Raises BadInput if there is none."""
        if self.eps is None:
            raise BadInput("this attack looks for the best image within a distance; give eps")
        return self.eps

    @property
    def found(self) -> Tensor:
        """(B,) where there is a success."""
        return self.distance.isfinite()

    @property
    def open(self) -> Tensor:
        """(B,) what may still be asked about: neither closed nor out of budget."""
        return ~self.closed if self.budget is None else ~self.closed & (self.queries < self.budget)

    def left(self) -> Tensor:
        """(n,) rows that are open."""
        return self.open.nonzero()[:, 0]

    def close(self, rows: Tensor) -> None:
        """Says that nothing more is to be done about images of `rows`."""
        self.closed[rows] = True

    def reached(self, images: Tensor, rows: Tensor) -> Tensor:
        """(N,) whether changed images (N, ...) of originals `rows` (N,) reach the goal; no, for what isn't shown."""
        unclipped = images
        images, numbers, shown = self._admit(images, rows)
        answer = torch.zeros_like(shown)
        if shown.any():
            some = which(shown)
            decisions = torch.cat([self.victim.decide(part) for part in equal_parts(images[some], self.victim.at_once)])
            answer[some] = self.goal.reached(decisions, rows[some])
            self._keep(images[some], rows[some], numbers[some], answer[some], decisions)
            if self._unclipped is not None:
                self._follow(unclipped[answer], rows[answer], numbers[answer])
        return answer

    def _admit(self, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Clipped images, the number (N,) of each one's query, and which are shown (N,)."""
        numbers = self.queries[rows] + 1
        if not (rows[1:] > rows[:-1]).all():  # an image is shown several times
            order = rows.argsort(stable=True)
            ordered = rows[order]
            numbers[order] += torch.arange(len(rows), device=rows.device) - torch.searchsorted(ordered, ordered)
        shown = ~self.closed[rows]
        if self.budget is not None:
            shown &= numbers <= self.budget
        self.queries += torch.bincount(rows[shown], minlength=len(self.queries))
        return images.detach().clamp(0, 1), numbers, shown

    def _keep(self, images: Tensor, rows: Tensor, numbers: Tensor, reached: Tensor, decisions: Tensor) -> None:
        """Notes the nearest successes among images that were shown."""
        first = numbers == 1
        self.clean_classes[rows[first]] = decisions[first]
        places = reached.nonzero()[:, 0]
        if len(places) == 0:
            return
        places, distance = self._within(images, rows, places)
        nearer = distance < self.distance[rows[places]]
        if not nearer.any():
            return
        places, distance = places[nearer], distance[nearer]
        self.curve.append(lows(rows[places], numbers[places], distance))
        places, distance = self._largest(-distance, rows, places)
        at = rows[places]
        self.best[at], self.distance[at], self.decisions[at] = images[places], -distance, decisions[places]

    def _within(self, images: Tensor, rows: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Of some `places` of images (N, ...) those within `eps`, and their distances."""
        distance = size(images[places] - self.images[rows[places]], self.norm)
        if self.eps is None:
            return places, distance
        inside = fits(distance, self.eps)
        return places[inside], distance[inside]

    def _follow(self, images: Tensor, rows: Tensor, numbers: Tensor) -> None:
        """Notes the least distances of successes that aren't clipped yet."""
        assert self._unclipped is not None
        distance = size(images - self.images[rows], self.norm)
        nearer = distance < self._unclipped[rows]
        self.unclipped_curve.append(lows(rows[nearer], numbers[nearer], distance[nearer]))
        self._unclipped.scatter_reduce_(0, rows, distance, "amin")

    def _largest(self, values: Tensor, rows: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Of values (n,) at `places` of rows (N,), the place of each row's largest, and that; the first of several."""
        rows = rows[places]
        largest = torch.full_like(self.distance, -torch.inf).scatter_reduce_(0, rows, values, "amax")
        top = values == largest[rows]
        never = int(places.max()) + 1 if len(places) else 0
        first = torch.full_like(self.queries, never).scatter_reduce_(0, rows[top], places[top], "amin")
        here = first < never
        return first[here], largest[here]


class ScoreOracle(DecisionOracle):
    """Tells the logits of every class, or anything that is monotone in them.

    Args:
        top_k: if given, it tells the log probabilities of the k likeliest classes, and -inf for all others.

    Raises:
        BadInput: as `DecisionOracle`; a victim that tells no scores; a `top_k` that is no number of classes.
    """

    def __init__(self, *args: Any, top_k: int | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        if not self.victim.scored:
            raise BadInput("the victim tells no scores; attack it by its decisions")
        check_top_k(top_k, self.victim.classes)
        self.top_k = top_k
        self.confidence = 0.0  # margin that a success must have, but for the unchanged image; attacks set it
        self.margin = torch.full_like(self.distance, -torch.inf)  # of `best`, as long as that is no success
        self.clean = torch.empty(0)

    def begin(self) -> None:
        everyone = torch.arange(len(self.images), device=self.images.device)
        self.clean = self.logits(self.images, everyone)  # (B, K)
        self.already = self.found.clone()
        self.close(everyone[self.already])

    def logits(self, images: Tensor, rows: Tensor) -> Tensor:
        """(N, K) of changed images (N, ...) of originals `rows` (N,); zeros for what isn't shown."""
        images, numbers, shown = self._admit(images, rows)
        if not shown.any():
            return self.clean.new_zeros(len(rows), self.clean.shape[1])
        some = which(shown)
        images, rows = images[some], rows[some]
        with torch.no_grad():
            told = torch.cat([self.victim.logits(part) for part in equal_parts(images, self.victim.at_once)])
        check_logits(told, len(images), self.victim.classes)
        if not len(self.clean):  # the first answer, which tells how many classes there are
            check_labels(self.goal, told.shape[1], len(self.images))
            check_top_k(self.top_k, told.shape[1])
        if self.top_k is not None:
            told = likeliest(told, self.top_k)
        self._note(images, rows, numbers[some], told)
        return spread(told, shown)

    def succeeds(self, logits: Tensor, rows: Tensor) -> Tensor:
        """(N,) whether logits (N, K) of originals `rows` (N,) are a success, by the margin that it must have."""
        reached = self.goal.reached(logits.argmax(1), rows)
        if self.confidence > 0:
            reached &= self.goal.margin(logits, rows) >= self.confidence
        return reached

    def _note(self, images: Tensor, rows: Tensor, numbers: Tensor, logits: Tensor) -> None:
        """Keeps the nearest success, and until there is one what comes nearest to it."""
        decisions, margin = logits.argmax(1), self.goal.margin(logits, rows)
        self._keep(images, rows, numbers, self.succeeds(logits, rows), decisions)
        places = (~self.found[rows] & (margin > self.margin[rows])).nonzero()[:, 0]
        if len(places) == 0:
            return
        if self.eps is not None:
            places, _ = self._within(images, rows, places)
        places, margin = self._largest(margin[places], rows, places)
        at = rows[places]
        self.best[at], self.margin[at], self.decisions[at] = images[places], margin, decisions[places]


class GradientOracle(ScoreOracle):
    """Tells gradients, too: a query and a gradient each.

    Raises:
        BadInput: as `ScoreOracle`, for a victim without gradients, within `torch.inference_mode`, where there are none
            either, and for a `top_k`, since gradients tell all.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if not self.victim.differentiable:
            raise BadInput("the victim has no gradients; attack it by its scores or its decisions")
        if torch.is_inference_mode_enabled():
            raise BadInput("there are no gradients within torch.inference_mode; attack outside of it")
        if self.top_k is not None:
            raise BadInput("who sees gradients sees the scores of all classes; leave out top_k")

    def gradient(self, images: Tensor, rows: Tensor, loss: Loss) -> tuple[Tensor, Tensor, Tensor]:
        """Loss (N,), its gradient (N, ...) and the logits (N, K) at changed images of originals `rows` (N,).

        Zeros for what isn't shown.
        """
        images, numbers, shown = self._admit(images, rows)
        if not shown.any():
            logits = images.new_zeros(len(rows), self.clean.shape[1])
            return images.new_zeros(len(rows)), torch.zeros_like(images), logits
        some = which(shown)
        images, rows = images[some], rows[some]
        values, slopes, logits = self._in_parts(partial(self._slope, loss), images, rows)
        self.gradients += torch.bincount(rows, minlength=len(self.gradients))
        self._note(images, rows, numbers[some], logits)
        return spread(values, shown), spread(slopes, shown), spread(logits, shown)

    def jacobian(self, images: Tensor, rows: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, K), and the gradients (N, C, ...) of those of C classes, a row of classes (N, C) for each image.

        One query and C gradients each; zeros for what isn't shown.
        """
        images, numbers, shown = self._admit(images, rows)
        if not shown.any():
            logits = images.new_zeros(len(rows), self.clean.shape[1])
            return logits, images.new_zeros(*classes.shape, *images.shape[1:])
        some = which(shown)
        images, rows = images[some], rows[some]
        logits, slopes = self._in_parts(self._slopes, images, classes[some])
        self.gradients += classes.shape[1] * torch.bincount(rows, minlength=len(self.gradients))
        self._note(images, rows, numbers[some], logits)
        return spread(logits, shown), spread(slopes, shown)

    def _in_parts(self, ask: Callable[..., tuple[Tensor, ...]], images: Tensor, *more: Tensor) -> list[Tensor]:
        """All that is answered about images and what belongs to them, asked about as many at once as is best."""
        parts = zip(*(equal_parts(one, self.victim.at_once) for one in (images, *more)), strict=True)
        answers = zip(*(ask(*part) for part in parts), strict=True)
        return [torch.cat(answer).to(images.dtype) for answer in answers]

    def _slope(self, loss: Loss, images: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `gradient`."""
        with torch.enable_grad():
            images, logits = self._with_gradient(images)
            values = loss(logits, self.goal, rows)
            (slopes,) = torch.autograd.grad(values.sum(), images)
        return values.detach(), finite_slopes(slopes), logits.detach()

    def _slopes(self, images: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """As `jacobian`."""
        with torch.enable_grad():
            images, logits = self._with_gradient(images)
            wanted = logits.gather(1, classes).sum(0)  # (C,)
            slopes = [
                torch.autograd.grad(value, images, retain_graph=place + 1 < len(wanted))[0]
                for place, value in enumerate(wanted)
            ]
        return logits.detach(), finite_slopes(torch.stack(slopes, dim=1))

    def _with_gradient(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images that a gradient can be taken for, and their logits."""
        images = images.detach().requires_grad_()
        logits = self.victim.logits(images)
        check_logits(logits, len(images), self.victim.classes)
        if not logits.requires_grad:
            raise BadInput("the victim's answer has no gradient; attack it by its scores or its decisions")
        return images, logits


def finite_slopes(slopes: Tensor) -> Tensor:
    """Gradients as they are. Raises BadInput for NaN and infinity, by which nothing would be found."""
    if not slopes.isfinite().all():
        raise BadInput("the victim's gradient is NaN or infinite; check it, or attack it by its scores or decisions")
    return slopes


def equal_parts(values: Tensor, at_once: int) -> tuple[Tensor, ...]:
    """Of values (N, ...) parts of one size, about as many as are best asked about together.

    They may be a quarter more: a part of a few images takes almost as long as a large one.
    """
    return values.chunk(max(1, math.ceil(len(values) / at_once - 0.25)))


def which(shown: Tensor) -> Tensor | slice:
    """An index of what is shown (N,); where that is all, a slice, which copies nothing."""
    return slice(None) if shown.all() else shown


def spread(told: Tensor, shown: Tensor) -> Tensor:
    """What is told of n that were shown (n, ...), among all (N, ...); zeros for the others."""
    if len(told) == len(shown):
        return told
    return told.new_zeros(len(shown), *told.shape[1:]).index_copy_(0, shown.nonzero()[:, 0], told)


def likeliest(logits: Tensor, count: int) -> Tensor:
    """(N, K) log probabilities of the likeliest classes, -inf of the others."""
    values, classes = logits.log_softmax(1).topk(count, dim=1)
    return torch.full_like(logits, -torch.inf).scatter_(1, classes, values)


def lows(rows: Tensor, numbers: Tensor, distances: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of successes (n,), in the order of their `numbers`, those that are nearer than all of their row before them."""
    if (rows[1:] > rows[:-1]).all():  # one of each row
        return rows, numbers, distances
    order = rows.argsort(stable=True)
    ranks = distances.unique(return_inverse=True)[1][order]
    below = ranks - len(ranks) * rows[order]  # so that a row is below all rows before it
    low = torch.ones_like(below, dtype=torch.bool)
    low[1:] = below[1:] < below.cummin(0).values[:-1]
    order = order[low]
    return rows[order], numbers[order], distances[order]


def check_images(images: Tensor) -> None:
    """Raises BadInput for values outside [0, 1] or of half precision, where there are none, and for no tensor."""
    if not isinstance(images, Tensor):
        raise BadInput(f"images are a tensor (B, ...), and not a {type(images).__name__}")
    if not images.numel():
        raise BadInput(f"there are no images in a batch of the shape {tuple(images.shape)}")
    low, high = (float(one) for one in images.detach().aminmax())
    if not (low >= 0 and high <= 1):
        raise BadInput(f"images are from 0 to 1, and these go from {low:g} to {high:g}; scale them")
    if images.dtype not in (torch.float32, torch.float64):
        raise BadInput(f"images are float32 or float64, and these are {images.dtype}; convert them")


def check_labels(goal: Goal, classes: int | None, count: int) -> None:
    """Raises BadInput for labels or targets that aren't one of the victim's classes for each of `count` images."""
    for name, values in (("label", goal.labels), ("target", goal.aims)):
        if values.shape != (count,) or values.dtype != torch.long:
            told = f"{name}s are {values.dtype} of the shape {tuple(values.shape)}"
            raise BadInput(f"{told}, where torch.int64 of ({count},) was expected: one for each image")
        wrong = (values < 0) | (values >= (classes or torch.inf))
        if wrong.any():
            raise BadInput(f"{name} {int(values[wrong][0])} is none of the victim's {classes} classes, from 0 on")


def check_top_k(top_k: int | None, classes: int | None) -> None:
    """Raises BadInput for a number of likeliest classes that isn't one of 1 to all of them."""
    if top_k is not None and not 1 <= top_k <= (classes or top_k):
        raise BadInput(f"top_k is {top_k}, and the victim has {classes or 'several'} classes; give one of 1 to these")


def check_logits(logits: Tensor, count: int, classes: int | None) -> None:
    """Raises BadInput for an answer that is no row of finite numbers for each image."""
    check_shape(logits, count, classes)
    if not logits.isfinite().all():
        raise BadInput("the victim answered NaN or infinity; check its weights, and the scale of what it expects")
