"""The RL attack and the transfer attack: what is rewarded, what is learnt, what is said."""

from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from negotiators import WORDS, Scripted, tiny_agent, tiny_chat_model

from dialogue.attacks.attack import attack
from dialogue.attacks.rl import RlAttack, released_reward
from dialogue.attacks.transfer import TransferAdversary, drawn, winning_sentences
from dialogue.chat_agent import ChatAgent
from dialogue.configs import ReinforceConfig
from dialogue.domain import all_scenarios, complement, scores, tables
from dialogue.selfplay import Table, play
from dialogue.simulator import corpus
from dialogue.supervised import Views
from dialogue.types import SELECTION, Utterances
from textadv.noise import example_seeds

TABLES = [Table(i, scenario) for i, scenario in enumerate(all_scenarios()[::900])]


def training(target=None, **options):
    agent = tiny_agent(0, temperature=1.0).float()
    return RlAttack(
        agent,
        target or tiny_agent(1, temperature=1.0).float(),
        ReinforceConfig(rl_dialogues=16, rl_batch_size=8, validate_every=8, validation_dialogues=5, **options),
        accelerator=Accelerator(cpu=True),
        views=Views(agent.vocabulary, corpus("test")[:20]),
        scenarios=[table.scenario for table in TABLES],
        validation=[table.scenario for table in TABLES[:2]],
        seed=3,
    )


def test_the_reward_is_the_advantage_after_the_complement(tmp_path):
    one = training()
    played = one.play(TABLES)
    counts, values, target_values = tables([table.scenario for table in TABLES])
    assert torch.equal(played.choice, complement(played.partner_choice, counts))
    mine, theirs = scores(played.choice, played.partner_choice, counts, values, target_values)
    assert torch.equal(one.reward(played), mine - theirs)
    before = one.agent.embedding.weight.detach().clone()
    told = []
    one.run(tmp_path, told.append)
    assert one.progress.step == 2 and not torch.equal(before, one.agent.embedding.weight)
    assert len([values for values in told if "validation_reward" in values]) == 3
    assert (tmp_path / "best" / "model.safetensors").exists()


def test_a_chat_model_is_a_target_too(tmp_path):
    one = training(ChatAgent(*tiny_chat_model(), max_new_tokens=4))
    one.config = replace(one.config, rl_dialogues=8)
    before = one.agent.embedding.weight.detach().clone()
    one.run(tmp_path, lambda told: None)
    assert one.progress.step == 1 and not torch.equal(before, one.agent.embedding.weight)


def test_the_released_reward_by_hand():
    one = training(rl_reward="released")
    played = one.play(TABLES)
    found = one.reward(played)
    assert torch.equal(found, released_reward(one.partner, played))
    for row, table in enumerate(TABLES):
        logits = one.partner.choice_scores(played.talks[1], torch.tensor([row]))[0].double()
        probability = logits.softmax(0).tolist()
        counts, values, target_values = tables([table.scenario])
        best, gap = 0.0, None
        for choice, p in enumerate(probability):
            theirs = torch.tensor([choice])
            mine, other = scores(complement(theirs, counts), theirs, counts, values, target_values)
            if p > best and mine > other:
                best, gap = p, int(mine - other)
        assert found[row].item() == pytest.approx(5 - 5 * (max(probability) - best) / gap, abs=1e-4)


def test_the_list_holds_last_sentences_of_dialogues_that_were_won():
    records = attack(tiny_agent(0, temperature=2.0), tiny_agent(1, temperature=2.0), TABLES, seed=0, max_turns=3)
    winners = [record for record in records if record.score - record.partner_score >= 5]
    found = winning_sentences(records)
    assert winners and len(found) == len(set(found)) and SELECTION not in found
    for record in winners:
        own = [t for s, t in zip(record.speakers, record.turns, strict=True) if s == 0 and t != SELECTION]
        assert not own or own[-1] in found
    assert len(found) <= len(winners)
    assert winning_sentences([*winners, *winners[:1] * 3])[:1] == winning_sentences(winners[:1])[:1]


def test_a_sentence_is_said_once_after_the_turns():
    lines = ["i take the ball <eos>", "you take the hat <eos>"]
    adversary = TransferAdversary(tiny_agent(0, temperature=1.0), lines, 3)
    target = Scripted(["deal <eos>"] * 9)
    played = play((adversary, target), TABLES, seed=0, max_turns=4, complement=True)
    found = 0
    for speakers, turns in zip(played.transcript.speakers.tolist(), played.transcript.turns, strict=True):
        own = [i for i, who in enumerate(speakers) if who == 0 and not turns[i].endswith(SELECTION)]
        said = [i for i in own if turns[i] in lines]
        assert said == [i for i in own if i >= 3][:1]
        found += len(said)
    assert found
    records = attack(adversary, Scripted(["deal <eos>"] * 9), TABLES, seed=0, max_turns=4)
    assert sum(record.kinds.count("transfer") for record in records) == found
    assert all(base not in lines for record in records for base in record.bases), "the regular sentences"


def test_sentences_are_drawn_by_the_dialogues_chance():
    lines = ["i take the ball <eos>", "you take the hat <eos>", "deal <eos>"]
    said = Utterances.of(["ok <eos>"] * 300, tuple(WORDS))
    where = torch.arange(300) % 3 > 0
    seeds, turns = example_seeds(0, range(300)), torch.zeros(300, dtype=torch.long)
    texts = drawn(said, where, lines, seeds, turns).texts()
    assert [text == "ok <eos>" for text in texts] == (~where).tolist()
    assert min(texts.count(line) for line in lines) > 40
    alone = drawn(Utterances.of(["ok <eos>"], tuple(WORDS)), where[7:8], lines, seeds[7:8], turns[7:8]).texts()
    assert alone == texts[7:8]
