"""The victim of the Seq2Sick paper: a stacked LSTM encoder and an LSTM decoder with attention.

Bidirectional encoder as in Bahdanau, Cho and Bengio (ICLR 2015, section 3.2); stacked decoder with "general" global
attention and input feeding as in Luong, Pham and Manning (EMNLP 2015, equations 5, 7 and 8 and section 3.3), which is
what OpenNMT-py builds. Shapes: N sentences, T source and M output pieces, V vocabulary, e word vectors, d states.

Deviations: the decoder starts from the mean encoder state through one layer, not from the encoder's last states, so
that `generate` may be handed `encoder_outputs` alone. Word vectors of source, target and output layer are one table
unless `tie_word_embeddings` is off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

from textadv.decoding import CACHE

IGNORED = -100  # a label that doesn't count: transformers' convention


class LstmSeq2SeqConfig(PreTrainedConfig):
    """Sizes of a `LstmSeq2SeqForConditionalGeneration`; the defaults are the paper's.

    Args:
        vocab_size: V, source and target pieces together.
        embedding_size: e, the width of the word vectors; with tied ones it is `d_model`.
        d_model: d, the width of the decoder's states, and of both directions of the encoder's together.
        num_layers: stacked layers of the encoder, and of the decoder.
        dropout: on word vectors, between layers and on what goes to the output layer.
        init_std: all weights start uniform in [-init_std, init_std], biases at 0 but the forget gates' at 1.
    """

    model_type = "lstm_seq2seq"
    keys_to_ignore_at_inference: ClassVar[list[str]] = [CACHE]
    attribute_map: ClassVar[dict[str, str]] = {"hidden_size": "d_model", "num_hidden_layers": "num_layers"}

    vocab_size: int = 50_004
    embedding_size: int = 500
    d_model: int = 500
    num_layers: int = 2
    dropout: float = 0.3
    init_std: float = 0.1
    is_encoder_decoder: bool = True
    use_cache: bool = True
    tie_word_embeddings: bool = True
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | None = 2
    decoder_start_token_id: int | None = 0

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.tie_word_embeddings and self.embedding_size != self.d_model:
            raise ValueError(
                f"tied word vectors are as wide as the states: embedding_size {self.embedding_size} is not "
                f"d_model {self.d_model}; make them equal or set tie_word_embeddings to False"
            )
        if self.d_model % 2:
            raise ValueError(f"d_model {self.d_model} must be even: half of it for each direction of the encoder")


@dataclass
class LstmState:
    """What the decoder remembers: `values` (N, 2 L + 1, d), hidden states, cells, and what is fed to the next step.

    It stands where a Transformer has its key-value cache, and can be handled like one.
    """

    values: Tensor
    steps: int = 0

    is_compileable = False

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Output pieces read so far."""
        return self.steps

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keeps the rows `indices` (n,)."""
        self.values = self.values[indices]

    reorder_cache = batch_select_indices  # what beam search calls it


class EncoderLayer(nn.LSTM):
    """One bidirectional layer, d states in, d out.

    Always in training mode, which has no effect on its values (the dropout is outside): cuDNN computes a gradient
    with respect to the input in no other.
    """

    def __init__(self, input_size: int, d_model: int) -> None:
        super().__init__(input_size, d_model // 2, batch_first=True, bidirectional=True)

    def train(self, mode: bool = True) -> EncoderLayer:
        return super().train(True)


class LstmPreTrainedModel(PreTrainedModel):
    """How weights start."""

    config_class = LstmSeq2SeqConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        for name, values in module.named_parameters(recurse=False):
            if "bias" in name:
                nn.init.zeros_(values)
            else:
                nn.init.uniform_(values, -self.config.init_std, self.config.init_std)
            if name.startswith("bias_ih"):  # gates stand in the order input, forget, cell, output
                size = len(values) // 4
                values[size : 2 * size] = 1.0
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            module.weight[module.padding_idx].zero_()


class LstmEncoder(LstmPreTrainedModel):
    """Source pieces (N, T), or their vectors (N, T, e), to states (N, T, d). Padding stands on the right."""

    def __init__(self, config: LstmSeq2SeqConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size, config.pad_token_id)
        widths = [config.embedding_size] + [config.d_model] * (config.num_layers - 1)
        self.layers = nn.ModuleList(EncoderLayer(width, config.d_model) for width in widths)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embed_tokens = value

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        **kwargs: Any,
    ) -> BaseModelOutput:
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        states = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        width = states.shape[1]
        lengths = torch.full((len(states),), width) if attention_mask is None else attention_mask.sum(1).cpu()
        for layer in self.layers:
            packed = pack_padded_sequence(
                self.dropout(states), lengths.clamp(min=1), batch_first=True, enforce_sorted=False
            )
            states, _ = pad_packed_sequence(layer(packed)[0], batch_first=True, total_length=width)
        return BaseModelOutput(last_hidden_state=states)  # type: ignore[arg-type]


class LstmDecoder(LstmPreTrainedModel):
    """Output pieces (N, M) and encoder states (N, T, d) to the attentional states (N, M, d) that words are read off."""

    def __init__(self, config: LstmSeq2SeqConfig) -> None:
        super().__init__(config)
        d = config.d_model
        self.embed_tokens = nn.Embedding(config.vocab_size, config.embedding_size, config.pad_token_id)
        widths = [config.embedding_size + d] + [d] * (config.num_layers - 1)
        self.cells = nn.ModuleList(nn.LSTMCell(width, d) for width in widths)
        self.bridge = nn.Linear(d, config.num_layers * d)
        self.score = nn.Linear(d, d, bias=False)
        self.combine = nn.Linear(2 * d, d, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embed_tokens = value

    def start(self, memory: Tensor, mask: Tensor) -> LstmState:
        """The state before the first piece: the mean of the memory (N, T, d) through the bridge; cells are zero."""
        weights = mask.to(memory.dtype)[..., None]
        mean = (memory * weights).sum(1) / weights.sum(1).clamp(min=1)
        hidden = torch.tanh(self.bridge(mean)).unflatten(1, (len(self.cells), -1))  # (N, L, d)
        return LstmState(torch.cat([hidden, torch.zeros_like(hidden), torch.zeros_like(mean)[:, None]], dim=1))

    def forward(
        self,
        input_ids: Tensor | None,
        memory: Tensor,
        mask: Tensor,
        state: LstmState | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> tuple[Tensor, LstmState]:
        words = self.dropout(self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds)
        state = state or self.start(memory, mask)
        layers = len(self.cells)
        *remembered, fed = state.values.unbind(1)
        hidden, cells = remembered[:layers], remembered[layers:]
        away = torch.zeros_like(mask, dtype=memory.dtype).masked_fill(mask == 0, torch.finfo(memory.dtype).min)
        found = []
        for word in words.unbind(1):  # input feeding: each step needs the one before
            below = torch.cat([word, fed], dim=1)
            for i, cell in enumerate(self.cells):
                hidden[i], cells[i] = cell(self.dropout(below) if i else below, (hidden[i], cells[i]))
                below = hidden[i]
            asked = below @ self.score.weight  # (N, d): "general" attention, weighed on the query's side: T times less
            attention = torch.softmax((memory @ asked[..., None])[..., 0] + away, dim=1)  # (N, T)
            context = (attention[:, None] @ memory)[:, 0]
            fed = torch.tanh(self.combine(torch.cat([context, below], dim=1)))
            found.append(fed)
        values = torch.stack([*hidden, *cells, fed], dim=1)
        return torch.stack(found, dim=1), LstmState(values, state.steps + len(found))


class LstmSeq2SeqForConditionalGeneration(LstmPreTrainedModel, GenerationMixin):
    """Encoder, decoder and output layer, with everything that `generate` and the Trainer ask for."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {  # pyright: ignore[reportIncompatibleVariableOverride]
        "lm_head.weight": "encoder.embed_tokens.weight",
        "decoder.embed_tokens.weight": "encoder.embed_tokens.weight",
    }

    def __init__(self, config: LstmSeq2SeqConfig) -> None:
        super().__init__(config)
        self.encoder = LstmEncoder(config)
        self.decoder = LstmDecoder(config)
        self.dropout = nn.Dropout(config.dropout)
        self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # `generate` would hand us a key-value cache

    def get_encoder(self, modality: str | None = None) -> LstmEncoder:
        return self.encoder

    def get_decoder(self) -> LstmDecoder:
        return self.decoder

    def get_input_embeddings(self) -> nn.Module:
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.encoder.embed_tokens = value
        if self.config.tie_word_embeddings:
            self.decoder.embed_tokens = value

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        self.lm_head = new_embeddings

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Labels (N, M) moved one place to the right, behind the start piece; ignored ones become padding."""
        start = labels.new_full((len(labels), 1), self.config.decoder_start_token_id)
        moved = torch.cat([start, labels[:, :-1]], dim=1)
        return moved.masked_fill(moved == IGNORED, self.config.pad_token_id)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        encoder_outputs: Any = None,
        cache: LstmState | None = None,
        past_key_values: LstmState | None = None,
        inputs_embeds: Tensor | None = None,
        decoder_inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> Seq2SeqLMOutput:
        """Logits (N, M, V), with `labels` (N, M) their mean cross-entropy too; labels of -100 don't count.

        Give the source as `input_ids` (N, T), `inputs_embeds` (N, T, e) or `encoder_outputs`, and the output as
        `decoder_input_ids` (N, M), `decoder_inputs_embeds` (N, M, e) or `labels`. What the decoder remembers is
        `cache`, or by its name before transformers 5.24 `past_key_values`.
        """
        remembered = past_key_values if cache is None else cache
        if encoder_outputs is None:
            encoder_outputs = self.encoder(input_ids, attention_mask, inputs_embeds)
        memory = encoder_outputs[0]
        if attention_mask is None:
            attention_mask = memory.new_ones(memory.shape[:2])
        if labels is not None and decoder_input_ids is None and decoder_inputs_embeds is None:
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(labels)
        states, state = self.decoder(
            decoder_input_ids, memory, attention_mask, remembered, inputs_embeds=decoder_inputs_embeds
        )
        logits = self.lm_head(self.dropout(states))
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        keeps = self.config.use_cache if use_cache is None else use_cache
        return Seq2SeqLMOutput(
            loss=loss,
            logits=logits,
            encoder_last_hidden_state=memory,
            **{CACHE: state if keeps else None},
        )
