"""The three faces of a result, made only when asked for: tables, one document, flat rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.console import RenderableType

Format = Literal["table", "json", "jsonl", "csv", "parquet"]
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class View:
    """What a command has to show.

    tables : what is printed for a reader. document : one JSON object. rows : flat records of the
    same keys, for JSON lines, CSV and Parquet. columns : those keys, where there may be no row.
    """

    tables: Callable[[], list[RenderableType]]
    document: Callable[[], dict[str, Any]]
    rows: Callable[[], list[dict[str, Any]]]
    columns: Sequence[str] = ()
