"""Words and their vectors, and which words lie nearest to one: what a synonym search picks its candidates from."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from textadv.vocabulary import INSIDE, Vocabulary
from textadv.word_vectors import vectors_of


@dataclass(frozen=True)
class WordTable:
    """Different words, in lower case, and their vectors (N, d)."""

    words: list[str]
    vectors: Tensor

    @classmethod
    def of_victim(cls, vocabulary: Vocabulary) -> "WordTable":
        """The whole words that an attack may write, with what the victim's encoder sees of them.

        Of a word that there is with and without capitals, the vector of the one without.
        """
        surface = vocabulary.surface
        ids = vocabulary.allowed[INSIDE].nonzero().squeeze(1).tolist()
        found: dict[str, int] = {}
        for i in sorted(ids, key=lambda i: surface[i] != surface[i].lower()):
            found.setdefault(surface[i].lower(), i)
        victim = vocabulary.victim
        with torch.no_grad():
            vectors = victim.embed(torch.tensor(list(found.values()), device=victim.device)).float().cpu()
        return cls(list(found), vectors)

    @classmethod
    def read(cls, path: Path) -> "WordTable":
        """A text file in GloVe's format; of words that differ in capitals only, the first.

        Raises:
            BadInput: no such file, or lines of unequal lengths.
        """
        found: dict[str, Tensor] = {}
        for word, values in vectors_of(path):
            found.setdefault(word.lower(), torch.tensor(values))
        return cls(list(found), torch.stack(list(found.values())))

    def nearest(self, number: int, count: int) -> list[int]:
        """The numbers of the `count` words nearest to word `number` (Euclidean), itself not among them."""
        distances = (self.vectors - self.vectors[number]).norm(dim=1)
        distances[number] = torch.inf
        return distances.topk(min(count, len(self.words) - 1), largest=False).indices.tolist()

    def fingerprint(self) -> str:
        """SHA-256 of words and vectors."""
        digest = hashlib.sha256("\n".join(self.words).encode())
        digest.update(self.vectors.contiguous().numpy().data)
        return digest.hexdigest()
