"""The RL attack of AdvAgent (Cheng, Wei, Hsieh, NAACL 2019), section 3.2.2.1, (3.7), (3.8): a black-box attack.

An agent learns by policy gradient to win by as many points as it can: its reward is its advantage, and it takes what
the target leaves. Of the target it sees what it says and what it takes in the end. All else is as the RL agent learns.

Deviations: the authors' code rewards it by the target's probabilities (`released`, which is a score-based attack then);
the adversary that is kept is that of the highest mean reward on validation scenarios, for they go up and down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dialogue.attacks.goal import gains
from dialogue.reinforce import Reinforcement
from dialogue.selfplay import Played, Table, play

MOST_POINTS = 5.0  # of the released reward


class RlAttack(Reinforcement):
    """The training of an adversary, in progress; see `Reinforcement`. `rl_reward` says what is rewarded."""

    def play(self, batch: Sequence[Table], game: int = 0) -> Played:
        return play((self.agent, self.partner), batch, seed=self.seed, complement=True)

    def reward(self, played: Played, game: int = 0) -> Tensor:
        if self.config.rl_reward == "released":
            return released_reward(self.partner, played)
        return played.score - played.partner_score


def released_reward(target: Any, played: Played) -> Tensor:
    """(B,) the reward of the authors' code: 5 - 5 (p(o*) - p(o)) / gain(o).

    o* is what the target takes and o the likeliest of the choices that leave the adversary more than the target.
    """
    talk = played.talks[1]
    scores = target.choice_scores(talk, torch.arange(len(talk.lengths)))
    gain = gains(played.scenarios).to(scores.device)
    probability = scores.softmax(1)
    best, choice = probability.masked_fill(gain <= 0, -torch.inf).max(1)
    gap = gain.gather(1, choice[:, None])[:, 0]
    return MOST_POINTS - MOST_POINTS * (probability.amax(1) - best) / gap
