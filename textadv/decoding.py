"""Greedy decoding whose finished rows leave the batch.

A `custom_generate` loop for `transformers`' own `generate`, which prepares everything (encoder pass, cache, the
model's forced and forbidden pieces) and then calls `greedy_search`. The library's loop keeps every row until the
longest one ends; an attack decodes thousands of rows of very different lengths.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

# What a decoder remembers, as an argument and in outputs: transformers 5.24 gave it another name.
CACHE = "cache" if "cache" in {one.name for one in fields(Seq2SeqLMOutput)} else "past_key_values"
COMPACT_BELOW = 0.8  # share of rows still open below which the cache is cut down to them


@dataclass(frozen=True)
class Decoded:
    """Greedy outputs (N, M) without the start piece, padded after their end; `lengths` (N,) count the end piece.

    `observed` (N, M, F) is what an observer made of each step's logits, zero after the end; F = 0 without one.
    """

    outputs: Tensor
    lengths: Tensor
    observed: Tensor

    def rows(self, which: Tensor) -> "Decoded":
        """The outputs of some rows, by number or by a mask (N,)."""
        return Decoded(self.outputs[which], self.lengths[which], self.observed[which])

    @staticmethod
    def join(parts: "list[Decoded]", order: Tensor, *, pad_id: int) -> "Decoded":
        """Parts that hold the rows `order` (N,) one after the other, put back into the order of the rows."""
        width = max(part.outputs.shape[1] for part in parts)
        back = torch.argsort(order)

        def stack(tensors: list[Tensor], fill: float) -> Tensor:
            wide = [t.new_full((len(t), width, *t.shape[2:]), fill) for t in tensors]
            for target, tensor in zip(wide, tensors, strict=True):
                target[:, : tensor.shape[1]] = tensor
            return torch.cat(wide)[back]

        return Decoded(
            outputs=stack([part.outputs for part in parts], pad_id),
            lengths=torch.cat([part.lengths for part in parts])[back],
            observed=stack([part.observed for part in parts], 0.0),
        )


def greedy_search(
    model: Any,
    input_ids: Tensor,
    *,
    logits_processor: Any,
    stopping_criteria: Any,
    generation_config: Any,
    rows: Tensor,
    observe: Callable[[Tensor, Tensor, int], Tensor] | None = None,
    **model_kwargs: Any,
) -> Decoded:
    """One greedy piece a step for every open row, until none is open or the length limit is reached.

    Args:
        input_ids: (N, 1) the start piece.
        rows: (N,) names of the rows, handed to the observer.
        observe: called with the raw logits (n, V) of the n open rows, their names (n,) and the step; returns (n, F).
    """
    pad, ends = generation_config._pad_token_tensor, generation_config._eos_token_tensor
    limit = stopping_criteria.max_length - 1
    hidden, mask = model_kwargs["encoder_outputs"][0], model_kwargs["attention_mask"]
    cached, cache = generation_config.use_cache, model_kwargs.get(CACHE)
    count = len(input_ids)
    outputs = input_ids.new_full((count, limit), 0 if pad is None else int(pad))
    lengths = input_ids.new_zeros(count)
    seen: list[tuple[Tensor, Tensor]] = []
    open_rows = torch.arange(count, device=input_ids.device)  # where the batch's rows stand in `outputs`
    written = input_ids
    done = torch.zeros(count, dtype=torch.bool, device=input_ids.device)
    for t in range(limit):
        step = model(
            encoder_outputs=BaseModelOutput(last_hidden_state=hidden),
            attention_mask=mask,
            decoder_input_ids=written[:, -1:] if cached else written,
            use_cache=cached,
            **{CACHE: cache},
        )
        logits = step.logits[:, -1].float()
        cache = step[CACHE] if CACHE in step else None
        piece = logits_processor(written, logits).argmax(-1)
        live = ~done
        outputs[open_rows[live], t] = piece[live]
        lengths[open_rows[live]] = t + 1
        if observe is not None:
            seen.append((open_rows[live], observe(logits[live], rows[open_rows[live]], t)))
        written = torch.cat([written, piece[:, None]], dim=1)
        if ends is not None:
            done = done | torch.isin(piece, ends)
        left = int((~done).sum())
        if left == 0:
            break
        if left < COMPACT_BELOW * len(done):
            keep = (~done).nonzero().squeeze(1)
            open_rows, written, hidden, mask = open_rows[keep], written[keep], hidden[keep], mask[keep]
            done = done[keep]
            if cache is not None:
                cache.batch_select_indices(keep)
    width = int(lengths.max())
    observed = hidden.new_zeros((count, width, seen[0][1].shape[1] if seen else 0))
    for t, (at, values) in enumerate(seen):
        observed[at, t] = values.to(observed.dtype)
    return Decoded(outputs[:, :width], lengths, observed)
