"""Likelihoods of a language model, what it refuses, and the intervals of perplexity and of its ratio.

The sums themselves are checked one piece at a time in metrics/test_metrics.py.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tiny import END, sentences, unigram, wordpiece

from textadv.configs import BadInput
from textadv.language_model import LanguageModel, Likelihoods, perplexities, perplexity_estimate, ratio_estimate

TEXTS = [*sentences(11, seed=1), "", "dog"]


def random_model(kind: Any, config: Any) -> Any:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = kind(config)
        for values in model.parameters():
            values.normal_(0, 0.3)
    return model


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    made = unigram()
    made.bos_token = END
    return made


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def model(request, tokenizer) -> LanguageModel:
    if request.param == "gpt2":
        config = transformers.GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=40)
        return LanguageModel(random_model(transformers.GPT2LMHeadModel, config), tokenizer)
    sizes: Any = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=40, **sizes)
    return LanguageModel(random_model(transformers.LlamaForCausalLM, config), tokenizer)


def test_neither_batches_nor_padding_change_anything(model):
    whole = model.likelihoods(TEXTS, batch_size=len(TEXTS))
    for other in (
        model.likelihoods(TEXTS, batch_size=1),
        model.likelihoods(TEXTS[::-1], batch_size=4)[::-1],
    ):
        assert np.allclose(whole.sums, other.sums, rtol=1e-5) and np.array_equal(whole.counts, other.counts)


def test_what_is_counted(model, tokenizer):
    pieces = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in TEXTS]
    assert model.likelihoods(TEXTS).counts.tolist() == pieces  # it has a start token, so that is the default
    assert model.likelihoods(TEXTS, add_start_token=False).counts.tolist() == [max(n - 1, 0) for n in pieces]
    assert model.likelihoods(TEXTS, max_length=4).counts.tolist() == [min(n, 3) for n in pieces]
    assert len(model.likelihoods([]).sums) == 0 and math.isnan(model.likelihoods([]).perplexity)


def test_long_sentences_are_cut_at_what_the_model_takes(model):
    """40 positions, the start token's among them."""
    long = model.likelihoods(["dog " * 100])
    assert long.counts.tolist() == [39]
    assert long.sums == pytest.approx(model.likelihoods(["dog " * 39]).sums)


def test_a_uniform_model_is_as_perplexed_as_its_vocabulary_is_large(tokenizer):
    config = transformers.GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=1, n_head=2, n_positions=40)
    model = transformers.GPT2LMHeadModel(config)
    with torch.no_grad():
        for values in model.parameters():
            values.zero_()
    found = LanguageModel(model, tokenizer).likelihoods(["dog runs", "", "the old man sees"])
    assert found.perplexity == pytest.approx(len(tokenizer)) == found.mean_perplexity
    assert perplexity_estimate(found) == {name: pytest.approx(len(tokenizer)) for name in ("value", "low", "high")} | {
        "n": 2
    }


def test_corpus_and_mean_weigh_differently():
    """A sentence of one piece with p = 1/8, and one of three with p = 1/2 each: 2 ** (6/4), and (8 + 2) / 2."""
    found = Likelihoods(np.array([3, 3, 0]) * math.log(2), np.array([1.0, 3.0, 0.0]))
    assert found.perplexity == pytest.approx(2**1.5)
    assert found.perplexities[:2] == pytest.approx([8, 2]) and math.isnan(found.perplexities[2])
    assert found.mean_perplexity == pytest.approx(5)


def test_refused(tokenizer, tmp_path):
    sizes: Any = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.BertConfig(vocab_size=len(tokenizer), **sizes)
    with pytest.raises(BadInput, match="BertLMHeadModel looks at the pieces that it should predict"):
        LanguageModel(random_model(transformers.BertLMHeadModel, config), tokenizer)
    config = transformers.BertConfig(vocab_size=len(tokenizer), is_decoder=True, **sizes)
    words = wordpiece()
    fine = LanguageModel(random_model(transformers.BertLMHeadModel, config), words)
    with pytest.raises(BadInput, match="tokenizer of BertLMHeadModel has no start token; say add_start_token=False"):
        fine.likelihoods(["dog"], add_start_token=True)
    assert fine.likelihoods(["the dog runs"]).counts.tolist() == [2]  # without one, by default
    with pytest.raises(BadInput, match="must be at least 1, not 0 and None"):
        fine.likelihoods(["dog"], batch_size=0)
    for text, message in {
        '{"model_type": "marian", "is_encoder_decoder": true}': "is an encoder-decoder .marian.; give a causal",
        '{"model_type": "gpt2"}': "is no causal language model that can be loaded",
        '{"model': "has no config.json that can be read",
    }.items():
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(BadInput, match=message):
            LanguageModel.from_pretrained(str(tmp_path))


# Intervals ----------------------------------------------------------------------------------------------


def drawn(count: int, seed: int) -> Likelihoods:
    generator = np.random.default_rng(seed)
    counts = generator.integers(3, 20, size=count).astype(float)
    return Likelihoods(counts * generator.gamma(9, 1 / 3, size=count), counts)


def test_perplexity_interval_is_near_the_normal_one():
    """The delta method: log perplexity is a ratio of means, of standard error sd(sum - ratio * count) / mean(count)."""
    found = drawn(400, seed=4)
    ratio = found.sums.sum() / found.counts.sum()
    error = np.std(found.sums - ratio * found.counts) / found.counts.mean() / math.sqrt(400)
    estimate: Any = perplexity_estimate(found)
    assert estimate["value"] == found.perplexity and estimate["n"] == 400
    assert math.log(estimate["low"]) == pytest.approx(ratio - 1.96 * error, abs=0.1 * error)
    assert math.log(estimate["high"]) == pytest.approx(ratio + 1.96 * error, abs=0.1 * error)
    assert estimate == perplexity_estimate(found)


def test_the_ratio_draws_pairs():
    """Every piece e times less likely: the ratio is e in every sample, though perplexity itself varies."""
    below = drawn(50, seed=1)
    above = Likelihoods(below.sums + below.counts, below.counts)
    assert ratio_estimate(above, below) == {
        "value": pytest.approx(math.e), "low": pytest.approx(math.e), "high": pytest.approx(math.e), "n": 50
    }  # fmt: skip


def test_too_few_sentences_for_an_interval():
    nothing = {"value": None, "low": None, "high": None, "n": 0}
    empty = Likelihoods(np.zeros(2), np.zeros(2))
    assert perplexity_estimate(empty) == nothing == ratio_estimate(empty, drawn(2, seed=2))
    one = drawn(1, seed=3)
    assert perplexity_estimate(one) == {"value": pytest.approx(one.perplexity), "low": None, "high": None, "n": 1}


def test_perplexities_of_records(model):
    """Only the successes count; what failed or was skipped may hold anything."""
    kept = {"skipped": None, "success": True}
    others = [{"skipped": None, "success": False}, {"skipped": "empty", "success": False}]
    records = [
        {**kept, "original": "the dog runs.", "adversarial": "the Hund runs."},
        *({**other, "original": None, "adversarial": None} for other in others),
        {**kept, "original": "a man sits.", "adversarial": "a man sees."},
    ]
    found: Any = perplexities(model, records)
    before = model.likelihoods(["the dog runs.", "a man sits."]).perplexity
    after = model.likelihoods(["the Hund runs.", "a man sees."]).perplexity
    values = {name: one["value"] for name, one in found.items()}
    assert values == pytest.approx(
        {"original_perplexity": before, "adversarial_perplexity": after, "perplexity_ratio": after / before}
    )
    assert all(one["n"] == 2 for one in found.values())
    assert {one["n"] for one in perplexities(model, records[1:3]).values()} == {0}
