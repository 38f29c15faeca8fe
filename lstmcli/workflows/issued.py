"""The lines of the ledger as arrays: one set for each model name and shape of forecast."""

from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from lstmcli.forecasting.forecast import Forecast
from lstmcli.runs.ledger_line import Entry, day_number


@dataclass(frozen=True)
class Issued:
    """N forecasts by one model name, by symbol and cutoff; each cutoff's first.

    versions : how many of each. repeated : later ones for the same cutoff, which are left out.
    symbol, cutoff, context_length : (N,). dates : (N, H) the session that each step means.
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
    forecast: Forecast


def collect(entries: Iterable[Entry]) -> list[Issued]:
    """Gather entries, which come in the order of issue, into sets of the same shape.

    Of several forecasts by one model name for the same symbol, price and cutoff the first counts,
    whatever a later one knew of restated prices.
    """
    sets: dict[tuple[object, ...], _Columns] = {}
    seen: set[tuple[str, ...]] = set()
    for entry in entries:
        shape = (entry.model, entry.interval, entry.price, *entry.steps, None, *entry.levels)
        columns = sets.get(shape)
        if columns is None:
            columns = sets[shape] = _Columns(entry)
        cutoff = (entry.model, entry.interval, entry.price, entry.symbol, entry.cutoff)
        if cutoff in seen:
            columns.repeated += 1
            continue
        seen.add(cutoff)
        columns.add(entry)
    return [columns.issued() for columns in sets.values() if columns.symbol]


@dataclass
class _Columns:
    """What has been gathered of one set, a few hundred bytes a forecast."""

    first: Entry
    repeated: int = 0
    versions: Counter[str] = field(default_factory=Counter)
    symbol: list[str] = field(default_factory=list)
    cutoff: "array[int]" = field(default_factory=lambda: array("q"))
    context_length: "array[int]" = field(default_factory=lambda: array("q"))
    dates: "array[int]" = field(default_factory=lambda: array("q"))
    moves: "array[float]" = field(default_factory=lambda: array("d"))

    def add(self, entry: Entry) -> None:
        self.versions[entry.version] += 1
        self.symbol.append(entry.symbol)
        self.cutoff.append(day_number(entry.cutoff))
        self.context_length.append(entry.context_length)
        self.dates.extend(map(day_number, entry.dates))
        self.moves.extend(chain.from_iterable(entry.moves))

    def issued(self) -> Issued:
        symbol, cutoff = np.array(self.symbol), np.array(self.cutoff, dtype="datetime64[D]")
        order = np.lexsort((cutoff, symbol))
        steps, levels = tuple(self.first.steps), tuple(self.first.levels)
        shape = (len(symbol), len(steps))
        moves = np.array(self.moves).reshape(*shape, -1)[order]  # (N, H, Q)
        return Issued(
            model=self.first.model,
            interval=self.first.interval,
            price=self.first.price,
            versions=dict(self.versions),
            repeated=self.repeated,
            symbol=symbol[order],
            cutoff=cutoff[order],
            context_length=np.array(self.context_length)[order],
            dates=np.array(self.dates, dtype="datetime64[D]").reshape(shape)[order],
            forecast=Forecast(
                np.ascontiguousarray(moves[..., levels.index(0.5) if levels else 0]),
                moves if levels else None,
                levels,
                steps=steps,
            ),
        )
