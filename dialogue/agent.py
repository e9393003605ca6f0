"""The negotiation agent of Lewis et al. (EMNLP 2017, arXiv:1706.05125, sections 3.1 and 4): it speaks and decides.

A GRU reads and writes the words of both sides, the context (counts and own values) beside every word; a bidirectional
GRU with attention reads the whole dialogue over that one's states and decides which items are whose. Sizes and starting
weights are those of the authors' code, which AdvAgent's follows. Shapes: B dialogues, T words, V vocabulary, d states.

Deviations from the authors' code:

- The six heads of the decision have the six outcomes that they can have (0 to 4 items, or no agreement), not all 18
  tokens of all items; contradictions and disconnections, which it doesn't learn either, are no outcomes.
- Padding counts nowhere: not in the loss of the words, not in the decision's GRU, not in its attention.
- The decision sees the whole dialogue, `<selection>` included, in training as in play.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.utils.generic import ModelOutput

from dialogue.domain import MOST, NO_DEAL, SHARES, WORTH, Scenario, shares, tables
from dialogue.types import EOS, MARKS, PAD, SELECTION, THEM, UNK, YOU, Utterances
from textadv.noise import uniform

IGNORED = -100  # a label that doesn't count: transformers' convention
OUTCOMES = MOST + 2  # of a head: 0 to 4 items, no agreement
NOTHING_AGREED = MOST + 1
DECIDED_AT_ONCE = 64  # dialogues: a CPU's cache holds no more of them


class NegotiationConfig(PreTrainedConfig):
    """Vocabulary, sizes and manner of speaking of a `NegotiationAgent`; the defaults are the paper's.

    Args:
        words: the vocabulary, `MARKS` first.
        embedding_size: of word vectors, input and output.
        context_size: of the vectors of counts and values, and of the context.
        hidden_size: d, of the speaking GRU.
        selection_size: of the decision's GRU in either direction, of its attention and of its last layer.
        dropout: on what the decision's GRU and its last layer read.
        word_dropout: on what the speaking GRU reads; None: as the other.
        output_dropout: on the speaking GRU's states, where words come of them; the authors have none.
        selection_weight: of the decision's loss beside the words'.
        init_range: weights start uniform in [-init_range, init_range], biases at 0, the decision's GRU as torch has it.
        temperature: of the words that it says; 0 says the likeliest.
        max_words: of an utterance; a longer one is cut off.
    """

    model_type = "negotiation_agent"

    words: list[str] | None = None
    vocab_size: int = len(MARKS)
    embedding_size: int = 256
    context_size: int = 64
    hidden_size: int = 128
    selection_size: int = 256
    dropout: float = 0.5
    word_dropout: float | None = None
    output_dropout: float = 0.0
    selection_weight: float = 0.5
    init_range: float = 0.1
    temperature: float = 0.5
    max_words: int = 100

    def __post_init__(self, **kwargs: Any) -> None:
        self.words = list(self.words or [*MARKS, YOU, THEM])
        if tuple(self.words[: len(MARKS)]) != MARKS or not {YOU, THEM} <= set(self.words):
            raise ValueError(f"words must begin with {', '.join(MARKS)}, and hold {YOU} and {THEM}")
        self.vocab_size = len(self.words)
        super().__post_init__(**kwargs)


@dataclass
class NegotiationOutput(ModelOutput):
    """Losses and logits of a batch of dialogues.

    loss: of words and decision together; word_loss, selection_loss: the mean of each, in nats.
    logits: (B, T, V) of the next word. selection_logits: (B, 6, 6) of own share and partner's, item by item.
    """

    loss: Tensor | None = None
    word_loss: Tensor | None = None
    selection_loss: Tensor | None = None
    logits: Tensor | None = None
    selection_logits: Tensor | None = None


@dataclass
class Talk:
    """What an agent remembers of B dialogues: tables, state (B, d), and the words (B, T) so far."""

    counts: Tensor
    values: Tensor
    seeds: Tensor
    context: Tensor
    state: Tensor
    words: Tensor
    lengths: Tensor
    turns: Tensor  # (B,) utterances so far

    def fork(self, rows: Tensor) -> Talk:
        """The talks of `rows` (n,), as often as each is named, to be gone on with apart from this one."""
        longest = int(self.lengths[rows].max()) if len(rows) else 0
        parts = {one.name: getattr(self, one.name)[rows] for one in fields(self) if one.name != "words"}
        return Talk(words=self.words[:, :longest][rows], **parts)

    def append(self, rows: Tensor, ids: Tensor, lengths: Tensor) -> None:
        """Adds words (n, L), of which `lengths` (n,) count, to `rows`."""
        need = int((self.lengths[rows] + ids.shape[1]).max())
        if need > self.words.shape[1]:
            grown = self.words.new_full((len(self.words), 2 * need), MARKS.index(PAD))
            grown[:, : self.words.shape[1]] = self.words
            self.words = grown
        place = self.lengths[rows, None] + torch.arange(ids.shape[1], device=ids.device)
        self.words[rows[:, None], place] = ids
        self.lengths[rows] += lengths


class ContextEncoder(nn.Module):
    """Counts and values (B, 3) to a context (B, c): products of two vectors an item, through a layer."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.counts = nn.Embedding(WORTH + 1, size)
        self.values = nn.Embedding(WORTH + 1, size)
        self.mix = nn.Linear(3 * size, size)

    def forward(self, counts: Tensor, values: Tensor) -> Tensor:
        return self.mix(torch.tanh((self.counts(counts) * self.values(values)).flatten(1)))


class NegotiationAgent(PreTrainedModel):
    """A speaking module and a decision module; an `Agent` of `types`."""

    config_class = NegotiationConfig
    base_model_prefix = "agent"
    main_input_name = "input_ids"
    accepts_loss_kwargs = False  # the Trainer would take **kwargs for a loss summed by it

    def __init__(self, config: NegotiationConfig) -> None:
        super().__init__(config)
        d, e, c, s = config.hidden_size, config.embedding_size, config.context_size, config.selection_size
        self.vocabulary = tuple(config.words or ())  # the word of each number
        self.temperature = config.temperature  # that it speaks at; 0 says the likeliest word
        self.unsaid = [self.vocabulary.index(word) for word in (UNK, PAD, YOU, THEM)]
        self.embedding = nn.Embedding(config.vocab_size, e)
        self.context = ContextEncoder(c)
        self.speaker = nn.GRU(e + c, d, batch_first=True)
        self.output = nn.Linear(d, e)  # then times the word vectors
        self.selector = nn.GRU(d + e, s, batch_first=True, bidirectional=True)
        self.attention = nn.Sequential(nn.Linear(2 * s, s), nn.Tanh(), nn.Linear(s, 1))
        self.summary = nn.Sequential(nn.Linear(2 * s + c, s), nn.Tanh())
        self.heads = nn.Linear(s, 6 * OUTCOMES)
        self.dropout = nn.Dropout(config.dropout)
        self.word_dropout = nn.Dropout(config.dropout if config.word_dropout is None else config.word_dropout)
        self.output_dropout = nn.Dropout(config.output_dropout)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.GRU) and module.bidirectional:
            module.reset_parameters()
            return
        for name, values in module.named_parameters(recurse=False):
            if "bias" in name:
                nn.init.zeros_(values)
            else:
                nn.init.uniform_(values, -self.config.init_range, self.config.init_range)

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    # The two modules on whole dialogues

    def forward(
        self,
        input_ids: Tensor,
        lengths: Tensor,
        counts: Tensor,
        values: Tensor,
        choices: Tensor | None = None,
        decide: bool = True,
        **kwargs: Any,
    ) -> NegotiationOutput:
        """Words of both sides one after the other, and the decision on the whole.

        Args:
            input_ids: (B, T) dialogues, padded on the right; lengths: (B,) their words.
            counts, values: (B, 3).
            choices: (B,) what the side took, `IGNORED` where that isn't known. With them come the losses.
            decide: False leaves the decision out, by far the most of the work.
        """
        context = self.context(counts, values)
        embedded = self.embedding(input_ids)
        states = self.states(embedded, lengths, context)
        logits = self.word_logits(states)
        if not decide:
            return NegotiationOutput(logits=logits)
        selection_logits = self.decision(embedded, states, lengths, context)
        if choices is None:
            return NegotiationOutput(logits=logits, selection_logits=selection_logits)
        words, heads = word_losses(logits, input_ids, lengths), selection_losses(selection_logits, counts, choices)
        word_loss = words.sum() / (lengths - 1).sum()
        selection_loss = heads.sum() / (6 * (choices != IGNORED).sum()).clamp(min=1)
        loss = word_loss + self.config.selection_weight * selection_loss
        return NegotiationOutput(loss, word_loss, selection_loss, logits, selection_logits)

    def states(self, embedded: Tensor, lengths: Tensor, context: Tensor) -> Tensor:
        """The speaking GRU's states (B, T, d) over word vectors (B, T, e)."""
        beside = context[:, None].expand(-1, embedded.shape[1], -1)
        return _over(self.speaker, self.word_dropout(torch.cat([embedded, beside], dim=2)), lengths)

    def word_logits(self, states: Tensor) -> Tensor:
        """Logits (..., V) of the word that follows states (..., d)."""
        return self.output(self.output_dropout(states)) @ self.embedding.weight.T

    def sayable(self, logits: Tensor) -> Tensor:
        """`word_logits` at the agent's temperature, without the words that nobody says."""
        unsaid = torch.tensor(self.unsaid, device=logits.device)
        return (_exact(logits) / (self.temperature or 1.0)).index_fill(-1, unsaid, -torch.inf)

    def decision(self, embedded: Tensor, states: Tensor, lengths: Tensor, context: Tensor) -> Tensor:
        """(B, 6, 6) logits of own share and partner's, item by item."""
        read = _over(self.selector, self.dropout(torch.cat([states, embedded], dim=2)), lengths)  # (B, T, 2 s)
        inside = torch.arange(read.shape[1], device=read.device) < lengths[:, None]
        weight = self.attention(read)[..., 0].masked_fill(~inside, -torch.inf).softmax(1)  # (B, T)
        attended = (weight[:, None] @ read)[:, 0]
        return self.heads(self.summary(self.dropout(torch.cat([attended, context], dim=1)))).unflatten(1, (6, OUTCOMES))

    # An `Agent`

    def begin(self, scenarios: Sequence[Scenario], seeds: Tensor) -> Talk:
        counts, values, _ = (one.to(self.device) for one in tables(scenarios))
        none = torch.zeros(len(counts), dtype=torch.long, device=self.device)
        with torch.no_grad():
            context = self.context(counts, values)
        state = context.new_zeros(len(counts), self.config.hidden_size)
        words = none[:, None].expand(-1, 0)
        return Talk(counts, values, seeds.to(self.device), context, state, words, none.clone(), none.clone())

    @torch.no_grad()
    def read(self, talk: Talk, rows: Tensor, said: Utterances, *, own: bool = False) -> None:
        rows, said = rows.to(self.device), said.within(self.vocabulary).to(self.device)
        mark = said.ids.new_full((len(rows), 1), self.vocabulary.index(YOU if own else THEM))
        ids, lengths = torch.cat([mark, said.ids], dim=1), said.lengths + 1
        beside = talk.context[rows, None].expand(-1, ids.shape[1], -1)
        inputs = torch.cat([self.embedding(ids), beside], dim=2)
        packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, last = self.speaker(packed, talk.state[rows][None])
        talk.state[rows] = last[0].to(talk.state.dtype)
        talk.append(rows, ids, lengths)
        talk.turns[rows] += 1

    @torch.no_grad()
    def write(self, talk: Talk, rows: Tensor) -> Utterances:
        """Word by word until `<eos>` or `<selection>`, sampled at the temperature of the config."""
        end, selection = MARKS.index(EOS), MARKS.index(SELECTION)
        rows = rows.to(self.device)
        mark = rows.new_full((len(rows),), self.vocabulary.index(YOU))
        state, context = self._step(mark, talk.state[rows], talk.context[rows]), talk.context[rows]
        ids = rows.new_full((len(rows), self.config.max_words + 1), MARKS.index(PAD))
        lengths = torch.zeros_like(rows)
        speaking = torch.arange(len(rows), device=rows.device)
        for step in range(self.config.max_words + 1):
            logits = self.sayable(self.word_logits(state[speaking]))
            if step == self.config.max_words:  # it must come to an end
                word = torch.full_like(speaking, end)
            else:
                word = self._sample(logits, talk.seeds[rows[speaking]], talk.turns[rows[speaking]], step)
            state[speaking] = self._step(word, state[speaking], context[speaking])
            ids[speaking, step] = word
            lengths[speaking] += 1
            speaking = speaking[(word != end) & (word != selection)]
            if len(speaking) == 0:
                break
        said = Utterances(ids[:, : int(lengths.max())], lengths, self.vocabulary)
        talk.state[rows] = state
        talk.append(rows, torch.cat([mark[:, None], said.ids], dim=1), lengths + 1)
        talk.turns[rows] += 1
        return said

    @torch.no_grad()
    def first_word_logits(self, talk: Talk, rows: Tensor) -> Tensor:
        """(n, V) of the first word of what it would say now, as `sayable` has them."""
        rows = rows.to(self.device)
        mark = rows.new_full((len(rows),), self.vocabulary.index(YOU))
        return self.sayable(self.word_logits(self._step(mark, talk.state[rows], talk.context[rows])))

    @torch.no_grad()
    def surprise(self, talk: Talk, rows: Tensor, said: Utterances) -> Tensor:
        """(n,) mean of -log p, in nats, of the words that it would have to say for `said`, the end included."""
        rows, said = rows.to(self.device), said.within(self.vocabulary).to(self.device)
        mark = said.ids.new_full((len(rows), 1), self.vocabulary.index(YOU))
        inputs = self.embedding(torch.cat([mark, said.ids[:, :-1]], dim=1))
        beside = talk.context[rows, None].expand(-1, inputs.shape[1], -1)
        states, _ = self.speaker(torch.cat([inputs, beside], dim=2), talk.state[rows][None])
        log_p = _exact(self.word_logits(states)).log_softmax(2).gather(2, said.ids[..., None])[..., 0]
        inside = torch.arange(said.ids.shape[1], device=self.device) < said.lengths[:, None]
        return -(log_p * inside).sum(1) / said.lengths

    def choose(self, talk: Talk, rows: Tensor) -> Tensor:
        return self.choice_scores(talk, rows).argmax(1)

    @torch.no_grad()
    def choice_scores(self, talk: Talk, rows: Tensor) -> Tensor:
        """(n, C) the logarithm, up to a constant, of (3.6): each choice's product of probabilities; -inf if illegal."""
        rows = rows.to(self.device)
        order = talk.lengths[rows].argsort(descending=True)  # those of about one length together: little padding
        found = [self._choice_scores(talk, rows[some]) for some in order.split(DECIDED_AT_ONCE)]
        return torch.cat(found)[order.argsort()]

    def _choice_scores(self, talk: Talk, rows: Tensor) -> Tensor:
        lengths = talk.lengths[rows]
        words, context = talk.words[rows, : int(lengths.max())], talk.context[rows]
        embedded = self.embedding(words)
        states = self.states(embedded, lengths, context)
        return choice_scores(_exact(self.decision(embedded, states, lengths, context)), talk.counts[rows])

    def _step(self, word: Tensor, state: Tensor, context: Tensor) -> Tensor:
        """The state (n, d) after one more word (n,)."""
        read = torch.cat([self.embedding(word), context], dim=1)
        return torch.gru_cell(read, state, *self.speaker.all_weights[0])

    def _sample(self, logits: Tensor, seeds: Tensor, turns: Tensor, step: int) -> Tensor:
        """One word (n,) of logits (n, V), by inverse CDF of a number that belongs to dialogue, turn and step."""
        if self.temperature == 0:
            return logits.argmax(1)
        cumulated = logits.double().softmax(1).cumsum(1)
        number = uniform(seeds, turns, turns.new_tensor(step))
        return (cumulated < number[:, None] * cumulated[:, -1:]).sum(1)

    # Files

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """Words by spaces, as transformers has it."""
        from tokenizers import Tokenizer, models, pre_tokenizers

        tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(self.vocabulary)}, unk_token=UNK))
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        marks = {"eos_token": EOS, "unk_token": UNK, "pad_token": PAD, "additional_special_tokens": [SELECTION]}
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **marks)

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """Weights, config, and the tokenizer beside them."""
        super().save_pretrained(save_directory, *args, **kwargs)
        self.tokenizer().save_pretrained(save_directory)


def word_losses(logits: Tensor, input_ids: Tensor, lengths: Tensor) -> Tensor:
    """(B, T - 1) the cross-entropy of each word but the first, in nats; zero for padding."""
    inside = torch.arange(input_ids.shape[1], device=input_ids.device) < lengths[:, None]
    following = input_ids.masked_fill(~inside, IGNORED)[:, 1:]
    return nn.functional.cross_entropy(
        _exact(logits[:, :-1].transpose(1, 2)), following, ignore_index=IGNORED, reduction="none"
    )


def selection_losses(logits: Tensor, counts: Tensor, choices: Tensor) -> Tensor:
    """(B, 6) the cross-entropy of each item's owners, in nats; zero where a choice is `IGNORED`."""
    known = choices != IGNORED
    outcomes = outcomes_of(choices.where(known, NO_DEAL), counts).masked_fill(~known[:, None], IGNORED)
    return nn.functional.cross_entropy(_exact(logits.transpose(1, 2)), outcomes, ignore_index=IGNORED, reduction="none")


def choice_scores(logits: Tensor, counts: Tensor) -> Tensor:
    """(B, C) the sum of a choice's logits (B, 6, 6), over own share and partner's; -inf if it is illegal."""
    items = torch.arange(MOST + 1, device=counts.device)
    left = counts[..., None] - items  # (B, 3, 5) what the partner has of each item
    item = logits[:, :3, : MOST + 1] + logits[:, 3:, : MOST + 1].gather(2, left.clamp(min=0))
    item = item.masked_fill(left < 0, -torch.inf)
    grid = torch.tensor(SHARES, device=counts.device)
    divided = torch.stack([item[:, i, grid[:, i]] for i in range(3)]).sum(0)  # (B, C - 1)
    return torch.cat([divided, logits[:, :, NOTHING_AGREED].sum(1, keepdim=True)], dim=1)


def outcomes_of(choices: Tensor, counts: Tensor) -> Tensor:
    """(B, 6) the outcome of each head: own items of choices (B,), and the partner's."""
    own = shares(choices)
    return torch.cat([own, counts - own], dim=1).masked_fill((choices == NO_DEAL)[:, None], NOTHING_AGREED)


def _exact(values: Tensor) -> Tensor:
    """In single precision at least."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _over(gru: nn.GRU, inputs: Tensor, lengths: Tensor) -> Tensor:
    """A GRU's states (B, T, ...) over inputs (B, T, ...), padding left out; they are zero there."""
    packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(gru(packed)[0], batch_first=True, total_length=inputs.shape[1])[0]


def build_vocabulary(counts: dict[str, int], rarest: int) -> list[str]:
    """Marks, then words by falling frequency: those that are there more than `rarest` times (Lewis et al.: 20)."""
    kept = [word for word, number in counts.items() if number > rarest and word not in MARKS]
    kept += [mark for mark in (YOU, THEM) if mark not in kept]
    return [*MARKS, *sorted(kept, key=lambda word: -counts.get(word, 0))]


AutoConfig.register(NegotiationConfig.model_type, NegotiationConfig, exist_ok=True)
AutoModel.register(NegotiationConfig, NegotiationAgent, exist_ok=True)
