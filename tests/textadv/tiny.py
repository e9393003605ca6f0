"""Tiny random models of every family and a tokenizer of every kind: built on the spot, offline."""

import json
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

import textadv.models
from textadv.configs import VictimConfig
from textadv.language_model import LanguageModel
from textadv.similarity import SentenceEncoder
from textadv.victim import Victim

WORDS = (
    "a the dog cat man woman child runs sits sees waits red big small old young green house tree street "
    "river with near under behind Hund Frau Stadt sitzt über grün Straße"
).split()
INNER = ["s", "ing", "er", "town"]  # what a word may go on with
PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"


def sentences(count: int, *, seed: int = 0, most: int = 9) -> list[str]:
    """Sentences of 1 to `most` words: capitals, marks, words of several pieces, unknown characters."""
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        words = [draw.choice(WORDS) for _ in range(draw.randint(1, most))]
        for i, word in enumerate(words):
            words[i] = draw.choice([word] * 9 + [f"{word},", f"({word})", f"{word}s", "ox☃", "3.5"])
        found.append(" ".join(words) + draw.choice([".", " .", "!", "", "..."]))
    return found


# Tokenizers ---------------------------------------------------------------------------------------------


def _wrapped(tokenizer: Any, template: str, extra: list[str]) -> Any:
    names = sorted(set(template.split()) - {"$A"})
    tokenizer.add_special_tokens([name for name in [*extra, *names] if tokenizer.token_to_id(name) is None])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[(name, tokenizer.token_to_id(name)) for name in names]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        extra_special_tokens=[*extra, *(set(names) - {END})],
        model_max_length=64,
    )


def unigram(*, template: str = f"$A {END}", extra: list[str] | None = None, bytes_too: bool = False) -> Any:
    """SentencePiece's unigram model ('▁dog'), as in T5; with `extra` special pieces, and with byte pieces."""
    letters = sorted({letter for word in [*WORDS, *INNER, ".,()!3"] for letter in word})
    pieces = [(PAD, 0.0), (END, 0.0), (UNKNOWN, 0.0)]
    pieces += [(f"<0x{byte:02X}>", -20.0) for byte in range(256) if bytes_too]
    pieces += [("▁" + word, -5.0) for word in WORDS] + [(piece, -5.0) for piece in INNER]
    pieces += [("▁", -4.0), *((letter, -9.0) for letter in letters)]
    pieces += [("▁dogs", -50.0), ("▁3", -5.0), ("▁old▁man", -50.0), (">>deu<<", -5.0), ("▁do", -5.0)]  # traps
    have = {}
    for piece, score in pieces:
        have.setdefault(piece, score)  # "a" and "s" are words or inner pieces already
    tokenizer = tokenizers.Tokenizer(models.Unigram(list(have.items()), unk_id=2, byte_fallback=bytes_too))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)
    ])  # fmt: skip
    return _wrapped(tokenizer, template, extra or [])


def byte_bpe() -> Any:
    """Byte-level BPE ('Ġdog'), as in BART: a word has another piece at the start of a sentence."""
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    corpus = [f"{word} {word} {word}" for word in WORDS for _ in range(9)]
    corpus += [piece for piece in INNER for _ in range(9)]
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        min_frequency=5,
        special_tokens=[PAD, END, UNKNOWN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return _wrapped(tokenizer, f"$A {END}", [])


def wordpiece() -> Any:
    """WordPiece ('dog', '##s') without capitals, as in BERT."""
    lowered = [word.lower() for word in WORDS]
    letters = sorted({letter for word in lowered for letter in word} | set("0123456789"))
    pieces = [PAD, END, UNKNOWN, "[CLS]", *lowered, *(f"##{piece}" for piece in INNER), *".,()!"]
    pieces += [*letters, *(f"##{letter}" for letter in letters)]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return _wrapped(tokenizer, f"[CLS] $A {END}", [])


def word_level() -> Any:
    """Whole words and punctuation marks; everything else is unknown."""
    vocabulary = {piece: i for i, piece in enumerate([PAD, END, UNKNOWN, *WORDS, *".,()!"])}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return _wrapped(tokenizer, f"$A {END}", [])


def _sentencepiece(folder: Path) -> list[str]:
    """Trains a SentencePiece model on our words, spm.model in `folder`; returns its pieces."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([f"{word} {word}, ({word})." for word in WORDS for _ in range(20)] + ["3.5!"]),
        model_prefix=str(folder / "spm"),
        vocab_size=110,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=9,
    )
    trained = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))
    return [trained.id_to_piece(i) for i in range(3, len(trained))]  # without its special ones


def marian_tokenizer(folder: Path) -> Any:
    """transformers' MarianTokenizer, files in `folder`: a slow one, whose pad is the last piece."""
    pieces = [END, UNKNOWN, *_sentencepiece(folder), PAD]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    model = str(folder / "spm.model")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Recommended: pip install sacremoses")
        return transformers.MarianTokenizer(model, model, str(folder / "vocab.json"))


def m2m100_tokenizer(folder: Path) -> Any:
    """transformers' M2M100Tokenizer, files in `folder`: a slow one that doesn't list its language codes."""
    pieces = ["<s>", PAD, END, UNKNOWN, *_sentencepiece(folder)]
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    return transformers.M2M100Tokenizer(
        str(folder / "vocab.json"), str(folder / "spm.model"), src_lang="en", tgt_lang="de"
    )


# What a folder makes of each.
TOKENIZERS: dict[str, Callable[[Path], Any]] = {
    "unigram": lambda folder: unigram(),
    "unigram with bytes": lambda folder: unigram(bytes_too=True),
    "unigram with sentinels": lambda folder: unigram(extra=["<extra_id_0>", "<extra_id_1>"]),
    "unigram with languages": lambda folder: unigram(template=f"__en__ $A {END}", extra=["__de__"]),
    "byte-level BPE": lambda folder: byte_bpe(),
    "WordPiece": lambda folder: wordpiece(),
    "word level": lambda folder: word_level(),
    "Marian": marian_tokenizer,
    "M2M100": m2m100_tokenizer,
}

# Models -------------------------------------------------------------------------------------------------

FAMILIES = ("Marian", "Pegasus", "BART", "mBART", "M2M100", "T5", "UMT5", "LSTM")


def model(family: str, vocab_size: int = 64, *, seed: int = 0, pad_id: int = 0, end_id: int = 1) -> Any:
    """A random model of 16 dimensions and two layers.

    The output layer isn't tied to the embedding: a random model with a tied one repeats a piece for ever.
    """
    special = {"pad_token_id": pad_id, "eos_token_id": end_id, "tie_word_embeddings": False}
    if family in ("T5", "UMT5", "LSTM"):
        sizes = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 2, "num_heads": 2}
        special["decoder_start_token_id"] = pad_id
    else:
        both = {"layers": 2, "attention_heads": 2, "ffn_dim": 16}
        sizes = {f"{part}_{name}": size for part in ("encoder", "decoder") for name, size in both.items()}
        sizes |= {"d_model": 16, "max_position_embeddings": 64, "scale_embedding": True}
        special |= {"bos_token_id": end_id, "forced_eos_token_id": end_id}
        special["decoder_start_token_id"] = pad_id if family in ("Marian", "Pegasus") else end_id
    library = textadv.models if family == "LSTM" else transformers
    name = {"BART": "Bart", "mBART": "MBart", "LSTM": "LstmSeq2Seq"}.get(family, family)
    config = getattr(library, f"{name}Config")(vocab_size=vocab_size, **sizes, **special)
    kind = "MTModel" if family == "Marian" else "ForConditionalGeneration"
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        built = getattr(library, name + kind)(config)
        for values in built.parameters():
            if values.requires_grad and values.dim() > 1:
                values.normal_(0, 0.2 if "scale_embedding" in sizes else 0.5)
    return built.eval()


def victim(tokenizer: Any, family: str = "Marian", *, seed: int = 0, spare: int = 5, **config: Any) -> Victim:
    """A victim with `spare` unused rows behind the tokenizer's pieces."""
    options = {"num_beams": 2, "max_new_tokens": 12} | config
    around = [*tokenizer("")["input_ids"], *tokenizer(text_target="")["input_ids"]]  # M2M100's stand last
    made = model(
        family,
        max(len(tokenizer), max(around) + 1) + spare,
        seed=seed,
        pad_id=tokenizer.pad_token_id,
        end_id=tokenizer.eos_token_id,
    )
    return Victim(made, tokenizer, VictimConfig(**options))


# What limits ask -----------------------------------------------------------------------------------------


def language_model() -> LanguageModel:
    """A random GPT-2 over `unigram`, which spells what it doesn't know."""
    tokenizer = unigram()
    tokenizer.bos_token = END
    sizes: Any = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 200}
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=len(tokenizer), **sizes))
        for values in model.parameters():
            values.normal_(0, 0.3)
    tokenizer.model_max_length = 200
    return LanguageModel(model, tokenizer)


class Letters(torch.nn.Module):
    """In the place of a sentence encoder: how often each letter stands in a text."""

    def encode(self, texts: list[str], batch_size: int, show_progress_bar: bool) -> list[list[int]]:
        return [[text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz"] for text in texts]


def encoder() -> SentenceEncoder:
    """`Letters`, as limits take it."""
    return SentenceEncoder(Letters())
