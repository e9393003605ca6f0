"""The paper's LSTM against its equations written out sentence by sentence, and against what transformers asks of it.

That it generates, is attacked and is saved like any other family is in tests/textadv/test_victim.py.
"""

import math

import pytest
import tiny
import torch
from torch import nn
from transformers import AutoConfig, AutoModelForSeq2SeqLM

from textadv.decoding import CACHE
from textadv.models import LstmSeq2SeqConfig, LstmSeq2SeqForConditionalGeneration

IDS = torch.tensor([[5, 9, 33, 12, 7, 1], [8, 3, 1, 0, 0, 0], [40, 41, 42, 43, 1, 0]])
MASK = (IDS != 0).long()
OUTPUTS = torch.tensor([[6, 7, 20, 1], [31, 1, 0, 0], [9, 9, 50, 1]])


@pytest.fixture
def model():
    return tiny.model("LSTM").double()


def cell(weights: nn.Module, suffix: str, word, hidden, state):
    """One LSTM step of one sentence: (Hochreiter and Schmidhuber, 1997, with forget gates), gate by gate."""
    get = {name: getattr(weights, f"{name}{suffix}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
    gates = get["weight_ih"] @ word + get["bias_ih"] + get["weight_hh"] @ hidden + get["bias_hh"]
    enter, forget, new, leave = gates.chunk(4)
    state = torch.sigmoid(forget) * state + torch.sigmoid(enter) * torch.tanh(new)
    return torch.sigmoid(leave) * torch.tanh(state), state


def run_layer(layer: nn.Module, words: list[torch.Tensor]) -> list[torch.Tensor]:
    """Both directions of an encoder layer over one sentence without padding."""
    sides = []
    for suffix, order in (("_l0", words), ("_l0_reverse", words[::-1])):
        hidden = state = torch.zeros(8, dtype=torch.double)
        states = []
        for word in order:
            hidden, state = cell(layer, suffix, word, hidden, state)
            states.append(hidden)
        sides.append(states if suffix == "_l0" else states[::-1])
    return [torch.cat(pair) for pair in zip(*sides, strict=True)]


def by_hand(model, ids: list[int], outputs: list[int]) -> torch.Tensor:
    """Logits (M, V) of one sentence, after Bahdanau et al. 3.2 and Luong et al. (5), (7), (8)."""
    table = model.encoder.embed_tokens.weight
    states = [table[i] for i in ids]
    for layer in model.encoder.layers:
        states = run_layer(layer, states)
    decoder, written = model.decoder, [model.config.decoder_start_token_id, *outputs[:-1]]
    hidden = list(torch.tanh(decoder.bridge(sum(states) / len(states))).chunk(2))
    remembered = [torch.zeros(16, dtype=torch.double)] * 2
    fed, logits = torch.zeros(16, dtype=torch.double), []
    for piece in written:
        below = torch.cat([decoder.embed_tokens.weight[piece], fed])
        for i, weights in enumerate(decoder.cells):
            hidden[i], remembered[i] = cell(weights, "", below, hidden[i], remembered[i])
            below = hidden[i]
        scores = [below @ decoder.score.weight @ state for state in states]
        total = sum(math.exp(score) for score in scores)
        context = sum(math.exp(score) / total * state for score, state in zip(scores, states, strict=True))
        fed = torch.tanh(decoder.combine.weight @ torch.cat([context, below]))
        logits.append(model.lm_head.weight @ fed)
    return torch.stack(logits)


@torch.no_grad()
def test_logits_are_those_of_the_equations(model):
    start = torch.full((3, 1), model.config.decoder_start_token_id)
    found = model(input_ids=IDS, attention_mask=MASK, decoder_input_ids=torch.cat([start, OUTPUTS[:, :-1]], 1)).logits
    for row, (ids, outputs) in enumerate(zip(IDS, OUTPUTS, strict=True)):
        length = int(MASK[row].sum())
        expected = by_hand(model, ids[:length].tolist(), outputs.tolist())
        torch.testing.assert_close(found[row], expected, rtol=0, atol=1e-12)


@torch.no_grad()
def test_one_piece_at_a_time_gives_what_all_at_once_give(model):
    whole = model(input_ids=IDS, attention_mask=MASK, decoder_input_ids=OUTPUTS)
    memory, state, steps = model.encoder(IDS, MASK), None, []
    for piece in OUTPUTS.T:
        step = model(encoder_outputs=memory, attention_mask=MASK, decoder_input_ids=piece[:, None], **{CACHE: state})
        state = step[CACHE]
        steps.append(step.logits)
    torch.testing.assert_close(torch.cat(steps, 1), whole.logits, rtol=0, atol=1e-12)
    assert state.get_seq_length() == OUTPUTS.shape[1]
    assert model(input_ids=IDS, decoder_input_ids=OUTPUTS, use_cache=False).get(CACHE) is None


@pytest.mark.parametrize("beams", [2, 5])
def test_beams_with_remembered_states_find_what_beams_without_find(model, beams):
    options = {"attention_mask": MASK, "num_beams": beams, "do_sample": False, "max_new_tokens": 12}
    options |= {"num_return_sequences": beams, "output_scores": True, "return_dict_in_generate": True}
    fast, slow = (model.generate(input_ids=IDS, use_cache=cached, **options) for cached in (True, False))
    assert torch.equal(fast.sequences, slow.sequences)
    torch.testing.assert_close(fast.sequences_scores, slow.sequences_scores)
    assert len({tuple(row) for row in fast.sequences.tolist()}) == 3 * beams


@torch.no_grad()
def test_the_loss_is_the_mean_cross_entropy_and_ignored_labels_do_not_count(model):
    labels = OUTPUTS.masked_fill(OUTPUTS == 0, -100)
    found = model(input_ids=IDS, attention_mask=MASK, labels=labels)
    costs = [
        -by_hand(model, ids[:n].tolist(), outputs.tolist()).log_softmax(-1)[t, outputs[t]]
        for ids, outputs, n in zip(IDS, OUTPUTS, MASK.sum(1).tolist(), strict=True)
        for t in range(4)
        if outputs[t] != 0
    ]
    assert found.loss.item() == pytest.approx(torch.stack(costs).mean().item(), rel=1e-10)
    moved = model.prepare_decoder_input_ids_from_labels(labels)
    assert moved.tolist() == [[0, 6, 7, 20], [0, 31, 1, 0], [0, 9, 9, 50]]


def test_dropout_is_in_training_only_and_gradients_are_in_both():
    model = tiny.model("LSTM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        quiet, noisy = (
            [model.train(mode)(input_ids=IDS, labels=OUTPUTS).loss for _ in range(2)] for mode in (False, True)
        )
    assert quiet[0] == quiet[1] and noisy[0] != noisy[1]
    model.eval()
    assert not model.training and all(layer.training for layer in model.encoder.layers), "as cuDNN wants it"


def test_weights_start_as_the_config_says():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LstmSeq2SeqForConditionalGeneration(LstmSeq2SeqConfig(vocab_size=200, embedding_size=32, d_model=32))
    for name, values in model.named_parameters():
        if "bias_ih" in name:
            assert [gate.unique().tolist() for gate in values.chunk(4)] == [[0.0], [1.0], [0.0], [0.0]]
        elif "bias" in name:
            assert not values.any()
        else:
            assert 0.09 < values.abs().max() <= 0.1, name
    assert not model.encoder.embed_tokens.weight[0].any()


@pytest.mark.parametrize("tied", [True, False])
def test_it_is_saved_and_loaded_by_the_auto_classes(tmp_path, tied):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = LstmSeq2SeqConfig(
            vocab_size=64, embedding_size=16 if tied else 10, d_model=16, tie_word_embeddings=tied
        )
        model = LstmSeq2SeqForConditionalGeneration(config).eval()
    model.save_pretrained(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path).model_type == "lstm_seq2seq"
    loaded = AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    for one in (model, loaded):
        tables = {one.encoder.embed_tokens.weight, one.decoder.embed_tokens.weight, one.lm_head.weight}
        assert len(tables) == (1 if tied else 3)
    assert torch.equal(loaded(input_ids=IDS, labels=OUTPUTS).logits, model(input_ids=IDS, labels=OUTPUTS).logits)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [({"d_model": 16, "embedding_size": 8}, "as wide as the states"), ({"d_model": 15, "embedding_size": 15}, "even")],
)
def test_sizes_that_cannot_be_are_refused(sizes, said):
    with pytest.raises(ValueError, match=said):
        LstmSeq2SeqConfig(**sizes)
