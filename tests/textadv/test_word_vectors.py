"""Word vectors of a file end up in the rows of their words."""

import pytest
import tiny
import torch

from textadv import training
from textadv.configs import BadInput, TrainSeq2SeqConfig, VictimConfig
from textadv.word_vectors import read_word_vectors, set_word_vectors

TEXTS = ["The dog sees the River", "a dog"]
LINES = ["the 1 2 3 4", "The 5 6 7 8", "river 0.5 -1 1e-2 0", "unheard 9 9 9 9"]


def table(model) -> torch.Tensor:
    return model.get_encoder().get_input_embeddings().weight


@pytest.mark.parametrize("heading", [[], ["4 4"]])
@pytest.mark.parametrize(("d_model", "tied"), [(4, True), (6, False)])
def test_a_new_lstm_starts_from_them(tmp_path, heading, d_model, tied):
    path = tmp_path / "vectors.txt"
    path.write_text("\n".join([*heading, *LINES]) + "\n")
    config = TrainSeq2SeqConfig(architecture="lstm", tokenizer="word", word_vectors=str(path), d_model=d_model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, tokenizer = training.build(config, VictimConfig(), TEXTS)
    rows = {
        word: table(model)[tokenizer.convert_tokens_to_ids("▁" + word)].tolist() for word in "the The River".split()
    }
    assert rows["the"] == [1, 2, 3, 4] and rows["The"] == [5, 6, 7, 8]
    assert rows["River"] == pytest.approx([0.5, -1, 0.01, 0]), "in lower case, for want of its own"
    assert table(model)[tokenizer.convert_tokens_to_ids("▁dog")].abs().max() <= 0.1
    assert (model.lm_head.weight is table(model)) == tied
    assert model(input_ids=torch.tensor([[3, 4]]), labels=torch.tensor([[3, 2]])).loss.isfinite()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "can't be read as word vectors"),
        ("the 1 2\nThe 1 2 3\n", "line 2 has 3 numbers, the ones before 2"),
        ("the 1 two\n", "can't be read as word vectors"),
        ("nothing 1 2\n", "no vector for any word of the data"),
    ],
)
def test_files_that_are_refused(tmp_path, text, said):
    path = tmp_path / "vectors.txt"
    if text is not None:
        path.write_text(text)
    tokenizer = training.train_tokenizer(TEXTS, 50, 64)
    with pytest.raises(BadInput, match=said) as refusal:
        read_word_vectors(path, tokenizer)
    assert "\n" not in str(refusal.value)


def test_a_width_that_does_not_fit():
    with pytest.raises(BadInput, match="word vectors of 3 numbers need --d_model 3"):
        set_word_vectors(tiny.model("T5"), {5: [1.0, 2.0, 3.0]})
