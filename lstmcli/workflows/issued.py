"""The lines of the ledger as arrays: one set for each model name and shape of forecast."""

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstmcli.forecasting.forecast import Forecast, ScaledFan
from lstmcli.runs.ledger import Damage, read_ledger
from lstmcli.runs.ledger_line import Entry, day_number
from lstmcli.workflows.prices import Source


@dataclass(frozen=True)
class Issued:
    """N forecasts by one model name, by symbol and cutoff; each cutoff's first.

    versions : how many of each. repeated : later ones for the same cutoff, which are left out.
    symbol, cutoff, context_length : (N,). dates : (N, H) the session that each step means.
    moves : (R, H, Q), as they were read, in float32, which holds the digits of a line. rows : (N,)
    where each forecast's are.
    """

    model: str
    interval: str
    price: str
    versions: dict[str, int]
    repeated: int
    symbol: NDArray[np.str_]
    cutoff: NDArray[np.datetime64]
    context_length: NDArray[np.int64]
    dates: NDArray[np.datetime64]
    steps: tuple[int, ...]
    levels: tuple[float, ...]
    moves: NDArray[np.float32]
    rows: NDArray[np.int64]


def made(
    moves: NDArray[np.float32],
    rows: NDArray[np.int64],
    steps: tuple[int, ...],
    levels: tuple[float, ...],
) -> Forecast:
    """Return the forecasts of some rows of `Issued.moves`."""
    scale = np.broadcast_to(1.0, len(rows))
    fan = ScaledFan(scale, rows.astype(np.int32), np.ones(len(steps)), moves)
    median = fan[..., levels.index(0.5) if levels else 0]
    return Forecast(median, fan if levels else None, levels, steps=steps)


def read_issued(
    source: Source,
    *,
    models: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
) -> tuple[list[Issued], list[Damage]]:
    """Read what was issued by the models from `start` to `end`, and the lines that are damaged.

    Raises FileError for a ledger that cannot be read.
    """
    damages: list[Damage] = []
    return collect(_wanted(source, models, start, end, damages)), damages


def reference(entry: Entry) -> str:
    """Return the name and version of the model that forecast."""
    return f"{entry.model}/{entry.version}"


def collect(entries: Iterable[Entry]) -> list[Issued]:
    """Gather entries, which come in the order of issue, into sets of the same shape.

    Of several forecasts by one model name for the same symbol, price and cutoff the first counts,
    whatever a later one knew of restated prices.
    """
    sets: dict[tuple[object, ...], _Columns] = {}
    for number, entry in enumerate(entries):
        shape = (entry.model, entry.interval, entry.price, *entry.steps, None, *entry.levels)
        columns = sets.get(shape)
        if columns is None:
            columns = sets[shape] = _Columns(entry)
        columns.add(number, entry)
    rows: dict[tuple[object, ...], NDArray[np.int64]] = {}
    for key in {shape[:3] for shape in sets}:
        shapes = [shape for shape in sets if shape[:3] == key]
        rows |= zip(shapes, _first_rows([sets[shape] for shape in shapes]), strict=True)
    # Each is dropped as soon as it is done with, since it is long.
    return [sets.pop(shape).issued(rows[shape]) for shape in list(sets) if len(rows[shape])]


def _first_rows(alike: "Sequence[_Columns]") -> list[NDArray[np.int64]]:
    """Return, for each set, the first row of every symbol and cutoff of all, in that order."""
    names = sorted({symbol for columns in alike for symbol in columns.symbols})
    rank = {symbol: place for place, symbol in enumerate(names)}
    keys = np.concatenate([columns.keys(rank) for columns in alike])
    issue = np.argsort(np.concatenate([_array(columns.number) for columns in alike]), kind="stable")
    first = issue[np.unique(keys[issue], return_index=True)[1]]
    ends = np.cumsum([len(columns.number) for columns in alike])
    owner = np.searchsorted(ends, first, side="right")
    return [
        first[owner == place] - (ends[place] - len(columns.number))
        for place, columns in enumerate(alike)
    ]


def _wanted(
    source: Source,
    models: Sequence[str],
    start: date | None,
    end: date | None,
    damages: list[Damage],
) -> Iterator[Entry]:
    """Yield the entries asked for; put aside what is damaged."""
    symbols, names = {symbol.upper() for symbol in source.symbols}, set(models)
    first, last = str(start or "0001-01-01"), str(end or "9999-12-31")
    for found in read_ledger(source.data_dir):
        if isinstance(found, Damage):
            damages.append(found)
        elif (
            (not symbols or found.symbol.upper() in symbols)
            and (not names or not names.isdisjoint((found.model, reference(found))))
            and first <= found.cutoff <= last
        ):
            yield found


@dataclass
class _Columns:
    """What has been gathered of one set: its arrays, without an object for every forecast.

    symbols, versions : their numbers in the columns `symbol` and `version`. number : of the line.
    """

    first: Entry
    symbols: dict[str, int] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    number: "array[int]" = field(default_factory=lambda: array("q"))
    symbol: "array[int]" = field(default_factory=lambda: array("i"))
    version: "array[int]" = field(default_factory=lambda: array("i"))
    cutoff: "array[int]" = field(default_factory=lambda: array("i"))
    context_length: "array[int]" = field(default_factory=lambda: array("q"))
    dates: "array[int]" = field(default_factory=lambda: array("i"))
    moves: "array[float]" = field(default_factory=lambda: array("f"))

    def add(self, number: int, entry: Entry) -> None:
        self.number.append(number)
        self.symbol.append(self.symbols.setdefault(entry.symbol, len(self.symbols)))
        self.version.append(self.versions.setdefault(entry.version, len(self.versions)))
        self.cutoff.append(day_number(entry.cutoff))
        self.context_length.append(entry.context_length)
        self.dates.extend(map(day_number, entry.dates))
        self.moves.extend(chain.from_iterable(entry.moves))

    def keys(self, rank: Mapping[str, int]) -> NDArray[np.int64]:
        """Return a number for each symbol and cutoff, which sorts by them."""
        places: NDArray[np.int64] = np.array([rank[symbol] for symbol in self.symbols])
        found: NDArray[np.int64] = places[_array(self.symbol)] * 2**32 + _array(self.cutoff)
        return found

    def issued(self, rows: NDArray[np.int64]) -> Issued:
        """Return the rows given as arrays, and count the others as repeated."""
        steps, levels = tuple(self.first.steps), tuple(self.first.levels)
        shape = (len(self.number), len(steps))
        counts = np.bincount(_array(self.version)[rows], minlength=len(self.versions)).tolist()
        return Issued(
            model=self.first.model,
            interval=self.first.interval,
            price=self.first.price,
            versions={name: n for name, n in zip(self.versions, counts, strict=True) if n},
            repeated=shape[0] - len(rows),
            symbol=np.array(list(self.symbols))[_array(self.symbol)[rows]],
            cutoff=_days(self.cutoff)[rows],
            context_length=_array(self.context_length)[rows],
            dates=_days(self.dates).reshape(shape)[rows],
            steps=steps,
            levels=levels,
            moves=_array(self.moves).reshape(*shape, -1),
            rows=rows,
        )


def _array(column: "array[int] | array[float]") -> NDArray[Any]:
    return np.frombuffer(column, dtype=column.typecode)


def _days(column: "array[int]") -> NDArray[np.datetime64]:
    return _array(column).astype("datetime64[D]")
