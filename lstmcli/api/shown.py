"""Results as text and, for a notebook, as HTML."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
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


class Shown(ABC):
    """A result that shows itself as text and, in a notebook, as HTML, where text is escaped."""

    _indexed = False  # whether the rows of its table have names

    @abstractmethod
    def _head(self) -> str:
        """Say in a line what it is."""

    @abstractmethod
    def _shown(self) -> pd.DataFrame:
        """Return its table."""

    def _title(self) -> str:
        """Return the line above the table in a notebook."""
        return self._head()

    def _known(self) -> Iterable[str]:
        """Return what there is to know."""
        return getattr(self, "notes", ())

    def _lines(self) -> list[str]:
        failures: Iterable[Failure] = getattr(self, "failures", ())
        return [*self._known(), *(f"failed: {each.symbol}: {each.reason}" for each in failures)]

    def __repr__(self) -> str:
        table = self._shown().to_string(index=self._indexed)
        return "\n".join([self._head(), "", table, "", *self._lines()]).rstrip()

    def _repr_html_(self) -> str:
        table = self._shown().to_html(index=self._indexed, max_rows=_MOST_ROWS, na_rep="", border=0)
        items = "".join(f"<li>{html.escape(each)}</li>" for each in self._lines())
        return f"<p><b>{html.escape(self._title())}</b></p>{table}<ul>{items}</ul>"
