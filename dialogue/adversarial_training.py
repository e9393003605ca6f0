"""Adversarial training of AdvAgent (Cheng, Wei, Hsieh, NAACL 2019), section 3.2.4, (3.13).

The target learns to lose as little as it can to an adversary that learns to win as much as it can. In each round, first
the target takes steps of policy gradient, against the adversary as it is; then the adversary does, as in the RL attack,
against the target as it is by then.

The paper says no more of it, and its code has none of it. What is chosen here:

- The target's reward is the adversary's with its sign turned: its points less the adversary's. Its points alone are an
  option. A round is as long as an RL attack: in short ones, of 960 dialogues for points, an agent of people's dialogues
  learnt nothing that validation would keep.
- A target that meets nobody but adversaries has no need to agree. So every other step it plays an ordinary game with a
  partner, and it goes on learning from the corpus.
- It meets all the adversaries so far in turn, lest it forget how to resist the earlier ones.
- An adversary that learns knows nothing of what a search among all sentences finds, and a target that has met only such
  ones is as easily beaten by the white-box attacks as before. So the reactive attack is made on it too, between its
  steps, and it learns to answer and decide as it would have without that (`corrections`). For speed this attack tries
  some of the words only, other ones each time.
- Of the targets of all rounds that one is kept whose worst loss to any of the adversaries is the least on validation
  scenarios, among those that agree with the partner often enough: (3.13) over all that was trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dialogue.agent import NegotiationAgent
from dialogue.attacks.attack import attack
from dialogue.attacks.reactive import ReactiveAdversary
from dialogue.attacks.rl import RlAttack
from dialogue.card import MEASURES
from dialogue.configs import AdversarialTrainingConfig, AttackConfig, ReinforceConfig
from dialogue.corrections import Corrections
from dialogue.domain import Scenario
from dialogue.loading import load_agent
from dialogue.reinforce import Reinforcement
from dialogue.selfplay import Played, Table, play
from dialogue.supervised import Views

Told = Callable[[str, Reinforcement, dict[str, float]], None]
TURNS = (0, 2, 0, 4)  # utterances before the reactive attack, in turn: it works at the first sentence as a rule


@dataclass(frozen=True)
class Lessons:
    """What every training of it shares; see `Reinforcement`."""

    config: ReinforceConfig
    accelerator: Any
    views: Views
    scenarios: Sequence[Scenario]
    validation: Sequence[Scenario]
    seed: int

    def shared(self) -> dict[str, Any]:
        """The keyword arguments of a `Reinforcement`."""
        names = ("accelerator", "views", "scenarios", "validation", "seed")
        return {name: getattr(self, name) for name in names}


class Defense(Reinforcement):
    """The target's part, in progress: in turn against each adversary, and after each of them with the partner."""

    def __init__(
        self,
        target: NegotiationAgent,
        partner: NegotiationAgent,
        adversaries: Sequence[NegotiationAgent],
        config: ReinforceConfig,
        training: AdversarialTrainingConfig,
        **shared: Any,
    ) -> None:
        self.adversaries, self.training, self.games = list(adversaries), training, 2 * len(adversaries)
        super().__init__(target, partner, config, **shared)
        self.adversaries = [one.to(self.accelerator.device) for one in self.adversaries]
        self.speakers = (partner, *self.adversaries)  # whose sentences the reactive attack changes, in turn

    def play(self, batch: Sequence[Table], game: int = 0) -> Played:
        if self.seat(game) == 0:
            return super().play(batch, game)
        return play((self.adversaries[game // 2], self.agent), batch, seed=self.seed, complement=True)

    def seat(self, game: int) -> int:
        return 1 - game % 2

    def reward(self, played: Played, game: int = 0) -> Tensor:
        if self.seat(game) == 0:
            return played.score
        return played.partner_score - (played.score if self.training.defense_reward == "advantage" else 0)

    def _supervised_loss(self, number: int) -> Tensor:
        """Of a batch of the corpus, and at times of what is learnt from the reactive attack."""
        every = self.training.reactive_every
        corrections = self.corrections(number // every) if every and number % every == 0 else None
        loss = super()._supervised_loss(number)
        if corrections is None:
            return loss
        with self.accelerator.autocast():  # not by what wraps the agent: another process may have none
            return loss + corrections.loss(self.agent(**corrections.batch))

    def corrections(self, number: int) -> Corrections | None:
        """What the target, which says the likeliest words, should have answered to the reactive attack."""
        target = deepcopy(self.agent).eval()
        target.temperature = 0.0
        cycle, turn = divmod(number, len(TURNS))
        config = AttackConfig(attack="reactive", turn=TURNS[turn])
        adversary: Any = ReactiveAdversary(self.speakers[cycle % len(self.speakers)], target, config)
        drawn = torch.Generator().manual_seed(number)
        some = torch.randperm(len(adversary.words), generator=drawn)[: self.training.reactive_words]
        adversary.words = adversary.words[some.to(adversary.words.device)]
        records = attack(adversary, target, self._tables(number), seed=self.seed)
        found = Corrections.of(records, target.vocabulary)
        return found and found.to(self.accelerator.device)


@dataclass(frozen=True)
class Outcome:
    """What the rounds came to, on validation scenarios; round 0 is the target before, and the first adversary.

    `payoffs` (targets, adversaries): each adversary's mean advantage over each target; `agreement` (targets,): of each
    with the partner; `chosen`: the target that is kept, and `hardest` its worst adversary.
    """

    payoffs: list[list[float]]
    agreement: list[float]
    chosen: int
    hardest: int

    @classmethod
    def of(cls, payoffs: Sequence[Sequence[float]], agreement: Sequence[float], min_agreement: float) -> Outcome:
        """Chooses among the targets of the rounds: those that agree often enough, or all of them if none does."""
        rounds = range(1, len(payoffs))
        enough = [number for number in rounds if agreement[number] >= min_agreement]
        chosen = min(enough or rounds, key=lambda number: max(payoffs[number]))
        hardest = payoffs[chosen].index(max(payoffs[chosen]))
        return cls([list(row) for row in payoffs], list(agreement), chosen, hardest)


def adversarial_training(
    target: NegotiationAgent,
    partner: NegotiationAgent,
    config: AdversarialTrainingConfig,
    lessons: Lessons,
    *,
    folder: Path,
    on_step: Told,
) -> Outcome:
    """Trains in rounds, from the last checkpoint in `folder` on: the agents are in round-N/target|adversary/best.

    Args:
        partner: of the ordinary games; as an adversary it begins with its language.
        on_step: told the name, the training and the figures of every step.
    """
    targets = [target]
    adversaries = [trained_adversary(partner, target, lessons, folder=folder / "round-0/adversary", on_step=on_step)]
    short = replace(lessons, config=replace(lessons.config, rl_dialogues=config.round_dialogues))
    for number in range(1, config.rounds + 1):
        home = folder / f"round-{number}"
        learner = deepcopy(targets[-1])
        defense = Defense(learner, partner, adversaries, short.config, config, **short.shared())
        targets.append(learnt(defense, home / "target", on_step))
        learner = adversaries[-1]
        adversaries.append(trained_adversary(learner, targets[-1], short, folder=home / "adversary", on_step=on_step))
    count, scenarios = lessons.config.validation_dialogues, lessons.validation
    tables = [Table(-1 - i, scenarios[i % len(scenarios)]) for i in range(count)]
    for agent in (partner, *targets, *adversaries):
        agent.to(lessons.accelerator.device)
    payoffs = [[advantage(one, target, tables, lessons.seed) for one in adversaries] for target in targets]
    agreement = [float(play((one, partner), tables, seed=lessons.seed).agreed.double().mean()) for one in targets]
    return Outcome.of(payoffs, agreement, config.min_agreement)


def trained_adversary(
    speaker: NegotiationAgent, target: NegotiationAgent, lessons: Lessons, *, folder: Path, on_step: Told
) -> NegotiationAgent:
    """An adversary that learns to win from a target, beginning as `speaker`, which stays as it is: the RL attack."""
    return learnt(RlAttack(deepcopy(speaker), target, lessons.config, **lessons.shared()), folder, on_step)


def learnt(training: Reinforcement, folder: Path, on_step: Told) -> NegotiationAgent:
    """The best agent of a training, which is carried to its end, from the last checkpoint in `folder` on."""
    folder.mkdir(parents=True, exist_ok=True)
    training.run(folder, lambda told: on_step(f"{folder.parent.name}/{folder.name}", training, told))
    training.accelerator.free_memory()  # the next checkpoint is of the next training only
    return load_agent(str(folder / "best"))


def advantage(adversary: NegotiationAgent, target: NegotiationAgent, tables: Sequence[Table], seed: int) -> float:
    """The mean of the adversary's points less the target's."""
    played = play((adversary, target), tables, seed=seed, complement=True)
    return float((played.score - played.partner_score).double().mean())


def card_section(results: Mapping[str, Any], rounds: Mapping[str, Any], config: AdversarialTrainingConfig) -> str:
    """Markdown for the model card: every measure before and after, and who wins how much from whom.

    Args:
        results: estimates by name, those of the target before as "..._before".
        rounds: an `Outcome` as a dictionary.
    """
    rows = "\n".join(
        f"| {MEASURES[name][0]} | {_cell(results.get(f'{name}_before'), form)} | {_cell(results[name], form)} |"
        for name, (_, form) in MEASURES.items()
        if name in results
    )
    matrix = "\n".join(
        f"| {'before' if number == 0 else number}{' (this one)' if number == rounds['chosen'] else ''} | "
        + " | ".join(f"{one:.2f}" for one in row)
        + f" | {agreed:.1%} |"
        for number, (row, agreed) in enumerate(zip(rounds["payoffs"], rounds["agreement"], strict=True))
    )
    numbers = range(len(rounds["payoffs"][0]))
    every = config.reactive_every
    taught = f"; every {every} steps the target learnt from the reactive attack on it" if every else ""
    return f"""
## Hardening

{config.rounds} rounds of {config.round_dialogues:,} dialogues for either side{taught}. The RL attack is that of the
hardest adversary of these rounds; the new adversary learnt from this agent when they were over.

| | before | after |
|---|---|---|
{rows}

Advantage on validation scenarios of the adversary of each round (columns) over the target of each (rows), and how often
that one agrees with its partner:

| | {" | ".join(f"adversary {number}" for number in numbers)} | agrees |
|---|{"---|" * len(numbers)}---|
{matrix}
"""


def _cell(found: Mapping[str, Any] | None, form: str) -> str:
    if found is None:
        return ""
    value, low, high = (form.format(found[name]) for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}], n = {found['n']}"
