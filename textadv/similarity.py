"""Sentence embeddings by a model of sentence-transformers (Reimers and Gurevych, Sentence-BERT, EMNLP 2019)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from textadv.configs import BadInput
from textadv.fingerprint import parameters_fingerprint


class SentenceEncoder:
    """A frozen sentence encoder: anything with the `encode` of `SentenceTransformer`."""

    def __init__(self, model: Any, *, device: torch.device | str = "cpu") -> None:
        self.model = model
        self.device = torch.device(device)

    @classmethod
    def from_pretrained(cls, name: str, *, device: torch.device | str = "cpu") -> "SentenceEncoder":
        """Loads a model by Hub id or folder.

        Raises:
            BadInput: sentence-transformers isn't installed, or no such model can be loaded.
        """
        try:
            from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise BadInput("similarity needs sentence-transformers: pip install sentence-transformers") from error
        try:
            return cls(SentenceTransformer(name, device=str(device)), device=device)
        except (OSError, ValueError) as error:
            raise BadInput(f"{name} is no sentence encoder that can be loaded; check name and network") from error

    def embeddings(self, texts: Sequence[str], *, batch_size: int = 32) -> np.ndarray:
        """(N, d) float64, in full precision."""
        with torch.autocast(self.device.type, enabled=False):
            found = self.model.encode(list(texts), batch_size=batch_size, show_progress_bar=False)
        return np.asarray(found, dtype=np.float64)

    def to(self, device: torch.device | str) -> None:
        """Moves the model."""
        self.model.to(device)
        self.device = torch.device(device)

    def fingerprint(self) -> str:
        """SHA-256 of the parameters."""
        return parameters_fingerprint(self.model)


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N,) of embeddings (N, d) and (N, d); 0 where one of them is 0."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(1) / np.maximum(lengths, 1e-12)
