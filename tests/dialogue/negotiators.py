"""Tiny agents and a chat model with random weights, that talk at random; and one that says what it is told to."""

from dataclasses import dataclass, field

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from dialogue.agent import NegotiationAgent, NegotiationConfig
from dialogue.domain import NO_DEAL
from dialogue.types import MARKS, SELECTION, THEM, YOU, Utterances

WORDS = [*MARKS, YOU, THEM, *"i you want take the book hat ball books hats balls deal ok ?".split()]
SMALL = {"embedding_size": 12, "context_size": 6, "hidden_size": 8, "selection_size": 10, "max_words": 9}


def tiny_agent(seed: int = 0, **changed) -> NegotiationAgent:
    torch.manual_seed(seed)
    config = NegotiationConfig(**({"words": WORDS, "init_range": 1.0} | SMALL | changed))
    return NegotiationAgent(config).double().eval()


def ready_to_end(seed=12, temperature=0.0):
    """A target that says `<selection>` after some sentences and not after others."""
    target = tiny_agent(seed, temperature=temperature)
    with torch.no_grad():
        target.embedding.weight[WORDS.index(SELECTION)] *= 2
    return target


TEMPLATE = (
    "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


def tiny_chat_model():
    """A causal language model of bytes with its tokenizer and chat template."""
    alphabet = ["<pad>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    bytes_ = Tokenizer(models.BPE(vocab={piece: i for i, piece in enumerate(alphabet)}, merges=[]))
    bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bytes_, pad_token="<pad>", chat_template=TEMPLATE)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(vocab_size=len(tokenizer), initializer_range=0.5, pad_token_id=0, eos_token_id=None, **sizes)
    return LlamaForCausalLM(config), tokenizer


@dataclass
class Scripted:
    """Says its lines one after the other in every dialogue, chooses no deal, and remembers what it heard and said."""

    lines: list[str]
    heard: dict[int, list[str]] = field(default_factory=dict)

    def begin(self, scenarios, seeds):
        self.heard = {i: [] for i in range(len(scenarios))}
        return [0] * len(scenarios)

    def read(self, talk, rows, said, *, own=False):
        for row, text in zip(rows.tolist(), said.texts(), strict=True):
            self.heard[row].append(f"{YOU if own else THEM} {text}")

    def write(self, talk, rows):
        texts = [self.lines[talk[row]] for row in rows.tolist()]
        for row, text in zip(rows.tolist(), texts, strict=True):
            talk[row] += 1
            self.heard[row].append(f"{YOU} {text}")
        return Utterances.of(texts, tuple(WORDS))

    def choose(self, talk, rows):
        return torch.full_like(rows, NO_DEAL)
