"""What Python users give as data, folders, days and settings, as the workflows take it."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from functools import cache
from math import inf
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import pandas as pd

from lstmcli.api.model import Model
from lstmcli.errors import UsageError
from lstmcli.printable import first_few
from lstmcli.sources.source import Source

_FILE = re.compile(r".+\.(csv|tsv|txt|dat|json|jsonl|parquet|feather|xlsx?|gz|xz|zip)", re.I)
# What numbers the options take, as those of the commands; the first are whole.
_WHOLE = {
    "horizon": (1, 1000), "steps": (1, 1000), "step_size": (1, inf), "n_windows": (1, inf),
    "refit": (1, inf), "refits": (1, inf), "max_data_age": (0, inf), "threads": (0, 1024),
    "workers": (1, 1000),
}  # fmt: skip
_REAL = {
    "probability": (1e-6, 0.01), "promote_level": (1e-6, 0.2), "fine_tune_lr": (1e-12, 1.0),
    "timeout": (0.1, inf), "wait": (0, inf), "max_wait": (0, inf), "rate": (0.01, 100),
    "retrain_after": (0, inf),
}  # fmt: skip
_WORDS = {
    "promote": ("if-better", "always", "never"), "freeze": ("body",), "resample": ("1d",),
    "refit_window": ("expanding", "rolling"), "interval": ("1d", "1wk", "1mo"),
}  # fmt: skip
Day = str | date | None
Folder = str | Path | None
if TYPE_CHECKING:
    Part = str | Path | pd.DataFrame | pd.Series[Any]
    Data = Part | Iterable[Part] | Mapping[str, Part] | None


class FileOptions(TypedDict, total=False):
    """How files and frames are read, as the options of the commands; see `lstmcli train --help`."""

    sep: str
    decimal: str
    columns: str | Mapping[str, str] | None
    date_format: str | None
    resample: Literal["1d"] | None
    strict: bool


def source_of(
    data: Any,
    data_dir: Folder = None,
    symbols: Sequence[str] = (),
    start: Day = None,
    *,
    sep: str = "",
    decimal: str = "",
    columns: str | Mapping[str, str] | None = None,
    date_format: str | None = None,
    resample: Literal["1d"] | None = None,
    strict: bool = False,
) -> Source:
    """Return where the prices come from that are given as data; None for none."""
    from lstmcli.market.columns import Reading, parse_columns
    from lstmcli.market.symbols import split_symbols

    check_options(resample=resample)
    named, files, tables = list[str](), list[str](), list[tuple[str | None, Any]]()
    entries = _entries(data)
    if data is not None and not entries:
        raise UsageError(
            "no symbols",
            where=f"an empty {type(data).__name__}",
            next_step="Name some, or give files or frames.",
        )
    for name, each in entries:
        if isinstance(each, Path) or (isinstance(each, str) and (name or _is_file(each))):
            path = str(each)
            if not name and path == "-":
                raise UsageError("no standard input in Python", next_step="Name a file.")
            files.append(f"{name}={path}" if name else path)
        elif isinstance(each, str):
            named += split_symbols([each])
        else:
            tables.append((name, _table(each)))
    if named and (files or tables):
        raise UsageError(
            "cannot mix symbols of the store with files or frames",
            where=first_few(named),
            next_step="Train or forecast one after the other.",
        )
    if isinstance(columns, Mapping):
        columns = ",".join(f"{word}={name}" for word, name in columns.items())
    named_columns = parse_columns(columns) if columns else {}
    return Source(
        data_dir=data_folder(data_dir),
        today=datetime.now(UTC).date(),
        symbols=tuple(
            dict.fromkeys([*named, *([symbols] if isinstance(symbols, str) else symbols)])
        ),
        csv=tuple(files),
        tables=tuple(tables),
        reading=Reading(sep, decimal, named_columns, date_format or "", resample or "").checked(),
        strict=strict,
        start=as_day(start),
    )


def check_options(**options: Any) -> None:
    """Raise UsageError for a value that the option of the command would not take; None is none."""
    for name, value in options.items():
        if value is None:
            continue
        if words := _WORDS.get(name):
            is_right, expected = value in words, " or ".join(words)
        elif name == "device":
            is_right = bool(re.fullmatch(r"auto|cpu|cuda(:\d+)?", str(value)))
            expected = "auto, cpu, cuda or cuda:N"
        else:
            low, high = _WHOLE.get(name) or _REAL[name]
            kind, a_number = (Integral, "a whole number") if name in _WHOLE else (Real, "a number")
            is_number = isinstance(value, kind) and not isinstance(value, bool)
            is_right = is_number and bool(low <= value <= high)
            expected = f"{a_number} of at least {low:g}"
            expected = expected if high == inf else f"{a_number} from {low:g} to {high:g}"
        if not is_right:
            why = f"found {value!r}, expected {expected}"
            raise UsageError(f"cannot use {name}", why=why, next_step="Correct the value.")


def several(given: Any) -> Sequence[Any]:
    """Return what was given, one or several, as several."""
    is_one = isinstance(given, str | Path | Real | Model)
    return (given,) if is_one else tuple(given)


def _entries(data: Any) -> list[tuple[str | None, Any]]:
    """Return the parts of the data with their names, which are those of series."""
    if data is None:
        return []
    if isinstance(data, Mapping):
        return [(str(name), each) for name, each in data.items()]
    is_one = isinstance(data, str) or hasattr(data, "iloc") or hasattr(data, "to_pandas")
    if is_one or not isinstance(data, Iterable):
        return [(None, data)]
    return [part for each in data for part in _entries(each)]


def _is_file(text: str) -> bool:
    """Whether a text means a file: it has the ending of one, or a folder in front."""
    return bool(_FILE.fullmatch(text)) or any(sep and sep in text for sep in (os.sep, os.altsep))


def _table(data: Any) -> Any:
    from lstmcli.reading.frames import frame_table

    if hasattr(data, "to_pandas"):  # of pyarrow, polars and others
        data = data.to_pandas()
    if not isinstance(data, pd.DataFrame | pd.Series):
        raise UsageError(
            "cannot read prices from this",
            where=type(data).__name__,
            why="expected symbols, paths, a pandas DataFrame or Series, or a dict of these",
        )
    return frame_table(data.copy())  # a model keeps it


def source_for(
    data: Any,
    model: Any,
    data_dir: Folder,
    symbols: Sequence[str],
    **files: Unpack[FileOptions],
) -> Source:
    """Return the prices for a model: those given, else its own, or some of them."""
    if data is None and any(files.values()):
        raise UsageError(
            "option not used",
            where=", ".join(files),
            why="it says how files and frames are read, and none is given",
            next_step="Give the data too.",
        )
    source = source_of(data, data_dir, symbols, **files)
    home = source.data_dir
    if data is None and isinstance(model, Model) and model.own is not None:
        only = tuple(each.upper() for each in source.symbols)
        source = replace(model.own, today=source.today, only=only)
    if data_dir is None and isinstance(model, Model):
        in_store = source.symbols and not source.is_read
        home = home if in_store and model.data_dir == session_folder() else model.data_dir
    elif data_dir is None and source.is_read and not _is_used(home):
        home = session_folder()
    return replace(source, data_dir=home)


def data_folder(data_dir: Folder) -> Path:
    """Return the data folder, as the command line has it."""
    # Whole, so that a model is found from wherever the notebook goes.
    return Path(data_dir or os.environ.get("LSTMCLI_DATA_DIR") or "data").absolute()


def _is_used(home: Path) -> bool:
    return any((home / each).is_dir() for each in ("prices", "models"))


@cache
def session_folder() -> Path:
    """Return the data folder of what is not kept; it goes away with Python."""
    folder = Path(tempfile.mkdtemp(prefix="lstmcli-"))
    atexit.register(_remove, folder, os.getpid())
    return folder


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a process forked off ends before
        shutil.rmtree(folder, ignore_errors=True)


def as_day(value: Any) -> date | None:
    """Return a day given as text or as a date; UsageError for anything else."""
    if value is None:
        return None
    try:
        if isinstance(value, date) and value == value:  # NaT is one too
            return value.date() if isinstance(value, datetime) else value
        is_numpy = hasattr(value, "astype")
        return date.fromisoformat(str(value.astype("datetime64[D]")) if is_numpy else value)
    except (TypeError, ValueError) as error:
        raise UsageError(
            "not a day", where=repr(value), why="expected one as 2025-12-31"
        ) from error


def as_change(key: str, value: Any) -> str:
    """Return a setting as `--set` has it."""
    import tomli_w

    plain = value.item() if hasattr(value, "item") else value
    plain = str(plain) if isinstance(plain, Path) else plain
    text = tomli_w.dumps({"value": "" if plain is None else plain})
    return f"{key}={text.partition('=')[2].strip()}"
