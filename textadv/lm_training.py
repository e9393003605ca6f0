"""What a new causal language model is made of: tokenizer, model, training rows, score."""

from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import processors
from torch.utils.data import Dataset
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, LlamaConfig, PreTrainedTokenizerFast

from textadv.configs import BadInput, TrainLMConfig
from textadv.language_model import LanguageModel, perplexity_estimate
from textadv.training import EOS, SPECIAL, train_tokenizer


def build(config: TrainLMConfig, texts: Sequence[str]) -> tuple[Any, Any]:
    """Model and tokenizer: those of `config.model_name_or_path` or, without one, new ones fitted to `texts`.

    A tokenizer without a start token gets its end token for one. A new model's weights are drawn from torch's global
    generator: seed it first.

    Raises:
        BadInput: a model, sizes or a vocabulary that can't be.
    """
    if config.model_name_or_path is None:
        tokenizer: Any = new_tokenizer(texts, config)
        model = new_model(config, len(tokenizer))
    else:
        loaded = LanguageModel.from_pretrained(config.model_name_or_path)  # refuses what is none
        tokenizer, model = loaded.tokenizer, loaded.model.requires_grad_(True)
    if tokenizer.eos_token is None:
        raise BadInput(f"the tokenizer of {config.model_name_or_path} has no end token; give another model")
    tokenizer.bos_token = tokenizer.bos_token or tokenizer.eos_token
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    positions = getattr(model.config, "max_position_embeddings", None) or config.max_length
    tokenizer.model_max_length = min(config.max_length, positions, tokenizer.model_max_length)
    return model, tokenizer


def new_tokenizer(texts: Sequence[str], config: TrainLMConfig) -> PreTrainedTokenizerFast:
    """`training.train_tokenizer` with one token for start and end, and both around every text."""
    kind = {"words_only": config.tokenizer == "word", "newswire": config.newswire}
    tokenizer: Any = train_tokenizer(texts, config.vocab_size, config.max_length, **kind)
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{EOS} $A {EOS}", special_tokens=[(EOS, SPECIAL.index(EOS))]
    )
    tokenizer.bos_token = EOS
    return tokenizer


def new_model(config: TrainLMConfig, vocab_size: int) -> Any:
    """A model with random weights of the sizes in `config`, or of the file that it names."""
    end = SPECIAL.index(EOS)
    special = {"vocab_size": vocab_size, "pad_token_id": 0, "bos_token_id": end, "eos_token_id": end}
    if config.config_name is None:
        if config.d_model % config.num_heads:
            raise BadInput(f"d_model {config.d_model} is no multiple of num_heads {config.num_heads}")
        sizes = _llama(config, special) if config.architecture == "llama" else _gpt2(config, special)
        return AutoModelForCausalLM.from_config(sizes)
    try:
        sizes = AutoConfig.from_pretrained(config.config_name)
        for name, value in special.items():
            setattr(sizes, name, value)
        return AutoModelForCausalLM.from_config(sizes)
    except (OSError, ValueError) as error:
        raise BadInput(f"{config.config_name} configures no language model; give the config.json of one") from error


def _gpt2(config: TrainLMConfig, special: dict[str, Any]) -> GPT2Config:
    return GPT2Config(
        n_positions=config.max_length,
        n_embd=config.d_model,
        n_layer=config.num_layers,
        n_head=config.num_heads,
        n_inner=config.ffn_dim,
        resid_pdrop=config.dropout,
        embd_pdrop=config.dropout,
        attn_pdrop=config.dropout,
        **special,
    )


def _llama(config: TrainLMConfig, special: dict[str, Any]) -> LlamaConfig:
    """Its only dropout is that of the attention."""
    return LlamaConfig(
        max_position_embeddings=config.max_length,
        hidden_size=config.d_model,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        intermediate_size=config.ffn_dim,
        attention_dropout=config.dropout,
        tie_word_embeddings=True,
        **special,
    )


class Texts(Dataset):
    """Training rows: start token, pieces, end token, cut to the tokenizer's limit."""

    def __init__(self, tokenizer: Any, texts: Sequence[str]) -> None:
        start, end, limit = [tokenizer.bos_token_id], [tokenizer.eos_token_id], tokenizer.model_max_length
        pieces = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        self.rows = [(start + ids + end)[:limit] for ids in pieces]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        row = self.rows[index]
        return {"input_ids": row, "attention_mask": [1] * len(row), "labels": row}


@torch.no_grad()
def score(model: Any, tokenizer: Any, texts: Sequence[str]) -> dict[str, float | int | None]:
    """Corpus perplexity of texts, as an attack's `--perplexity_model` measures it, with its 95 % interval."""
    return perplexity_estimate(LanguageModel(model, tokenizer).likelihoods(texts))
