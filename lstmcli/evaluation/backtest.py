"""A walk-forward backtest: forecasts from past cutoffs, and the outcomes.

Forecasters get each series only up to its last cutoff, so they cannot read beyond it by mistake.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstmcli.arrays import Days, Floats, Ints, Mask
from lstmcli.dataset.series import Series
from lstmcli.evaluation.pooling import Codes, Pool, blocks, by_symbol, day_numbers
from lstmcli.forecasting.forecast import Forecast, join_forecasts


class MadeForecasts(Mapping[str, Forecast]):
    """Forecasts by model name, computed on each access and not stored."""

    def __init__(self, names: Iterable[str], make: Callable[[str], Forecast]) -> None:
        self._names, self._make = dict.fromkeys(names), make

    def __getitem__(self, name: str) -> Forecast:
        return self._make(name)

    def __contains__(self, name: object) -> bool:
        return name in self._names  # the default would compute the forecast

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


_OF_WINDOWS = ("symbol", "cutoff", "last_close", "sigma", "dates", "actual", "calendar")
_ONE_CALENDAR: Codes = np.zeros(0, dtype=np.int8)


@dataclass(frozen=True)
class Backtest:
    """Forecasts and outcomes for N past cutoffs, in the order of the symbols, then by date.

    symbol, cutoff, last_close : (N,).
    sigma : (N,) standard deviation of the context's one-step log returns.
    dates : (N, H) the session of each step.
    actual : (N, H) cumulative log moves; NaN if the outcome is not known yet.
    forecasts : by model name, networks before baselines; all with the same H steps.
    calendar : (N,) number of the exchange calendar; by default all windows share one.
    """

    symbol: NDArray[np.str_]
    cutoff: Days
    last_close: Floats
    sigma: Floats
    dates: Days
    actual: Floats
    forecasts: Mapping[str, Forecast]
    calendar: Codes = field(default_factory=lambda: _ONE_CALENDAR)

    def __post_init__(self) -> None:
        if not self.calendar.size:
            object.__setattr__(self, "calendar", np.zeros(len(self.cutoff), dtype=np.int8))

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """(H,) the step of each column."""
        return next(iter(self.forecasts.values())).steps

    def column(self, step: int) -> int:
        """Return the column of a step."""
        return self.steps.index(step)

    def pool(self, column: int = -1) -> Pool:
        """Return the pool of the windows, each from its cutoff to the step of a column."""
        return Pool(self._cutoffs, self.dates[:, column], self.symbols[1], self._blocks)

    @cached_property
    def _cutoffs(self) -> Codes:
        return day_numbers(self.cutoff)

    @cached_property
    def symbols(self) -> tuple[list[str], Codes]:
        """Symbols in order of appearance, and the index of each window's symbol, (N,)."""
        return by_symbol(self.symbol)

    @cached_property
    def _blocks(self) -> Codes | None:
        """Blocks of whole windows, the same at every step."""
        return blocks(self.cutoff, self.dates[:, -1], self.calendar)

    @cached_property
    def whole(self) -> Mask:
        """(N,) mask of the windows whose outcomes are all known."""
        return np.asarray(~np.isnan(self.actual).any(axis=1))

    def at(self, steps: Sequence[int]) -> "Backtest":
        """Return the backtest at some of its steps."""
        kept = tuple(steps)
        if kept == self.steps:
            return self
        first = kept == self.steps[: len(kept)]
        columns = slice(len(kept)) if first else [self.column(step) for step in kept]
        return self._like(
            "symbols",
            "_cutoffs",
            dates=self.dates[:, columns],
            actual=self.actual[:, columns],
            forecasts=MadeForecasts(self.forecasts, lambda name: self.forecasts[name].at(kept)),
        )

    def keep(self, rows: Mask) -> "Backtest":
        """Return the windows of a mask, (N,)."""
        index = np.flatnonzero(rows)
        return replace(
            self,
            **{name: getattr(self, name)[index] for name in _OF_WINDOWS},
            forecasts={name: each.rows(index) for name, each in self.forecasts.items()},
        )

    def join(self, others: Sequence["Backtest"]) -> "Backtest":
        """Append windows with the same steps; models that only `others` hold are dropped."""
        parts = [each for each in (self, *others) if len(each.cutoff)]
        if not others or not parts:
            return self
        count = sum(len(each.cutoff) for each in parts)
        return replace(
            self,
            **{n: np.concatenate([getattr(each, n) for each in parts]) for n in _OF_WINDOWS},
            forecasts={
                name: join_forecasts((each.forecasts[name] for each in parts), count)
                for name in self.forecasts
            },
        )

    def only(self, *names: str) -> "Backtest":
        """Return the backtest with the forecasts of some models only, computed once."""
        forecasts = {name: self.forecasts[name] for name in names}
        return self._like("symbols", "_cutoffs", "_blocks", forecasts=forecasts)

    def _like(self, *known: str, **changes: Any) -> "Backtest":
        """Return a changed copy that shares the cached properties in `known`."""
        found = replace(self, **changes)
        vars(found).update({name: getattr(self, name) for name in known})
        return found


Rows = Ints
Forecaster = Callable[[Sequence[Series], Sequence[Rows]], Forecast]
"""(S series, their cutoff rows) -> N forecasts in that order, each from rows up to its cutoff."""


def run_backtest(
    series: Sequence[Series],
    cutoffs: Sequence[Rows],
    forecasters: Mapping[str, Forecaster],
    *,
    horizon: int,
    context_length: int,
) -> Backtest:
    """Forecast every series from its cutoff rows, each followed by `horizon` rows.

    Rows after a cutoff reach only `actual`: forecasters get the series up to the last cutoff.
    """
    pairs = list(zip(series, cutoffs, strict=True))
    return Backtest(
        symbol=np.concatenate([np.full(len(rows), each.symbol) for each, rows in pairs]),
        cutoff=np.concatenate([each.dates[rows] for each, rows in pairs]),
        last_close=np.concatenate([each.last_close[rows] for each, rows in pairs]),
        sigma=np.concatenate([context_sigma(each, rows, context_length) for each, rows in pairs]),
        dates=np.concatenate([each.dates[future_rows(rows, horizon)] for each, rows in pairs]),
        actual=np.concatenate([actual_moves(each, rows, horizon) for each, rows in pairs]),
        forecasts={
            name: forecaster([each.until(rows) for each, rows in pairs], cutoffs)
            for name, forecaster in forecasters.items()
        },
        calendar=np.repeat(calendars_of(series), [len(rows) for rows in cutoffs]),
    )


def one_by_one(forecast: Callable[[Series, Rows], Forecast]) -> Forecaster:
    """Convert a forecaster of one series to a forecaster of many."""

    def forecaster(series: Sequence[Series], cutoffs: Sequence[Rows]) -> Forecast:
        pairs = zip(series, cutoffs, strict=True)
        return join_forecasts(
            (forecast(each, rows) for each, rows in pairs if len(rows)), sum(map(len, cutoffs))
        )

    return forecaster


def in_turn(forecasters: Sequence[Forecaster], since: Sequence[np.datetime64]) -> Forecaster:
    """Return a forecaster that uses the latest forecaster available at each cutoff.

    since : ascending, the first cutoff date of each forecaster.
    """
    if len(forecasters) == 1:
        return forecasters[0]

    def parts(series: Sequence[Series], cutoffs: Sequence[Rows]) -> Iterator[Forecast]:
        for each, rows in zip(series, cutoffs, strict=True):
            turns = turn_of(each.dates[rows], since)
            for turn in np.unique(turns):
                at = rows[turns == turn]
                yield forecasters[turn]([each.until(at)], [at])

    return lambda series, cutoffs: join_forecasts(parts(series, cutoffs), sum(map(len, cutoffs)))


def turn_of(cutoff: Days, since: Sequence[np.datetime64]) -> NDArray[np.intp]:
    """Return the index in `since` that applies to each cutoff date: (N,)."""
    return np.searchsorted(np.array(since), cutoff, side="right") - 1


_SMALLEST_SIGMA = 1e-12


def future_rows(cutoffs: Rows, horizon: int) -> Rows:
    """Return the rows of steps 1..horizon after each cutoff: (N, H)."""
    return cutoffs[:, None] + np.arange(1, horizon + 1)


def actual_moves(series: Series, cutoffs: Rows, horizon: int) -> Floats:
    """Return the cumulative log moves after each cutoff, (N, H)."""
    prices = series.log_prices
    return prices[future_rows(cutoffs, horizon)] - prices[cutoffs][:, None]


def context_sigma(series: Series, cutoffs: Rows, context_length: int | NDArray[np.int32]) -> Floats:
    """Return the standard deviation of the one-step log returns of each context: (N,).

    context_length : of all contexts, or of each (N,); if there are fewer rows up to a cutoff, all
    are used. The result is never zero, so it can be a divisor.
    """
    returns, sigma = np.diff(series.log_prices), np.empty(len(cutoffs))
    lengths = np.minimum(np.asarray(context_length) - 1, cutoffs)
    for length in np.unique(lengths).tolist():
        alike = lengths == length
        rows = cutoffs[alike][:, None] + np.arange(-length, 0)
        sigma[alike] = returns[rows].std(axis=1, ddof=1)
    return np.maximum(sigma, _SMALLEST_SIGMA)


_SAME_CALENDAR = 0.98


def choose_cutoffs(
    series: Sequence[Series],
    *,
    first: np.datetime64,
    last: np.datetime64 | None = None,
    step_size: int,
    n_windows: int | None = None,
    context_length: int,
    horizon: int,
    offsets: Sequence[int] = (0,),
) -> list[Ints]:
    """Return the cutoff rows of each series, ascending, (N_s,) each.

    Each calendar counts its own sessions: forward from `first` (inclusive) or, with `n_windows`,
    backward from the last date from which any of its series can be scored. A series is included on
    the dates on which it has a bar, `context_length` rows up to it and `horizon` rows after it.

    offsets : the start of each grid of `step_size`, in sessions after `first`.
    """
    usable, dates = [], []
    for each in series:
        rows = np.arange(context_length - 1, max(context_length - 1, len(each) - horizon))
        days = each.dates[rows]
        inside = days >= first if last is None else (days >= first) & (days <= last)
        usable.append(rows[inside])
        dates.append(days[inside])
    calendars = np.array(calendars_of(series))
    chosen = {}
    for calendar in np.unique(calendars):
        own = [dates[s] for s in np.flatnonzero(calendars == calendar)]
        sessions = np.unique(np.concatenate(own))
        if n_windows is None:
            grids = [sessions[offset::step_size] for offset in offsets]
        else:
            grids = [sessions[::-step_size][:n_windows]]
        chosen[calendar] = np.concatenate(grids)
    return [
        rows[np.isin(days, chosen[calendar])].astype(np.int64)
        for rows, days, calendar in zip(usable, dates, calendars, strict=True)
    ]


def calendars_of(series: Sequence[Series]) -> list[int]:
    """Assign a calendar number to each series, based only on their dates.

    Two series share a calendar if at least 98 % of their dates agree over the time that both cover.
    Single missing bars do not matter; different holidays do.
    """
    found: list[int] = []
    known: list[Days] = []
    for each in series:
        number = next((k for k, days in enumerate(known) if _agree(days, each.dates)), len(known))
        if number == len(known):
            known.append(each.dates)
        elif not np.isin(each.dates, known[number], assume_unique=True).all():
            known[number] = np.union1d(known[number], each.dates)
        found.append(number)
    return found


def _agree(one: Days, other: Days) -> bool:
    """Return whether two calendars agree where they overlap; true if they do not overlap."""
    low, high = max(one[0], other[0]), min(one[-1], other[-1])
    ours, theirs = (days[(days >= low) & (days <= high)] for days in (one, other))
    common = int(np.isin(ours, theirs, assume_unique=True).sum())
    return bool(common >= _SAME_CALENDAR * (ours.size + theirs.size - common))
