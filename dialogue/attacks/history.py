"""What a target makes of many sentences that begin alike: the work that they share is done once.

A reactive attack asks for the target's next word and its decision after thousands of sentences, all of them behind the
same history, and alike up to the word that changes. Of the decision module, most of the work, these parts depend on
what is alike alone: the speaking states of its words, what they give to the gates of both directions, the whole forward
direction, and that one's share of the attention. What is left for a sentence is the rest of its words, and the backward
direction over the history, in which only the recurrent product is left to do. And what a word vector gives to a gate is
the same wherever the word stands: a row of a table that is made once. The results are those of
`NegotiationAgent.choice_scores`, up to rounding.

Shapes: n histories, N sentences that go on from them, H words of the longest history, L of the longest sentence, V of
the vocabulary, d and s the states of the speaking and of the deciding GRU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dialogue.agent import NegotiationAgent, Talk, choice_scores
from dialogue.types import THEM, YOU

AT_ONCE = 512  # sentences: what a CPU's cache holds


class Direction:
    """One direction of a GRU that reads words, and something beside each of them, of k numbers.

    Args:
        vectors: (V, e) of the words; `words` and `beside` are their columns in the GRU's input weights.
    """

    def __init__(self, gru: nn.GRU, suffix: str, vectors: Tensor, words: slice, beside: slice) -> None:
        names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
        given, self.recurrent, bias, self.bias = (getattr(gru, name + suffix) for name in names)
        self.table = torch.addmm(bias, vectors, given[:, words].T)  # (V, 3 states)
        self.beside = given[:, beside]  # (3 states, k)

    def gates(self, words: Tensor, beside: Tensor) -> Tensor:
        """(N, L, 3 states) what words (N, L) and what is beside them (N, L or 1, k) give to the gates."""
        return self.table[words] + beside @ self.beside.T

    def run(self, gates: Tensor, state: Tensor) -> Tensor:
        """The states (N, L, ...) over given gates (N, L, ...), from `state` (N, ...) on."""
        found = state.new_empty(len(state), gates.shape[1], state.shape[1])
        for t in range(gates.shape[1]):
            found[:, t] = state = self.step(gates[:, t], state)
        return found

    def step(self, given: Tensor, state: Tensor) -> Tensor:
        """The state (N, ...) after one more word, of given gates (N, 3 states)."""
        own, s = torch.addmm(self.bias, state, self.recurrent.T), state.shape[1]
        reset, update = (given[:, : 2 * s] + own[:, : 2 * s]).sigmoid_().chunk(2, dim=1)
        new = torch.addcmul(given[:, 2 * s :], reset, own[:, 2 * s :]).tanh_()
        return torch.lerp(new, state, update)


class Reader:
    """An agent with the directions of its GRUs."""

    @torch.no_grad()
    def __init__(self, agent: NegotiationAgent) -> None:
        d, e, vectors = agent.config.hidden_size, agent.config.embedding_size, agent.embedding.weight
        self.agent = agent
        self.speaker = Direction(agent.speaker, "", vectors, slice(e), slice(e, None))  # the context beside words
        self.forward = Direction(agent.selector, "", vectors, slice(d, None), slice(d))  # speaking states beside words
        self.backward = Direction(agent.selector, "_reverse", vectors, slice(d, None), slice(d))


class History:
    """The talks of an agent up to somewhere in what the other side says.

    Args:
        rows: (n,) of the talk.
        begun: (n, L) words of the other side's sentence, of which `lengths` (n,) are said.
        rough: the agent in another precision, which `rough_choice_scores` asks.
    """

    @torch.no_grad()
    def __init__(
        self,
        reader: Reader,
        talk: Talk,
        rows: Tensor,
        begun: Tensor,
        lengths: Tensor,
        rough: Reader | None = None,
    ) -> None:
        agent = reader.agent
        self.reader, self.rough = reader, History(rough, talk, rows, begun, lengths) if rough else None
        rows = rows.to(agent.device)
        self.counts, self.context = talk.counts[rows], talk.context[rows].to(agent.dtype)
        self.spoken = self.context @ reader.speaker.beside.T  # (n, 3 d) what the context gives to every word's gates
        mark = rows.new_full((len(rows), 1), agent.vocabulary.index(THEM))
        self.you = agent.vocabulary.index(YOU)
        fork = talk.fork(rows)
        fork.append(torch.arange(len(rows), device=rows.device), torch.cat([mark, begun], dim=1), lengths + 1)
        words, lengths = fork.words[:, : int(fork.lengths.max())], fork.lengths
        gates = reader.speaker.gates(words, self.context[:, None])
        states = reader.speaker.run(gates, self.context.new_zeros(len(rows), agent.config.hidden_size))  # (n, H, d)
        self.state = _last(states, lengths)
        zero = self.context.new_zeros(len(rows), agent.config.selection_size)
        forwards = reader.forward.run(reader.forward.gates(words, states), zero)
        self.last = _last(forwards, lengths)
        # From here on, histories end together: what is missing is missing at their beginning.
        places = torch.arange(words.shape[1], device=rows.device) - (words.shape[1] - lengths[:, None])
        self.inside = places >= 0  # (n, H)
        places = places.clamp(min=0)
        self.gates = _taken(reader.backward.gates(words, states), places)
        self.forwards = _taken(forwards, places)
        hidden: Any = agent.attention[0]
        self.heed = self.forwards @ hidden.weight[:, : forwards.shape[2]].T + hidden.bias  # (n, H, s)

    @torch.no_grad()
    def states(self, owner: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, d) the speaking state after the rest of sentences.

        Args:
            owner: (N,) the history that each goes on from; ids: (N, L), of which `lengths` (N,) count.
        """
        return _by_length(lambda *rest: _last(self._spoken(*rest[:2]), rest[2]), owner, ids, lengths)

    @torch.no_grad()
    def first_word_logits(self, owner: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, V) of the first word of the answer to sentences, as `NegotiationAgent.first_word_logits`."""
        agent, speaker = self.reader.agent, self.reader.speaker
        after = speaker.step(speaker.table[self.you] + self.spoken[owner], self.states(owner, ids, lengths))
        return agent.sayable(agent.word_logits(after))

    @torch.no_grad()
    def choice_scores(self, owner: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, C) what is chosen after words (N, L) that end the talk, as `NegotiationAgent.choice_scores`."""
        return _by_length(self._choice_scores, owner, ids, lengths)

    def rough_choice_scores(self, owner: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, C) the same by the rough agent."""
        assert self.rough, "it was made without one"
        return self.rough.choice_scores(owner, ids, lengths)

    def _spoken(self, owner: Tensor, ids: Tensor) -> Tensor:
        """The speaking states (N, L, d) over more words."""
        speaker = self.reader.speaker
        return speaker.run(speaker.table[ids] + self.spoken[owner, None], self.state[owner])

    def _choice_scores(self, owner: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        reader, agent, states = self.reader, self.reader.agent, self._spoken(owner, ids)
        forwards = reader.forward.run(reader.forward.gates(ids, states), self.last[owner])  # (N, L, s)
        place = torch.arange(ids.shape[1], device=ids.device)
        within = place < lengths[:, None]
        turned = (lengths[:, None] - 1 - place).clamp(min=0)  # each row's words from its last one on
        gates = reader.backward.gates(ids.gather(1, turned), _taken(states, turned))
        backwards = _taken(reader.backward.run(gates, torch.zeros_like(forwards[:, 0])), turned)
        earlier = self._backwards(backwards[:, 0], owner)  # (N, H, s)
        attention: Any = agent.attention
        hidden, weigh = attention[0], attention[2]
        s = forwards.shape[2]
        ours = torch.cat([forwards, backwards], dim=2) @ hidden.weight.T + hidden.bias
        theirs = torch.addmm(self.heed[owner].flatten(0, 1), earlier.flatten(0, 1), hidden.weight[:, s:].T)
        weight = torch.cat([weigh(theirs.tanh_()).view(len(ids), -1), weigh(ours.tanh_())[..., 0]], dim=1)
        weight = weight.masked_fill(~torch.cat([self.inside[owner], within], dim=1), -torch.inf).softmax(1)
        before, after = weight[:, None, : earlier.shape[1]], weight[:, None, earlier.shape[1] :]
        attended = torch.cat(
            [before @ self.forwards[owner] + after @ forwards, before @ earlier + after @ backwards], dim=2
        )[:, 0]
        logits = agent.heads(agent.summary(torch.cat([attended, self.context[owner]], dim=1)))
        return choice_scores(
            logits.unflatten(1, (6, -1)).to(torch.promote_types(logits.dtype, torch.float32)), self.counts[owner]
        )

    def _backwards(self, state: Tensor, owner: Tensor) -> Tensor:
        """The backward direction over the histories (N, H, s), from `state` (N, s) on."""
        found = state.new_empty(len(state), self.gates.shape[1], state.shape[1])
        for t in reversed(range(self.gates.shape[1])):
            found[:, t] = state = self.reader.backward.step(self.gates[owner, t], state)
        return found


def _by_length(function: Callable[..., Tensor], owner: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
    """A function of sentences, some at a time, those of about one length together."""
    order, found = lengths.argsort(stable=True), []
    for some in order.split(AT_ONCE):
        found.append(function(owner[some], ids[some, : int(lengths[some[-1]])], lengths[some]))
    return torch.cat(found)[order.argsort()]


def _last(states: Tensor, lengths: Tensor) -> Tensor:
    """(N, s) the states (N, L, s) of each row's last word."""
    return states[torch.arange(len(states), device=states.device), lengths - 1]


def _taken(values: Tensor, places: Tensor) -> Tensor:
    """Values (N, L, ...) in another order (N, L') of each row."""
    return values.gather(1, places[..., None].expand(-1, -1, values.shape[2]))
