"""Show results as rich tables, JSON, CSV and Parquet, without computing any scores.

A `View` holds a result in each form that a command can write: tables, one document, flat rows.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:  # the command line imports this module at the start
    from rich.console import RenderableType

Format = Literal["table", "json", "jsonl", "csv", "parquet"]


@dataclass(frozen=True)
class View:
    """The output of a command. Each form is created when it is written, and at most once.

    tables : tables and lines of text for the terminal. document : one JSON object; an iterator in
    it is written item by item, a dataclass as an object. rows : flat dicts or dataclasses with the
    same fields, for CSV and Parquet. columns : these fields, needed if there may be no rows.
    lines : the records for JSON lines, if they hold more than the rows. levels_differ : whether
    rows may have different quantile columns.
    """

    tables: "Callable[[], Sequence[RenderableType]]"
    document: Callable[[], dict[str, Any]]
    rows: Callable[[], Iterable[Any]]
    columns: Sequence[str] = ()
    lines: Callable[[], Iterable[dict[str, Any]]] | None = None
    levels_differ: bool = False


def make_document(command: str, **content: Any) -> dict[str, Any]:
    """Return the JSON document of a command."""
    return {"schema_version": 1, "command": command, **content}
