"""Sentences to translate or to summarize: any data set, local or from the Hub, or our own grammar's."""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from textadv.configs import BadInput, DataConfig, WordsConfig
from textadv.types import Example

EMBEDDED_VICTIM = Path(__file__).parent / "embedded" / "victim"  # made by scripts/train_seq2seq.py
EMBEDDED_ROWS = {"train": 20_000, "validation": 500, "test": 200}
FILE_FORMATS = {".csv": "csv", ".json": "json", ".jsonl": "json", ".parquet": "parquet", ".txt": "text"}


class NoColumn(BadInput):
    """The data set has no column of that name."""


def load_examples(config: DataConfig, *, max_samples: int | None = None) -> list[Example]:
    """The first `max_samples` rows of the split (all if None), in order; `example_id` is the row number.

    With `drop_duplicates`, a row whose source is that of an earlier one isn't counted.

    Empty sentences stay in, so that row numbers hold. A column's name may also be a key inside a column named
    "translation", as in most translation sets of the Hub. `target_column` None or "none": no references.

    Raises:
        BadInput: no such data set, split or column, a column that isn't text, or no rows.
    """
    if max_samples is not None and max_samples < 1:
        raise BadInput(f"zero samples: max_samples must be at least 1, not {max_samples}")
    name, rows = _describe(config), _rows(config, config.split)
    most = None if config.drop_duplicates else max_samples
    sources = _texts(rows, config.source_column, name, most)
    if not sources:
        raise BadInput(f"zero samples: split {config.split!r} of {name} has no rows; choose another split")
    references: Sequence[str | None] = [None] * len(sources)
    if config.target_column is not None and config.target_column.lower() != "none":
        references = _texts(rows, config.target_column, name, most)
    examples = [Example(i, *pair) for i, pair in enumerate(zip(sources, references, strict=True))]
    if config.drop_duplicates:
        first = {example.source: example for example in reversed(examples)}
        examples = [example for example in examples if first[example.source] is example]
    return examples[:max_samples]


def load_texts(config: DataConfig, split: str, column: str) -> list[str]:
    """One column of one split, whole: a corpus. A plain text file holds a text a line, whatever the column.

    Raises:
        BadInput: as `load_examples`, an empty split excepted.
    """
    return _texts(_rows(config, split), column, _describe(config), None)


def load_corpus(config: DataConfig, name: str | None, column: str) -> list[str]:
    """Texts of `column`: of the data set or text file `name`, else of the attacked data set's own.

    The split "train", or all splits where there is none.

    Raises:
        BadInput: as `load_texts`.
    """
    if name is not None:
        config = DataConfig(dataset_name=name)
    splits = list(EMBEDDED_ROWS)
    if config.dataset_name is not None:
        from datasets import Dataset

        found = _load(config.dataset_name, config.dataset_config_name)
        splits = ["train"] if isinstance(found, Dataset) else [str(split) for split in found]
    if "train" in splits:
        splits = ["train"]
    return [text for split in splits for text in load_texts(config, split, column)]


def keyword_corpus(config: DataConfig, words: WordsConfig) -> list[str]:
    """The texts that random keywords are drawn from: of the attacked data set, or of another.

    Raises:
        BadInput: as `load_texts`, or it isn't said which column is meant.
    """
    name, column = words.keyword_corpus, words.keyword_column or config.target_column
    if name is not None and name.endswith(".txt"):
        column = "text"  # the only one
    if column is None or column.lower() == "none":
        raise BadInput(
            "the data set has no target column to draw keywords from; give --keyword_corpus or --keywords"
            if name is None
            else f"without a target column it isn't known which column of {name} is meant; give --keyword_column"
        )
    try:
        return load_corpus(config, name, column)
    except NoColumn as error:
        raise BadInput(f"{error}; name one of them with --keyword_column") from error


def source_corpus(config: DataConfig, name: str | None) -> list[str] | None:
    """The sentences whose words an attack may write: None for no restriction, "dataset" for the data set's own.

    Raises:
        BadInput: as `load_corpus`.
    """
    return None if name is None else load_corpus(config, None if name == "dataset" else name, config.source_column)


def dataset_fingerprint(examples: Iterable[Example]) -> str:
    """SHA-256 of row numbers, sources, references and keywords, wherever the rows were loaded from."""
    return texts_fingerprint(
        json.dumps([example.example_id, example.source, example.reference, example.keywords]) for example in examples
    )


def texts_fingerprint(texts: Iterable[str]) -> str:
    """SHA-256 of texts in their order."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()


def _describe(config: DataConfig) -> str:
    return config.dataset_name or "the embedded data set"


def _rows(config: DataConfig, split: str) -> Any:
    """One split, as a `Dataset` or a mapping of columns. A single file is whatever split is asked for."""
    if config.dataset_name is None:
        if split not in EMBEDDED_ROWS:
            raise BadInput(f"no split {split!r} in {_describe(config)}; there are {', '.join(EMBEDDED_ROWS)}")
        return _embedded(split)
    from datasets import Dataset

    splits = _load(config.dataset_name, config.dataset_config_name)
    if isinstance(splits, Dataset):
        return splits
    if split not in splits:
        raise BadInput(f"no split {split!r} in {config.dataset_name}; there are {', '.join(map(str, splits))}")
    return splits[split]


@cache
def _embedded(split: str) -> dict[str, list[str]]:
    """The columns of a split of the embedded data set; seconds of work, which a process does once."""
    from textadv import grammar

    pairs = grammar.generate(split, EMBEDDED_ROWS[split])
    return {column: [pair[column] for pair in pairs] for column in ("source", "target")}


def _load(name: str, config_name: str | None) -> Any:
    """All splits by name, or the one `Dataset` of a file. Every failure becomes one line."""
    import datasets
    from datasets.exceptions import DatasetsError

    path = Path(name).expanduser()
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1 or path.suffix in FILE_FORMATS
    if looks_local and not path.exists():
        raise BadInput(f"{name} is no file or folder; give a path that exists, or a Hub id (owner/name)")
    if path.is_file() and path.suffix not in FILE_FORMATS:
        known = ", ".join(FILE_FORMATS)
        raise BadInput(f"{name} is of no format that can be read; give a folder, or a file in {known}")
    if path.is_file() and path.stat().st_size == 0:
        raise BadInput(f"zero samples: {name} has no rows")
    try:
        if path.is_file():
            return datasets.load_dataset(FILE_FORMATS[path.suffix], data_files=str(path), split="train")
        if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            return datasets.load_from_disk(str(path))  # what save_to_disk wrote; IndexError if that has no rows
        return datasets.load_dataset(str(path) if path.exists() else name, config_name)
    except (OSError, ValueError, RuntimeError, IndexError, DatasetsError) as error:
        raise BadInput(_what_is_wrong(name, path.exists(), error)) from error


def _what_is_wrong(name: str, is_local: bool, error: Exception) -> str:
    reason = " ".join(str(error.__cause__ or error).split())
    if "Dataset scripts are no longer supported" in reason:
        return f"{name} is a script, which `datasets` no longer runs; give the data as Parquet, JSON or CSV"
    if isinstance(error, IndexError) or "corresponds to no data" in reason:
        return f"zero samples: {name} has no rows"
    if is_local or "config" in reason.lower():
        return f"{name} can't be read: {reason[:300]}"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return f"{name} is neither a local path nor in the cache, and HF_HUB_OFFLINE keeps us from the Hub"
    if isinstance(error, ConnectionError):
        return f"{name} is no local path, and the Hub can't be reached; check the network, or give a local path"
    return f"{name} is no local path, and the Hub has no such data set that it would give us; check the name"


def _texts(rows: Any, column: str, name: str, max_samples: int | None) -> list[str]:
    """A column as strings; a missing value is an empty text."""
    names = list(rows) if isinstance(rows, Mapping) else rows.column_names
    texts: Sequence[Any]
    if column in names:
        texts = rows[column][:max_samples]
    elif names == ["text"] and name.endswith(".txt"):
        texts = rows["text"][:max_samples]
    else:
        inner = _translations(rows, names)
        if column not in inner:
            there = ", ".join([*names, *inner]) or "none"
            raise NoColumn(f"no column {column!r} in {name}; there are {there}")
        texts = [pair[column] for pair in rows["translation"][:max_samples]]
    for i, text in enumerate(texts):
        if text is not None and not isinstance(text, str):
            raise BadInput(f"column {column!r} of {name} holds no text but {type(text).__name__} in row {i}")
    return [text or "" for text in texts]


def _translations(rows: Any, names: Sequence[str]) -> list[str]:
    """The languages inside a column of dictionaries that is named "translation"."""
    first = rows["translation"][:1] if "translation" in names else []
    return list(first[0]) if first and isinstance(first[0], Mapping) else []
