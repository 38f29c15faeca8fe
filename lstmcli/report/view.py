"""The three faces of a result, made only when asked for: tables, one document, flat rows."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import RenderableType

Format = Literal["table", "json", "jsonl", "csv", "parquet"]
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class View:
    """What a command has to show.

    tables : what is printed for a reader. document : one JSON object; a value of it that is an
    iterator is written item by item. rows : flat records of the same keys, for CSV and Parquet.
    columns : those keys, where there may be no row. lines : the records for JSON lines, where they
    say more than the rows. All are made when they are written, so that a long result need not be
    held; each can be asked for once.
    """

    tables: Callable[[], list[RenderableType]]
    document: Callable[[], dict[str, Any]]
    rows: Callable[[], Iterable[dict[str, Any]]]
    columns: Sequence[str] = ()
    lines: Callable[[], Iterable[dict[str, Any]]] | None = None
