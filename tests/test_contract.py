"""The records of all packages agree on their common columns, and go through JSON unchanged."""

import dataclasses
import importlib
import importlib.util
import json
import types
import typing

import pytest

COMMON = {
    "example_id": int,
    "seed": int,
    "success": bool,
    "queries": int,
    "seconds": float,
    "original": str,
    "adversarial": str,
}
SCALARS = {int, bool, float, str, type(None)}


def records() -> list[type]:
    """Every dataclass called ...Record in the `types` module of a package."""
    names = [f"{package}.types" for package in ("textadv", "dialogue", "visionadv")]
    modules = [importlib.import_module(name) for name in names if importlib.util.find_spec(name)]
    found = [value for module in modules for name, value in vars(module).items() if name.endswith("Record")]
    return [value for value in found if dataclasses.is_dataclass(value)]


def plain(hint: typing.Any) -> bool:
    """A scalar, a list of plain things, or a choice among them."""
    origin = typing.get_origin(hint)
    if origin in (list, typing.Union, types.UnionType):
        return all(plain(part) for part in typing.get_args(hint))
    return hint in SCALARS


def sample(hint: typing.Any) -> typing.Any:
    if typing.get_origin(hint) is list:
        return [sample(typing.get_args(hint)[0])] * 2
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return sample(typing.get_args(hint)[0])
    return {int: 7, bool: True, float: 0.1, str: "ein \u2028 „Wort“", type(None): None}[hint]


def test_there_are_records():
    assert "AttackRecord" in [record.__name__ for record in records()]


@pytest.mark.parametrize("record", records(), ids=lambda record: f"{record.__module__}.{record.__name__}")
def test_common_columns(record):
    hints = typing.get_type_hints(record)
    assert {name: hints.get(name) for name in COMMON} == COMMON
    assert record.__dataclass_params__.frozen
    assert {name: hint for name, hint in hints.items() if not plain(hint)} == {}
    one = record(**{name: sample(hint) for name, hint in hints.items()})
    assert record(**json.loads(json.dumps(dataclasses.asdict(one), ensure_ascii=False))) == one
