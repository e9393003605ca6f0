"""Which source pieces an attack may write, and the nearest of them to each point: the set W of (3.3)."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from functools import cached_property

import torch
from torch import Tensor

from textadv.configs import BadInput
from textadv.victim import Victim

CHUNK_BYTES = 256 * 2**20  # largest matrix of distances held at once
FIRST, INSIDE, CONTINUATION = 0, 1, 2  # where in its sentence and word a piece stands
FROZEN = -1
MARKS = ".,;:!?…()[]{}\"'»«”“’‘"  # may stand around a word without being part of it


class Vocabulary:
    """Allowed source pieces and their vectors.

    A piece is allowed in a place if it *survives there*: the text that it makes is tokenized back to it. This is
    found by trying, once for all pieces, so it holds for SentencePiece, byte-level BPE, WordPiece and whole-word
    tokenizers alike. Special, sentinel, language, byte and unused pieces never survive.

    Args:
        whole_words: only pieces that are a word of letters on their own; otherwise also inner pieces of words,
            which survive less often.
        corpus: source-side sentences; only what is seen in them at least `min_count` times is allowed: whole
            words counted as words (a piece may also be the mere beginning of words), inner pieces as pieces.

    Raises:
        BadInput: nothing is left.
    """

    def __init__(
        self,
        victim: Victim,
        *,
        whole_words: bool = True,
        corpus: Iterable[str] | None = None,
        min_count: int = 2,
    ) -> None:
        tokenizer = victim.tokenizer
        self.victim = victim
        self.size = victim.model.get_encoder().get_input_embeddings().num_embeddings
        known = min(len(tokenizer), self.size)
        pieces = tokenizer.convert_ids_to_tokens(list(range(known)))
        self.starts_word = torch.tensor(_starts_word(pieces))
        special = victim.special_ids | set(tokenizer.added_tokens_decoder) | {tokenizer.unk_token_id}
        self.surface = _surfaces(tokenizer, pieces, special)
        words = [i for i, text in enumerate(self.surface) if text.isalpha()]
        allowed = torch.zeros(3, self.size, dtype=torch.bool)
        starts = [i for i in words if self.starts_word[i]]
        carrier = self._carrier(starts)
        allowed[INSIDE, self._survivors(starts, f"{carrier} {{}} {carrier}", place=1)] = True
        allowed[FIRST, self._survivors(words, f"{{}} {carrier}", place=0)] = True
        if victim.config.source_prefix:
            allowed[FIRST] = allowed[INSIDE]  # the prefix stands first
        self.whole = allowed[:2].clone()  # whole words, whether the corpus holds them or not
        self.allowed_inner = not whole_words
        if not whole_words:
            inner = [i for i in words if not self.starts_word[i]]
            allowed[CONTINUATION, inner] = True
        if corpus is not None:
            allowed &= self._seen(corpus, min_count)
        self.allowed = allowed
        if not allowed[INSIDE].any():
            raise BadInput("no piece of the vocabulary may be used; give a larger --source_corpus or leave it out")

    # Where things are -----------------------------------------------------------------------------------

    @cached_property
    def ids(self) -> Tensor:
        """(K,) the pieces that are allowed somewhere, ascending."""
        return self.allowed.any(0).nonzero().squeeze(1).to(self.victim.device)

    @cached_property
    def points(self) -> Tensor:
        """(K, d) what the encoder sees of `ids`."""
        return self.victim.embed(self.ids)

    @cached_property
    def blank(self) -> Tensor:
        """(d,) the mean of `points`: a word that says nothing in particular."""
        return self.points.mean(0)

    @cached_property
    def forbidden(self) -> Tensor:
        """(3, K) True where a piece of `ids` is not allowed in a kind of place."""
        return ~self.allowed.to(self.victim.device)[:, self.ids]

    @cached_property
    def unit(self) -> float:
        """Median distance of an allowed piece to its nearest neighbour: the length that steps are measured in."""
        nearest = torch.cat(
            [
                self._distances(points).topk(2, largest=False).values[:, 1]
                for points in self.points.split(self._rows_at_once)
            ]
        )
        return float(nearest.clamp(min=0).sqrt().median())

    def nearest(self, points: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """The allowed piece nearest to each point, and how far it is.

        Args:
            points: (N, d) points of the embedding space.
            places: (N,) FIRST, INSIDE or CONTINUATION.

        Returns:
            ids (N,) and squared distances (N,).
        """
        found, distances = [], []
        for some, place in zip(points.split(self._rows_at_once), places.split(self._rows_at_once), strict=True):
            distance, at = self._distances(some).masked_fill_(self.forbidden[place], torch.inf).min(1)
            found.append(self.ids[at])
            distances.append(distance.clamp(min=0))
        return torch.cat(found), torch.cat(distances)

    def lowest(self, directions: Tensor, places: Tensor, but: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """The allowed pieces that lie furthest against each direction: the least w_j . g.

        Args:
            directions: (N, d).
            places: (N,) FIRST, INSIDE or CONTINUATION.
            but: (N,) a piece that does not count: the one that stands there.
            count: how many pieces, P.

        Returns:
            ids (N, P) and w_j . g (N, P), least first; infinite where fewer pieces are allowed.
        """
        count = min(count, len(self.ids))
        found, values = [], []
        size = self._rows_at_once
        for g, place, own in zip(directions.split(size), places.split(size), but.split(size), strict=True):
            slopes = (g @ self.points.T).masked_fill_(self.forbidden[place], torch.inf)
            slopes.masked_fill_(own[:, None] == self.ids, torch.inf)
            least = slopes.topk(count, dim=1, largest=False)
            found.append(self.ids[least.indices])
            values.append(least.values)
        return torch.cat(found), torch.cat(values)

    @property
    def _rows_at_once(self) -> int:
        return max(CHUNK_BYTES // (self.points.element_size() * len(self.ids)), 1)

    @cached_property
    def _half_norms(self) -> Tensor:
        return self.points.square().sum(1) / 2

    def _distances(self, points: Tensor) -> Tensor:
        """(N, K) squared distances, as one matmul, in full precision."""
        with torch.autocast(points.device.type, enabled=False):
            half = torch.addmm(self._half_norms[None], points, self.points.T, alpha=-1)
            return half.add_(points.square().sum(1, keepdim=True) / 2).mul_(2)

    def fingerprint(self) -> str:
        """SHA-256 of what is allowed where."""
        return hashlib.sha256(self.allowed.numpy().tobytes()).hexdigest()

    # At construction ------------------------------------------------------------------------------------

    def _carrier(self, starts: list[int]) -> str:
        """A whole-word piece to stand beside those that are tried."""
        common = sorted(starts, key=lambda i: (abs(len(self.surface[i]) - 3), i))
        for i in common[:200]:
            ids = self._inner_ids([f"{self.surface[i]} {self.surface[i]} {self.surface[i]}"])[0]
            if len(ids) == 3 and ids[1] == ids[2] == i:
                return self.surface[i]
        raise BadInput(f"the tokenizer of {self.victim.name} has no whole-word pieces; whole words can't be attacked")

    def _survivors(self, ids: list[int], template: str, place: int) -> list[int]:
        found = self._inner_ids([template.format(self.surface[i]) for i in ids])
        width = template.count(" ") + 1
        return [i for i, got in zip(ids, found, strict=True) if len(got) == width and got[place] == i]

    def _inner_ids(self, texts: list[str]) -> list[list[int]]:
        batch = self.victim.tokenizer(texts)["input_ids"] if texts else []
        return [[i for i in ids if i not in self.victim.special_ids] for ids in batch]

    def _seen(self, corpus: Iterable[str], min_count: int) -> Tensor:
        """(3, V) what the corpus holds often enough."""
        texts = list(corpus)
        lower = not any(text != text.lower() for text in self.surface)  # a tokenizer that lower-cases
        words = Counter(word.strip(MARKS) for text in texts for word in (text.lower() if lower else text).split())
        seen = torch.zeros(3, self.size, dtype=torch.bool)
        seen[:2, [i for i, text in enumerate(self.surface) if words[text] >= min_count]] = True
        if self.allowed_inner:
            ids = [i for text in texts for i in self.victim.tokenizer(text)["input_ids"]]
            seen[CONTINUATION] = torch.bincount(torch.tensor(ids), minlength=self.size) >= min_count
        return seen


def _starts_word(pieces: list[str]) -> list[bool]:
    """Which pieces begin a word, by the mark that the tokenizer uses: '▁', 'Ġ', '##' on the others, or none."""
    marks = {mark: sum(piece.startswith(mark) for piece in pieces) for mark in ("▁", "Ġ", "##")}
    mark = max(marks, key=lambda m: marks[m])
    if marks[mark] == 0:
        return [True] * len(pieces)
    return [piece.startswith(mark) != (mark == "##") for piece in pieces]


def _surfaces(tokenizer, pieces: list[str], special: frozenset[int]) -> list[str]:
    """The text of each piece without its mark; '' for special and byte pieces and what else is no text."""
    texts = tokenizer.batch_decode([[i] for i in range(len(pieces))], skip_special_tokens=True)
    silent = special | {i for i, piece in enumerate(pieces) if re.fullmatch("<0x[0-9A-F]{2}>", piece)}
    return ["" if i in silent else text.strip().removeprefix("##") for i, text in enumerate(texts)]
