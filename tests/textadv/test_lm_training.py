"""Tokenizer, models and score of a language model's training, against what they must be."""

from typing import Any

import pytest
import torch
import transformers

from textadv import lm_training
from textadv.configs import BadInput, TrainLMConfig
from textadv.grammar import generate
from textadv.language_model import LanguageModel

TEXTS = [pair["source"] for pair in generate("train", 200)]
TINY: dict[str, Any] = {"d_model": 8, "num_layers": 1, "num_heads": 2, "ffn_dim": 16, "max_length": 32}


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_every_architecture_learns(architecture, tmp_path):
    """Steps on one batch lower its loss, and the saved model finds texts as likely after loading."""
    torch.manual_seed(0)
    model, tokenizer = lm_training.build(TrainLMConfig(architecture=architecture, dropout=0.0, **TINY), TEXTS)
    rows = lm_training.Texts(tokenizer, TEXTS[:8])
    batch = transformers.DataCollatorForSeq2Seq(tokenizer)([rows[i] for i in range(8)])
    assert ((batch["labels"] == -100) == (batch["attention_mask"] == 0)).all()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(5):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again = LanguageModel.from_pretrained(str(tmp_path))
    assert again.likelihoods(TEXTS[:4]).perplexity == lm_training.score(model, tokenizer, TEXTS[:4])["value"]
    assert again.longest == 32 and again.tokenizer.bos_token_id == tokenizer.eos_token_id


def test_a_row_begins_and_ends_with_the_token_for_it():
    tokenizer = lm_training.new_tokenizer(TEXTS, TrainLMConfig(max_length=32))
    end = tokenizer.eos_token_id
    row = lm_training.Texts(tokenizer, [TEXTS[0]])[0]["input_ids"]
    assert row[0] == row[-1] == end == tokenizer.bos_token_id and row.count(end) == 2
    assert tokenizer(TEXTS[0])["input_ids"] == row
    assert tokenizer.decode(row, skip_special_tokens=True) == TEXTS[0]
    short = lm_training.new_tokenizer(TEXTS, TrainLMConfig(max_length=4))
    assert lm_training.Texts(short, [TEXTS[0]])[0]["input_ids"] == row[:4]
    coarse = lm_training.new_tokenizer(TEXTS, TrainLMConfig(tokenizer="word", newswire=True))
    assert coarse("☃ " + TEXTS[0].upper())["input_ids"][1:3] == [coarse.unk_token_id, coarse(TEXTS[0])["input_ids"][1]]


def test_a_model_to_go_on_from(tmp_path):
    """It keeps its pieces and gets the tokens that it lacks; its parameters can learn."""
    torch.manual_seed(0)
    model, tokenizer = lm_training.build(TrainLMConfig(**TINY), TEXTS)
    tokenizer.bos_token = tokenizer.pad_token = None
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, loaded = lm_training.build(TrainLMConfig(model_name_or_path=str(tmp_path), max_length=20), ["anything"])
    assert loaded.get_vocab() == tokenizer.get_vocab() and loaded.model_max_length == 20
    assert loaded.bos_token == loaded.pad_token == loaded.eos_token
    assert all(values.requires_grad for values in again.parameters())


def test_sizes_from_a_file(tmp_path):
    transformers.LlamaConfig(
        vocab_size=9, hidden_size=12, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    ).save_pretrained(tmp_path)
    model, tokenizer = lm_training.build(TrainLMConfig(config_name=str(tmp_path)), TEXTS)
    assert (model.config.hidden_size, model.config.vocab_size) == (12, len(tokenizer))
    assert model.config.bos_token_id == tokenizer.bos_token_id


def test_mistakes():
    with pytest.raises(BadInput, match="d_model 10 is no multiple of num_heads 4"):
        lm_training.build(TrainLMConfig(d_model=10), TEXTS)
    with pytest.raises(BadInput, match=r"\./nothing is neither a folder here nor a model that the Hub gives"):
        lm_training.build(TrainLMConfig(model_name_or_path="./nothing"), TEXTS)
    with pytest.raises(BadInput, match="configures no language model"):
        lm_training.build(TrainLMConfig(config_name="./nothing"), TEXTS)
