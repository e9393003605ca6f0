"""A batch of source sentences: their pieces, which of them may change, and the text that changed pieces make."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate

import torch
from torch import Tensor

from textadv.limits import NO_LIMITS, Limits
from textadv.vocabulary import CONTINUATION, FIRST, FROZEN, INSIDE, MARKS, Vocabulary


class Sources:
    """B sentences of at most T pieces.

    A word may change if its text is one whole-word piece, with or without punctuation marks behind it. Everything
    else (prefix, special pieces, words of several pieces) is frozen. Text is rebuilt by putting new words into the
    original string, so what is not attacked stays as it was, to the letter.

    Limits freeze the words that they protect. `budget` (B,) is how many of the others may change at once; where it is
    0, all are frozen.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        texts: Sequence[str],
        *,
        whole_words: bool = True,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self.vocabulary = vocabulary
        self.whole_words = whole_words
        self._limits = limits
        self.texts = list(texts)
        self.ids, self.mask = vocabulary.victim.encode(texts)  # (B, T)
        places = torch.full(self.ids.shape, FROZEN)
        self._chunks: list[list[str]] = []  # the sentence cut at white space
        self._chunk_of: list[dict[int, int]] = []  # changeable position -> chunk
        for row, text in enumerate(texts):
            chunks, at = self._locate(self.ids[row].tolist(), int(self.mask[row].sum()), text)
            self._chunks.append(chunks)
            self._chunk_of.append({position: chunk for position, (chunk, _) in at.items()})
            for position, (_, place) in at.items():
                places[row, position] = place
        budget = torch.tensor([limits.budget(text) for text in texts])
        places[budget == 0] = FROZEN
        self.places = places.to(self.ids.device)  # (B, T): FROZEN, FIRST, INSIDE, CONTINUATION
        self.budget = budget.to(self.ids.device)  # (B,)

    @property
    def changeable(self) -> Tensor:
        """(B, T) True where a piece may be replaced."""
        return self.places != FROZEN

    @cached_property
    def embeds(self) -> Tensor:
        """(B, T, d) what the encoder sees of the original sentences."""
        return self.vocabulary.victim.embed(self.ids)

    def changed(self, rows: Tensor, ids: Tensor) -> Tensor:
        """(N,) how many pieces of ids (N, T) differ from the originals of rows (N,)."""
        return (ids != self.ids[rows]).sum(1)

    def text(self, rows: Tensor, ids: Tensor) -> list[str]:
        """The sentences that ids (N, T), changed versions of rows (N,), make."""
        if not self.whole_words:
            body = ids.clone()
            body[:, : self._prefix_end] = self.vocabulary.victim.pad_id
            return self.vocabulary.victim.decode(body)
        places = (ids != self.ids[rows]).nonzero().tolist()
        sentences = [list(self._chunks[row]) for row in rows.tolist()]
        row_of = rows.tolist()
        for i, position in places:
            chunk = self._chunk_of[row_of[i]][position]
            sentences[i][chunk] = _exchanged(sentences[i][chunk], self.vocabulary.surface[int(ids[i, position])])
        return [" ".join(chunks) for chunks in sentences]

    def text_with(self, word: str, rows: Tensor, positions: Tensor) -> list[str]:
        """The original sentences of rows (N,), with any `word` in the place of the piece at positions (N,).

        For whole words only: elsewhere a piece has no place of its own in the text.
        """
        sentences = [list(self._chunks[row]) for row in rows.tolist()]
        for chunks, row, position in zip(sentences, rows.tolist(), positions.tolist(), strict=True):
            chunk = self._chunk_of[row][position]
            chunks[chunk] = _exchanged(chunks[chunk], word)
        return [" ".join(chunks) for chunks in sentences]

    def survives(self, rows: Tensor, ids: Tensor, texts: Sequence[str]) -> list[bool]:
        """Whether each text is tokenized to exactly the pieces that it was made from."""
        again, mask = self.vocabulary.victim.encode(texts)
        length = self.mask[rows].sum(1)
        width = max(again.shape[1], ids.shape[1])

        def padded(t: Tensor, valid: Tensor) -> Tensor:
            wide = t.new_full((len(t), width), -1)
            wide[:, : t.shape[1]] = t.masked_fill(valid == 0, -1)
            return wide

        same = (padded(again, mask) == padded(ids, self.mask[rows])).all(1) & (mask.sum(1) == length)
        return same.tolist()

    def _locate(self, ids: list[int], length: int, text: str) -> tuple[list[str], dict[int, tuple[int, int]]]:
        """The sentence's chunks, and for each changeable position its chunk and its kind of place."""
        vocabulary, victim = self.vocabulary, self.vocabulary.victim
        body = [p for p in range(length) if ids[p] not in victim.special_ids]
        body = body[self._prefix_length :]
        if not self.whole_words:
            kinds = [INSIDE if vocabulary.starts_word[ids[p]] else CONTINUATION for p in body]
            usable = {p: (0, kind) for p, kind in zip(body, kinds, strict=True) if vocabulary.surface[ids[p]].isalpha()}
            return text.split(), {p: usable[p] for p in self._unprotected(body, ids, text) if p in usable}
        chunks = text.split()
        parts: list[list[int]] = [[] for _ in chunks]  # the pieces of each chunk
        for p, chunk in zip(body, self._chunks_of(body, ids, text), strict=True):
            if chunk < len(chunks):
                parts[chunk].append(p)
        found = {}
        for chunk, part in enumerate(parts):
            if not part or self._limits.protects(chunks[chunk]):
                continue
            first, place = ids[part[0]], FIRST if part[0] == body[0] else INSIDE
            core = chunks[chunk].rstrip(MARKS)
            if vocabulary.whole[place, first] and vocabulary.surface[first].casefold() == core.casefold():
                found[part[0]] = (chunk, place)
        return chunks, found

    def _unprotected(self, body: list[int], ids: list[int], text: str) -> list[int]:
        """The pieces of `body` that belong to no protected word; none where that can't be told."""
        if not self._limits.protected:
            return body
        stays = [self._limits.protects(chunk) for chunk in text.split()] + [True]
        return [p for p, chunk in zip(body, self._chunks_of(body, ids, text), strict=True) if not stays[chunk]]

    def _chunks_of(self, body: list[int], ids: list[int], text: str) -> list[int]:
        """The chunk of `text` that each piece of `body` belongs to; the last one's number plus 1 for none."""
        victim = self.vocabulary.victim
        if victim.tokenizer.is_fast:  # it knows which characters each piece stands for
            prefix = victim.config.source_prefix
            spans = victim.tokenizer(prefix + text, return_offsets_mapping=True)["offset_mapping"]
            ends = list(accumulate(len(piece) for piece in re.findall(r"\s*\S+", text)))
            return [bisect_left(ends, spans[p][1] - len(prefix)) for p in body]
        count = len(text.split())
        starts = [i == 0 or bool(self.vocabulary.starts_word[ids[p]]) for i, p in enumerate(body)]
        if sum(starts) != count:  # it cuts words elsewhere: nothing can be replaced safely
            return [count] * len(body)
        return [number - 1 for number in accumulate(starts)]

    @property
    def _prefix_end(self) -> int:
        """The position behind the prefix, which is the same in every sentence."""
        special = self.vocabulary.victim.special_ids
        spoken = [p for p, i in enumerate(self.ids[0].tolist()) if i not in special]
        return spoken[self._prefix_length - 1] + 1 if self._prefix_length else 0

    @cached_property
    def _prefix_length(self) -> int:
        prefix = self.vocabulary.victim.config.source_prefix
        if not prefix:
            return 0
        victim = self.vocabulary.victim
        return sum(i not in victim.special_ids for i in victim.tokenizer(prefix.strip())["input_ids"])


def _exchanged(chunk: str, word: str) -> str:
    """Another word with the punctuation marks that stand behind a chunk's own."""
    return word + chunk[len(chunk.rstrip(MARKS)) :]
