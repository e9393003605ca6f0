"""What a new victim is made of: tokenizer, model, training pairs, score, model card."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sacrebleu.metrics.bleu import BLEU
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
from textadv.types import Example

SPECIAL = PAD, UNK, EOS = ["<pad>", "<unk>", "</s>"]  # ids 0, 1, 2
SCORED_AT_ONCE = 64


def train_tokenizer(texts: Sequence[str], vocab_size: int, max_length: int) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `vocab_size` pieces, trained on source and target texts. Deterministic.

    Where all words fit, every word is a piece, and anything else is spelt by character: a unigram model
    (Kudo, ACL 2018) scored by frequency. Otherwise byte-pair merges (Sennrich et al., ACL 2016).

    Raises:
        BadInput: `vocab_size` doesn't even hold the characters.
    """
    tokenizer = _tokenizer(models.BPE(unk_token=UNK))
    counts = Counter(word for text in texts for word in _words(tokenizer, text))
    characters = {character for word in counts for character in word}
    if len(SPECIAL) + len(characters) > vocab_size:
        needed = len(SPECIAL) + len(characters)
        raise BadInput(f"vocab_size {vocab_size} is too small; the data have {needed} characters alone")
    pieces = [word for word, _ in counts.most_common()] + sorted(characters - counts.keys())
    if len(SPECIAL) + len(pieces) <= vocab_size:
        log_total = math.log(counts.total())
        scored = [(piece, math.log(counts[piece] or 0.5) - log_total) for piece in pieces]
        tokenizer = _tokenizer(models.Unigram([*((name, 0.0) for name in SPECIAL), *scored], unk_id=1))
    else:
        trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=SPECIAL, show_progress=False)
        tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {EOS}", pair=f"$A {EOS} $B {EOS}", special_tokens=[(EOS, SPECIAL.index(EOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=PAD, unk_token=UNK, eos_token=EOS, model_max_length=max_length
    )


def _tokenizer(model: Any) -> Tokenizer:
    """Words start with '▁' and punctuation stands alone, so that decoding puts every space where it was."""
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
    )
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
        tokenizer: Any = train_tokenizer(texts, config.vocab_size, config.max_length)
        model = new_model(config, len(tokenizer))
    else:
        tokenizer, model = _pretrained(victim.model_name_or_path)
    positions = getattr(model.config, "max_position_embeddings", None) or config.max_length
    tokenizer.model_max_length = min(config.max_length, positions, tokenizer.model_max_length)
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
        return AutoTokenizer.from_pretrained(name), AutoModelForSeq2SeqLM.from_pretrained(name, dtype=torch.float32)
    except (OSError, ValueError) as error:
        raise BadInput(f"{name} is no encoder-decoder that can be loaded; check the name, or the network") from error


def new_model(config: TrainSeq2SeqConfig, vocab_size: int) -> Any:
    """A model with random weights of the sizes in `config`, or of the file that it names."""
    special = {"pad_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 0, "bos_token_id": None}
    if config.config_name is None:
        if config.d_model % config.num_heads:
            raise BadInput(f"d_model {config.d_model} is no multiple of num_heads {config.num_heads}")
        sizes = _t5_sizes(config) if config.architecture == "t5" else _bart_sizes(config)
        family = {"marian": MarianConfig, "bart": BartConfig, "t5": T5Config}[config.architecture]
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
    """Training pairs: pieces of source and target, both cut to the tokenizer's limit."""

    def __init__(self, tokenizer: Any, examples: Sequence[Example], prefix: str = "") -> None:
        sources = [prefix + example.source for example in examples]
        targets = [example.reference or "" for example in examples]
        self.rows = tokenizer(sources, text_target=targets, truncation=True)

    def __len__(self) -> int:
        return len(self.rows["input_ids"])

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return {name: self.rows[name][index] for name in ("input_ids", "attention_mask", "labels")}


def last_checkpoint(folder: Path) -> str | None:
    """The newest whole checkpoint of the Trainer, None if there is none: its state is what it writes last."""
    steps = [int(path.parent.name.split("-")[1]) for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(folder / f"checkpoint-{max(steps)}") if steps else None


@torch.no_grad()
def score(model: Any, tokenizer: Any, examples: Sequence[Example], prefix: str = "") -> dict[str, float | int]:
    """`bleu` of the model's own decoding of the sources against the references; empty sources included."""
    model.eval()
    outputs: list[str] = []
    for first in range(0, len(examples), SCORED_AT_ONCE):
        sources = [prefix + example.source for example in examples[first : first + SCORED_AT_ONCE]]
        batch = tokenizer(sources, truncation=True, padding=True, return_tensors="pt").to(model.device)
        pieces = model.generate(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
        outputs += [text.strip() for text in tokenizer.batch_decode(pieces, skip_special_tokens=True)]
    return bleu(outputs, [example.reference or "" for example in examples])


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, float | int]:
    """sacreBLEU's corpus BLEU, 0 to 100, with its 95 % bootstrap interval over sentences.

    Source: Koehn, EMNLP 2004. Raises ValueError for no sentences.
    """
    if not hypotheses:
        raise ValueError("BLEU of no sentences")
    value = min(BLEU().corpus_score(hypotheses, [list(references)]).score, 100.0)  # not 100.00000000000004
    counter = BLEU(effective_order=True)  # this changes a sentence's score, not its counts
    scores = [counter.sentence_score(h, [r]) for h, r in zip(hypotheses, references, strict=True)]
    statistics = np.array([[*s.counts, *s.totals, s.sys_len, s.ref_len] for s in scores])  # (n, 10)
    n = len(scores)
    generator = np.random.default_rng(0)
    samples = [statistics[generator.integers(n, size=n)].sum(axis=0).tolist() for _ in range(1000)]
    resampled = [BLEU.compute_bleu(s[:4], s[4:8], s[8], s[9], smooth_method="exp").score for s in samples]
    low, high = np.percentile(resampled, [2.5, 97.5])
    return {"value": value, "low": min(float(low), 100.0), "high": min(float(high), 100.0), "n": n}


def model_card(
    model: Any,
    *,
    dataset: str,
    split: str,
    score: dict[str, Any],
    command: str,
    task: str = "translation",
    metric: str = "sacrebleu",
    title: str = "BLEU",
) -> str:
    """The README.md of a trained model; `dataset` is a Hub id, or a name, `title` the metric's."""
    from huggingface_hub import EvalResult, ModelCardData

    name = type(model).__name__
    result = EvalResult(
        task_type=task,
        dataset_type=dataset,
        dataset_name=dataset,
        dataset_split=split,
        metric_type=metric,
        metric_value=round(score["value"], 2),
    )
    data = ModelCardData(
        library_name="transformers",
        tags=["textadv"],
        model_name=name,
        eval_results=[result],
        metrics=[metric],
    )
    interval = f"{score['value']:.1f} (95 % interval {score['low']:.1f} to {score['high']:.1f})"
    beams = f", with\n{model.generation_config.num_beams} beams" if task == "translation" else ""
    return f"""---
{data.to_yaml()}
---

# {name} of {model.num_parameters() / 1e6:.2f} million parameters, trained on {dataset}

{title} {interval} on {score["n"]} sentences of the split `{split}`{beams}. Made by

```
{command}
```
"""
