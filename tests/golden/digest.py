"""What is frozen of a result, and how a later result is held against it.

A digest is plain JSON: the parsed result without what differs between runs (`MASKED_KEYS`,
`MASKED_TEXTS`), its long lists cut to both ends and a summary of the rest.
"""

import csv
import hashlib
import io
import json
import math
import re
import tomllib
from collections.abc import Iterator
from typing import Any

RELATIVE = 1e-4
ABSOLUTE = 1e-7  # what `predict --explain` subtracts are forecasts of 32 bits
_LONG, _ENDS = 6, 2  # a JSON list longer than the first keeps that many items at each end
_RECORDS = 4  # a dict of more records keeps the first two and the last
_ROWS = 20  # a table of more than twice as many rows keeps those at each end
_WIDTH = 100

# Durations, ages, versions, sizes, and what follows from the moment, the machine or other tests.
MASKED_KEYS = {
    *("age_hours", "behind", "duration_seconds", "seconds", "seconds_waited"),
    *("lstmcli", "lstmcli_version", "torch_version"),
    *("config_sha256", "origin_sha256", "weights_sha256", "size", "run_id", "requests"),
}
MASKED_TEXTS = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?([+-]\d\d:\d\d|Z)?"), "TIME"),
    (re.compile(r"\d+ (bars|sessions|weeks|months) (ago|behind|old)"), r"N \1 \2"),
    (re.compile(r"\d+ requests?\b"), "N requests"),
    (re.compile(r"PyTorch \S+"), "PyTorch VERSION"),
)
_MASK = "(masked)"
_INTEGER = re.compile(r"-?\d+")
_REAL = re.compile(r"-?\d+(\.\d+)?(e[-+]?\d+)?")


def digest(text: str, form: str, paths: dict[str, str]) -> Any:
    """Return what is frozen of a result.

    form : json, jsonl, csv or toml; text of any other is frozen line by line.
    paths : folders of this run, and the words that stand in for them.
    """
    for path, word in paths.items():
        text = text.replace(path, word)
    match form:
        case "json":
            tree = json.loads(text)
        case "jsonl":
            tree = [json.loads(line) for line in text.splitlines()]
        case "csv":
            header, *rows = csv.reader(io.StringIO(text))
            return digest_table(header, [[_cell(each) for each in row] for row in rows])
        case "toml":
            tree = json.loads(json.dumps(tomllib.loads(text), default=str))
        case _:
            tree = text.splitlines()
    return _cut(_masked(tree))


def digest_table(header: list[str], rows: list[list[Any]]) -> Any:
    """Return what is frozen of a table."""
    kept = [[_mask(*pair) for pair in zip(header, row, strict=True)] for row in rows]
    if len(kept) > 2 * _ROWS:
        middle = [dict(zip(header, row, strict=True)) for row in kept[_ROWS:-_ROWS]]
        kept = [*kept[:_ROWS], [_summary(middle)], *kept[-_ROWS:]]
    return {"columns": header, "rows": kept}


def differences(frozen: Any, found: Any, where: str = "") -> Iterator[str]:
    """Name each place where a digest is not what was frozen."""
    if isinstance(frozen, dict) and isinstance(found, dict):
        if list(frozen) != list(found):
            gone = [key for key in frozen if key not in found]
            new = [key for key in found if key not in frozen]
            yield f"{where}: keys gone {gone}, new {new}" if gone or new else f"{where}: key order"
        for key in [key for key in frozen if key in found]:
            yield from differences(frozen[key], found[key], f"{where}.{key}")
    elif isinstance(frozen, list) and isinstance(found, list):
        if len(frozen) != len(found):
            yield f"{where}: {len(frozen)} items, now {len(found)}"
        for number, (one, other) in enumerate(zip(frozen, found, strict=False)):
            yield from differences(one, other, f"{where}[{number}]")
    elif isinstance(frozen, float) and isinstance(found, float):
        if not math.isclose(frozen, found, rel_tol=RELATIVE, abs_tol=ABSOLUTE):
            yield f"{where}: {frozen!r}, now {found!r}"
    elif type(frozen) is not type(found) or frozen != found:
        yield f"{where}: {frozen!r}, now {found!r}"


def dump(tree: Any, indent: str = "") -> str:
    """Return JSON in which everything short stands on one line, numbers with seven digits."""
    if isinstance(tree, float):
        return json.dumps(float(f"{tree:.7g}"))
    if not isinstance(tree, (dict, list)):
        return json.dumps(tree)
    deeper = indent + " "
    if isinstance(tree, dict):
        items = [f"{json.dumps(key)}: {dump(value, deeper)}" for key, value in tree.items()]
        first, last = "{", "}"
    else:
        items = [dump(value, deeper) for value in tree]
        first, last = "[", "]"
    line = f"{first}{', '.join(items)}{last}"
    if "\n" not in line and len(indent) + len(line) <= _WIDTH:
        return line
    lines = f",\n{deeper}".join(items)
    return f"{first}\n{deeper}{lines}\n{indent}{last}"


def _cell(text: str) -> Any:
    """Return a cell of CSV as the number that it holds, if it holds one."""
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _REAL.fullmatch(text) else text


def _masked(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _mask(key, value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_masked(value) for value in tree]
    if isinstance(tree, str):
        for pattern, word in MASKED_TEXTS:
            tree = pattern.sub(word, tree)
    return tree


def _mask(key: str, value: Any) -> Any:
    """Return a masked value; one that is not there is frozen as such."""
    return _MASK if key in MASKED_KEYS and value not in (None, "") else _masked(value)


def _cut(tree: Any, key: str = "") -> Any:
    """Cut long lists, and dicts of many records as the scores of each model are."""
    if isinstance(tree, dict):
        pairs = [(name, _cut(value, name)) for name, value in tree.items()]
        if len(pairs) > _RECORDS and all(isinstance(value, dict) for _, value in pairs):
            middle = ("left out", _summary([dict(pairs[2:-1])], key))
            return dict([*pairs[:2], middle, pairs[-1]])
        return dict(pairs)
    if isinstance(tree, list) and not all(isinstance(each, str) for each in tree):
        items = [_cut(each, key) for each in tree]
        if len(items) > _LONG:
            return [*items[:_ENDS], _summary(items[_ENDS:-_ENDS], key), *items[-_ENDS:]]
        return items
    return tree


def _summary(items: list[Any], key: str = "") -> dict[str, Any]:
    """Return what stands in for items: all texts and keys in a hash, and the numbers' sums by key.

    key : of what holds the items.
    """
    others, sums = hashlib.sha256(), dict[str, float]()
    for name, leaf in _leaves(items, key):
        if isinstance(leaf, float):
            sums[name] = sums.get(name, 0.0) + abs(leaf)
            leaf = "number"
        others.update(json.dumps([name, leaf]).encode())
    return {"left out": len(items), "sums": sums, "others": others.hexdigest()[:12]}


def _leaves(tree: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield every value that is no container, with the nearest key above it."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _leaves(value, name)
    elif isinstance(tree, list):
        for value in tree:
            yield from _leaves(value, key)
    else:
        yield key, tree
