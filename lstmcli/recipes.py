"""Recipes: TOML files with the settings that differ from the defaults, and `--set KEY=VALUE`."""

import os
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstmcli import records
from lstmcli.config import SEE_DEFAULTS, Settings, check_settings, nearest_key
from lstmcli.errors import UsageError, did_you_mean, file_errors

_PACKAGE = Path(__file__).parent
_MAX_BYTES = 1_000_000
_PRICES = (".csv", ".gz", ".parquet", ".tsv", ".xls", ".xlsx", ".zip")
_OF_ITS_DATA = (
    *("data.sep", "data.decimal", "data.columns", "data.date_format", "data.resample"),
    *("data.start", "data.end", "split.train_end", "evaluate.start", "evaluate.end"),
)


def load_settings(
    config: str | Path = "default", overrides: Sequence[str] = (), *, own_data: bool = False
) -> Settings:
    """Read a recipe by name or path, apply `KEY=VALUE` overrides in order, and check it.

    own_data : whether the run replaces the recipe's data. If so, the recipe's dates and the format
        of its files are dropped; those in overrides are kept.
    Paths in `data.csv` are relative to the recipe's folder, those in an override to the current
    one. Raises UsageError for a wrong key or value, FileError for an unreadable file.
    """
    path = find_recipe(config)
    tree = anchored(read_toml(path, "recipe"), path.parent)
    if path.name == "config.toml" and os.path.isfile(path.with_name("metadata.json")):
        with file_errors("cannot read the recipe", path, ""):
            found = path.with_name("metadata.json").read_bytes()
        tree = with_labels_of_then(tree, b'"batch_size"' in found)
    for key in _OF_ITS_DATA if own_data else ():
        section, name = key.split(".")
        if isinstance(tree.get(section), dict):
            tree[section].pop(name, None)
    changed: dict[str, str] = {}
    for text in overrides:
        override = _override(text)
        changed |= {
            f"{section}.{key}": text for section, table in override.items() for key in table
        }
        _merge(tree, anchored(override, Path.cwd()))
    where = f"recipe {path.stem}" if path.parent == shipped_file("configs") else str(path)
    return check_settings(tree, where=where, changed=changed)


def with_labels_of_then(tree: dict[str, Any], keeps_batch_size: bool) -> dict[str, Any]:
    """Return a version's settings with `train.labels` as the version was trained.

    keeps_batch_size : whether its metadata hold `batch_size`. Older versions of the recursive head
    had one label per window, although their `train.labels` says "sequence".
    """
    model, train = tree.get("model"), tree.get("train")
    if keeps_batch_size or not (isinstance(model, dict) and isinstance(train, dict)):
        return tree
    labels = {"labels": "window"} if model.get("head") == "recursive" else {}
    return {**tree, "train": train | labels}


def find_recipe(config: str | Path) -> Path:
    """Return the path of a recipe, given as a file or as the name of a shipped one."""
    return find_toml(config, "recipe", folder="configs", option="--config")


def find_toml(name: str | Path, kind: str, *, folder: str, option: str) -> Path:
    """Return the path of a TOML file, given as a path or as the name of one shipped in a folder."""
    path = Path(name)
    if option == "--config" and path.suffix.lower() in _PRICES:
        question = f"Did you mean --csv {name}?"
        raise UsageError(f"not a {kind}", where=name, why="a TOML file is", next_step=question)
    if os.path.isfile(path):  # unlike Path.is_file, returns False for a name that is too long
        return path
    shipped = shipped_file(f"{folder}/{name}.toml")
    if path.name == str(name) and os.path.isfile(shipped):
        return shipped
    names = shipped_names(folder)
    raise UsageError(
        f"no such {kind}",
        where=name,
        why="it is neither a file nor one of " + ", ".join(names),
        next_step=did_you_mean(str(name), names) or f"Pass {option} NAME or {option} FILE.toml.",
    )


def shipped_names(folder: str) -> list[str]:
    """Return the names of the shipped TOML files in a folder."""
    return sorted(file.stem for file in shipped_file(folder).glob("*.toml"))


def read_toml(path: Path, kind: str) -> dict[str, Any]:
    """Read a TOML file of at most 1 MB.

    Raises UsageError for invalid TOML or a larger file, FileError for an unreadable one.
    """
    with file_errors(f"cannot read the {kind}", path, ""):
        size = path.stat().st_size
        data = path.read_bytes() if size <= _MAX_BYTES else b""
    if size > _MAX_BYTES:
        raise UsageError(f"not a {kind}", where=path, why=f"{size} bytes is too large")
    try:
        return records.read_toml(data.decode("utf-8-sig"))
    except ValueError as error:
        why = str(error)
        raise UsageError(
            "not valid TOML", where=path, why=why, next_step="Correct the file."
        ) from error


def explain_settings() -> dict[str, str]:
    """Return the comment of every key in `configs/default.toml`; consecutive keys may share one."""
    found: dict[str, str] = {}
    section, comment, complete = "", "", True
    for line in shipped_file("configs/default.toml").read_text("utf-8").splitlines():
        if line.startswith("["):
            section, complete = line.strip("[]"), True
        elif line.startswith("#"):
            comment = "" if complete else comment
            comment, complete = f"{comment} {line.lstrip('# ')}".strip(), False
        elif key := re.match(r"(\w+) =", line):
            found[f"{section}.{key[1]}"] = comment
            complete = True
    return found


def anchored(tree: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths in `data.csv` absolute, in place; relative ones start at `folder`."""
    data = tree.get("data")
    if isinstance(data, dict) and isinstance(data.get("csv"), list):
        data["csv"] = [_absolute(entry, folder) for entry in data["csv"]]
    return tree


def shipped_file(relative: str) -> Path:
    """Return the path of a shipped recipe, sample or model, in the wheel or in a clone."""
    packaged = _PACKAGE / "shipped" / relative
    return packaged if packaged.exists() else _PACKAGE.parent / relative


def _override(text: str) -> dict[str, Any]:
    """Parse `section.key=value`; a value that is not valid TOML is plain text."""
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) != 2 or not all(parts):
        raise UsageError(
            "bad --set",
            where=text,
            why="expected SECTION.KEY=VALUE",
            next_step=f"{nearest_key(key.strip())} {SEE_DEFAULTS}".strip(),
        )
    try:
        parsed = records.read_toml(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    except ValueError as error:
        raise UsageError("bad --set", where=key.strip(), why=str(error)) from error
    return {parts[0]: {parts[1]: parsed}}


def _merge(tree: dict[str, Any], other: dict[str, Any]) -> None:
    for section, table in other.items():
        if not isinstance(tree.setdefault(section, {}), dict):
            raise UsageError("bad setting", where=section, why="expected a table")
        tree[section].update(table)


def _absolute(entry: object, folder: Path) -> object:
    if not isinstance(entry, str):
        return entry
    name, equals, file = entry.partition("=")
    if not (name and file) or os.path.exists(folder / entry):
        name, equals, file = "", "", entry
    if file == "-":
        return entry
    return f"{name}{equals}{os.path.normpath(folder.absolute() / file)}"
