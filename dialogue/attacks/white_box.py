"""What the white-box adversaries share: they speak as a regular agent does, and see into the target's mind.

An adversary is an `Agent`, so that it sits at the table like any other. It keeps a copy of what the target remembers of
each dialogue, and tries sentences on forks of it: all candidates of all dialogues at once, from the state in which the
history has left the target. The constraint (3.9) is looked at first, for it costs the speaking module only; the
decision module, most of the work, sees the candidates that pass, and most of these in half precision (`screening`).
The adversary takes what the target leaves, so it chooses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dialogue.agent import NegotiationAgent, Talk
from dialogue.attacks.goal import ENOUGH, OBJECTIVES, gains
from dialogue.attacks.history import History, Reader
from dialogue.attacks.screening import rough_copy, screened, worth_screening
from dialogue.attacks.search import Found, Score, search
from dialogue.configs import AttackConfig, BadInput
from dialogue.domain import ITEMS, NO_DEAL, SHARES, Scenario
from dialogue.types import EOS, MARKS, PAD, SELECTION, THEM, YOU, Attempt, Utterances
from textadv.noise import series

NUMBERS = "zero one two three four five six seven eight nine ten".split()
DEAL_WORDS = {*ITEMS, *(f"{item}s" for item in ITEMS), *NUMBERS, *map(str, range(11))}


@dataclass
class Memory:
    """What an adversary remembers of B dialogues.

    own: of its speaking module. target: a copy of what the target remembers. gain: (B, C) of `goal.gains`.
    spoken: (B,) utterances so far, of both sides. acted: (B,) whether it has attacked; closing: (B,) whether it ends
    the talk next. queries: (B,) sentences that the target was tried on; candidates: (B,) how many different ones;
    decisions: (B,) how often its decision module ran. attempts: one for each of the adversary's turns.
    """

    own: Talk
    target: Talk
    gain: Tensor
    spoken: Tensor
    acted: Tensor
    closing: Tensor
    queries: Tensor
    candidates: Tensor
    decisions: Tensor
    attempts: list[list[Attempt]]


class WhiteBoxAdversary:
    """Speaks as `speaker` would, unless `attack` finds something better.

    Args:
        speaker: the regular speaking module; target: what is attacked. They must have one vocabulary.
        config: how it attacks.

    Raises:
        BadInput: two vocabularies; a target that isn't a `NegotiationAgent`.
    """

    def __init__(self, speaker: NegotiationAgent, target: NegotiationAgent, config: AttackConfig) -> None:
        if not isinstance(target, NegotiationAgent):
            raise BadInput(f"a {type(target).__name__} has no inside to look at; attack it with rl or transfer")
        if speaker.vocabulary != target.vocabulary:
            raise BadInput("the adversary's speaking module and the target have different vocabularies")
        self.speaker, self.target, self.config = speaker, target, config
        rough = rough_copy(target, config.screening)
        self.reader, self.rough = Reader(target), Reader(rough) if rough else None
        number = {word: i for i, word in enumerate(target.vocabulary)}
        self.pad, self.selection, self.you, self.them = (number[mark] for mark in (PAD, SELECTION, YOU, THEM))
        marks, deal = {*MARKS, YOU, THEM}, DEAL_WORDS if config.protect_deal else set()
        unsaid = deal | (marks if config.legal_only else {EOS})
        self.words = torch.tensor([i for word, i in number.items() if word not in unsaid], device=target.device)
        self.fixed = torch.tensor([i for word, i in number.items() if word in marks | deal], device=target.device)
        self.objective = OBJECTIVES[config.objective]

    # An `Agent`

    def begin(self, scenarios: Sequence[Scenario], seeds: Tensor) -> Memory:
        own = self.speaker.begin(scenarios, seeds)
        target = self.target.begin([scenario.swapped for scenario in scenarios], seeds)
        spoken, queries, candidates, decisions = torch.zeros_like(own.lengths).repeat(4, 1)
        acted, closing = torch.zeros_like(own.lengths, dtype=torch.bool).repeat(2, 1)
        gain = gains(scenarios).to(own.words.device)
        attempts: list[list[Attempt]] = [[] for _ in scenarios]
        return Memory(own, target, gain, spoken, acted, closing, queries, candidates, decisions, attempts)

    def read(self, memory: Memory, rows: Tensor, said: Utterances, *, own: bool = False) -> None:
        rows = rows.to(memory.spoken.device)
        self.speaker.read(memory.own, rows, said, own=own)
        self.target.read(memory.target, rows, said, own=not own)
        memory.spoken[rows] += 1

    def write(self, memory: Memory, rows: Tensor) -> Utterances:
        rows = rows.to(memory.spoken.device)
        base = self.speaker.write(memory.own.fork(rows), _all(rows))
        for row, text in zip(rows.tolist(), base.texts(), strict=True):
            memory.attempts[row].append(Attempt("regular", text))
        said = self.attack(memory, rows, base)
        self.read(memory, rows, said, own=True)
        return said

    def choose(self, memory: Memory, rows: Tensor) -> Tensor:
        raise NotImplementedError("the adversary takes what the target leaves")

    def attack(self, memory: Memory, rows: Tensor, base: Utterances) -> Utterances:
        """What is said in `rows` in place of `base`, the regular sentences."""
        raise NotImplementedError

    # What attacks are made of

    def closed(self, memory: Memory, rows: Tensor, base: Utterances) -> Utterances:
        """`base`, but `<selection>` where the adversary has decided to end the talk."""
        closing = memory.closing[rows]
        if not closing.any():
            return base
        for row in rows[closing].tolist():
            memory.attempts[row][-1] = Attempt("closing", SELECTION)
        ids, lengths = base.ids.clone(), base.lengths.clone()
        ids[closing], lengths[closing] = self.pad, 1
        ids[closing, 0] = self.selection
        return Utterances(ids, lengths, base.vocabulary)

    def replaced(
        self, memory: Memory, rows: Tensor, base: Utterances, due: Tensor, kind: str, *, only_successes: bool
    ) -> tuple[Utterances, Tensor]:
        """What to say in place of `base`, and where that was searched for and found: (n,).

        Args:
            due: (n,) where to search. A sentence that ends the talk stays as it is: nobody answers it.
            kind: "reactive" or "preemptive".
            only_successes: else the best sentence is said wherever one keeps to the constraints.
        """
        due = due & ~base.ends_talk()
        some = due.nonzero()[:, 0]
        if len(some) == 0:
            return base, due
        tried = Utterances(base.ids[some], base.lengths[some], base.vocabulary)
        at = rows[some]
        ratio = self._ratios(memory, at, tried)
        if kind == "reactive":
            found = self._search(memory, at, tried, self._reactive(memory, at, tried), ratio, ENOUGH[kind])
        else:
            found = self._search(memory, at, tried, self._preemptive(memory, at, tried, 1), ratio, ENOUGH[kind])
            if self.target.temperature:  # it has to work whatever the target says
                confirm = self._preemptive(memory, at, tried, self.config.replies)
                mean, _ = confirm(_all(at), found.ids, torch.zeros_like(at), True)
                found.loss = mean.where(found.loss.isfinite(), found.loss)
        enough = ENOUGH[kind][self.config.objective]
        good = found.loss <= enough if only_successes else found.loss.isfinite()
        kept = some[good]
        ids = base.ids.clone()
        ids[kept] = found.ids[good]
        self._tell(memory, at[good], _rows(tried, good), found.loss[good], ratio(_all(at), found.ids)[good], kind)
        return Utterances(ids, base.lengths, base.vocabulary), torch.zeros_like(due).index_fill(0, kept, True)

    def _search(
        self, memory: Memory, rows: Tensor, base: Utterances, score: Score, ratio: Any, enough: dict[str, float]
    ) -> Found:
        """The best sentence near each of `base`, said in `rows`."""
        inside = torch.arange(base.ids.shape[1], device=base.ids.device) < base.lengths[:, None]
        limit = self.config.max_perplexity_ratio

        def limited(owner: Tensor, ids: Tensor, alike: Tensor, everything: bool) -> tuple[Tensor, Tensor]:
            loss, hinge = score(owner, ids, alike, everything)
            return loss, hinge + (ratio(owner, ids) / limit).log().clamp(min=0)

        found = search(
            base.ids,
            inside & ~torch.isin(base.ids, self.fixed),
            self.words,
            score if limit is None else limited,
            method=self.config.search,
            changes=self.config.changes,
            enough=enough[self.config.objective],
            pad=self.pad,
        )
        memory.candidates[rows] += found.candidates
        return found

    def _reactive(self, memory: Memory, rows: Tensor, base: Utterances) -> Score:
        """Scores sentences after which the target shall say `<selection>` (3.9) and decide in our favour (3.10)."""
        end = base.ids.new_tensor([self.you, self.selection])

        def score(owner: Tensor, ids: Tensor, alike: Tensor, everything: bool) -> tuple[Tensor, Tensor]:
            _count(memory.queries, rows[owner])
            history, which = self._begun(memory, rows, owner, ids, alike)
            ids, lengths = _rest(ids, alike), base.lengths[owner] - alike
            logits = history.first_word_logits(which, ids, lengths)
            others = logits.index_fill(1, end[1:], -torch.inf).amax(1)
            hinge = (others - logits[:, self.selection]).clamp(min=0)
            deciding = _all(owner) if everything else (hinge == 0).nonzero()[:, 0]
            loss = torch.full_like(hinge, torch.inf)
            if len(deciding):
                lengths = lengths[deciding]
                said = torch.cat([ids[deciding], ids.new_full((len(deciding), 2), self.pad)], dim=1)
                said.scatter_(1, lengths[:, None] + _all(end), end.expand(len(deciding), 2))
                losses = self._losses(
                    memory, rows[owner[deciding]], history, which[deciding], said, lengths + 2, everything
                )
                loss[deciding] = losses.to(loss.dtype)
            return loss, hinge

        return score

    def _preemptive(self, memory: Memory, rows: Tensor, base: Utterances, replies: int) -> Score:
        """Scores sentences after whose reply the adversary ends the talk, and the target decides (3.12).

        The loss is a mean over replies. Each is drawn with the same numbers for all sentences of a dialogue, and not
        with those that the real one is drawn with.
        """

        them = base.ids.new_tensor([[self.them]])

        def score(owner: Tensor, ids: Tensor, alike: Tensor, everything: bool) -> tuple[Tensor, Tensor]:
            everyone, losses = _all(owner), []
            history, which = self._begun(memory, rows, owner, ids, alike)
            begun = memory.target.lengths[rows[owner]] + 1 + alike  # where the sentences part
            heard = memory.target.fork(rows[owner])
            heard.append(everyone, torch.cat([them.expand(len(ids), 1), ids], dim=1), base.lengths[owner] + 1)
            heard.state = history.states(which, _rest(ids, alike), base.lengths[owner] - alike)
            heard.turns += 1
            for number in range(replies):
                fork = heard.fork(everyone)
                _count(memory.queries, rows[owner])
                fork.seeds = series(fork.seeds, number)
                over = self.target.write(fork, everyone).ends_talk()
                self._end(fork, (~over).nonzero()[:, 0])
                ids_, lengths = _rest(fork.words, begun), fork.lengths - begun
                exactly = everything or replies > 1  # a mean over replies needs them all
                losses.append(self._losses(memory, rows[owner], history, which, ids_, lengths, exactly))
            return torch.stack(losses).mean(0), torch.zeros_like(losses[0])

        return score

    def _begun(self, memory: Memory, rows: Tensor, owner: Tensor, ids: Tensor, alike: Tensor) -> tuple[History, Tensor]:
        """The histories that sentences (N, L) go on from where they part, and the number of each one's (N,)."""
        pairs, which = torch.stack([owner, alike]).unique(dim=1, return_inverse=True)
        first = torch.empty_like(pairs[0]).scatter_(0, which, _all(which))  # a sentence of each
        return History(self.reader, memory.target, rows[pairs[0]], ids[first], pairs[1], self.rough), which

    def _end(self, talk: Talk, rows: Tensor) -> None:
        """The adversary ends the talks of the target: it is left to choose."""
        if len(rows):
            end = talk.words.new_tensor([self.them, self.selection])
            talk.append(rows, end.expand(len(rows), 2), torch.full_like(rows, 2))

    def _losses(
        self,
        memory: Memory,
        rows: Tensor,
        history: History,
        which: Tensor,
        ids: Tensor,
        lengths: Tensor,
        exactly: bool,
    ) -> Tensor:
        """(N,) losses where words (N, L) end the talk; unless all are asked for, inf for those that look bad.

        Args:
            which: (N,) the history that each goes on from.
        """

        def exact(some: Tensor) -> Tensor:
            scores = history.choice_scores(which[some], ids[some], lengths[some])
            return self._loss(memory, rows[some], scores)

        if exactly or not self.rough or not worth_screening(rows):
            return exact(_all(which))
        rough = self._loss(memory, rows, history.rough_choice_scores(which, ids, lengths))
        return screened(rough, rows, exact)

    def _loss(self, memory: Memory, rows: Tensor, scores: Tensor) -> Tensor:
        """(N,) the loss of what the target decides by scores (N, C)."""
        _count(memory.decisions, rows)
        return self.objective(scores, memory.gain[rows])

    def _ratios(self, memory: Memory, rows: Tensor, base: Utterances) -> Any:
        """A function of rows' numbers (N,) and sentences (N, L): perplexity over that of the regular sentence."""
        regular = self.speaker.surprise(memory.own, rows, base)

        def ratio(owner: Tensor, ids: Tensor) -> Tensor:
            said = Utterances(ids, base.lengths[owner], base.vocabulary)
            return (self.speaker.surprise(memory.own, rows[owner], said) - regular[owner]).exp()

        return ratio

    def _tell(self, memory: Memory, rows: Tensor, base: Utterances, losses: Tensor, ratios: Tensor, kind: str) -> None:
        """Notes what was found, and what the target would have done without it."""
        if len(rows) == 0:
            return
        everyone, fork = _all(rows), memory.target.fork(rows)
        self.target.read(fork, everyone, base)
        reply = self.target.write(fork, everyone)
        self._end(fork, (~reply.ends_talk()).nonzero()[:, 0])
        choices = self.target.choose(fork, everyone).tolist()
        told = zip(rows.tolist(), base.texts(), losses.tolist(), ratios.tolist(), reply.texts(), choices, strict=True)
        for row, text, loss, ratio, answer, choice in told:
            share = () if choice == NO_DEAL else SHARES[choice]
            memory.attempts[row][-1] = Attempt(kind, text, loss, ratio, answer, share)


def _count(counts: Tensor, rows: Tensor) -> None:
    counts += torch.bincount(rows, minlength=len(counts))


def _rest(ids: Tensor, start: Tensor) -> Tensor:
    """(N, L) the words from `start` (N,) on, then any."""
    place = start[:, None] + torch.arange(ids.shape[1] - int(start.min()), device=ids.device)
    return ids.gather(1, place.clamp(max=ids.shape[1] - 1))


def _all(rows: Tensor) -> Tensor:
    return torch.arange(len(rows), device=rows.device)


def _rows(said: Utterances, some: Tensor) -> Utterances:
    return Utterances(said.ids[some], said.lengths[some], said.vocabulary)
