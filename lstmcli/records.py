"""Validation of JSON and TOML files that anyone may have edited.

A shape describes a value: a type (a float may be written without a point, and a bool is no number);
`ISO_DATE`; None; a tuple of alternatives; a list with one shape for all its items; a dict of names
to shapes, in which a name that ends in ? is optional and unknown names are allowed, or of `str` to
one shape for all its values.
"""

import json
import math
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

ISO_DATE = date
_MOST_DEPTH = 100
_MOST_BITS = 1000  # a float holds 1023
_TOO_DEEP = f"it is nested more than {_MOST_DEPTH} deep"
_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def read_file(path: Path, most: int) -> bytes:
    """Return the bytes of a small file.

    Raises OSError if it is no regular file (opening a pipe would wait for its writer) or cannot be
    read, ValueError if it has more than `most` bytes.
    """
    if path.exists() and not path.is_file():
        raise OSError(0, "it is no file")
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it has more than {most} bytes")
    return data


def read_json(data: bytes | str) -> Any:
    """Read JSON; ValueError if invalid, as `check_plain`, or for a number that is not finite."""
    return _plain(lambda: json.loads(data, parse_constant=_no_number, parse_float=_finite))


def read_toml(text: str) -> dict[str, Any]:
    """Read TOML; ValueError if invalid, or as `check_plain`."""
    found: dict[str, Any] = _plain(lambda: tomllib.loads(text))
    return found


def check_plain(value: Any, depth: int = _MOST_DEPTH) -> None:
    """Raise ValueError for an integer beyond the range of a float or values nested too deep."""
    if depth < 0:
        raise ValueError(_TOO_DEEP)
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            check_plain(each, depth - 1)
    elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
        raise ValueError(f"an integer of {value.bit_length()} bits is too large")


def check_record(value: Any, shape: Any, where: str = "") -> None:
    """Raise ValueError naming the first place where a value does not match the shape."""
    if isinstance(shape, tuple):
        _check_any(value, shape, where)
    elif isinstance(shape, list):
        _expect(isinstance(value, list), value, "a list", where)
        for number, each in enumerate(value):
            check_record(each, shape[0], f"{where}[{number}]")
    elif isinstance(shape, Mapping):
        _expect(isinstance(value, dict), value, "a table", where)
        for name, each in shape.items():
            if name is str:
                for key, item in value.items():
                    check_record(item, each, _within(where, key))
            elif name.rstrip("?") in value:
                check_record(value[name.rstrip("?")], each, _within(where, name.rstrip("?")))
            elif not name.endswith("?"):
                raise ValueError(f"{_within(where, name)} is missing")
    elif shape is ISO_DATE:
        _expect(_is_date(value), value, "a date", where)
    elif shape is None:
        _expect(value is None, value, "null", where)
    else:
        kinds = (int, float) if shape is float else shape
        fits = isinstance(value, kinds) and (shape is bool or not isinstance(value, bool))
        _expect(fits, value, _WORDS[shape], where)


def _plain(read: Callable[[], Any]) -> Any:
    try:
        found = read()
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except ValueError as error:
        if "integer string conversion" in str(error):  # Python's limit, with advice for programmers
            raise ValueError("an integer has more than 4300 digits") from error
        raise
    check_plain(found)
    return found


def _check_any(value: Any, shapes: tuple[Any, ...], where: str) -> None:
    for shape in shapes[:-1]:
        try:
            check_record(value, shape, where)
        except ValueError:
            continue
        return
    check_record(value, shapes[-1], where)


def _expect(fits: bool, value: Any, words: str, where: str) -> None:
    if not fits:
        shown = json.dumps(value)
        shown = shown if len(shown) <= 40 else f"{shown[:40]}..."
        raise ValueError(f"{where or 'it'} is {shown}, expected {words}")


def _within(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _is_date(value: Any) -> bool:
    try:
        return isinstance(value, str) and date.fromisoformat(value).isoformat() == value
    except ValueError:
        return False


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _no_number(text[:40])
    return number


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number that can be used")
