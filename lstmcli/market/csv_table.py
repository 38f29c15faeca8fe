"""A whole CSV as arrays, read block by block.

There are no more than 214,000 dates to be had, so rows beyond that repeat or contradict each other:
they are put in order and thinned on the way, and ten million of them take no more memory.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.market.bars import Bars, order_bars
from lstmcli.market.csv_bytes import Block
from lstmcli.market.csv_dates import parse_stamps
from lstmcli.market.csv_ending import RECENT, recent_endings, refuse_cut_ending
from lstmcli.market.csv_fields import Fields, split_fields
from lstmcli.market.csv_layout import Layout, Series, choose_series, read_layout
from lstmcli.market.csv_numbers import parse_numbers
from lstmcli.market.prices import COLUMNS
from lstmcli.market.stamps import Stamps

MAX_HELD_ROWS = 500_000
_HEADER_LINES = 3


@dataclass(frozen=True)
class CsvTable:
    """The rows of the series chosen.

    stamps : (N,). lines : (N,) line numbers. values : position in a line -> (N,).
    """

    layout: Layout
    series: tuple[Series, ...]
    stamps: Stamps
    lines: NDArray[np.int64]
    values: dict[int, NDArray[np.float64]]
    notes: tuple[str, ...]

    @property
    def days(self) -> NDArray[np.datetime64]:
        """The dates as written, (N,) datetime64[D]."""
        return self.stamps.days

    def bars(self, series: Series, symbol: str, source: str) -> Bars:
        """The rows of one series as they stand there."""
        rows = np.arange(self.days.size)
        columns = self.columns(series)
        return Bars(symbol, source, self.days, columns, rows, self.lines.__getitem__)

    def columns(self, series: Series) -> dict[str, NDArray[np.float64]]:
        """The fields of one series by name, in the order of COLUMNS: (N,) each."""
        fields = series.fields
        return {name: self.values[fields[name]] for name in COLUMNS if name in fields}


@dataclass(frozen=True)
class _Rows:
    stamps: Stamps
    lines: NDArray[np.int64]
    values: NDArray[np.float64]  # (N, K)

    def keep(self, which: NDArray[np.bool_] | NDArray[np.int64]) -> "_Rows":
        return _Rows(self.stamps.keep(which), self.lines[which], self.values[which])


def read_table(
    blocks: Iterable[Block], sep: str, decimal: str, symbols: Sequence[str], where: str
) -> CsvTable:
    """The table in the blocks, or DataError; `symbols` chooses among the columns of a wide one."""
    layout, rest = _split_header(iter(blocks), sep, where)
    series = choose_series(layout, symbols, where)
    positions = sorted({i for one in series for i in one.fields.values()})
    held = _Held(layout, positions, where)
    endings: list[str] = []
    for block in rest:
        fields = split_fields(block, sep, layout.n_fields, where)
        held.add(_parse(fields, layout, positions, decimal, where))
        if layout.n_fields - 1 in positions:
            endings = [*endings, *recent_endings(fields)][-RECENT - 1 :]
            if not block.ended and endings:
                refuse_cut_ending(endings, decimal, f"{where} line {fields.lines[-1]}")
    if not held.parts:
        raise DataError("no rows", where=where, why="it has a header and nothing else")
    rows = held.all()
    values = {position: rows.values[:, k] for k, position in enumerate(positions)}
    notes = (*_ignored(layout), *held.notes())
    return CsvTable(layout, series, rows.stamps, rows.lines, values, notes)


@dataclass
class _Held:
    """The rows so far, thinned to one a date whenever they become too many."""

    layout: Layout
    positions: Sequence[int]
    where: str
    parts: list[_Rows] = field(default_factory=list)
    n_blank: int = 0
    n_repeated: int = 0

    def add(self, rows: _Rows) -> None:
        if rows.lines.size == 0:
            return
        dated = ~np.isnat(rows.stamps.days)
        self.n_blank += int(np.count_nonzero(~dated))
        self.parts.append(rows.keep(dated))
        if sum(part.lines.size for part in self.parts) > MAX_HELD_ROWS:
            self._thin()

    def all(self) -> _Rows:
        if self.n_repeated:
            self._thin()
        return _joined(self.parts)

    def notes(self) -> list[str]:
        counts = {
            "without date and values": self.n_blank,
            "that repeated another of the same date": self.n_repeated,
        }
        return [f"Dropped rows {which}: {count}." for which, count in counts.items() if count]

    def _thin(self) -> None:
        """Every date once; contradictory lines raise DataError."""
        rows = _joined(self.parts)
        names = self.layout.names
        bars = Bars(
            symbol="any series",
            source=self.where,
            days=rows.stamps.days,
            columns={names[p]: rows.values[:, k] for k, p in enumerate(self.positions)},
            rows=np.arange(rows.lines.size),
            line_of=rows.lines.__getitem__,
        )
        ordered = order_bars(bars)[0]
        self.n_repeated += rows.lines.size - ordered.days.size
        self.parts = [rows.keep(ordered.rows)]


def _split_header(blocks: Iterator[Block], sep: str, where: str) -> tuple[Layout, Iterator[Block]]:
    """The layout, and the blocks without the header's lines."""
    for block in blocks:
        stripped = block.text.lstrip(b"\n")
        if stripped:
            break
    else:
        raise DataError("no rows", where=where, why="it is empty")
    skipped = block.text[: len(block.text) - len(stripped)].count(b"\n")
    lines = stripped.split(b"\n", _HEADER_LINES)
    layout = read_layout([line.decode("utf-8") for line in lines[:_HEADER_LINES]], sep, where)
    body = stripped.split(b"\n", layout.header_lines)[layout.header_lines :]
    first_line = block.first_line + skipped + layout.header_lines
    first = [Block(body[0], first_line, block.ended)] if body and body[0] else []
    return layout, chain(first, blocks)


def _parse(
    fields: Fields, layout: Layout, positions: Sequence[int], decimal: str, where: str
) -> _Rows:
    stamps = parse_stamps(fields, layout.date_field, where)
    values = parse_numbers(fields, positions, layout.names, decimal, where)
    undated = np.flatnonzero(np.isnat(stamps.days) & np.isfinite(values).any(axis=1))
    if undated.size:
        raise DataError(
            "missing date",
            where=f"{where} line {fields.lines[undated[0]]}",
            why="the line has values and no date",
            next_step="Correct or remove the line.",
        )
    return _Rows(stamps, fields.lines, values)


def _ignored(layout: Layout) -> list[str]:
    if not layout.ignored:
        return []
    shown = ", ".join(layout.ignored[:5]) + (" and more" if len(layout.ignored) > 5 else "")
    return [f"Columns that are not used: {shown}."]


def _joined(held: Sequence[_Rows]) -> _Rows:
    if len(held) == 1:
        return held[0]
    return _Rows(
        Stamps.joined([rows.stamps for rows in held]),
        np.concatenate([rows.lines for rows in held]),
        np.concatenate([rows.values for rows in held]),
    )
