"""What a victim says is what transformers says: one table over the families, and what is refused."""

import logging
from types import SimpleNamespace

import pytest
import tiny
import torch
import transformers

from textadv import decoding, victim
from textadv.configs import BadInput, VictimConfig
from textadv.victim import Victim

STEPS = 16


@pytest.fixture(scope="module", params=tiny.FAMILIES)
def table(request):
    """A victim, sentences of unequal lengths, and what transformers' own greedy decoding makes of each."""
    model = tiny.model(request.param)
    lengths = torch.randint(2, 12, (40,), generator=torch.Generator().manual_seed(1))
    lengths[0] = 12
    mask = (torch.arange(12) < lengths[:, None]).long()
    ids = torch.randint(3, 64, (40, 12), generator=torch.Generator().manual_seed(2)).where(mask == 1, 0)
    options = {"num_beams": 1, "do_sample": False, "max_new_tokens": STEPS}
    # Random models rarely end an output: here every piece does that none writes among its first three.
    endless = model.generate(input_ids=ids, attention_mask=mask, **options)[:, 1:]
    later = set(endless[:, 3:-1].flatten().tolist()) - set(endless[:, :3].flatten().tolist())
    model.generation_config.eos_token_id = sorted(later | {1})
    made = Victim(model, tiny.unigram(), VictimConfig(max_new_tokens=STEPS))
    alone = []
    for row, length in zip(ids[:, None], lengths.tolist(), strict=True):
        one = torch.ones(1, length, dtype=torch.long)
        written = model.generate(input_ids=row[:, :length], attention_mask=one, **options)
        alone.append(written[0, 1:].tolist())
    return SimpleNamespace(victim=made, model=model, ids=ids, mask=mask, alone=alone)


def forced(table, decoded):
    """Positions (N, M) whose piece is forced, whatever the logits: the end at the length limit."""
    limit = STEPS if table.model.generation_config.forced_eos_token_id is None else STEPS - 1
    return (torch.arange(decoded.outputs.shape[1]) >= limit).expand_as(decoded.outputs)


def test_embed_is_what_the_encoder_sees(table):
    encoder = table.model.get_encoder()
    from_ids = encoder(input_ids=table.ids, attention_mask=table.mask).last_hidden_state
    embeds = table.victim.embed(table.ids)
    from_vectors = encoder(inputs_embeds=embeds, attention_mask=table.mask).last_hidden_state
    assert (from_ids - from_vectors)[table.mask == 1].abs().max() <= 1e-6
    outputs = torch.randint(3, 60, (len(table.ids), 5), generator=torch.Generator().manual_seed(3))
    start = torch.full((len(outputs), 1), table.victim.start_id)
    expected = table.model(
        input_ids=table.ids,
        attention_mask=table.mask,
        decoder_input_ids=torch.cat([start, outputs[:, :-1]], dim=1),
    ).logits
    assert (table.victim.logits(embeds, table.mask, outputs) - expected).abs().max() <= 1e-6


@pytest.mark.parametrize("beams", [1, 3])
def test_generation_from_vectors_equals_generation_from_pieces(table, beams):
    options = {"attention_mask": table.mask, "num_beams": beams, "do_sample": False, "max_new_tokens": STEPS}
    from_ids = table.model.generate(input_ids=table.ids, **options)
    from_vectors = table.model.generate(inputs_embeds=table.victim.embed(table.ids), **options)
    assert from_ids.tolist() == from_vectors.tolist()


def test_greedy_equals_that_of_transformers_row_by_row(table, monkeypatch):
    decoded = table.victim.greedy(table.ids, table.mask)
    assert len(set(decoded.lengths.tolist())) > 3, "rows leave the batch at different steps"
    for row, (length, alone) in enumerate(zip(decoded.lengths.tolist(), table.alone, strict=True)):
        assert decoded.outputs[row, :length].tolist() == alone
        assert set(decoded.outputs[row, length:].tolist()) <= {table.victim.pad_id}
    # Neither the chunks nor the moment at which rows leave matter.
    for chunk, share in ((30, 0.8), (100_000, 0.0), (100_000, 1.1)):
        monkeypatch.setattr(victim, "CHUNK_PIECES", chunk)
        monkeypatch.setattr(decoding, "COMPACT_BELOW", share)
        again = table.victim.greedy(table.ids, table.mask)
        assert torch.equal(again.outputs, decoded.outputs) and torch.equal(again.lengths, decoded.lengths)


def test_greedy_from_vectors_is_that_from_pieces_and_that_of_transformers(table, monkeypatch):
    """From the pieces' own vectors, and from vectors that are no piece's, sentence by sentence."""
    monkeypatch.setattr(victim, "CHUNK_PIECES", 120)

    def observe(logits, rows, t):
        return logits

    from_ids = table.victim.greedy(table.ids, table.mask, observe)
    embeds = table.victim.embed(table.ids)
    from_vectors = table.victim.greedy(embeds, table.mask, observe)
    assert torch.equal(from_vectors.outputs, from_ids.outputs)
    assert torch.equal(from_vectors.lengths, from_ids.lengths)
    torch.testing.assert_close(from_vectors.observed, from_ids.observed, rtol=1e-4, atol=1e-4)

    moved = embeds + embeds.std() * torch.randn(embeds.shape, generator=torch.Generator().manual_seed(5))
    decoded = table.victim.greedy(moved, table.mask)
    assert not torch.equal(decoded.lengths, from_ids.lengths)
    for row, (length, written) in enumerate(zip(table.mask.sum(1).tolist(), decoded.lengths.tolist(), strict=True)):
        alone = table.model.generate(
            inputs_embeds=moved[row : row + 1, :length],
            attention_mask=table.mask[row : row + 1, :length],
            num_beams=1,
            do_sample=False,
            max_new_tokens=STEPS,
        )
        start = int(alone[0, 0] == table.victim.start_id)  # from vectors, too, it stands in front
        assert decoded.outputs[row, :written].tolist() == alone[0, start:].tolist()


def test_teacher_forced_logits_are_those_of_the_decoding(table, monkeypatch):
    monkeypatch.setattr(victim, "CHUNK_PIECES", 120)
    vocabulary, rows_seen = table.model.config.vocab_size, []

    def observe(logits, rows, t):
        rows_seen.extend([row, t] for row in rows.tolist())
        return logits

    decoded = table.victim.greedy(table.ids, table.mask, observe)
    inside = torch.arange(decoded.outputs.shape[1]) < decoded.lengths[:, None]
    logits = table.victim.logits(table.victim.embed(table.ids), table.mask, decoded.outputs)
    free = inside & ~forced(table, decoded)
    assert torch.equal(logits.argmax(-1)[free], decoded.outputs[free])
    assert decoded.observed.shape == (*decoded.outputs.shape, vocabulary)
    torch.testing.assert_close(decoded.observed[inside], logits[inside], rtol=1e-4, atol=1e-4)
    assert not decoded.observed[~inside].any()
    assert sorted(rows_seen) == inside.nonzero().tolist()


def test_parameters_are_frozen(table):
    embeds = table.victim.embed(table.ids[:4]).requires_grad_()
    outputs = table.victim.greedy(table.ids[:4], table.mask[:4]).outputs
    table.victim.logits(embeds, table.mask[:4], outputs).logsumexp(-1).sum().backward()
    assert embeds.grad[table.mask[:4] == 1].norm(dim=-1).min() > 0
    assert not embeds.grad[table.mask[:4] == 0].any()
    assert not table.model.training
    assert all(not p.requires_grad and p.grad is None for p in table.model.parameters())


# Text in, text out --------------------------------------------------------------------------------------


@pytest.mark.parametrize("beams", [1, 3])
def test_generate_is_that_of_transformers_sentence_by_sentence(beams, monkeypatch):
    made = tiny.victim(tiny.unigram(), "BART", num_beams=beams, source_prefix="see: ")
    texts = tiny.sentences(12, seed=4)
    monkeypatch.setattr(victim, "CHUNK_PIECES", 64 * 5 * beams)  # five sentences at once
    for text, output in zip(texts, made.generate(texts), strict=True):
        written = made.model.generate(
            **made.tokenizer("see: " + text, return_tensors="pt"),
            num_beams=beams,
            do_sample=False,
            max_new_tokens=12,
        )
        assert output == made.tokenizer.decode(written[0], skip_special_tokens=True).strip()
    assert made.generate([]) == []


def test_m2m100s_languages(tmp_path):
    """The code is forced first, isn't written out, and isn't a word that may be attacked."""
    tokenizer = tiny.m2m100_tokenizer(tmp_path)
    model = tiny.model("M2M100", 300)
    made = Victim(model, tokenizer, VictimConfig(source_lang="en", target_lang="de", max_new_tokens=8))
    ids, mask = made.encode(["a dog runs."])
    assert ids[0, 0] == tokenizer.get_lang_id("en") and mask.all()
    german = tokenizer.get_lang_id("de")
    for pieces in (made.greedy(ids, mask).outputs, made.generate_pieces(["a dog runs."])):
        assert pieces[0, 0] == german
        assert "__de__" not in made.decode(pieces)[0]
    with pytest.raises(BadInput, match="xx is no language"):
        Victim(model, tokenizer, VictimConfig(target_lang="xx"))


def test_fingerprint_is_of_the_parameters():
    one, same, other = (tiny.victim(tiny.unigram(), seed=seed) for seed in (0, 0, 1))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()


def test_loading_from_a_folder_gives_the_same_victim(tmp_path):
    made = tiny.victim(tiny.unigram(), "T5")
    made.model.save_pretrained(tmp_path)
    made.tokenizer.save_pretrained(tmp_path)
    config = VictimConfig(model_name_or_path=str(tmp_path), num_beams=2, max_new_tokens=12)
    loaded = Victim.from_pretrained(config)
    texts = tiny.sentences(3)
    assert loaded.fingerprint() == made.fingerprint()
    assert loaded.generate(texts) == made.generate(texts)


# What is refused ----------------------------------------------------------------------------------------

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def fsmt():
    both = {"layers": 1, "ffn_dim": 16, "attention_heads": 2}
    sizes = {f"{part}_{name}": size for part in ("encoder", "decoder") for name, size in both.items()}
    config = transformers.FSMTConfig(src_vocab_size=64, tgt_vocab_size=64, d_model=16, **sizes)
    return transformers.FSMTForConditionalGeneration(config)


def gpt2():
    ends = {"bos_token_id": 1, "eos_token_id": 1}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=64, n_embd=16, n_layer=1, n_head=2, **ends))


def bert():
    return transformers.BertForMaskedLM(transformers.BertConfig(vocab_size=64, **SIZES))


def scaled_in_secret():
    """A family to come, which scales where nobody looks."""
    model = tiny.model("BART")
    encoder = model.get_encoder()
    scale = encoder.get_input_embeddings().embed_scale
    encoder.get_input_embeddings().embed_scale = 1.0
    encoder.register_forward_pre_hook(
        lambda module, args, kwargs: (
            (args, kwargs | {"inputs_embeds": kwargs["inputs_embeds"] * scale})
            if kwargs.get("inputs_embeds") is not None
            else None
        ),
        with_kwargs=True,
    )
    return model


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (fsmt, "FSMTForConditionalGeneration can't be attacked"),
        (gpt2, "GPT2LMHeadModel is no encoder-decoder"),
        (bert, "BertForMaskedLM is no encoder-decoder"),
        (scaled_in_secret, "BartForConditionalGeneration can't be attacked: its encoder sees other vectors"),
    ],
)
def test_a_model_that_cannot_be_attacked_is_refused_by_name(build, named):
    with pytest.raises(BadInput, match=named) as refusal:
        Victim(build(), tiny.unigram())
    assert "\n" not in str(refusal.value)


def test_a_decoder_only_folder_is_refused_before_its_weights_are_read(tmp_path):
    gpt2().config.save_pretrained(tmp_path)
    with pytest.raises(BadInput, match="gpt2 model, no encoder-decoder"):
        Victim.from_pretrained(VictimConfig(model_name_or_path=str(tmp_path)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/no/such/folder", "is neither a folder here nor a model"),
        ("someone/some-model-that-is-not-here", "check the name or the network"),
        ("two words", "is neither a folder here nor a model"),
        ("EMPTY", "has no config.json"),
        ("NO WEIGHTS", "can't be loaded"),
    ],
)
def test_a_name_that_leads_nowhere_is_one_line(name, said, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(logging.getLogger("transformers"), "disabled", True)
    if name.isupper():
        if name == "NO WEIGHTS":
            tiny.model("T5").config.save_pretrained(tmp_path)
        name = str(tmp_path)
    with pytest.raises(BadInput, match=said) as refusal:
        Victim.from_pretrained(VictimConfig(model_name_or_path=name))
    assert "\n" not in str(refusal.value) and name in str(refusal.value)


def test_languages_of_a_model_that_has_one_pair_are_refused():
    with pytest.raises(BadInput, match="one language pair"):
        tiny.victim(tiny.unigram(), source_lang="en")
