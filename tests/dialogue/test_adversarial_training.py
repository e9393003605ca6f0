"""Adversarial training: whose game it is, what is rewarded and learnt, which target is kept, and interruption."""

import random
from itertools import pairwise

import pytest
import torch
from accelerate import Accelerator
from negotiators import WORDS, ready_to_end, tiny_agent

from dialogue.adversarial_training import Defense, Lessons, Outcome, advantage, adversarial_training
from dialogue.attacks.attack import attack
from dialogue.configs import AdversarialTrainingConfig, ReinforceConfig
from dialogue.domain import all_scenarios
from dialogue.selfplay import Table, play
from dialogue.simulator import corpus
from dialogue.supervised import Views

TABLES = [Table(i, scenario) for i, scenario in enumerate(all_scenarios()[::900])]
SHORT = {"rl_batch_size": 8, "validate_every": 8, "validation_dialogues": 8}


def agent(seed: int):
    return tiny_agent(seed, temperature=1.0, max_words=4).float()


def lessons(accelerator=None, **options) -> Lessons:
    return Lessons(
        ReinforceConfig(**({"rl_dialogues": 16} | SHORT | options)),
        accelerator or Accelerator(cpu=True),
        Views(agent(0).vocabulary, corpus("test")[:20]),
        [table.scenario for table in TABLES],
        [table.scenario for table in TABLES[:3]],
        seed=3,
    )


def defense(reward="points", kind=Defense, reactive_every=0, **options) -> Defense:
    given = lessons(**options)
    training = AdversarialTrainingConfig(defense_reward=reward, reactive_every=reactive_every)
    return kind(agent(0), agent(1), [agent(2), agent(3)], given.config, training, **given.shared())


def test_the_target_meets_each_adversary_and_after_each_its_partner():
    one = defense()
    assert one.games == 4 and [one.seat(game) for game in range(4)] == [1, 0, 1, 0]
    for game, adversary in ((0, agent(2)), (2, agent(3))):
        found, expected = one.play(TABLES, game), play((adversary, agent(0)), TABLES, seed=3, complement=True)
        assert found.transcript.turns == expected.transcript.turns
        assert torch.equal(found.partner_choice, expected.partner_choice)
        assert torch.equal(one.reward(found, game), expected.partner_score)
        own = defense(reward="advantage").reward(found, game)
        assert torch.equal(own, expected.partner_score - expected.score)
    for game in (1, 3):
        found, expected = one.play(TABLES, game), play((agent(0), agent(1)), TABLES, seed=3)
        assert found.transcript.turns == expected.transcript.turns
        assert torch.equal(one.reward(found, game), expected.score)
        assert torch.equal(defense(reward="advantage").reward(found, game), expected.score), "an ordinary game"


@pytest.mark.parametrize("game", [0, 1])
def test_what_is_learnt_from_is_what_the_target_said(game):
    one = defense()
    played = one.play(TABLES, game)
    talk, own = played.talks[one.seat(game)], one._chosen(played, one.seat(game))
    for row in range(len(TABLES)):
        texts = [
            text
            for speaker, text in zip(
                played.transcript.speakers[row].tolist(), played.transcript.turns[row], strict=False
            )
            if speaker == one.seat(game)
        ]
        if played.transcript.cut[row] and texts and texts[-1] == "<selection>":
            texts.pop()  # the limit said that
        words = [WORDS[word] for word, mine in zip(talk.words[row].tolist(), own[row].tolist(), strict=False) if mine]
        assert words == " ".join(texts).split()


def test_a_word_that_pays_is_learnt_from_the_second_chair(tmp_path):
    class Books(Defense):
        def reward(self, played, game=0):
            talk, own = played.talks[self.seat(game)], self._chosen(played, self.seat(game))
            books = (talk.words[:, : own.shape[1]] == WORDS.index("book")) & own
            return books.sum(1) / own.sum(1).clamp(min=1)

    options = {"rl_dialogues": 640, "rl_batch_size": 32, "rl_learning_rate": 0.02, "supervised_every": 0}
    one = defense(kind=Books, **options, validate_every=640)
    before = [float(one.reward(one.play(TABLES, game), game).mean()) for game in range(4)]
    one.run(tmp_path, lambda told: None)
    after = [float(one.reward(one.play(TABLES, game), game).mean()) for game in range(4)]
    assert min(after) > 3 * max(before)


def test_the_reactive_attack_teaches_what_was_right_without_it():
    """Beside the corpus, at the steps that are due; and it leaves the target as it is."""
    one, plain = defense(reactive_every=3), defense()
    for each in (one, plain):
        each.agent.load_state_dict(ready_to_end().float().state_dict())
        for layer in (each.agent.dropout, each.agent.word_dropout, each.agent.output_dropout):
            layer.p = 0.0
    more = []
    for number in range(7):
        found, corpus_alone = (float(each._supervised_loss(number).detach()) for each in (one, plain))
        lesson = one.corrections(number // 3) if number % 3 == 0 else None
        more.append(float(lesson.loss(one.agent(**lesson.batch)).detach()) if lesson else 0.0)
        assert found == pytest.approx(corpus_alone + more[-1], rel=1e-5)
    assert any(more)
    for old, new in zip(plain.agent.parameters(), one.agent.parameters(), strict=True):
        assert torch.equal(old, new)


def test_an_advantage_is_that_of_the_attack():
    found = advantage(agent(2), agent(0), TABLES, 5)
    records = attack(agent(2), agent(0), TABLES, seed=5)
    assert found == pytest.approx(sum(one.score - one.partner_score for one in records) / len(records))


def test_the_target_of_the_least_worst_loss_is_kept():
    draw = random.Random(0)
    for _ in range(200):
        count = draw.randrange(2, 6)
        payoffs = [[draw.uniform(-3, 5) for _ in range(count)] for _ in range(count)]
        agreement = [draw.choice([0.7, 0.84, 0.85, 0.95]) for _ in range(count)]
        found = Outcome.of(payoffs, agreement, 0.85)
        rounds = range(1, count)
        allowed = [n for n in rounds if agreement[n] >= 0.85] or list(rounds)
        assert found.chosen in allowed and all(max(payoffs[found.chosen]) <= max(payoffs[n]) for n in allowed)
        assert payoffs[found.chosen][found.hardest] == max(payoffs[found.chosen])


def weights(folder):
    return [path.read_bytes() for path in sorted(folder.glob("round-*/*/best/model.safetensors"))]


def test_an_interrupted_training_ends_as_an_uninterrupted_one(tmp_path):
    class Interrupted(Exception):
        pass

    def trained(folder, on_step):
        config = AdversarialTrainingConfig(rounds=2, round_dialogues=16, reactive_every=2)
        return adversarial_training(agent(0), agent(1), config, lessons(), folder=folder, on_step=on_step)

    names, seen = [], []
    whole = trained(tmp_path / "whole", lambda name, training, told: names.append(name))
    expected = ["round-0/adversary", "round-1/target", "round-1/adversary", "round-2/target", "round-2/adversary"]
    assert list(dict.fromkeys(names)) == expected and len(whole.payoffs) == len(whole.payoffs[0]) == 3
    assert len(weights(tmp_path / "whole")) == 5

    def until(count):
        def on_step(name, training, told):
            seen.append(name)
            if len(seen) == count:
                raise Interrupted

        return on_step

    for count in (1, 3, 4, 1000):
        seen.clear()
        try:
            cut = trained(tmp_path / "cut", until(count))
        except Interrupted:
            continue
    assert cut == whole and weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert any(one != other for one, other in pairwise(weights(tmp_path / "whole")))
