"""Copies of a run's prices as files, with what follows a day replaced, to be read again.

So the audit goes through the whole reader: text, cleaning, choice of columns. Rows up to the day
are the same bytes in every copy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from lstmcli.market.prices import COLUMNS, Prices
from lstmcli.market.store import STORE
from lstmcli.market.symbols import encode_symbol, price_path, sidecar_path
from lstmcli.workflows.prices import Source

Change = Callable[[Prices], Prices]
NEVER = np.datetime64("2262-01-01")  # nanoseconds reach no further


@dataclass
class _File:
    """One file: a series, or the closes of several next to each other, as they lay before.

    columns : as its header names them. lines : the unchanged rows.
    """

    path: Path
    prices: Sequence[Prices]
    columns: list[str]
    lines: list[str] = field(default_factory=list)
    days: np.ndarray[tuple[int], np.dtype[np.datetime64]] = field(init=False)

    def __post_init__(self) -> None:
        frame = self._frame(self.prices)
        self.days, self.lines = frame.index.to_numpy(), _rows(frame)

    def write(self, after: np.datetime64, change: Change) -> None:
        frame = self._frame([change(each) for each in self.prices])
        later = _rows(frame[frame.index.to_numpy() > after])
        kept = self.lines[: int((self.days <= after).sum())]
        header = pd.DataFrame(columns=self.columns).rename_axis("Date").to_csv(lineterminator="\n")
        self.path.write_text(header + "".join([*kept, *later]), encoding="utf-8")

    def _frame(self, prices: Sequence[Prices]) -> pd.DataFrame:
        if len(prices) == 1:
            return prices[0].frame.reindex(columns=self.columns)
        return pd.concat([each.frame["Close"] for each in prices], axis=1, keys=self.columns)


class Copies:
    """The files of a run in a folder of their own, written again for every change."""

    def __init__(self, source: Source, prices: Sequence[Prices], folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files: list[_File] = []
        if prices[0].source == STORE:
            symbols = tuple(each.symbol for each in prices)
            self._source = replace(source, data_dir=folder, symbols=symbols, csv=(), strict=False)
            for each in prices:
                path = price_path(folder, each.symbol, each.interval)
                path.parent.mkdir(parents=True, exist_ok=True)
                noted = sidecar_path(source.data_dir, each.symbol, each.interval)
                if noted.is_file():
                    path.with_suffix(".json").write_bytes(noted.read_bytes())
                self._files.append(_File(path, [each], list(COLUMNS)))
            return
        entries: list[str] = []
        for group in _groups(prices):
            names, several = [each.symbol for each in group], len(group) > 1
            path = folder / f"{len(entries)}.csv"
            if "=" in names[0] and not several:  # which would end the name in NAME=FILE
                path = folder / f"{encode_symbol(names[0])}.csv"
            named = not several and "=" not in names[0]
            entries.append(f"{names[0]}={path}" if named else str(path))
            columns = names if several else [str(each) for each in group[0].frame]
            self._files.append(_File(path, group, columns))
        self._source = replace(
            source, csv=tuple(entries), symbols=(), sep=",", decimal=".", strict=False, stdin=None
        )

    def unchanged(self) -> Source:
        """Write the files as they are."""
        return self.changed(NEVER, lambda prices: prices)

    def changed(self, after: np.datetime64, change: Change) -> Source:
        """Write the files with what a change makes of the rows later than `after`."""
        for each in self._files:
            each.write(after, change)
        return self._source


def _groups(prices: Sequence[Prices]) -> list[list[Prices]]:
    """Put together what came from one file and has closes only."""
    groups: dict[str, list[Prices]] = {}
    for number, each in enumerate(prices):
        closes = list(each.frame) == ["Close"]
        groups.setdefault(each.source if closes else f"{number}", []).append(each)
    return list(groups.values())


def _rows(frame: pd.DataFrame) -> list[str]:
    text = frame.to_csv(header=False, date_format="%Y-%m-%d", lineterminator="\n")
    return text.splitlines(keepends=True)
