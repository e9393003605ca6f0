"""The SV agent: it learns from people's dialogues what they say next, and what they take in the end.

Lewis et al. (EMNLP 2017, arXiv:1706.05125, section 4.1): the words of both sides, and the shares where they are known.

Deviations: AdamW with a falling learning rate in place of SGD whose rate is divided by hand; the falling rate stands
for their second phase. Words have less dropout than the decision, for the agent learns late to speak of its own values
otherwise; the decision weighs half as much beside them. The checkpoint of the lowest loss on the validation split is
kept, words and decision together; by the decision's alone, as theirs, it would be an earlier one, which speaks worse
and agrees with itself less often. Its words are calibrated on the same split, for it has become too sure of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from transformers import Trainer

from dialogue.agent import (
    IGNORED,
    NegotiationAgent,
    NegotiationConfig,
    build_vocabulary,
    choice_scores,
    selection_losses,
    word_losses,
)
from dialogue.configs import SupervisedConfig
from dialogue.data import Dialogue, count_words
from dialogue.domain import NO_DEAL
from dialogue.types import MARKS, PAD, UNK
from textadv.language_model import Likelihoods, perplexity_estimate

SCORED_AT_ONCE = 128  # dialogues
CALIBRATED = (0.5, 2.0)  # what a calibration may multiply logits by


class Views(Dataset):
    """Dialogues as an agent reads them."""

    def __init__(self, vocabulary: Sequence[str], dialogues: Sequence[Dialogue]) -> None:
        number = {word: i for i, word in enumerate(vocabulary)}
        unknown = number[UNK]
        self.rows = [
            {
                "input_ids": torch.tensor([number.get(word, unknown) for word in one.words]),
                "counts": torch.tensor(one.scenario.counts),
                "values": torch.tensor(one.scenario.values),
                "choices": IGNORED if one.choice is None else one.choice,
            }
            for one in dialogues
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return self.rows[i]


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """Rows of `Views` as the arguments of `NegotiationAgent.forward`."""
    words = [row["input_ids"] for row in rows]
    return {
        "input_ids": pad_sequence(words, batch_first=True, padding_value=MARKS.index(PAD)),
        "lengths": torch.tensor([len(one) for one in words]),
        "counts": torch.stack([row["counts"] for row in rows]),
        "values": torch.stack([row["values"] for row in rows]),
        "choices": torch.tensor([row["choices"] for row in rows]),
    }


def build(config: SupervisedConfig, dialogues: Sequence[Dialogue]) -> NegotiationAgent:
    """A new agent that knows the words of the dialogues. Its weights come from torch's global generator: seed it."""
    words = build_vocabulary(count_words(dialogues), config.rarest)
    sizes = ("embedding_size", "context_size", "hidden_size", "selection_size")
    names = (*sizes, "dropout", "word_dropout", "output_dropout", "selection_weight", "temperature")
    return NegotiationAgent(NegotiationConfig(words=words, **{name: getattr(config, name) for name in names}))


class SupervisedTrainer(Trainer):
    """Evaluates by `validate`, which needs no logits of all words to be kept, and tells what the training has cost."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._clock = time.process_time()

    @property
    def cpu_seconds(self) -> float:
        """Of the training so far, evaluations and all threads included, from wherever it was resumed."""
        told = [one["eval_cpu_seconds"] for one in self.state.log_history if "eval_cpu_seconds" in one]
        return (told[-1] if told else 0.0) + time.process_time() - self._clock

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:  # pyright: ignore[reportIncompatibleMethodOverride]
        metrics = {f"eval_{name}": value for name, value in validate(self.model, self.eval_dataset).items()}
        metrics["eval_cpu_seconds"] = self.cpu_seconds
        self._clock = time.process_time()
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def validate(agent: Any, views: Any) -> dict[str, float]:
    """Losses per word and per head, in nats, both together, and the share of deals that are divided exactly."""
    found = _run(agent, views)
    known = found["heads"].sum().clamp(min=1)
    words = float(found["word_loss"].sum() / found["words"].sum())
    selection = float(found["selection_loss"].sum() / known)
    return {
        "loss": words + agent.config.selection_weight * selection,
        "word_loss": words,
        "selection_loss": selection,
        "exact_selection": float(found["exact"][found["deal"]].double().mean()),
    }


def score(agent: NegotiationAgent, views: Views) -> dict[str, Any]:
    """What an agent is reported with: estimates with 95 % intervals.

    `perplexity`: per word that isn't padding, both sides' words, `<unk>` and marks included, the first mark excluded.
    `selection_perplexity`: per item of a share, own and the partner's. `exact_selection`: one answer (right or wrong)
    for each dialogue that ended with a deal.
    """
    found = _run(agent, views)
    words = Likelihoods(found["word_loss"].double().numpy(), found["words"].numpy())
    heads = Likelihoods(found["selection_loss"].double().numpy(), found["heads"].numpy())
    return {
        "perplexity": perplexity_estimate(words),
        "selection_perplexity": perplexity_estimate(heads),
        "exact_selection": found["exact"][found["deal"]].tolist(),
    }


@torch.no_grad()
def calibrate(agent: NegotiationAgent, views: Views) -> float:
    """Scales the logits of the agent's words so that its loss on dialogues that it didn't learn from is the lowest.

    One number for all words, so that their order stays: temperature scaling, Guo et al. (ICML 2017, arXiv:1706.04599,
    section 4.2). It goes into the output layer. Returns it.
    """
    weights = [values.clone() for values in agent.output.parameters()]

    def loss(scale: float) -> float:
        for values, old in zip(agent.output.parameters(), weights, strict=True):
            values.copy_(scale * old)
        found = _run(agent, views, decide=False)
        return float(found["word_loss"].double().sum() / found["words"].sum())

    found: Any = minimize_scalar(loss, bounds=CALIBRATED, method="bounded", options={"xatol": 1e-3})
    scale = float(found.x)
    loss(scale)
    return scale


@torch.no_grad()
def _run(agent: Any, views: Views, decide: bool = True) -> dict[str, Tensor]:
    """Sums over each dialogue, the shortest first; of the words alone, unless `decide`."""
    training, device = agent.training, next(agent.parameters()).device
    agent.eval()
    order = sorted(range(len(views)), key=lambda i: len(views[i]["input_ids"]))
    parts = []
    for start in range(0, len(order), SCORED_AT_ONCE):
        batch = collate([views[i] for i in order[start : start + SCORED_AT_ONCE]])
        parts.append(_sums(agent, decide, **{name: values.to(device) for name, values in batch.items()}))
    agent.train(training)
    return {name: torch.cat([part[name] for part in parts]).cpu() for name in parts[0]}


def _sums(
    agent: Any, decide: bool, input_ids: Tensor, lengths: Tensor, counts: Tensor, values: Tensor, choices: Tensor
) -> dict[str, Tensor]:
    output = agent(input_ids=input_ids, lengths=lengths, counts=counts, values=values, decide=decide)
    sums = {"word_loss": word_losses(output.logits, input_ids, lengths).sum(1), "words": lengths - 1}
    if not decide:
        return sums
    known = choices != IGNORED
    return sums | {
        "selection_loss": selection_losses(output.selection_logits, counts, choices).sum(1),
        "heads": 6 * known,
        "exact": choice_scores(output.selection_logits, counts).argmax(1) == choices,
        "deal": known & (choices != NO_DEAL),
    }
