"""The RL agent: it learns by policy gradient to win points from a partner that stays as it is.

Lewis et al. (EMNLP 2017, arXiv:1706.05125, section 4.2, equations 10 and 11) as in the authors' code. Each own word w
of a dialogue with reward r, the own points if the two agree and else none, is made likelier by

    gamma^(own words after w) (r - mean) / std,

mean and standard deviation of all rewards so far, at the temperature that it was said at. Between these steps it
learns supervised batches as the SV agent does, so that it goes on speaking as people do. The policy gradient never
touches the decision.

`paper` is the authors' recipe: a dialogue a step, SGD with a little momentum. `fast` plays many dialogues a step, whose
gradients it averages, and uses Adam.

Deviations: scenarios are drawn without replacement, epoch by epoch, by the seed alone; the agent that is kept is not
the last one but that of the most points on validation scenarios, for they go up and down.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dialogue.agent import NegotiationAgent, Talk
from dialogue.chat_agent import ChatAgent
from dialogue.configs import ReinforceConfig
from dialogue.domain import Scenario
from dialogue.selfplay import Played, Table, play
from dialogue.supervised import Views, collate
from dialogue.types import THEM, YOU

PRESETS = {
    "fast": {
        "rl_dialogues": 6_400,
        "rl_batch_size": 32,
        "rl_learning_rate": 5e-4,
        "supervised_every": 1,
        "supervised_learning_rate": 5e-4,
    },
    "paper": {
        "rl_dialogues": 4_086,
        "rl_batch_size": 1,
        "rl_learning_rate": 0.1,
        "supervised_every": 4,
        "supervised_learning_rate": 0.5,
    },
}
SUPERVISED_BATCH = 16  # dialogues
VALIDATED_AT_ONCE = 512  # dialogues


def settled(config: ReinforceConfig) -> ReinforceConfig:
    """The config with the preset's values where none is given."""
    return replace(config, **{name: v for name, v in PRESETS[config.preset].items() if getattr(config, name) is None})


@dataclass
class Rewards:
    """Count, mean and sum of squared deviations of all rewards so far (Welford, 1962)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, rewards: Sequence[float]) -> None:
        """Takes in some more."""
        for reward in rewards:
            self.count += 1
            before = reward - self.mean
            self.mean += before / self.count
            self.squares += before * (reward - self.mean)

    def standardized(self, rewards: Tensor) -> Tensor:
        """Rewards (n,) less the mean, over the standard deviation; 0 as long as all were the same."""
        deviation = math.sqrt(self.squares / max(self.count - 1, 1))
        return (rewards - self.mean) / deviation if deviation else torch.zeros_like(rewards)


@dataclass
class Progress:
    """Where the training stands."""

    step: int = 0
    best: float = -math.inf
    best_step: int = 0
    cpu_seconds: float = 0.0  # all threads, validation included


def own_words(words: Tensor, lengths: Tensor, vocabulary: Sequence[str]) -> Tensor:
    """(B, T) which of the words of talks are what the agent said itself, ends of its turns included."""
    place = torch.arange(words.shape[1], device=words.device)
    you, them = (words == vocabulary.index(mark) for mark in (YOU, THEM))
    last_you, last_them = (place.where(mark, -1).cummax(1).values for mark in (you, them))
    return (last_you > last_them) & ~you & (place < lengths[:, None])


def returns(own: Tensor, rewards: Tensor, gamma: float) -> Tensor:
    """(B, T) rewards (B,) discounted by gamma for every own word that follows; 0 for words that aren't own (B, T)."""
    later = own.flip(1).cumsum(1).flip(1) - own.long()
    return rewards[:, None] * gamma ** later.to(rewards.dtype) * own


def policy_loss(model: Any, agent: NegotiationAgent, talk: Talk, own: Tensor, rewards: Tensor, gamma: float) -> Tensor:
    """Mean over dialogues of -sum over own words of their return times log p; eq. (11)'s gradient is that of it.

    Args:
        model: the agent, or what wraps it for several processes.
        own: (B, T) of `own_words`; rewards: (B,) standardized.
    """
    words = talk.words[:, : own.shape[1]]
    output = model(input_ids=words, lengths=talk.lengths, counts=talk.counts, values=talk.values, decide=False)
    log_p = agent.sayable(output.logits[:, :-1]).log_softmax(2)
    said = log_p.gather(2, words[:, 1:, None])[..., 0].masked_fill(~own[:, 1:], 0.0)
    return -(said * returns(own, rewards, gamma)[:, 1:]).sum(1).mean()


class Reinforcement:
    """A training in progress, that can be saved and gone on with.

    A subclass may have several games, which take turns, a step each: it says of each what is played, from which chair,
    and what is to be won.
    """

    games = 1

    def __init__(
        self,
        agent: NegotiationAgent,
        partner: NegotiationAgent | ChatAgent,
        config: ReinforceConfig,
        *,
        accelerator: Any,
        views: Views,
        scenarios: Sequence[Scenario],
        validation: Sequence[Scenario],
        seed: int,
    ) -> None:
        self.config, self.accelerator, self.seed = settled(config), accelerator, seed
        self.views, self.scenarios, self.validation = views, scenarios, validation
        self.partner = partner.to(accelerator.device)
        policy = self._optimizer(agent, self.config.rl_learning_rate)
        supervised = self._optimizer(agent, self.config.supervised_learning_rate)
        self.model, self.policy, self.supervised = accelerator.prepare(agent, policy, supervised)
        self.agent: NegotiationAgent = accelerator.unwrap_model(self.model)
        self.rewards, self.progress = [Rewards() for _ in range(self.games)], Progress()

    def _optimizer(self, agent: NegotiationAgent, rate: float | None) -> torch.optim.Optimizer:
        if self.config.preset == "paper":
            return torch.optim.SGD(agent.parameters(), lr=rate or 0.0, momentum=0.1, nesterov=True)
        return torch.optim.Adam(agent.parameters(), lr=rate or 0.0)

    @property
    def steps(self) -> int:
        """Of the whole training."""
        return math.ceil((self.config.rl_dialogues or 0) / self._batch)

    @property
    def _batch(self) -> int:
        return self.config.rl_batch_size or 1

    def run(self, folder: Path, on_step: Callable[[dict[str, float]], None]) -> None:
        """Trains to the end, from the last checkpoint in `folder` on; the best agent is in `folder`/best.

        Args:
            on_step: told the mean points of each step's dialogues, and of each validation.
        """
        every, self._clock = max(1, self.config.validate_every // self._batch), time.process_time()
        if not self._load(folder):
            self._validate(folder, on_step)
        while self.progress.step < self.steps:
            on_step(self._step())
            if self.progress.step % every == 0 or self.progress.step == self.steps:
                self._validate(folder, on_step)
                self._save(folder)

    def play(self, batch: Sequence[Table], game: int = 0) -> Played:
        """What happens at some tables."""
        return play((self.agent, self.partner), batch, seed=self.seed)

    def seat(self, game: int) -> int:
        """The chair of the one that learns: 0 or 1."""
        return 0

    def reward(self, played: Played, game: int = 0) -> Tensor:
        """(B,) what is to be won: points."""
        return played.score

    def _step(self) -> dict[str, float]:
        """One step of policy gradient, and the supervised one that may be due."""
        number = self.progress.step
        game = number % self.games
        seat, seen = self.seat(game), self.rewards[game]
        self._train(dropout=False)
        with self.accelerator.autocast():
            played = self.play(self._tables(number), game)
            rewards = self.reward(played, game).to(self.accelerator.device, torch.float32)
            seen.add(self.accelerator.gather(rewards).tolist())
            own, standardized = self._chosen(played, seat), seen.standardized(rewards)
            loss = policy_loss(self.model, self.agent, played.talks[seat], own, standardized, self.config.gamma)
        self._descend(loss, self.policy)
        if self.config.supervised_every and (number + 1) % self.config.supervised_every == 0:
            self._descend(self._supervised_loss(number // self.config.supervised_every), self.supervised)
        self.progress.step += 1
        return {"reward": float(rewards.mean()), "agreement": float(played.agreed.float().mean())}

    def _supervised_loss(self, number: int) -> Tensor:
        """Of a batch of the corpus."""
        self._train(dropout=True)
        with self.accelerator.autocast():
            return self.model(**self._supervised_batch(number)).loss

    def _train(self, *, dropout: bool) -> None:
        """Training mode, for cuDNN's GRU has a gradient in no other; dropout is apart."""
        self.model.train()
        for layer in (self.agent.dropout, self.agent.word_dropout, self.agent.output_dropout):
            layer.train(dropout)

    def _descend(self, loss: Tensor, optimizer: Any) -> None:
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.rl_max_grad_norm)
        optimizer.step()
        self.model.zero_grad()

    def _chosen(self, played: Played, seat: int) -> Tensor:
        """(B, T) the own words that the agent chose: not the <selection> that the limit of turns put into its mouth."""
        talk = played.talks[seat]
        length = int(talk.lengths.max())
        own = own_words(talk.words[:, :length], talk.lengths, self.agent.vocabulary)
        forced = played.transcript.cut.to(own.device).nonzero()[:, 0]
        own[forced, talk.lengths[forced] - 1] = False
        return own

    def _tables(self, number: int) -> list[Table]:
        """This process's share of a step's tables: each epoch has all scenarios, in an order of its own."""
        share = self._batch // self.accelerator.num_processes
        first = number * self._batch + self.accelerator.process_index * share
        return [Table(i, self._scenario(i)) for i in range(first, first + share)]

    def _scenario(self, i: int) -> Scenario:
        epoch, place = divmod(i, len(self.scenarios))
        return self.scenarios[_order("scenarios", self.seed, epoch, len(self.scenarios))[place]]

    def _supervised_batch(self, number: int) -> dict[str, Tensor]:
        """A batch of the corpus, in an order that is each epoch's own."""
        first = (number * self.accelerator.num_processes + self.accelerator.process_index) * SUPERVISED_BATCH
        places = [divmod(i, len(self.views)) for i in range(first, first + SUPERVISED_BATCH)]
        rows = [self.views[_order("corpus", self.seed, epoch, len(self.views))[place]] for epoch, place in places]
        return {name: values.to(self.accelerator.device) for name, values in collate(rows).items()}

    def _validate(self, folder: Path, on_step: Callable[[dict[str, float]], None]) -> None:
        """Scores the agent on validation scenarios, the same ones with the same luck each time; keeps the best."""
        self.model.eval()
        count = self.config.validation_dialogues
        tables = [Table(-1 - i, self.validation[i % len(self.validation)]) for i in range(count)]
        points = 0.0
        with self.accelerator.autocast():
            for game in range(self.games):
                share = tables[game :: self.games]
                for start in range(0, len(share), VALIDATED_AT_ONCE):
                    some = share[start : start + VALIDATED_AT_ONCE]
                    points += float(self.reward(self.play(some, game), game).sum())
        on_step({"validation_reward": points / count})
        if points / count > self.progress.best:
            self.progress.best, self.progress.best_step = points / count, self.progress.step
            if self.accelerator.is_main_process:
                self.agent.save_pretrained(folder / "best")

    def _save(self, folder: Path) -> None:
        """A checkpoint of everything, whole or not at all; the one before goes."""
        name = f"checkpoint-{self.progress.step}"
        part = folder / "checkpoint.part"
        now = time.process_time()
        self.progress.cpu_seconds, self._clock = self.progress.cpu_seconds + now - self._clock, now
        self.accelerator.save_state(str(part))
        self.accelerator.wait_for_everyone()  # every process has put its own state there
        if self.accelerator.is_main_process:
            state = {"rewards": [asdict(one) for one in self.rewards], "progress": asdict(self.progress)}
            (part / "state.json").write_text(json.dumps(state))
            part.rename(folder / name)
            for old in folder.glob("checkpoint-*"):
                if old.name != name:
                    shutil.rmtree(old)
        self.accelerator.wait_for_everyone()

    def _load(self, folder: Path) -> bool:
        """Goes back to the newest checkpoint; whether there is one."""
        found = sorted(folder.glob("checkpoint-*/state.json"), key=lambda path: int(path.parent.name.split("-")[1]))
        if not found:
            return False
        self.accelerator.load_state(str(found[-1].parent))
        state = json.loads(found[-1].read_text())
        self.rewards = [Rewards(**one) for one in state["rewards"]]
        self.progress = Progress(**state["progress"])
        return True


@lru_cache(8)
def _order(what: str, seed: int, epoch: int, count: int) -> list[int]:
    """A shuffled order of `count` things."""
    order = list(range(count))
    random.Random(f"{what}:{seed}:{epoch}").shuffle(order)
    return order
