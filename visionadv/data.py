"""Images with their classes: any data set of `datasets`, local or from the Hub, or scikit-learn's digits.

Columns of numbers are read, too, for victims that are trees: a row is scaled to [0, 1] by the range of the training
split.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from visionadv.configs import BadInput

DIGITS_TEST = 5  # every fifth of the digits is for the test
LABEL_COLUMNS = ("label", "labels", "class", "target")  # where no column is of the kind that holds classes
READ_AT_ONCE = 1024  # images
HELD = 2**33  # bytes of pictures that are kept in memory: of 224 by 224 pixels 57,000


class Images:
    """N images, read when they are asked for.

    Args:
        labels: (N,) classes.
        classes: the names of all K.
        shape: (C, H, W) of an image, or (D,) of a row of numbers.
        read: says the values of certain rows, (n, *shape); the largest is `full`.
        fingerprint: tells the data from others of the same name.
    """

    def __init__(
        self,
        labels: Tensor,
        classes: Sequence[str],
        shape: tuple[int, ...],
        read: Callable[[Sequence[int]], Tensor],
        *,
        fingerprint: str,
        full: float = 255.0,
    ) -> None:
        self.labels, self.classes, self.shape, self.fingerprint = labels, tuple(classes), shape, fingerprint
        self.full, self._read = full, read

    def __len__(self) -> int:
        return len(self.labels)

    def images(self, rows: int | Sequence[int] | Tensor, stop: int | None = None) -> Tensor:
        """(n, *shape) float32 in [0, 1]: certain rows, or those from one row to before another."""
        if isinstance(rows, int):
            rows = range(rows, min(len(self) if stop is None else stop, len(self)))
        if not isinstance(rows, range):
            rows = [int(row) for row in rows]
        return self._read(rows).float() / self.full

    @property
    def held(self) -> bool:
        """Whether they are few enough to be kept in memory."""
        return len(self) * math.prod(self.shape) <= HELD

    @cached_property
    def values(self) -> Tensor:
        """(N, *shape) of all images, uint8 where they are pictures; divided by `full` they are in [0, 1]."""
        return self._read(range(len(self)))

    def raw(self, rows: Tensor) -> Tensor:
        """(n, *shape) of certain rows (n,), as `values`; from memory, where they are held, and else read."""
        return self.values[rows] if self.held else self._read(rows.tolist())


def load_images(
    dataset_name: str | None = None,
    *,
    config_name: str | None = None,
    split: str = "test",
    image_column: str | None = None,
    label_column: str | None = None,
    image_size: int | None = None,
    max_samples: int | None = None,
) -> Images:
    """The first `max_samples` images of a split (all if None), in order.

    Args:
        dataset_name: a Hub id or a local path (Parquet, image folders), None for scikit-learn's digits.
        image_column, label_column: None for the one that there is; without a column of pictures, all numbers are taken.
        image_size: pictures are resized until their shorter side has so many pixels, and cut to a square.

    Raises:
        BadInput: no such data set, split or column; options of a data set where none is named; pictures of unequal
            sizes; rows without a label; no rows.
    """
    if max_samples is not None and max_samples < 1:
        raise BadInput(f"zero samples: max_samples must be at least 1, not {max_samples}")
    if dataset_name is None:
        about = {"config_name": config_name, "image_column": image_column, "label_column": label_column}
        if given := [name for name, value in (about | {"image_size": image_size}).items() if value is not None]:
            raise BadInput(f"scikit-learn's digits have no {given[0]}; give a data set, or leave it out")
        return _digits(split, max_samples)
    splits = _load(dataset_name, config_name)
    if split not in splits:
        raise BadInput(f"no split {split!r} in {dataset_name}; there are {', '.join(map(str, splits))}")
    rows = splits[split] if max_samples is None else splits[split].take(min(max_samples, len(splits[split])))
    if len(rows) == 0:
        raise BadInput(f"zero samples: split {split!r} of {dataset_name} has no rows; choose another split")
    label_column = _label_column(rows, dataset_name, label_column)
    labels, classes = _labels(splits, rows, dataset_name, label_column)
    image_column = _image_column(rows, dataset_name, image_column)
    if image_column is None:
        return _numbers(splits.get("train", rows), rows, dataset_name, label_column, labels, classes)
    return _pictures(rows, dataset_name, image_column, labels, classes, image_size)


def _digits(split: str, max_samples: int | None) -> Images:
    """1,797 digits of 8x8, values from 0 to 16 (Alpaydin and Kaynak, 1998): every fifth for the test."""
    from sklearn.datasets import load_digits

    if split not in ("train", "test"):
        raise BadInput(f"no split {split!r} in scikit-learn's digits; there are train, test")
    digits: Any = load_digits()
    mine = (np.arange(len(digits.target)) % DIGITS_TEST == DIGITS_TEST - 1) == (split == "test")
    values = torch.from_numpy(digits.images[mine][:max_samples].astype(np.uint8))[:, None]
    labels = torch.from_numpy(digits.target[mine][:max_samples].astype(np.int64))
    fingerprint = _digest([values.numpy().tobytes(), labels.numpy().tobytes()])
    read = lambda rows: values[torch.as_tensor(list(rows), dtype=torch.long)]  # noqa: E731
    return Images(labels, list("0123456789"), (1, 8, 8), read, fingerprint=fingerprint, full=16.0)


def _pictures(
    rows: Any, name: str, column: str, labels: Tensor, classes: Sequence[str], image_size: int | None
) -> Images:
    """Encoded pictures; grey ones have one channel if all of them are grey."""
    import datasets
    from PIL import Image, UnidentifiedImageError

    encoded = rows.cast_column(column, datasets.Image(decode=False)).select_columns([column])
    digest, sizes, modes = hashlib.sha256(labels.numpy().tobytes() + str(image_size).encode()), {}, set()
    for start in range(0, len(encoded), READ_AT_ONCE):
        for place, one in enumerate(encoded[start : start + READ_AT_ONCE][column], start):
            data = _bytes(one, name, place)
            digest.update(data)
            try:
                with Image.open(io.BytesIO(data)) as picture:
                    sizes.setdefault(picture.size, place)
                    modes.add(picture.mode)
            except UnidentifiedImageError as error:
                raise BadInput(f"image {place} of {name} is of no format that can be read") from error
    if len(sizes) > 1 and image_size is None:
        (first, _), (other, place) = [("x".join(map(str, one)), row) for one, row in sizes.items()][:2]
        raise BadInput(
            f"images of {name} differ in size: the first is {first}, image {place} is {other}; give --image_size, "
            "such as 224"
        )
    if wrong := [mode for mode in modes if mode.startswith(("I", "F"))]:
        raise BadInput(f"images of {name} have more than 8 bits a value ({wrong[0]}); save them with 8")
    mode = "L" if modes <= {"L", "1", "LA"} else "RGB"
    width, height = (image_size, image_size) if image_size else next(iter(sizes))

    def read(wanted: Sequence[int]) -> Tensor:
        values = np.empty((len(wanted), height, width, len(mode)), dtype=np.uint8)
        for start in range(0, len(wanted), READ_AT_ONCE):
            some: Any = wanted[start : start + READ_AT_ONCE]
            some = slice(some.start, some.stop) if isinstance(some, range) else list(some)  # a slice is read faster
            for place, one in enumerate(encoded[some][column], start):
                try:
                    with Image.open(io.BytesIO(_bytes(one, name, wanted[place]))) as picture:
                        picture = picture if picture.mode == mode else picture.convert(mode)
                        values[place] = np.asarray(_square(picture, image_size)).reshape(height, width, len(mode))
                except OSError as error:  # its header can be read, and the rest can't
                    raise BadInput(f"image {wanted[place]} of {name} can't be read: {error}") from error
        return torch.from_numpy(values).permute(0, 3, 1, 2).contiguous()

    return Images(labels, classes, (len(mode), height, width), read, fingerprint=digest.hexdigest())


def _bytes(one: dict[str, Any] | None, name: str, place: int) -> bytes:
    if one is None:
        raise BadInput(f"row {place} of {name} has no image")
    return Path(one["path"]).read_bytes() if one["bytes"] is None else one["bytes"]


def _square(picture: Any, size: int | None) -> Any:
    """The middle of a picture, `size` pixels high and wide; as it is, where there is no size."""
    from PIL import Image

    if size is None or picture.size == (size, size):
        return picture
    ratio = size / min(picture.size)
    width, height = (max(size, round(side * ratio)) for side in picture.size)
    left, top = (width - size) // 2, (height - size) // 2
    resized = picture.resize((width, height), Image.Resampling.BILINEAR)
    return resized.crop((left, top, left + size, top + size))


def _numbers(train: Any, rows: Any, name: str, label_column: str, labels: Tensor, classes: Sequence[str]) -> Images:
    """Rows of all columns that hold numbers."""
    columns = [one for one, kind in rows.features.items() if _is_number(kind) and one != label_column]
    if not columns:
        raise BadInput(f"{name} has neither images nor numbers; there are {', '.join(rows.column_names)}")
    ours, theirs = (_table(one, columns) for one in (rows, train))
    low, high = theirs.min(0), theirs.max(0)
    scaled = ((ours - low) / np.where(high > low, high - low, 1.0)).clip(0, 1).astype(np.float32)
    if not np.isfinite(scaled).all():
        raise BadInput(f"{name} has missing numbers; fill or drop them")
    values = torch.from_numpy(scaled)
    fingerprint = _digest([scaled.tobytes(), labels.numpy().tobytes()])
    read = lambda wanted: values[torch.as_tensor(list(wanted), dtype=torch.long)]  # noqa: E731
    return Images(labels, classes, (len(columns),), read, fingerprint=fingerprint, full=1.0)


def _table(rows: Any, columns: Sequence[str]) -> np.ndarray:
    table = rows.with_format("numpy", columns=list(columns))[:]
    return np.stack([np.asarray(table[one], dtype=np.float64) for one in columns], axis=1)


def _is_number(kind: Any) -> bool:
    return getattr(kind, "dtype", "").startswith(("int", "uint", "float")) and type(kind).__name__ == "Value"


def _image_column(rows: Any, name: str, asked: str | None) -> str | None:
    """None where there is no column of pictures."""
    there = [one for one, kind in rows.features.items() if type(kind).__name__ == "Image"]
    if asked is not None and asked not in there:
        raise BadInput(f"no column {asked!r} of images in {name}; of images there are {', '.join(there) or 'none'}")
    if asked is None and len(there) > 1:
        raise BadInput(f"{name} has several columns of images; name one of {', '.join(there)} with --image_column")
    return asked or next(iter(there), None)


def _label_column(rows: Any, name: str, asked: str | None) -> str:
    columns = list(rows.features)
    if asked is not None:
        if asked not in columns:
            raise BadInput(f"no column {asked!r} in {name}; there are {', '.join(columns)}")
        return asked
    there = [one for one, kind in rows.features.items() if type(kind).__name__ == "ClassLabel"]
    there = there or [one for one in LABEL_COLUMNS if one in columns]
    if len(there) > 1 and "label" in there:
        return "label"
    if not there and all(type(kind).__name__ == "Image" for kind in rows.features.values()):
        raise BadInput(f"{name} has pictures without labels; image folders need one for each class, such as cat/, dog/")
    if len(there) != 1:
        told = f"several columns of labels, {', '.join(there)}" if there else "no column of labels"
        raise BadInput(f"{name} has {told}; there are {', '.join(columns)}: name one with --label_column")
    return there[0]


def _labels(splits: Any, rows: Any, name: str, column: str) -> tuple[Tensor, Sequence[str]]:
    """The classes (N,) of rows, and the names of all that there are; whole numbers are numbers of classes."""
    values, kind = list(rows[column]), rows.features[column]
    if not all(isinstance(one, str | int | float | None) for one in values):
        raise BadInput(f"column {column!r} of {name} has several values a row; an image is of one class here")
    if missing := [place for place, one in enumerate(values) if one in (None, -1) or one != one]:
        raise BadInput(f"row {missing[0]} of {name} has no label; choose a split that has")
    if type(kind).__name__ == "ClassLabel":
        return torch.tensor(values), kind.names
    found = {one for split in splits.values() if column in split.column_names for one in split.unique(column)}
    found = {one for one in found if one not in (None, -1) and one == one}
    if all(isinstance(one, str) for one in found):
        names = sorted(found)
        number = {one: place for place, one in enumerate(names)}
        return torch.tensor([number[one] for one in values]), names
    if any(one != int(one) or one < 0 for one in found if not isinstance(one, str)):
        raise BadInput(f"column {column!r} of {name} holds no classes; name another with --label_column")
    return torch.tensor([int(one) for one in values]), [str(one) for one in range(int(max(found)) + 1)]


def _load(name: str, config_name: str | None) -> Any:
    """All splits by name. Every failure becomes one line."""
    import datasets
    from datasets.exceptions import DatasetsError

    path = Path(name).expanduser()
    if (name.startswith((".", "/", "~")) or name.count("/") > 1) and not path.is_dir():
        raise BadInput(f"{name} is no folder; give a folder of images or Parquet files, or a Hub id (owner/name)")
    try:
        if (path / "dataset_dict.json").exists():
            return datasets.load_from_disk(str(path))
        return datasets.load_dataset(str(path) if path.is_dir() else name, config_name)
    except (OSError, ValueError, RuntimeError, IndexError, DatasetsError) as error:
        raise BadInput(_what_is_wrong(name, path.is_dir(), error)) from error


def _what_is_wrong(name: str, is_local: bool, error: Exception) -> str:
    reason = " ".join(str(error.__cause__ or error).split())
    if "Dataset scripts are no longer supported" in reason:
        return f"{name} is a script, which `datasets` no longer runs; give the data as Parquet or as image folders"
    if is_local or "config" in reason.lower():
        return f"{name} can't be read: {reason[:300]}"
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        return f"{name} is neither a local folder nor in the cache, and HF_HUB_OFFLINE keeps us from the Hub"
    if isinstance(error, ConnectionError):
        return f"{name} is no local folder, and the Hub can't be reached; check the network, or give a local folder"
    return f"{name} is no local folder, and the Hub has no such data set that it would give us; check the name"


def _digest(parts: Sequence[bytes]) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()
