"""Sentence embeddings: by a model of sentence-transformers (Reimers and Gurevych, Sentence-BERT, EMNLP 2019), or the
mean of the vectors of a sentence's words (Wieting et al., ICLR 2016, arXiv:1511.08198), which needs no such package."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from textadv.configs import BadInput
from textadv.fingerprint import parameters_fingerprint
from textadv.word_vectors import vectors_of
from textadv.words import split_words


class SentenceEncoder:
    """A frozen sentence encoder: anything with the `encode` of `SentenceTransformer`."""

    def __init__(self, model: Any, *, device: torch.device | str = "cpu") -> None:
        self.model = model
        self.device = torch.device(device)

    @classmethod
    def from_pretrained(cls, name: str, *, device: torch.device | str = "cpu") -> "SentenceEncoder":
        """Loads a model of sentence-transformers by Hub id or folder, or a text file of word vectors in GloVe's format.

        Raises:
            BadInput: sentence-transformers isn't installed, or no such model or file can be loaded.
        """
        if Path(name).is_file():
            return cls(WordVectorMean(dict(vectors_of(Path(name)))).to(device), device=device)
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


class WordVectorMean(nn.Module):
    """The mean of the vectors of a sentence's words, in lower case where they aren't there as they are written.

    Words without a vector are passed over; a sentence of no others is embedded as 0.

    Args:
        vectors: (d) numbers of each word.
    """

    table: Tensor

    def __init__(self, vectors: dict[str, list[float]]) -> None:
        super().__init__()
        self.places = {word: place for place, word in enumerate(vectors)}
        self.register_buffer("table", torch.tensor(list(vectors.values())))  # (V, d)

    def encode(self, texts: Sequence[str], *, batch_size: int = 32, show_progress_bar: bool = False) -> np.ndarray:
        """(N, d) float32."""
        places, starts = list[int](), list[int]()
        for text in texts:
            starts.append(len(places))
            found = (self.places.get(word, self.places.get(word.lower())) for word in split_words(text))
            places += [place for place in found if place is not None]
        words, first = (torch.tensor(one, dtype=torch.long, device=self.table.device) for one in (places, starts))
        return nn.functional.embedding_bag(words, self.table, first, mode="mean").cpu().numpy()


def cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N,) of embeddings (N, d) and (N, d); 0 where one of them is 0."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return (first * second).sum(1) / np.maximum(lengths, 1e-12)
