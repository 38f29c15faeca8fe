"""Refuse outputs that would overwrite a run's inputs, stored data, or each other.

The check comes first, because no later message can restore an overwritten file.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lstmcli.errors import UsageError

_OUTPUTS = ("output", "errors", "forecasts", "report", "plot", "recipe")
_TABLES = _OUTPUTS[:3]  # may be mistaken for price files in a folder of them
_INPUTS = {
    **{"csv": "--csv", "symbols_file": "--symbols-file", "config": "--config"},
    **{"space": "--space", "files": "import"},
}
_STORED = ("prices", "models")  # in the data folder


def refuse_clashes(values: Mapping[str, Any]) -> None:
    """Raise UsageError if options of a command clash; values : by parameter name."""
    outputs = {name: Path(values[name]) for name in _OUTPUTS if values.get(name) not in (None, "-")}
    log = values.get("log_file")
    before = {"log-file": str(log)} if log else {}
    for name, file in outputs.items():
        # Unlike the methods of Path, these never raise; later checks report invalid names.
        if os.path.exists(file) and not os.path.isfile(file):
            continue  # pipes and devices accept several outputs; later checks refuse folders
        for option, source in _inputs(values):
            if _is_same(file, source) or (name in _TABLES and _is_in(file, source)):
                raise _clash(name, file, f"{option} reads it")
        real = os.path.realpath(file)
        for folder in (Path(values.get("data_dir") or "data") / kind for kind in _STORED):
            if Path(os.path.realpath(folder)) in Path(real).parents:
                raise _clash(name, file, f"{folder} is reserved for stored data")
        for other, earlier in before.items():
            if os.path.realpath(earlier) == real:
                raise _clash(name, file, f"--{other} writes it too")
        before[name] = str(file)


def _inputs(values: Mapping[str, Any]) -> Iterator[tuple[str, Path]]:
    """Yield the input files and folders, each with its option."""
    for name, option in _INPUTS.items():
        given = values.get(name) or ()
        for text in [given] if isinstance(given, str) else given:
            yield f"{option} {text}", Path(text)
            if name in ("csv", "files") and "=" in text:  # NAME=FILE
                yield f"{option} {text}", Path(text.partition("=")[2])


def _is_same(file: Path, other: Path) -> bool:
    with suppress(OSError, ValueError):  # one of them does not exist
        return os.path.samefile(file, other)
    return False


def _is_in(file: Path, folder: Path) -> bool:
    """Return whether a file exists in a folder of tables."""
    return os.path.isfile(file) and os.path.isdir(folder) and _is_same(file.parent, folder)


def _clash(name: str, file: Path, why: str) -> UsageError:
    where = f"--{name} {file}"
    return UsageError("cannot write there", where=where, why=why, next_step="Choose another file.")
