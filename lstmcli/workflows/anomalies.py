"""Anomalies: sessions whose move the fan of the day before held nearly impossible.

A session is judged by a fan of rows up to its cutoff alone, `steps` rows before it, and only where
the model was fitted on nothing after that cutoff. Chances beyond the outermost quantiles come from
a tail of training moves (`forecasting.tail`), which is fitted where a move lies out there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cache, partial
from typing import Any

import numpy as np

from lstmcli.arrays import Days, Floats
from lstmcli.dataset.series import Series
from lstmcli.errors import DataError, Failure, LstmcliError, UsageError, raise_if_all_failed
from lstmcli.evaluation.backtest import Rows
from lstmcli.forecasting.forecaster import forecast, forecast_alike
from lstmcli.forecasting.har import bars_per_year
from lstmcli.forecasting.model import series_for
from lstmcli.forecasting.tail import Tail, distances, fit_tail
from lstmcli.market.columns import Reading
from lstmcli.market.prices import Prices, as_days, unit_of
from lstmcli.market.sessions import schedule_for, sessions_behind
from lstmcli.market.validate import note_last
from lstmcli.printable import Note, count_of
from lstmcli.runs.registry import ModelRef
from lstmcli.sources.loading import stream_prices
from lstmcli.sources.predictors import Lineup, Predictor, load_predictor
from lstmcli.sources.shares import shares
from lstmcli.sources.source import Source
from lstmcli.training.device import choose_device, threads
from lstmcli.workflows.predict import HISTORY, STALE_SESSIONS

PROBABILITY = 0.001
_OWN_MOVES = 4000  # of one series, the latest
_BEFORE = 20  # sessions drawn before the first that is judged
_POOL_SERIES, _POOL_MOVES = 50, 10_000  # of the others; more cost time and say nothing new


@dataclass(frozen=True)
class Session:
    """One session's move, against the fan of `steps` sessions before.

    move, low, high : log moves since the cutoff: the one that came, and the outermost quantiles.
    coverage : the chance that the fan gives to the range from low to high.
    probability : two-sided chance of a move as far out; None within the range.
    own, pooled, series : moves of the symbol, moves of others, and how many others, whose tail
        says so; 0 within the range.
    years : in which one such move is to be expected; None within the range.
    """

    model: str
    symbol: str
    cutoff: str
    date: str
    last_close: float
    close: float
    move: float
    low: float
    high: float
    coverage: float
    probability: float | None = None
    years: float | None = None
    own: int = 0
    pooled: int = 0
    series: int = 0


@dataclass(frozen=True)
class Watched:
    """One symbol's prices and what was expected of them, for a picture.

    price, currency : the column whose moves are judged, and its unit. dates, prices : (T,) sessions
    judged and some before. low, high : (T,) ends of the expected range, NaN where none was judged.
    """

    symbol: str
    price: str
    currency: str
    dates: Days
    prices: Floats
    low: Floats
    high: Floats


@dataclass
class AnomalyReport:
    """The sessions found, the least likely first, and how many were judged, as far as it came.

    judged : sessions of all symbols together. latest : the last session of each symbol.
    watched : the prices of each symbol, where they are to be drawn. left_out : sessions asked for
    that a model was fitted on. years : in which one symbol gives one warning without any cause.
    """

    models: list[Predictor] = field(default_factory=list)
    found: list[Session] = field(default_factory=list)
    latest: list[Session] = field(default_factory=list)
    symbols: list[str] = field(default_factory=list)
    watched: list[Watched] = field(default_factory=list)
    judged: int = 0
    left_out: int = 0
    probability: float = PROBABILITY
    steps: int = 1
    since: date | None = None
    first: str = ""
    years: float = 0.0
    interval: str = "1d"
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    @property
    def expected(self) -> float:
        """Return how many would be found without any cause, were all fans right."""
        return self.judged * self.probability


def anomalies(
    source: Source,
    *,
    model: str | None = None,
    since: date | None = None,
    steps: int = 1,
    probability: float = PROBABILITY,
    device: str = "auto",
    number_of_threads: int = 1,
    pictured: bool = False,
    learned: Source | None = None,
) -> AnomalyReport:
    """Judge the last session of each symbol, or those from `since` on.

    probability : two-sided chance below which a move is found. pictured : whether prices are kept
    for a picture. learned : the series that the model learned from, where they are in memory. A
    symbol that cannot be judged becomes a Failure; when none can, the error is raised.
    """
    source = replace(source, around=date.max)
    report = AnomalyReport(probability=probability, steps=steps, since=since)
    on = choose_device(device)
    load = cache(partial(load_predictor, source.data_dir, device=on, horizon=None))
    lineup, judges = Lineup(load, report.models), dict[ModelRef, _Judge]()
    with threads(number_of_threads):
        for read in lineup.read(shares(source, model, steps)):
            if isinstance(read, Failure):
                report.failures.append(read)
                continue
            prices, by, share = read
            if by.reference not in judges:
                judges[by.reference] = _Judge(by, learned or share.source, report)
            try:
                watched = judges[by.reference].judge(prices)
            except (DataError, UsageError) as error:
                report.failures.append(Failure.of(prices.symbol, error))
                continue
            report.notes += prices.named_notes()
            report.warnings += () if since else _age(prices, source.today)
            if unfinished := note_last(prices, datetime.now(UTC)):
                report.warnings.append(Note.of(prices.symbol, unfinished))
            report.watched += [watched] if pictured else []
    raise_if_all_failed(len(report.symbols), report.failures)
    report.found.sort(key=lambda one: (one.probability, -abs(one.move) / (one.high - one.low)))
    tails = [note for judge in judges.values() for note in judge.notes]
    report.notes = [*lineup.notes(source), *tails, *report.notes]
    return report


def _age(prices: Prices, today: date) -> Iterator[str]:
    """Yield a warning where the last session is an old one."""
    last = prices.frame.index[-1].date()
    behind = sessions_behind(last, schedule_for(prices), prices.interval, today)
    if behind > STALE_SESSIONS:
        old = f"the last bar, {last}, is {behind} {unit_of(prices.interval)}s old"
        yield Note.of(prices.symbol, old)


class _Judge:
    """One model, with what was read for it: the moves of the other series that it learned from."""

    def __init__(self, by: Predictor, source: Source, report: AnomalyReport) -> None:
        self.by, self.source, self.report, self.steps = by, source, report, report.steps
        self.until = by.metadata.trained_until
        self.notes: list[str] = []
        self._pool: dict[str, Floats] | None = None
        self._gap = 1

    def judge(self, prices: Prices) -> Watched:
        """Add the sessions of a symbol to the report; return its prices.

        Raises UsageError for a model without a fan, DataError where no session is left.
        """
        model, report, since = self.by.model, self.report, self.report.since
        self._check()
        series = series_for(model.settings, prices)
        last, fewest = len(series) - 1, model.fewest_rows - 1 + self.steps
        first = last if since is None else int(series.dates.searchsorted(np.datetime64(since)))
        first = max(first, fewest)
        rows = np.arange(first, last + 1) - self.steps
        usable = rows[series.dates[rows] >= self.until]
        if not len(usable):
            raise DataError(
                "no session to judge",
                where=f"{prices.symbol} in {prices.source}",
                why=f"its {len(series)} bars end on {series.dates[last]}, the model was fitted up "
                f"to {self.until}, and a fan needs {model.fewest_rows} rows",
                next_step="Give newer prices, or a model of an earlier part: --model NAME.",
            )
        quantiles, median, actual = self._fans(series, usable, exact=since is None)
        z = distances(quantiles, median, actual)
        if np.isnan(z).any():
            raise DataError(
                "the fan has no width",
                where=prices.symbol,
                why="its price has not moved",
                next_step="Check its prices: lstmcli data check.",
            )
        found = [
            self._session(series, *each) for each in zip(usable, actual, quantiles, strict=True)
        ]
        yearly = bars_per_year(series.dates)
        if (np.abs(z) > 1).any():
            tail = self._tail(series)
            says: dict[str, Any] = dict(own=tail.own, pooled=tail.pooled, series=tail.series)
            for number, chance in enumerate(tail.probability(z).tolist()):
                if not np.isnan(chance):
                    says |= {"probability": chance, "years": 1 / (chance * yearly)}
                    found[number] = replace(found[number], **says)
        self.by.symbols.append(series.symbol)
        if not self.by.learned_from(series):
            self.by.other_prices[series.symbol] = series.price
        report.symbols.append(series.symbol)
        report.judged += len(found)
        report.left_out += len(rows) - len(usable)
        report.latest.append(found[-1])
        below = report.probability
        report.found += [e for e in found if e.probability is not None and e.probability < below]
        report.first = min(found[0].date, report.first or found[0].date)
        by_date = bars_per_year(as_days(prices.frame.index))
        report.years = max(report.years, 1 / (report.probability * by_date))
        report.interval = prices.interval
        return self._watched(series, usable, quantiles)

    def _check(self) -> None:
        levels, window = self.by.model.levels, self.by.model.settings.window
        if not levels or self.report.probability > 2 * min(levels[0], 1 - levels[-1]):
            raise UsageError(
                "this model gives no range that is wide enough",
                where=str(self.by.reference),
                why=f"its quantiles are {', '.join(map(str, levels)) or 'none'}, expected some "
                f"below and above a chance of {self.report.probability / 2:g}",
                next_step="Pass --model base, or train the default recipe.",
            )
        if self.steps > window.horizon:
            raise UsageError(
                "moves are too long",
                where=f"--steps {self.steps}",
                why=f"{self.by.reference} forecasts {window.horizon} steps",
            )

    def _watched(self, series: Series, rows: Rows, quantiles: Floats) -> Watched:
        """Return the prices around sessions judged from cutoffs `rows` by quantiles (N, Q)."""
        ends, prices = rows + self.steps, np.exp(series.log_prices)
        shown = slice(max(0, min(ends[0] - _BEFORE, ends[-1] + 1 - HISTORY)), ends[-1] + 1)
        low, high = np.full((2, len(prices)), np.nan)
        low[ends], high[ends] = prices[rows] * np.exp(quantiles[:, [0, -1]].T)
        return Watched(
            symbol=series.symbol,
            price=series.price,
            currency=series.currency,
            dates=series.dates[shown].copy(),
            prices=prices[shown].copy(),
            low=low[shown].copy(),
            high=high[shown].copy(),
        )

    def _session(self, series: Series, row: int, move: float, fan: Floats) -> Session:
        levels, end = self.by.model.levels, row + self.steps
        return Session(
            model=str(self.by.reference),
            symbol=series.symbol,
            cutoff=str(series.dates[row]),
            date=str(series.dates[end]),
            last_close=float(series.last_close[row]),
            close=float(series.last_close[end]),
            move=float(move),
            low=float(fan[0]),
            high=float(fan[-1]),
            coverage=round(levels[-1] - levels[0], 9),
        )

    def _fans(self, series: Series, rows: Rows, exact: bool) -> tuple[Floats, Floats, Floats]:
        """Return quantiles (N, Q), medians (N,) and outcomes (N,) of `steps` after each row.

        exact : as `predict` gave them to the last bit, which takes longer.
        """
        how = forecast_alike if exact else forecast
        made = how(self.by.model, [series.until(rows)], [rows], horizon=self.steps)
        assert made.quantiles is not None
        moves = series.log_prices[rows + self.steps] - series.log_prices[rows]
        at = self.steps - 1
        return np.asarray(made.quantiles)[:, at], np.asarray(made.median)[:, at], moves

    def _tail(self, series: Series) -> Tail:
        """Fit the tail of a series on its own training moves and on those of the others."""
        name, known = series.symbol.upper(), self.by.metadata.symbols
        if self._pool is None and {each.symbol.upper() for each in known} != {name}:
            self._pool = self._read_pool()
        own = self._distances(series, self._training_rows(series)[-_OWN_MOVES:])
        pool = [each for other, each in (self._pool or {}).items() if other != name]
        levels = self.by.model.levels
        outside = levels[0], 1 - levels[-1]
        return fit_tail(own, pool, levels=outside, steps=self.steps, gap=self._gap)

    def _training_rows(self, series: Series) -> Rows:
        """Return the cutoffs whose moves end before the model's training does."""
        end = int(series.dates.searchsorted(self.until, side="right"))
        first = self.by.model.settings.window.context_length - 1
        return np.arange(first, max(first, end - self.steps))

    def _distances(self, series: Series, rows: Rows) -> Floats:
        if not len(rows):
            return np.empty(0)
        return distances(*self._fans(series, rows, exact=False))

    def _read_pool(self) -> dict[str, Floats]:
        """Return the distances of training moves by symbol, of those series that can be read."""
        known, settings = self.by.metadata.symbols, self.by.model.settings
        names = [each.symbol for each in known[:: -(-len(known) // _POOL_SERIES)]]
        own, source = not self.source.names_data, self.source
        source = replace(
            source,
            symbols=(),
            csv=(),
            only=(),
            others=(),
            read=None,
            start=None,
            end=None,
            tables=source.tables if source.own else (),
            reading=source.reading if own else Reading(),
        )
        if settings.data.csv or source.tables:
            source = replace(source, only=tuple(each.upper() for each in names))
        else:
            source = replace(source, symbols=tuple(names))
        read: list[Series] = []
        try:
            for each in stream_prices(
                source, settings.data, self.by.metadata.interval, settings.window.inputs
            ):
                if isinstance(each, Prices):
                    read.append(series_for(settings, each))
        except LstmcliError as error:
            self.notes.append(f"tails of each symbol's own moves alone: {error}")
            return {}
        if len(read) < len(names):
            lacking = count_of(len(names) - len(read), "series")
            self.notes.append(f"{lacking} that {self.by.reference} learned from cannot be read")
        rows = [self._training_rows(each) for each in read]
        self._gap = max(1, -(-sum(map(len, rows)) // _POOL_MOVES))
        return {
            each.symbol.upper(): self._distances(each, some[:: self._gap])
            for each, some in zip(read, rows, strict=True)
        }
