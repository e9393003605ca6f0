"""The agent against what it is defined by: sizes, losses, decisions and words, one at a time and without a cache."""

import itertools
import math
from collections import Counter

import pytest
import torch
from negotiators import WORDS, tiny_agent
from transformers import AutoConfig

from dialogue.agent import IGNORED, NegotiationAgent, NegotiationConfig, build_vocabulary, choice_scores
from dialogue.domain import NO_DEAL, SHARES, Scenario, tables
from dialogue.types import EOS, MARKS, SELECTION, THEM, YOU, Utterances
from textadv.noise import uniform

SCENARIOS = [
    Scenario((1, 4, 1), (4, 1, 2), (0, 2, 2)),
    Scenario((2, 2, 3), (1, 1, 2), (2, 3, 0)),
    Scenario((3, 1, 1), (1, 3, 4), (2, 4, 0)),
]
TEXTS = [
    "YOU: i want the book <eos> THEM: ok <eos> YOU: <selection>",
    "THEM: deal ? <eos> YOU: <selection>",
    "YOU: you take the hats <eos> THEM: i want balls <eos> YOU: ok deal <eos> THEM: <selection>",
]


@pytest.fixture(scope="module")
def agent():
    return tiny_agent()


def batch(texts=TEXTS, scenarios=SCENARIOS):
    said = Utterances.of(texts, tuple(WORDS))
    counts, values, _ = tables(scenarios)
    return {"input_ids": said.ids, "lengths": said.lengths, "counts": counts, "values": values}


def test_sizes_are_the_papers():
    words = [*MARKS, YOU, THEM, *map(str, range(457))]
    agent = NegotiationAgent(NegotiationConfig(words=words))
    assert sum(values.numel() for values in agent.parameters()) == 1_631_277 - 6 * (18 - 6) * 257
    weights = dict(agent.named_parameters())
    assert weights["speaker.weight_ih_l0"].abs().max() <= 0.1 and weights["speaker.bias_ih_l0"].eq(0).all()
    assert weights["selector.bias_ih_l0"].abs().max() > 0, "as torch has it"


def test_a_vocabulary_begins_with_the_marks():
    with pytest.raises(ValueError, match="words must begin with <eos>, <unk>, <selection>, <pad>"):
        NegotiationConfig(words=[YOU, THEM])
    assert build_vocabulary(Counter(), 0) == [*MARKS, YOU, THEM]


def plain_states(agent, row: int) -> list[torch.Tensor]:
    """The speaking GRU's states, word by word, by its definition."""
    gru, inputs = agent.speaker, batch()
    context = agent.context(inputs["counts"][row : row + 1], inputs["values"][row : row + 1])[0]
    state, found = torch.zeros(agent.config.hidden_size, dtype=torch.float64), []
    for word in inputs["input_ids"][row, : inputs["lengths"][row]]:
        read = torch.cat([agent.embedding.weight[word], context])
        reset, update, new = (gru.weight_ih_l0 @ read + gru.bias_ih_l0).chunk(3)
        reset_, update_, new_ = (gru.weight_hh_l0 @ state + gru.bias_hh_l0).chunk(3)
        update = torch.sigmoid(update + update_)
        state = (1 - update) * torch.tanh(new + torch.sigmoid(reset + reset_) * new_) + update * state
        found.append(state)
    return found


def test_losses_are_the_means_over_words_and_known_shares(agent):
    inputs = batch()
    choices = torch.tensor([SHARES.index((1, 2, 0)), IGNORED, NO_DEAL])
    output = agent(**inputs, choices=choices)
    words = []
    for row, length in enumerate(inputs["lengths"].tolist()):
        states = plain_states(agent, row)
        for place in range(length - 1):
            logits = agent.embedding.weight @ (agent.output.weight @ states[place] + agent.output.bias)
            words.append(-logits.log_softmax(0)[inputs["input_ids"][row, place + 1]])
    assert output.word_loss.item() == pytest.approx(sum(words).item() / len(words), rel=1e-12)
    heads = output.selection_logits.log_softmax(2)
    own = [-heads[0, place, outcome] for place, outcome in enumerate([1, 2, 0, 0, 2, 1])]
    none = [-heads[2, place, 5] for place in range(6)]
    assert output.selection_loss.item() == pytest.approx(sum(own + none).item() / 12, rel=1e-12)
    assert output.loss.item() == pytest.approx((output.word_loss + 0.5 * output.selection_loss).item(), rel=1e-12)


def test_padding_and_company_change_nothing(agent):
    together = agent(**batch())
    for row, length in enumerate(batch()["lengths"].tolist()):
        alone = agent(**batch([TEXTS[row]], [SCENARIOS[row]]))
        assert torch.allclose(alone.logits[0], together.logits[row, :length], atol=1e-12)
        assert torch.allclose(alone.selection_logits[0], together.selection_logits[row], atol=1e-12)


def test_nothing_known_is_no_loss(agent):
    output = agent(**batch(), choices=torch.full((3,), IGNORED))
    assert output.selection_loss == 0 and output.loss == output.word_loss


def test_the_decision_is_the_best_of_all_legal_shares():
    generator = torch.Generator().manual_seed(0)
    for counts in {scenario.counts for scenario in SCENARIOS}:
        logits = torch.randn(50, 6, 6, generator=generator, dtype=torch.float64)
        found = choice_scores(logits, torch.tensor(counts).expand(50, 3))
        for row in range(50):
            expected = {NO_DEAL: logits[row, :, 5].sum().item()}
            for share in itertools.product(*(range(n + 1) for n in counts)):
                rest = [n - s for n, s in zip(counts, share, strict=True)]
                outcomes = [*share, *rest]
                expected[SHARES.index(share)] = sum(logits[row, i, o].item() for i, o in enumerate(outcomes))
            legal = found[row].isfinite().nonzero()[:, 0].tolist()
            assert legal == sorted(expected)
            assert found[row, legal].tolist() == pytest.approx([expected[choice] for choice in legal])
            assert found[row].argmax() == max(expected, key=expected.__getitem__)


def one_at_a_time(agent, scenario, seed: torch.Tensor, heard: str) -> list[str]:
    """What an agent says after `heard`, each word from a pass over everything that was said before."""
    words = f"{THEM} {heard} {YOU}".split() if heard else [YOU]
    start, turn = len(words), 1 if heard else 0
    while words[-1] not in (EOS, SELECTION) or len(words) == start:
        if len(words) - start == agent.config.max_words:
            words.append(EOS)
            break
        logits = agent(**batch([" ".join(words)], [scenario])).logits[0, -1]
        for mark in ("<unk>", "<pad>", YOU, THEM):
            logits[WORDS.index(mark)] = -math.inf
        number = uniform(seed, torch.tensor(turn), torch.tensor(len(words) - start))
        cumulated = (logits / agent.config.temperature).softmax(0).cumsum(0)
        words.append(WORDS[int((cumulated < number).sum())])
    return words[start:]


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_cached_words_are_those_of_whole_passes(temperature):
    agent = tiny_agent(temperature=temperature)
    count, heard = 40, "i want the hats <eos>"
    scenarios = [SCENARIOS[i % 3] for i in range(count)]
    seeds = torch.arange(count) * 1_000_003
    for first in (True, False):
        talk, rows = agent.begin(scenarios, seeds), torch.arange(count)
        if not first:
            agent.read(talk, rows, Utterances.of([heard] * count, tuple(WORDS)))
        found = [text.split() for text in agent.write(talk, rows).texts()]
        with torch.no_grad():
            expected = [
                one_at_a_time(agent, *one, "" if first else heard) for one in zip(scenarios, seeds, strict=True)
            ]
        assert found == expected
    assert len({tuple(words) for words in found}) > 5
    assert max(map(len, found)) == agent.config.max_words + 1 or temperature < 1, "a long one is cut off"


def test_memory_after_reading_and_writing_is_that_of_a_whole_pass(agent):
    talk, rows = agent.begin(SCENARIOS, torch.arange(3)), torch.arange(3)
    agent.write(talk, rows[:2])
    agent.read(talk, rows, Utterances.of(["i want the hats <eos>", "ok <eos>", "deal ? <eos>"], tuple(WORDS)))
    agent.read(talk, rows[1:], Utterances.of(["<selection>"] * 2, tuple(WORDS)), own=True)
    texts = Utterances(talk.words, talk.lengths, tuple(WORDS)).texts()
    assert texts[2] == "THEM: deal ? <eos> YOU: <selection>" and talk.turns.tolist() == [2, 3, 2]
    output = agent(**batch(texts))
    states = agent.states(agent.embedding(batch(texts)["input_ids"]), talk.lengths, talk.context)
    assert torch.allclose(talk.state, states[torch.arange(3), talk.lengths - 1], atol=1e-12)
    expected = choice_scores(output.selection_logits, talk.counts)
    assert torch.allclose(agent.choice_scores(talk, rows), expected, atol=1e-12)
    assert agent.choose(talk, rows).tolist() == expected.argmax(1).tolist()


def test_temperature_zero_says_the_likeliest():
    agent = tiny_agent(temperature=0.0)
    talk, other = (agent.begin(SCENARIOS, torch.arange(3) + shift) for shift in (0, 9))
    assert agent.write(talk, torch.arange(3)).texts() == agent.write(other, torch.arange(3)).texts()


def test_words_of_another_vocabulary(agent):
    other = (*MARKS, "hat", "deal", "whatever", THEM, YOU)
    said = Utterances.of(["deal whatever hat <eos>", "<selection>"], other)
    assert said.within(tuple(WORDS)).texts() == ["deal <unk> hat <eos>", "<selection>"]
    assert said.ends_talk().tolist() == [False, True]


def test_saved_and_loaded_bit_equal(agent, tmp_path):
    agent.save_pretrained(tmp_path)
    loaded = NegotiationAgent.from_pretrained(tmp_path, dtype=torch.float64).eval()
    assert loaded.vocabulary == agent.vocabulary
    assert all(torch.equal(a, b) for a, b in zip(agent.parameters(), loaded.parameters(), strict=True))
    assert torch.allclose(agent(**batch()).logits, loaded(**batch()).logits, atol=1e-12)
    tokenizer = agent.tokenizer().from_pretrained(tmp_path)
    assert tokenizer(TEXTS[0])["input_ids"] == batch()["input_ids"][0, : batch()["lengths"][0]].tolist()
    assert (tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id) == (0, 1, 3)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), NegotiationConfig)
