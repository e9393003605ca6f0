"""Word vectors that were trained elsewhere, such as GloVe's, as the first word vectors of a new model."""

from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import torch

from textadv.configs import BadInput


def read_word_vectors(path: Path, tokenizer: Any) -> dict[int, list[float]]:
    """The vectors of a text file in GloVe's format, for the pieces of `tokenizer`: a word and its numbers on each line.

    A piece takes the vector of its word as it is written or, without one, that of the word in lower case. word2vec's
    heading, two numbers on the first line, is skipped.

    Raises:
        BadInput: no such file, lines of unequal lengths, or not one word of the vocabulary.
    """
    words = {piece.removeprefix("▁"): i for piece, i in sorted(tokenizer.get_vocab().items())}
    wanted = words.keys() | {word.lower() for word in words}
    found = dict(vectors_of(path, wanted))
    vectors = {i: found.get(word) or found.get(word.lower()) or [] for word, i in words.items()}
    vectors = {i: vector for i, vector in vectors.items() if vector}
    if not vectors:
        raise BadInput(f"{path} has no vector for any word of the data")
    return vectors


def vectors_of(path: Path, wanted: Container[str] | None = None) -> Iterator[tuple[str, list[float]]]:
    """The words of a text file in GloVe's format that are `wanted` (all if None), and their vectors.

    Raises:
        BadInput: no such file, no line in it, lines of unequal lengths, or what is no number.
    """
    width = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                word, *values = line.rstrip().split(" ")
                if number == 1 and len(values) == 1:
                    continue
                width = width or len(values)
                if len(values) != width:
                    raise ValueError(f"line {number} has {len(values)} numbers, the ones before {width}")
                if wanted is None or word in wanted:
                    yield word, [float(value) for value in values]
        if not width:
            raise ValueError("it holds no vector")
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} can't be read as word vectors ({error}); give a text file in GloVe's format") from error


@torch.no_grad()
def set_word_vectors(model: Any, vectors: dict[int, list[float]]) -> None:
    """Writes vectors into the rows of the encoder's table.

    Raises:
        BadInput: the table is of another width.
    """
    table = model.get_encoder().get_input_embeddings().weight
    values = torch.tensor(list(vectors.values()))
    if values.shape[1] != table.shape[1]:
        raise BadInput(f"word vectors of {values.shape[1]} numbers need --d_model {values.shape[1]}")
    table[list(vectors)] = values.to(table)
