"""A chat model at the table: what it is told, samples that don't depend on the batch, decisions by likelihood."""

import pytest
import torch
from negotiators import tiny_agent, tiny_chat_model
from transformers import PreTrainedTokenizerFast

from dialogue.chat_agent import ChatAgent, GumbelNoise, _answer
from dialogue.configs import BadInput
from dialogue.domain import NO_DEAL, SHARES, Scenario, legal
from dialogue.selfplay import Table, selfplay
from dialogue.types import Utterances, as_utterance

SCENARIOS = [Scenario((1, 4, 1), (4, 1, 2), (0, 2, 2)), Scenario((2, 2, 3), (1, 1, 2), (2, 3, 0))]


@pytest.fixture(scope="module")
def agent():
    model, tokenizer = tiny_chat_model()
    return ChatAgent(model.double(), tokenizer, temperature=1.0, max_new_tokens=6)


def test_it_is_told_its_own_table(agent):
    talk = agent.begin(SCENARIOS, torch.arange(2))
    [rules] = talk.messages[1]
    assert rules["role"] == "system" and "2 books, 2 hats, 3 balls" in rules["content"]
    assert "a book is worth 1, a hat is worth 1, a ball is worth 2" in rules["content"]
    agent.read(
        talk,
        torch.tensor([1]),
        Utterances.of(["i want balls <eos>"], ("<eos>", "<unk>", "<selection>", "<pad>", "i", "want", "balls")),
    )
    agent.read(
        talk, torch.tensor([1]), Utterances.of(["<selection>"], ("<eos>", "<unk>", "<selection>", "<pad>")), own=True
    )
    assert [(one["role"], one["content"]) for one in talk.messages[1][1:]] == [
        ("user", "i want balls"),
        ("assistant", "<selection>"),
    ]
    assert len(talk.messages[0]) == 1


def test_words_are_samples_of_the_dialogue_alone(agent):
    scenarios, seeds = [SCENARIOS[i % 2] for i in range(6)], 7 * torch.arange(6)
    together = agent.begin(scenarios, seeds)
    texts = agent.write(together, torch.arange(6)).texts()
    alone = []
    for scenario, seed in zip(scenarios, seeds, strict=True):
        talk = agent.begin([scenario], seed[None])
        alone += agent.write(talk, torch.tensor([0])).texts()
    assert texts == alone and len(set(texts)) > 3
    assert [talk[-1]["role"] for talk in together.messages] == ["assistant"] * 6


def test_samples_follow_the_softmax():
    logits = torch.tensor([0.5, -1.0, 2.0, 0.0], dtype=torch.float64)
    many = 20_000
    noise = GumbelNoise(torch.arange(many), torch.full((many,), 3), 0.7, start=5)
    found = noise(torch.zeros(many, 6, dtype=torch.long), logits.expand(many, 4)).argmax(1)
    shares = found.bincount(minlength=4) / many
    assert shares.tolist() == pytest.approx((logits / 0.7).softmax(0).tolist(), abs=0.012)


def test_the_decision_is_the_likeliest_wording(agent):
    talk = agent.begin(SCENARIOS, torch.arange(2))
    rows = torch.tensor([1, 0])
    for row, found in zip(rows.tolist(), agent.choose(talk, rows).tolist(), strict=True):
        question = agent._prompt(
            [*talk.messages[row], {"role": "user", "content": "The talk is over. What do you take?"}]
        )
        prompt = agent.tokenizer(question, add_special_tokens=False)["input_ids"]
        scores = {}
        for choice in legal(talk.counts[row : row + 1])[0].nonzero()[:, 0].tolist():
            answer = agent.tokenizer(_answer(choice), add_special_tokens=False)["input_ids"]
            log_p = agent.model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0].log_softmax(1)
            scores[choice] = sum(log_p[len(prompt) + i - 1, piece].item() for i, piece in enumerate(answer))
        assert found == max(scores, key=scores.__getitem__)
    assert _answer(SHARES.index((1, 0, 2))) == "i take 1 book, 0 hats, 2 balls" and _answer(NO_DEAL) == "no deal"


def test_utterances_in_the_corpus_form():
    assert as_utterance("I'd like the Books, please!\nThanks") == "i'd like the books , please ! <eos>"
    assert as_utterance("  deal <selection>") == "<selection>"
    assert as_utterance("\n") == "<eos>"


def test_it_plays_with_another_kind_of_agent(agent):
    tables = [Table(i, SCENARIOS[i % 2]) for i in range(4)]
    records = selfplay((agent, tiny_agent()), tables, seed=0, max_turns=2)
    assert [record.example_id for record in records] == [0, 1, 2, 3]
    assert all(record.turns[-1].endswith("<selection>") for record in records)


def test_a_model_without_a_template_is_refused():
    _, tokenizer = tiny_chat_model()
    bare = PreTrainedTokenizerFast(tokenizer_object=tokenizer.backend_tokenizer, pad_token="<pad>")
    with pytest.raises(BadInput, match="no chat template"):
        ChatAgent(torch.nn.Module(), bare)
