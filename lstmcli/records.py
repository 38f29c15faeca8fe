"""Read and check JSON and TOML files, which users may have edited."""

import json
import math
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

import numpy as np
from pydantic import (
    AfterValidator,
    AliasPath,
    Field,
    FiniteFloat,
    PlainValidator,
    TypeAdapter,
    ValidationError,
)

_MOST_DEPTH = 100
_MOST_BITS = 1000  # a float holds 1023
_MOST_SHOWN = 80  # characters of a wrong value
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "literal_error": ("expected", "one of"),
    "too_short": ("min_length", "a list of length at least"),
}
_KEYS = {"missing": "is missing", "extra_forbidden": "is unknown"}
_KINDS = {
    "bool": "true or false",
    "dataclass": "a table",
    "date": "a day, e.g. 2025-12-31",
    "dict": "a table",
    "finite": "a finite number",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "model": "a table",
    "string": "a text",
    "tuple": "a list",
}
_TOO_DEEP = f"it is nested more than {_MOST_DEPTH} deep"

T = TypeVar("T")
Count = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A whole number that numpy can hold."""
Number = FiniteFloat
IsoDate = Annotated[str, AfterValidator(lambda text: date.fromisoformat(text).isoformat())]
Day = Annotated[
    np.datetime64, PlainValidator(lambda text: np.datetime64(date.fromisoformat(str(text))))
]


def read_file(path: Path, most: int) -> bytes:
    """Return the bytes of a small file.

    Raises OSError if it cannot be read or is not a regular file (opening a pipe would wait for its
    writer), ValueError if it has more than `most` bytes.
    """
    if path.exists() and not path.is_file():
        raise OSError(0, "it is not a regular file")
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it has more than {most} bytes")
    return data


def parse_record(kind: type[T], data: bytes | str) -> T:
    """Parse JSON into a dataclass or another type that pydantic knows; ignore unknown keys.

    Types are strict, except that a float may be written without a decimal point. Raises ValueError
    with one line about the first wrong value.
    """
    try:
        found: T = _reader(cast(Any, kind)).validate_json(data, strict=True)
    except ValidationError as error:
        key, why = describe_fault(error)
        raise ValueError(f"{key} {why}".strip()) from None  # pydantic's text has many lines
    return found


def check_record(kind: type[T], value: object) -> T:
    """Convert parsed values to `kind`; raises ValueError as `parse_record` does."""
    return parse_record(kind, json.dumps(value))


def describe_fault(error: ValidationError) -> tuple[str, str]:
    """Return the first wrong key, empty for the whole document, and the reason."""
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    why = first["msg"].removeprefix("Value error, ")
    found = repr(first["input"])
    shown = found if len(found) <= _MOST_SHOWN else f"{found[:_MOST_SHOWN]}..."
    if first["type"] in _KEYS:
        return key, _KEYS[first["type"]]
    if expected := _expected(first["type"], first.get("ctx", {})):
        return key, f"found {shown}, expected {expected}"
    whole = not key or isinstance(first["input"], dict)
    return key, why if whole else f"{why}, found {shown}"


def _expected(fault: str, facts: Mapping[str, Any]) -> str:
    """Return the expected value in words, by pydantic's error type."""
    if fault in _BOUNDS:
        key, words = _BOUNDS[fault]
        return f"{words} {facts[key]}"
    return _KINDS.get(fault.partition("_")[0], "")


def read_json(data: bytes | str) -> Any:
    """Parse JSON; ValueError if it is invalid, nested too deep or has a non-finite number."""
    return _plain(lambda: json.loads(data, parse_constant=_finite, parse_float=_finite))


def read_toml(text: str) -> dict[str, Any]:
    """Parse TOML; ValueError if it is invalid, nested too deep or has a huge integer."""
    found: dict[str, Any] = _plain(lambda: tomllib.loads(text))
    return found


def at(*path: str, min_length: int | None = None) -> Any:
    """Annotate a field with its path of keys in the file."""
    return Field(validation_alias=AliasPath(*path), min_length=min_length)


def bounded(**bounds: Any) -> Any:
    """Annotate a field with bounds in pydantic's words: gt, ge, lt, le, pattern, min_length."""
    return Field(**bounds)


def with_keys(*names: str) -> AfterValidator:
    """Require some keys of a table; others are allowed."""

    def check(table: dict[str, Any]) -> dict[str, Any]:
        if missing := [name for name in names if name not in table]:
            raise ValueError(f"{missing[0]} is missing")
        return table

    return AfterValidator(check)


@cache
def _reader(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _plain(read: Callable[[], Any]) -> Any:
    try:
        found = read()
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except ValueError as error:
        if "integer string conversion" in str(error):  # Python's limit, with advice for programmers
            raise ValueError("an integer has more than 4300 digits") from error
        raise
    _check_plain(found, _MOST_DEPTH)
    return found


def _check_plain(value: Any, depth: int) -> None:
    if depth < 0:
        raise ValueError(_TOO_DEEP)
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _check_plain(each, depth - 1)
    elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError(f"an integer of {value.bit_length()} bits is too large")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is not a finite number")
    return number
