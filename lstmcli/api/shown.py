"""Results as text and, for a notebook, as HTML."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lstmcli.errors import Failure

if TYPE_CHECKING:
    import pandas as pd

CHANCES = ("probability_of_rise", "base_rate_of_rise")
_MOST_ROWS = 20


def rounded(frame: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """Return a table as it is shown: dates as days, shares with three digits."""
    found = frame.copy()
    for name, column in frame.items():
        if column.dtype.kind == "M":
            found[name] = column.dt.strftime("%Y-%m-%d")
        elif column.dtype.kind == "f":
            found[name] = column.round(3 if name in (*CHANCES, "change") else digits)
    return found


def lines_of(head: str, table: str, notes: Iterable[str], failures: Iterable[Failure] = ()) -> str:
    """Return a result as text: what it is, a table, and what there is to know."""
    failed = [f"failed: {each.symbol}: {each.reason}" for each in failures]
    return "\n".join([head, "", table, "", *notes, *failed]).rstrip()


def page_of(
    head: str,
    frame: pd.DataFrame,
    notes: Iterable[str],
    failures: Iterable[Failure] = (),
    *,
    index: bool = False,
) -> str:
    """Return the same for a notebook, as HTML; all text is escaped."""
    table = frame.to_html(index=index, max_rows=_MOST_ROWS, na_rep="", border=0)
    failed = [f"failed: {each.symbol}: {each.reason}" for each in failures]
    items = "".join(f"<li>{html.escape(each)}</li>" for each in [*notes, *failed])
    return f"<p><b>{html.escape(head)}</b></p>{table}<ul>{items}</ul>"
