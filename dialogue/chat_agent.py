"""A negotiator that is any instruction-tuned language model: `AutoModelForCausalLM` with a chat template.

It is told the rules and its own table, hears the partner as its user, and answers. What it takes in the end is not read
off its prose: every legal share is written out as an answer, and the likeliest one counts, so that it always decides.
Words are sampled by adding Gumbel noise of the dialogue's own to the logits and taking the largest (Gumbel, 1954), so
that a dialogue doesn't depend on the others of its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

from dialogue.configs import BadInput
from dialogue.domain import CHOICES, ITEMS, NO_DEAL, SHARES, Scenario, legal, tables
from dialogue.types import EOS, MARKS, SELECTION, Utterances, as_utterance
from textadv.noise import gumbel

RULES = """You and a partner divide {table} by chat. To you, {values}. Your partner values them otherwise, and you don't
know how. In the end each of you says what he takes; unless that divides the table exactly, neither gets a point. Get as
many points as you can. Answer in one short sentence, in lower case. Once you two have agreed, or can't, answer only
{selection}."""
QUESTION = "The talk is over. What do you take?"
AT_ONCE = 64  # answers that are scored together


@dataclass
class ChatTalk:
    """What the model was told and has said: messages of each dialogue."""

    messages: list[list[dict[str, str]]]
    counts: Tensor
    seeds: Tensor
    turns: list[int]  # utterances so far


class GumbelNoise(LogitsProcessor):
    """Logits over the temperature plus noise of (seed, turn, step, word): their argmax is a sample of the softmax."""

    def __init__(self, seeds: Tensor, turns: Tensor, temperature: float, start: int) -> None:
        self.seeds, self.turns, self.temperature, self.start = seeds, turns, temperature, start

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        step = torch.tensor(input_ids.shape[1] - self.start, device=scores.device)
        words = torch.arange(scores.shape[1], device=scores.device)
        noise = gumbel(self.seeds[:, None], self.turns[:, None], step, words)
        return scores / self.temperature + noise.to(scores.dtype)


class ChatAgent:
    """A causal language model at the table; an `Agent` of `types`.

    Args:
        model: with `generate`; tokenizer: with a chat template.
        temperature: 0 says the likeliest words.
        max_new_tokens: of an utterance; it is cut off there.

    Raises:
        BadInput: the tokenizer has no chat template.
    """

    def __init__(self, model: Any, tokenizer: Any, *, temperature: float = 0.5, max_new_tokens: int = 40) -> None:
        if getattr(tokenizer, "chat_template", None) is None:
            raise BadInput(f"{tokenizer.name_or_path} has no chat template; give an instruction-tuned model")
        self.model, self.tokenizer = model.eval().requires_grad_(False), tokenizer
        self.temperature, self.max_new_tokens = temperature, max_new_tokens

    def to(self, device: torch.device | str) -> ChatAgent:
        """Moves the model."""
        self.model.to(device)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """The model's."""
        return self.model.state_dict()

    def begin(self, scenarios: Sequence[Scenario], seeds: Tensor) -> ChatTalk:
        rules = [[{"role": "system", "content": _rules(scenario)}] for scenario in scenarios]
        return ChatTalk(rules, tables(scenarios)[0], seeds, [0] * len(scenarios))

    def read(self, talk: ChatTalk, rows: Tensor, said: Utterances, *, own: bool = False) -> None:
        for row, text in zip(rows.tolist(), said.texts(), strict=True):
            self._remember(talk, row, text, own=own)

    def write(self, talk: ChatTalk, rows: Tensor) -> Utterances:
        """A sentence of the model's, in lower case, its punctuation apart; `<selection>` where it says so."""
        numbers = rows.tolist()
        prompts = [self._prompt(talk.messages[row]) for row in numbers]
        self.tokenizer.padding_side = "left"
        batch = self.tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False)
        batch = {name: batch[name].to(self.model.device) for name in ("input_ids", "attention_mask")}
        start = batch["input_ids"].shape[1]
        turns = torch.tensor([talk.turns[row] for row in numbers])
        noise = GumbelNoise(
            talk.seeds[rows].to(self.model.device), turns.to(self.model.device), self.temperature or 1.0, start
        )
        processors = [noise] if self.temperature else []
        found = self.model.generate(
            **batch,
            do_sample=False,
            max_new_tokens=self.max_new_tokens,
            pad_token_id=self.tokenizer.pad_token_id,
            logits_processor=processors,
        )
        answers = self.tokenizer.batch_decode(found[:, start:], skip_special_tokens=True)
        texts = [as_utterance(answer) for answer in answers]
        for row, text in zip(numbers, texts, strict=True):
            self._remember(talk, row, text, own=True)
        words = {word for text in texts for word in text.split()}
        return Utterances.of(texts, (*MARKS, *sorted(words - set(MARKS))))

    def choose(self, talk: ChatTalk, rows: Tensor) -> Tensor:
        """The legal share whose wording is the likeliest answer."""
        prompts, answers, places = [], [], []
        for i, row in enumerate(rows.tolist()):
            asked = self._prompt([*talk.messages[row], {"role": "user", "content": QUESTION}])
            for choice in legal(talk.counts[row : row + 1])[0].nonzero()[:, 0].tolist():
                prompts.append(asked)
                answers.append(_answer(choice))
                places.append((i, choice))
        likelihood = torch.full((len(rows), CHOICES), -torch.inf, dtype=torch.float64)
        for start in range(0, len(prompts), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            at = torch.tensor(places[some])
            likelihood[at[:, 0], at[:, 1]] = self._likelihood(prompts[some], answers[some])
        return likelihood.argmax(1)

    @torch.no_grad()
    def _likelihood(self, prompts: Sequence[str], answers: Sequence[str]) -> Tensor:
        """(n,) log p of answers behind their prompts."""
        before = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in prompts]
        after = [self.tokenizer(text, add_special_tokens=False)["input_ids"] for text in answers]
        longest = max(len(one) + len(other) for one, other in zip(before, after, strict=True))
        ids = torch.full((len(prompts), longest), self.tokenizer.pad_token_id)
        answered = torch.zeros(ids.shape, dtype=torch.bool)
        for i, (one, other) in enumerate(zip(before, after, strict=True)):
            ids[i, : len(one) + len(other)] = torch.tensor([*one, *other])
            answered[i, len(one) : len(one) + len(other)] = True
        inside = answered.flip(1).cummax(1).values.flip(1)
        output = self.model(input_ids=ids.to(self.model.device), attention_mask=inside.long().to(self.model.device))
        log_p = output.logits[:, :-1].double().log_softmax(2).cpu().gather(2, ids[:, 1:, None])[..., 0]
        return (log_p * answered[:, 1:]).sum(1)

    def _prompt(self, messages: Sequence[dict[str, str]]) -> str:
        """What the model goes on from. A chat begins with its user: an agent that starts is asked to."""
        system, *talk = messages
        if not talk or talk[0]["role"] == "assistant":
            talk = [{"role": "user", "content": "hello"}, *talk]
        return self.tokenizer.apply_chat_template(
            _alternating([system, *talk]), tokenize=False, add_generation_prompt=True
        )

    def _remember(self, talk: ChatTalk, row: int, text: str, *, own: bool) -> None:
        role = "assistant" if own else "user"
        talk.messages[row].append({"role": role, "content": text.removesuffix(EOS).strip()})
        talk.turns[row] += 1


def _alternating(messages: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Messages of one role in a row as one, for chat templates want them to take turns."""
    found: list[dict[str, str]] = []
    for message in messages:
        if found and found[-1]["role"] == message["role"]:
            found[-1] = {"role": message["role"], "content": f"{found[-1]['content']}\n{message['content']}"}
        else:
            found.append(message)
    return found


def _rules(scenario: Scenario) -> str:
    table = _listed(scenario.counts)
    values = ", ".join(f"a {item} is worth {value}" for item, value in zip(ITEMS, scenario.values, strict=True))
    return " ".join(RULES.format(table=table, values=values, selection=SELECTION).split())


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(f"{n} {item}{'' if n == 1 else 's'}" for n, item in zip(numbers, ITEMS, strict=True))


def _answer(choice: int) -> str:
    return "no deal" if choice == NO_DEAL else f"i take {_listed(SHARES[choice])}"
