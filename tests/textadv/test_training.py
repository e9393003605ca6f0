"""Tokenizer, models and score of a training, against what they must be."""

import json
from collections import Counter
from typing import Any

import pytest
import torch

from textadv import training
from textadv.configs import BadInput, TrainSeq2SeqConfig, VictimConfig
from textadv.grammar import generate
from textadv.types import Example

TEXTS = [text for pair in generate("train", 300) for text in pair.values()]
TINY: dict[str, Any] = {"d_model": 8, "num_layers": 1, "num_heads": 2, "ffn_dim": 16, "max_length": 32}


def words(text):
    return text.replace(",", " ,").replace(".", " .").split()


@pytest.mark.parametrize("vocab_size", [1000, 300])
def test_tokenizer_is_lossless_and_the_same_every_time(vocab_size):
    """With room for every word (1000), and without (300)."""
    tokenizer = training.train_tokenizer(TEXTS, vocab_size, 64)
    assert len(tokenizer) <= vocab_size
    assert tokenizer.get_vocab() == training.train_tokenizer(TEXTS, vocab_size, 64).get_vocab()
    ids = tokenizer(TEXTS).input_ids
    assert all(row[-1] == tokenizer.eos_token_id == 2 and row.count(2) == 1 for row in ids)
    assert tokenizer.batch_decode(ids, skip_special_tokens=True) == TEXTS
    assert tokenizer.decode(tokenizer("Ein  Mann\nläuft .").input_ids, skip_special_tokens=True) == "Ein Mann läuft ."
    assert tokenizer.unk_token_id in tokenizer("Ein Mann läuft 漢").input_ids


def test_words_are_single_pieces_where_they_fit():
    tokenizer = training.train_tokenizer(TEXTS, 1000, 64)
    assert all(len(tokenizer(text).input_ids) == len(words(text)) + 1 for text in TEXTS)
    common = [word for word, _ in Counter(word for text in TEXTS for word in words(text)).most_common(50)]
    small = training.train_tokenizer(TEXTS, 500, 64)
    assert sum(len(small(word).input_ids) == 2 for word in common) >= 45


def test_a_word_level_tokenizer_knows_the_most_frequent_words_only():
    counts = Counter(word for text in TEXTS for word in words(text))
    tokenizer = training.train_tokenizer(TEXTS, 43, 64, words_only=True)
    kept = {piece.removeprefix("▁") for piece in tokenizer.get_vocab()} - {"<pad>", "<unk>", "</s>"}
    assert len(tokenizer) == 43
    assert min(counts[word] for word in kept) >= max(count for word, count in counts.items() if word not in kept)
    for text in TEXTS[:50]:
        expected = [word if word in kept else "<unk>" for word in words(text)]
        pieces = tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)
        assert [piece.removeprefix("▁") for piece in pieces] == [*expected, "</s>"]
        if "<unk>" not in expected:
            assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


@pytest.mark.parametrize("words_only", [True, False])
def test_newswire_is_read_in_lower_case_and_with_sharps_for_digits(words_only):
    texts = ["In 1987 Reuters said 3.5 pct", "prices rose ## pct"]
    tokenizer = training.train_tokenizer(texts, 60, 64, words_only=words_only, newswire=True)
    ids = [tokenizer(text).input_ids for text in ("in ### REUTERS Said 9.2", "In 204 reuters said #.#")]
    assert ids[0] == ids[1]
    assert tokenizer.decode(tokenizer(texts[0]).input_ids, skip_special_tokens=True) == "in #### reuters said #.# pct"


def test_an_unknown_piece_is_not_learnt():
    tokenizer = training.train_tokenizer(["a a b c"], 5, 64, words_only=True)
    pair = training.Pairs(tokenizer, [Example(0, "a x b", "b x a")])[0]
    a, b = (tokenizer.convert_tokens_to_ids("▁" + word) for word in "ab")
    assert pair["input_ids"] == [a, 1, b, 2] and pair["labels"] == [b, -100, a, 2]


def test_too_small_a_vocabulary():
    with pytest.raises(BadInput, match="vocab_size 20 is too small; the data have"):
        training.train_tokenizer(TEXTS, 20, 64)


@pytest.mark.parametrize("architecture", ["marian", "bart", "t5", "lstm"])
def test_every_architecture_learns(architecture, tmp_path):
    """Steps lower the loss of their own batch, and a saved model is the same after loading, a retrained one too."""
    torch.manual_seed(0)
    config = TrainSeq2SeqConfig(architecture=architecture, dropout=0.0, **TINY)
    model, tokenizer = training.build(config, VictimConfig(), TEXTS)
    pairs = training.Pairs(tokenizer, [Example(0, "A dog runs.", "Ein Hund läuft."), Example(1, "A", "Ein")])
    batch = {name: torch.tensor([row]) for name, row in pairs[0].items()}
    for _ in range(2):
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        losses = []
        for _ in range(2):
            loss = model.train()(**batch).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[1] < losses[0]
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        again, _ = training.build(config, VictimConfig(model_name_or_path=str(tmp_path)), [])
        assert type(again) is type(model)
        torch.testing.assert_close(model.eval()(**batch).logits, again.eval()(**batch).logits, rtol=0, atol=1e-8)
        model = again


def test_sizes_from_a_file(tmp_path):
    sizes = {"model_type": "bart", "d_model": 12, "encoder_layers": 1, "decoder_layers": 1, "vocab_size": 9}
    sizes |= {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "max_position_embeddings": 20}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    model, tokenizer = training.build(TrainSeq2SeqConfig(config_name=str(tmp_path)), VictimConfig(), TEXTS)
    assert (model.config.d_model, model.config.vocab_size) == (12, len(tokenizer))
    assert tokenizer.model_max_length == 20
    assert model.config.decoder_start_token_id == model.config.pad_token_id == tokenizer.pad_token_id


def test_mistakes():
    with pytest.raises(BadInput, match="d_model 10 is no multiple of num_heads 4"):
        training.build(TrainSeq2SeqConfig(d_model=10), VictimConfig(), TEXTS)
    with pytest.raises(BadInput, match="d_model 11 must be even"):
        training.build(TrainSeq2SeqConfig(architecture="lstm", d_model=11), VictimConfig(), TEXTS)
    with pytest.raises(BadInput, match="no encoder-decoder that can be loaded"):
        training.build(TrainSeq2SeqConfig(), VictimConfig(model_name_or_path="./nothing"), TEXTS)
    with pytest.raises(BadInput, match="configures no encoder-decoder"):
        training.build(TrainSeq2SeqConfig(config_name="./nothing"), VictimConfig(), TEXTS)
    with pytest.raises(BadInput, match="one language pair"):
        training.build(TrainSeq2SeqConfig(**TINY), VictimConfig(source_lang="en_XX"), TEXTS)


def test_pairs_are_cut_to_the_limit():
    tokenizer = training.train_tokenizer(TEXTS, 1000, 6)
    pair = training.Pairs(tokenizer, [Example(0, TEXTS[0], TEXTS[1])])[0]
    assert len(pair["input_ids"]) == len(pair["labels"]) == 6
    assert pair["input_ids"][-1] == pair["labels"][-1] == tokenizer.eos_token_id


def test_last_checkpoint_is_the_newest_whole_one(tmp_path):
    assert training.last_checkpoint(tmp_path) is None
    for step in (2, 10, 9):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-12").mkdir()
    assert training.last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
