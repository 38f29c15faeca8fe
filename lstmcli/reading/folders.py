"""The tables in a folder, and the name of a table by its file's name."""

import os
from collections.abc import Sequence
from pathlib import PurePath

from lstmcli.errors import DataError, file_errors
from lstmcli.printable import count_of, first_few

_SUFFIXES = {
    ".csv", ".tsv", ".txt", ".dat", ".parquet", ".pq", ".feather", ".arrow", ".json", ".jsonl",
    ".ndjson", ".xlsx", ".xlsm",
}  # fmt: skip
_PACKED = {".gz", ".bz2", ".xz", ".zip"}


def table_name(path: str | PurePath) -> str:
    """Return a file's name without what says its format: `AAPL` for `prices/AAPL.csv.gz`."""
    name = PurePath(path)
    if name.suffix.lower() in _PACKED:
        name = name.with_suffix("")
    return name.stem if name.suffix.lower() in _SUFFIXES else name.name


def list_tables(folder: str) -> tuple[list[str], str]:
    """Return the files of a folder that may be tables, by name, and a note of those skipped.

    Skipped are hidden files, folders, files of other suffixes, and facts on a file next to it
    (AAPL.json next to AAPL.csv). Raises FileError for a folder that cannot be read, DataError where
    it has no such file.
    """
    with file_errors("cannot read the folder", folder), os.scandir(folder) as entries:
        files = {entry.name: entry.is_file() for entry in entries}
    tables = {name for name, is_file in files.items() if is_file and _may_be_table(name)}
    facts = {name for name in tables if name.lower().endswith(".json")}
    data = {table_name(name) for name in tables - facts}
    tables -= {name for name in facts if table_name(name) in data}
    if not tables:
        raise DataError(
            "no tables in the folder",
            where=folder,
            why=f"found {first_few(sorted(files), 5) or 'nothing'}",
            next_step="Name a folder of files such as AAPL.csv.",
        )
    skipped = sorted(files.keys() - tables)
    return [os.path.join(folder, name) for name in sorted(tables)], _note(skipped, folder)


def _may_be_table(name: str) -> bool:
    suffix = PurePath(name).suffix.lower()
    return not name.startswith(".") and suffix in _SUFFIXES | _PACKED


def _note(skipped: Sequence[str], folder: str) -> str:
    if not skipped:
        return ""
    return f"Skipped {count_of(len(skipped), 'other file')} in {folder}: {first_few(skipped)}."
