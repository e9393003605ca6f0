"""Random target keywords: a pool of words of the output language, and a seeded draw per sentence."""

import json
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from textadv.configs import BadInput, WordsConfig
from textadv.types import Example
from textadv.victim import Victim
from textadv.words import split_words

LEAST_LETTERS = 4
COMMONEST = 100  # words left out at the top: the stop words of the corpus
LEAST_COUNT, LEAST_COUNT_SMALL, SMALL_CORPUS = 20, 5, 5_000


def keyword_pool(corpus: Iterable[str], victim: Victim) -> list[str]:
    """The words that a keyword is drawn from, in alphabetic order.

    Alphabetic words of at least 4 letters that occur at least 20 times (5 in a corpus of fewer than 5,000 lines),
    are not among the 100 commonest, and that the victim can write. Nothing is filtered by difficulty.

    Raises:
        BadInput: no word is left.
    """
    lines = list(corpus)
    counts = Counter(word for line in lines for word in split_words(line))
    least = LEAST_COUNT if len(lines) >= SMALL_CORPUS else LEAST_COUNT_SMALL
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    usual = [
        word for word in ranked[COMMONEST:] if counts[word] >= least and len(word) >= LEAST_LETTERS and word.isalpha()
    ]
    pool = sorted(word for word, pieces in zip(usual, output_pieces(usual, victim), strict=True) if pieces is not None)
    if not pool:
        raise BadInput(
            f"no word of the keyword corpus ({len(lines)} lines) can be drawn: it takes words of at least "
            f"{LEAST_LETTERS} letters seen {least} times and not among the {COMMONEST} commonest; "
            "give a larger --keyword_corpus, or --keywords"
        )
    return pool


def with_keywords(examples: Sequence[Example], config: WordsConfig, victim: Victim) -> list[Example]:
    """The examples with the keywords that the user names for all of them or, in a file, for each.

    Raises:
        BadInput: both are named, the file can't be read or leaves an example out, or the victim can't say a word.
    """
    if config.keywords is None and config.keywords_file is None:
        return list(examples)
    if config.keywords is not None and config.keywords_file is not None:
        raise BadInput("--keywords and --keywords_file are both given; give one of them")
    if config.keywords is not None:
        wanted = {example.example_id: config.keywords.split() for example in examples}
    else:
        wanted = _read_keywords(Path(str(config.keywords_file)))
    for example in examples:
        if not wanted.get(example.example_id):
            raise BadInput(
                f"no keywords for example {example.example_id}; give one word at least, for every example attacked"
            )
    stack_pieces([wanted[example.example_id] for example in examples], victim)  # refuses what can't be said
    return [replace(example, keywords=tuple(wanted[example.example_id])) for example in examples]


def _read_keywords(path: Path) -> dict[int, list[str]]:
    """Lines of {"example_id": 0, "keywords": ["Hund", "sitzt"]}."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as error:
        raise BadInput(f"--keywords_file {path} can't be read; give a JSONL file") from error
    found: dict[int, list[str]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            if not isinstance(row["keywords"], list):
                raise TypeError
            found[int(row["example_id"])] = [str(word) for word in row["keywords"]]
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise BadInput(
                f'line {number} of {path} is not like {{"example_id": 0, "keywords": ["Hund", "sitzt"]}}'
            ) from error
    return found


def draw_keywords(pool: Sequence[str], clean_output: str, count: int, *, seed: int, example_id: int) -> list[str]:
    """`count` different words of the pool that the clean output does not hold, drawn by (seed, example_id).

    Raises:
        BadInput: the pool is too small.
    """
    held = set(split_words(clean_output))
    free = [word for word in pool if word not in held]
    if len(free) < count:
        raise BadInput(f"{count} keywords can't be drawn from a pool of {len(free)}; give a larger --keyword_corpus")
    return random.Random(f"{seed}:{example_id}").sample(free, count)


def output_pieces(words: Sequence[str], victim: Victim) -> list[list[int] | None]:
    """The output pieces of each word inside a sentence; None for a word that the victim can't write."""
    if not words:
        return []
    tokenizer = victim.tokenizer

    def pieces(texts: Sequence[str]) -> list[list[int]]:
        batch = tokenizer(text_target=list(texts))["input_ids"]
        return [[i for i in ids if i not in victim.special_ids] for ids in batch]

    before = pieces(["a"])[0]  # unknown to a whole-word vocabulary, perhaps; then it isn't written out
    spoken = tokenizer.decode(before, skip_special_tokens=True).strip()
    inside = [ids[len(before) :] for ids in pieces([f"a {word}" for word in words])]
    written = victim.tokenizer.batch_decode([[*before, *ids] for ids in inside], skip_special_tokens=True)
    return [
        ids if ids and tokenizer.unk_token_id not in ids and text.strip() == f"{spoken} {word}".strip() else None
        for word, ids, text in zip(words, inside, written, strict=True)
    ]


def stack_pieces(keywords: Sequence[Sequence[str]], victim: Victim) -> Tensor:
    """(B, K, P) output pieces of every sentence's keywords, -1 where there are fewer.

    Raises:
        BadInput: a word that the victim can't write.
    """
    words = sorted({word for some in keywords for word in some})
    known = dict(zip(words, output_pieces(words, victim), strict=True))
    if silent := [word for word in words if known[word] is None]:
        raise BadInput(f"the victim can't say {', '.join(silent)}; choose words that its vocabulary can write")
    longest = max((len(ids or []) for ids in known.values()), default=1)
    table = torch.full((len(keywords), max(map(len, keywords), default=1), longest), -1)
    for row, some in enumerate(keywords):
        for k, word in enumerate(some):
            ids = known[word] or []
            table[row, k, : len(ids)] = torch.tensor(ids)
    return table.to(victim.device)
