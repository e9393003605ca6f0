"""How likely a causal language model finds sentences, and perplexity (Jelinek et al., 1977) with its intervals.

Perplexity of a corpus is exp of a ratio of sums, so its intervals come from a bootstrap over sentences (Efron, 1979).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from textadv.configs import BadInput
from textadv.fingerprint import parameters_fingerprint

RESAMPLES = 10_000  # so that an end of the interval is off by some 3 % of a standard error


@dataclass(frozen=True)
class Likelihoods:
    """Of N sentences, float64: -log p summed over a sentence's pieces (N,), and how many pieces those are (N,)."""

    sums: np.ndarray
    counts: np.ndarray

    @property
    def per_piece(self) -> float:
        """Mean of -log p over all pieces: the logarithm of `perplexity`. NaN if there is none."""
        return float(self.sums.sum() / self.counts.sum()) if self.counts.sum() else math.nan

    @property
    def perplexity(self) -> float:
        """Of all sentences as one corpus: every piece weighs the same."""
        return math.exp(self.per_piece)

    @property
    def perplexities(self) -> list[float]:
        """Of each sentence; NaN where there is no piece."""
        return [math.exp(s / n) if n else math.nan for s, n in zip(self.sums, self.counts, strict=True)]

    @property
    def mean_perplexity(self) -> float:
        """Mean over the sentences that have a piece: every sentence weighs the same."""
        found = [value for value in self.perplexities if not math.isnan(value)]
        return math.fsum(found) / len(found) if found else math.nan

    def __getitem__(self, rows: Any) -> "Likelihoods":
        return Likelihoods(self.sums[rows], self.counts[rows])


class LanguageModel:
    """A frozen causal language model and its tokenizer.

    Raises:
        BadInput: what the model says of a piece depends on the pieces behind it.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.name = type(model).__name__
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self._refuse_if_it_looks_ahead()

    @classmethod
    def from_pretrained(cls, name: str, *, device: torch.device | str = "cpu") -> "LanguageModel":
        """Loads a model in float32, by Hub id or folder.

        Raises:
            BadInput: nothing there, no network, or no causal language model.
        """
        from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

        try:
            config = AutoConfig.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise BadInput(
                f"{name} has no config.json that can be read; give a language model's folder or Hub id"
                if Path(name).exists()
                else f"{name} is neither a folder here nor a model that the Hub gives; check the name or the network"
            ) from error
        if config.is_encoder_decoder:
            raise BadInput(f"{name} is an encoder-decoder ({config.model_type}); give a causal language model")
        try:
            model: Any = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32)
            tokenizer = AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError) as error:
            raise BadInput(f"{name} is no causal language model that can be loaded; give another one") from error
        return cls(model.to(device), tokenizer)

    def to(self, device: torch.device | str) -> None:
        """Moves the model."""
        self.model.to(device)

    def fingerprint(self) -> str:
        """SHA-256 of the parameters."""
        return parameters_fingerprint(self.model)

    @property
    def longest(self) -> int:
        """Most pieces that the model takes, start token included."""
        positions = getattr(self.model.config, "max_position_embeddings", None)
        return min(limit for limit in (positions, self.tokenizer.model_max_length) if limit)

    @torch.no_grad()
    def likelihoods(
        self,
        texts: Sequence[str],
        *,
        batch_size: int = 16,
        add_start_token: bool | None = None,
        max_length: int | None = None,
    ) -> Likelihoods:
        """-log p of every piece given the pieces before it; special pieces are neither added nor counted.

        Args:
            batch_size: sentences of like length that are padded, on the right, to one batch.
            add_start_token: put the start token in front, so that the first piece counts too; None: if there is one.
            max_length: cut sentences to so many pieces, start token included; None: to what the model takes.

        Raises:
            BadInput: the model has no start token to add, or a number is below 1.
        """
        if batch_size < 1 or (max_length is not None and max_length < 1):
            raise BadInput(f"batch_size and max_length must be at least 1, not {batch_size} and {max_length}")
        start = self._start(add_start_token)
        room = min(self.longest, max_length or self.longest) - len(start)
        pieces = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []
        rows = [torch.tensor(start + ids[:room], dtype=torch.long) for ids in pieces]
        sums, counts = np.zeros(len(rows)), np.zeros(len(rows))
        order = sorted((i for i, row in enumerate(rows) if len(row) > 1), key=lambda i: len(rows[i]))
        for first in range(0, len(order), batch_size):
            some = order[first : first + batch_size]
            losses, mask = self._losses([rows[i] for i in some])
            sums[some] = losses.sum(1).cpu().numpy()
            counts[some] = mask.sum(1).cpu().numpy()
        return Likelihoods(sums, counts)

    def _losses(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """(B, T - 1) -log p of each piece but the first, float64 and 0 behind the end, and where there is one."""
        ids = pad_sequence(list(rows), batch_first=True).to(self.model.device)  # (B, T), padded on the right
        lengths = torch.tensor([len(row) for row in rows], device=ids.device)
        mask = torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]
        with torch.autocast(ids.device.type, enabled=False):  # an attack may be searching in bf16
            logits = self.model(input_ids=ids, attention_mask=mask.long(), use_cache=False).logits
        losses = cross_entropy(logits[:, :-1].transpose(1, 2).float(), ids[:, 1:], reduction="none")
        return losses.double().masked_fill(~mask[:, 1:], 0.0), mask[:, 1:]

    def _start(self, wanted: bool | None) -> list[int]:
        start = self.tokenizer.bos_token_id
        if wanted and start is None:
            raise BadInput(f"the tokenizer of {self.name} has no start token; say add_start_token=False")
        return [] if start is None or wanted is False else [start]

    @torch.no_grad()
    def _refuse_if_it_looks_ahead(self) -> None:
        count = self.model.get_input_embeddings().num_embeddings
        ids = torch.arange(8, device=self.model.device).remainder(count)[None].repeat(2, 1)
        ids[1, -1] = (ids[1, -1] + 1) % count
        first, second = self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[:, :-1]
        if (first - second).abs().max() > 1e-4 * first.abs().max():
            raise BadInput(f"{self.name} looks at the pieces that it should predict; give a causal language model")


def perplexity_estimate(found: Likelihoods) -> dict[str, float | int | None]:
    """Corpus perplexity with its 95 % bootstrap interval; `n` sentences have a piece. None where undefined."""
    found = found[found.counts > 0]
    return _bootstrap(lambda rows: found[rows].per_piece, len(found.counts))


def ratio_estimate(above: Likelihoods, below: Likelihoods) -> dict[str, float | int | None]:
    """Ratio of the corpus perplexities of the same sentences in two versions; pairs are drawn, not sentences."""
    both = (above.counts > 0) & (below.counts > 0)
    above, below = above[both], below[both]
    return _bootstrap(lambda rows: above[rows].per_piece - below[rows].per_piece, len(above.counts))


def perplexities(model: LanguageModel, records: Sequence[dict[str, Any]]) -> dict[str, dict[str, float | int | None]]:
    """Perplexity of the successes' originals and adversarial sentences, and the ratio of the two.

    `records` are `AttackRecord`s as dictionaries; those skipped and failed don't count.
    """
    succeeded = [record for record in records if record["skipped"] is None and record["success"]]
    found = model.likelihoods([record[side] for side in ("original", "adversarial") for record in succeeded])
    original, adversarial = found[: len(succeeded)], found[len(succeeded) :]
    return {
        "original_perplexity": perplexity_estimate(original),
        "adversarial_perplexity": perplexity_estimate(adversarial),
        "perplexity_ratio": ratio_estimate(adversarial, original),
    }


def _bootstrap(log_statistic: Callable[[Any], float], n: int) -> dict[str, float | int | None]:
    """exp of a statistic of n rows, and the 2.5 % and 97.5 % quantiles of it over rows drawn with replacement."""
    if n == 0:
        return {"value": None, "low": None, "high": None, "n": 0}
    value = math.exp(log_statistic(slice(None)))
    if n == 1:
        return {"value": value, "low": None, "high": None, "n": 1}
    generator = np.random.default_rng(0)
    drawn = [log_statistic(generator.integers(n, size=n)) for _ in range(RESAMPLES)]
    low, high = np.exp(np.percentile(drawn, [2.5, 97.5])).tolist()
    return {"value": value, "low": low, "high": high, "n": n}
