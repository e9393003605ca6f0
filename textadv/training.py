"""What a new victim is made of: tokenizer, model, training pairs, model card."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from torch.utils.data import Dataset
from transformers import (
    AutoConfig,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartConfig,
    MarianConfig,
    PreTrainedTokenizerFast,
    T5Config,
)

from textadv.configs import BadInput, TrainSeq2SeqConfig, VictimConfig
from textadv.data import EMBEDDED_VICTIM
from textadv.models import LstmSeq2SeqConfig
from textadv.types import Example
from textadv.word_vectors import read_word_vectors, set_word_vectors

SPECIAL = PAD, UNK, EOS = ["<pad>", "<unk>", "</s>"]  # ids 0, 1, 2
FAMILIES = {"marian": MarianConfig, "bart": BartConfig, "t5": T5Config, "lstm": LstmSeq2SeqConfig}
METRICS = {  # their names on the Hub, and in print
    "bleu": ("sacrebleu", "BLEU"),
    "rouge_l": ("rouge", "ROUGE-L"),
    "perplexity": ("perplexity", "Perplexity"),
}
IGNORED = -100  # a label that isn't learnt: transformers' convention


def train_tokenizer(
    texts: Sequence[str], vocab_size: int, max_length: int, *, words_only: bool = False, newswire: bool = False
) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocab_size` pieces, trained on source and target texts. Deterministic.

    Where all words fit, every word is a piece, and anything else is spelt by character: a unigram model
    (Kudo, ACL 2018) scored by frequency. Otherwise byte-pair merges (Sennrich et al., ACL 2016). With
    `words_only` the pieces are the most frequent words, and every other one is unknown. With `newswire`, text is
    lower-cased and its digits become '#': the usual preprocessing of Gigaword (Rush et al., EMNLP 2015).

    Raises:
        BadInput: `vocab_size` doesn't even hold the characters.
    """
    tokenizer = _tokenizer(models.BPE(unk_token=UNK), newswire)
    counts = Counter(word for text in texts for word in _words(tokenizer, text))
    if words_only:
        kept = [*SPECIAL, *(word for word, _ in counts.most_common(vocab_size - len(SPECIAL)))]
        tokenizer = _tokenizer(models.WordLevel({word: i for i, word in enumerate(kept)}, unk_token=UNK), newswire)
        return _wrapped(tokenizer, max_length)
    characters = {character for word in counts for character in word}
    if len(SPECIAL) + len(characters) > vocab_size:
        needed = len(SPECIAL) + len(characters)
        raise BadInput(f"vocab_size {vocab_size} is too small; the data have {needed} characters alone")
    pieces = [word for word, _ in counts.most_common()] + sorted(characters - counts.keys())
    if len(SPECIAL) + len(pieces) <= vocab_size:
        log_total = math.log(counts.total())
        scored = [(piece, math.log(counts[piece] or 0.5) - log_total) for piece in pieces]
        tokenizer = _tokenizer(models.Unigram([*((name, 0.0) for name in SPECIAL), *scored], unk_id=1), newswire)
    else:
        trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=SPECIAL, show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
    return _wrapped(tokenizer, max_length)


def _wrapped(tokenizer: Tokenizer, max_length: int) -> PreTrainedTokenizerFast:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", pair=f"$A {EOS} $B {EOS}", special_tokens=[(EOS, SPECIAL.index(EOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNK, eos_token=EOS, model_max_length=max_length
    )


def _tokenizer(model: Any, newswire: bool) -> Tokenizer:
    """Words start with '▁' and punctuation stands alone, so that decoding puts every space where it was."""
    tokenizer = Tokenizer(model)
    plain = [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    coarse = [normalizers.Lowercase(), normalizers.Replace(Regex(r"\d"), "#")] if newswire else []
    tokenizer.normalizer = normalizers.Sequence([*plain, *coarse])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Metaspace(prepend_scheme="always"), pre_tokenizers.Punctuation("isolated")]
    )
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    return tokenizer


def _words(tokenizer: Tokenizer, text: str) -> Iterable[str]:
    normalized = tokenizer.normalizer.normalize_str(text)
    return (word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalized))


def build(config: TrainSeq2SeqConfig, victim: VictimConfig, texts: Sequence[str]) -> tuple[Any, Any]:
    """Model and tokenizer: those of `victim.model_name_or_path` or, without one, new ones fitted to `texts`.

    The decoding that scores are reported with becomes the model's own. A new model's weights are drawn from
    torch's global generator: seed it first.

    Raises:
        BadInput: a model, sizes or a vocabulary that can't be.
    """
    if victim.model_name_or_path is None:
        kind = {"words_only": config.tokenizer == "word", "newswire": config.newswire}
        tokenizer: Any = train_tokenizer(texts, config.vocab_size, config.max_length, **kind)
        vectors = read_word_vectors(Path(config.word_vectors), tokenizer) if config.word_vectors else {}
        model = new_model(config, len(tokenizer), vector_size=len(next(iter(vectors.values()), [])) or None)
        if vectors:
            set_word_vectors(model, vectors)
    else:
        tokenizer, model = _pretrained(victim.model_name_or_path)
    return _set_up(model, tokenizer, victim, config.max_length)


def load(victim: VictimConfig, max_length: int) -> tuple[Any, Any]:
    """Model and tokenizer of a given victim, the embedded one if it has no name, to be trained on and scored.

    Raises:
        BadInput: as `build`.
    """
    tokenizer, model = _pretrained(victim.model_name_or_path or str(EMBEDDED_VICTIM))
    return _set_up(model, tokenizer, victim, max_length)


def _set_up(model: Any, tokenizer: Any, victim: VictimConfig, max_length: int) -> tuple[Any, Any]:
    """Texts are cut at `max_length`, and the victim's decoding becomes the model's own."""
    positions = getattr(model.config, "max_position_embeddings", None) or max_length
    tokenizer.model_max_length = min(max_length, positions, tokenizer.model_max_length)
    generation = model.generation_config
    generation.num_beams, generation.max_new_tokens, generation.max_length = (
        victim.num_beams,
        victim.max_new_tokens,
        None,
    )
    for side, code in (("src_lang", victim.source_lang), ("tgt_lang", victim.target_lang)):
        if code is not None:
            if not hasattr(tokenizer, side):
                raise BadInput("this model has one language pair; leave out --source_lang and --target_lang")
            setattr(tokenizer, side, code)
    if victim.target_lang is not None:
        generation.forced_bos_token_id = tokenizer.convert_tokens_to_ids(victim.target_lang)
    return model, tokenizer


def _pretrained(name: str) -> tuple[Any, Any]:
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForSeq2SeqLM.from_pretrained(name, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise BadInput(f"{name} is no encoder-decoder that can be loaded; check the name, or the network") from error
    for part, weight in model.named_parameters():
        if part in (model._keys_to_ignore_on_save or ()):  # sinusoids: what no file holds must not be learnt either,
            weight.requires_grad_(False)  # but transformers 5.24 thaws it as it loads
    return tokenizer, model


def new_model(config: TrainSeq2SeqConfig, vocab_size: int, vector_size: int | None = None) -> Any:
    """A model with random weights of the sizes in `config`, or of the file that it names.

    An LSTM's word vectors are `vector_size` wide; if that isn't its width, input and output have tables of their own.
    """
    special = {"pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 0, "bos_token_id": None}
    if config.config_name is None:
        if config.architecture == "lstm":
            sizes = _lstm_sizes(config, vector_size or config.d_model)
        elif config.d_model % config.num_heads:
            raise BadInput(f"d_model {config.d_model} is no multiple of num_heads {config.num_heads}")
        else:
            sizes = _t5_sizes(config) if config.architecture == "t5" else _bart_sizes(config)
        family = FAMILIES[config.architecture]
        return AutoModelForSeq2SeqLM.from_config(family(vocab_size=vocab_size, **sizes, **special))
    try:
        model_config = AutoConfig.from_pretrained(config.config_name)
        for name, value in (special | {"vocab_size": vocab_size, "forced_eos_token_id": None}).items():
            setattr(model_config, name, value)
        if hasattr(model_config, "decoder_vocab_size"):
            model_config.decoder_vocab_size = vocab_size
        return AutoModelForSeq2SeqLM.from_config(model_config)
    except (OSError, ValueError) as error:
        raise BadInput(f"{config.config_name} configures no encoder-decoder; give the config.json of one") from error


def _lstm_sizes(config: TrainSeq2SeqConfig, vector_size: int) -> dict[str, Any]:
    if config.d_model % 2:
        raise BadInput(f"d_model {config.d_model} must be even: half of it for each direction of the encoder")
    return {
        "d_model": config.d_model,
        "embedding_size": vector_size,
        "tie_word_embeddings": vector_size == config.d_model,
        "num_layers": config.num_layers,
        "dropout": config.dropout,
    }


def _bart_sizes(config: TrainSeq2SeqConfig) -> dict[str, Any]:
    sizes: dict[str, Any] = {"d_model": config.d_model, "dropout": config.dropout, "scale_embedding": True}
    for side in ("encoder", "decoder"):
        sizes[f"{side}_layers"] = config.num_layers
        sizes[f"{side}_attention_heads"] = config.num_heads
        sizes[f"{side}_ffn_dim"] = config.ffn_dim
    return sizes | {
        "max_position_embeddings": config.max_length,
        "activation_function": "relu",
        "forced_eos_token_id": None,
    }


def _t5_sizes(config: TrainSeq2SeqConfig) -> dict[str, Any]:
    return {
        "d_model": config.d_model,
        "d_kv": config.d_model // config.num_heads,
        "d_ff": config.ffn_dim,
        "num_layers": config.num_layers,
        "num_decoder_layers": config.num_layers,
        "num_heads": config.num_heads,
        "dropout_rate": config.dropout,
    }


class Pairs(Dataset):
    """Training pairs: pieces of source and target, both cut to the tokenizer's limit.

    An unknown piece of a target is no label: a victim that learnt to write it would say nothing.
    """

    def __init__(self, tokenizer: Any, examples: Sequence[Example], prefix: str = "") -> None:
        sources = [prefix + example.source for example in examples]
        targets = [example.reference or "" for example in examples]
        self.rows = tokenizer(sources, text_target=targets, truncation=True)
        unknown = tokenizer.unk_token_id
        self.rows["labels"] = [[IGNORED if i == unknown else i for i in row] for row in self.rows["labels"]]

    def __len__(self) -> int:
        return len(self.rows["input_ids"])

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return {name: self.rows[name][index] for name in ("input_ids", "attention_mask", "labels")}


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of the Trainer, None if there is none: its state is what it writes last."""
    steps = [int(path.parent.name.split("-")[1]) for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(folder / f"checkpoint-{max(steps)}") if steps else None


def model_card(
    model: Any,
    *,
    dataset: str,
    split: str,
    scores: dict[str, Any],
    command: str,
    base_model: str | None = None,
    section: str = "",
) -> str:
    """The README.md of a trained model.

    Args:
        dataset: a Hub id, or a name.
        scores: its results.json; those of `METRICS` are told.
        base_model: the Hub id of the model that it was trained from.
        section: Markdown that follows.
    """
    from huggingface_hub import EvalResult, ModelCardData

    name = type(model).__name__
    scores = {measure: score for measure, score in scores.items() if measure in METRICS}
    is_pair = model.config.is_encoder_decoder
    results = [
        EvalResult(
            task_type="text2text-generation" if is_pair else "text-generation",
            dataset_type=dataset,
            dataset_name=dataset,
            dataset_split=split,
            metric_type=METRICS[measure][0],
            metric_name=METRICS[measure][1],
            metric_value=round(score["value"], 2),
        )
        for measure, score in scores.items()
    ]
    data = ModelCardData(
        library_name="transformers",
        tags=["textadv"],
        model_name=name,
        eval_results=results,
        metrics=[METRICS[measure][0] for measure in scores],
        base_model=base_model,
    )
    said = " and ".join(
        f"{METRICS[measure][1]} {{value:.1f}} (95 % interval {{low:.1f}} to {{high:.1f}})".format(**score)
        for measure, score in scores.items()
    )
    count = next(iter(scores.values()))["n"]
    beams = f", with\n{model.generation_config.num_beams} beams" if is_pair else ""
    return f"""---
{data.to_yaml()}
---

# {name} of {model.num_parameters() / 1e6:.2f} million parameters, trained on {dataset}

{said} on {count} sentences of the split `{split}`{beams}. Made by

```
{command}
```
{section}"""
