"""What a target makes of many sentences that begin alike: the work that they share is done once.

A reactive attack asks for the target's next word and its decision after thousands of sentences, all of them behind the
same history, and alike up to the word that changes. Of the decision module, most of the work, these parts depend on
what is alike alone: the speaking states of its words, what they give to the gates of both directions, the whole forward
direction, and that one's share of the attention. What is left for a sentence is the rest of its words, and the backward
direction over the history, in which only the recurrent product is left to do. The results are those of
`NegotiationAgent.choice_scores`, up to rounding.

Shapes: n histories, N sentences that go on from them, H words of the longest history, L of the longest sentence, d and
s the states of the speaking and of the deciding GRU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from dialogue.agent import NegotiationAgent, Talk, choice_scores
from dialogue.types import THEM, YOU

AT_ONCE = 512  # sentences: what a CPU's cache holds


class History:
    """The talks of an agent up to somewhere in what the other side says.

    Args:
        rows: (n,) of the talk.
        begun: (n, L) words of the other side's sentence, of which `lengths` (n,) are said.
    """

    @torch.no_grad()
    def __init__(self, agent: NegotiationAgent, talk: Talk, rows: Tensor, begun: Tensor, lengths: Tensor) -> None:
        self.agent = agent
        rows = rows.to(agent.device)
        self.counts, self.context = talk.counts[rows], talk.context[rows]
        mark = rows.new_full((len(rows), 1), agent.vocabulary.index(THEM))
        self.you = mark.new_tensor(agent.vocabulary.index(YOU))
        fork = talk.fork(rows)
        fork.append(torch.arange(len(rows), device=rows.device), torch.cat([mark, begun], dim=1), lengths + 1)
        words, lengths = fork.words[:, : int(fork.lengths.max())], fork.lengths
        embedded = agent.embedding(words)
        states = agent.states(embedded, lengths, self.context)  # (n, H, d)
        self.state = _last(states, lengths)
        read = torch.cat([states, embedded], dim=2)
        forward, self.backward = _direction(agent.selector, ""), _direction(agent.selector, "_reverse")
        forwards = _run(forward, read, read.new_zeros(len(rows), agent.config.selection_size))
        self.forward, self.last = forward, _last(forwards, lengths)
        # From here on, histories end together: what is missing is missing at their beginning.
        places = torch.arange(words.shape[1], device=rows.device) - (words.shape[1] - lengths[:, None])
        self.inside = places >= 0  # (n, H)
        places = places.clamp(min=0)
        gates = read @ self.backward[0].T + self.backward[2]
        self.gates, self.forwards = _taken(gates, places), _taken(forwards, places)
        hidden: Any = agent.attention[0]
        self.heed = self.forwards @ hidden.weight[:, : forwards.shape[2]].T + hidden.bias  # (n, H, s)

    @torch.no_grad()
    def first_word_logits(self, owner: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, V) of the first word of the answer to the rest of sentences, as `NegotiationAgent.first_word_logits`.

        Args:
            owner: (N,) the history that each goes on from; ids: (N, L), of which `lengths` (N,) count.
        """

        def logits(owner: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
            states, _ = self._spoken(owner, ids)
            agent, mark = self.agent, self.you.expand(len(ids))
            return agent.sayable(agent.word_logits(agent._step(mark, _last(states, lengths), self.context[owner])))

        return _by_length(logits, owner, ids, lengths)

    @torch.no_grad()
    def choice_scores(self, owner: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        """(N, C) what is chosen after words (N, L) that end the talk, as `NegotiationAgent.choice_scores`."""
        return _by_length(self._choice_scores, owner, ids, lengths)

    def _spoken(self, owner: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """The speaking states (N, L, d) over more words, and the words' vectors."""
        embedded = self.agent.embedding(ids)
        beside = self.context[owner, None].expand(-1, ids.shape[1], -1)
        states, _ = self.agent.speaker(torch.cat([embedded, beside], dim=2), self.state[owner][None].contiguous())
        return states, embedded

    def _choice_scores(self, owner: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
        agent, longest = self.agent, ids.shape[1]
        states, embedded = self._spoken(owner, ids)
        read = torch.cat([states, embedded], dim=2)
        forwards = _run(self.forward, read, self.last[owner])  # (N, L, s)
        place = torch.arange(longest, device=ids.device)
        within = place < lengths[:, None]
        turned = (lengths[:, None] - 1 - place).clamp(min=0)  # each row's words from its last one on
        backwards = _taken(_run(self.backward, _taken(read, turned), torch.zeros_like(forwards[:, 0])), turned)
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
        _, recurrent, _, bias = self.backward
        length, s = self.gates.shape[1], state.shape[1]
        found = state.new_empty(len(state), length, s)
        for t in reversed(range(length)):
            given = self.gates[owner, t]  # (N, 3 s)
            own = torch.addmm(bias, state, recurrent.T)
            reset, update = (given[:, : 2 * s] + own[:, : 2 * s]).sigmoid_().chunk(2, dim=1)
            new = torch.addcmul(given[:, 2 * s :], reset, own[:, 2 * s :]).tanh_()
            state = torch.lerp(new, state, update)
            found[:, t] = state
        return found


def _by_length(function: Callable[..., Tensor], owner: Tensor, ids: Tensor, lengths: Tensor) -> Tensor:
    """A function of sentences, some at a time, those of about one length together."""
    order, found = lengths.argsort(stable=True), []
    for some in order.split(AT_ONCE):
        found.append(function(owner[some], ids[some, : int(lengths[some[-1]])], lengths[some]))
    return torch.cat(found)[order.argsort()]


def _direction(gru: nn.GRU, suffix: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    one, two, three, four = (getattr(gru, name + suffix) for name in names)
    return one, two, three, four


def _run(weights: tuple[Tensor, ...], inputs: Tensor, state: Tensor) -> Tensor:
    """States (N, L, s) of one direction of a GRU over inputs (N, L, ...)."""
    options: dict[str, Any] = {"dropout": 0.0, "train": False, "bidirectional": False, "batch_first": True}
    return torch.gru(inputs, state[None].contiguous(), list(weights), True, 1, *options.values())[0]


def _last(states: Tensor, lengths: Tensor) -> Tensor:
    """(N, s) the states (N, L, s) of each row's last word."""
    return states[torch.arange(len(states), device=states.device), lengths - 1]


def _taken(values: Tensor, places: Tensor) -> Tensor:
    """Values (N, L, ...) in another order (N, L') of each row."""
    return values.gather(1, places[..., None].expand(-1, -1, values.shape[2]))
