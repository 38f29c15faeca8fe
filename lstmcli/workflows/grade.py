"""Grade the forecasts in the ledger by comparing them with later prices.

Grades are the scores of a backtest. Moves are computed between two bars of the column's current
values, so that a split or dividend since the forecast does not distort them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstmcli.arrays import Days, Floats, Mask
from lstmcli.config import Data, Evaluate
from lstmcli.dataset.series import Series, make_series
from lstmcli.dataset.volatility import EWMA_START
from lstmcli.errors import DataError, Failure, UsageError, raise_if_all_failed
from lstmcli.evaluation import forecasters
from lstmcli.evaluation.backtest import Backtest, MadeForecasts, Rows, calendars_of, context_sigma
from lstmcli.evaluation.forecasters import Fitted, yardsticks
from lstmcli.evaluation.pooling import day_numbers
from lstmcli.evaluation.scores import Scores, score
from lstmcli.evaluation.significance import MIN_WINDOWS
from lstmcli.evaluation.trend import Yardsticks
from lstmcli.evaluation.verdict import Summary, Verdict, summary, verdict
from lstmcli.forecasting.baselines import fewest_climatology_rows
from lstmcli.forecasting.forecast import Forecast, ScaledFan
from lstmcli.market.prices import PriceChoice
from lstmcli.market.symbols import check_symbol
from lstmcli.printable import first_few
from lstmcli.runs.base_fan import drawn_to_ready_made
from lstmcli.runs.ledger import Damage, Entry, Issued, collect, read_ledger
from lstmcli.sources.loading import stream_prices
from lstmcli.sources.source import Source


@dataclass
class Counts:
    """The number of issued forecasts in each state.

    whole : graded, all sessions over; partly : graded, some sessions to come; pending : all
    sessions to come. next_session : the first session to come. repeated : issued again for the same
    cutoff, not graded. left_out : not gradable, by reason. missing_sessions : past steps of graded
    forecasts without a bar.
    """

    whole: int = 0
    partly: int = 0
    pending: int = 0
    next_session: str | None = None
    repeated: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    missing_sessions: int = 0

    def leave_out(self, why: str, count: int) -> None:
        """Count forecasts that cannot be graded."""
        if count:
            self.left_out[why] = self.left_out.get(why, 0) + count


@dataclass(frozen=True)
class Grade:
    """The grade of the forecasts of one model name.

    model : its name with the version, or with the number of versions. versions : forecasts of each.
    backtest : of the graded forecasts, and of the baselines on the same steps; None if nothing can
        be graded yet. scores : over all steps with any outcome; if too few of these windows are
        independent for a test, also over as many steps as leave enough. verdicts, summaries : of
        the scores, in the same order. known : the scales for the scores.
    """

    model: str
    versions: dict[str, int]
    interval: str
    price: str
    steps: tuple[int, ...]
    counts: Counts
    backtest: Backtest | None = None
    scores: tuple[Scores, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    summaries: tuple[Summary, ...] = ()
    known: Yardsticks | None = None


@dataclass(frozen=True)
class GradeReport:
    """The grades of all models in the ledger, and its damaged lines."""

    grades: tuple[Grade, ...]
    n_symbols: int
    damages: tuple[Damage, ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


def grade(
    source: Source,
    *,
    models: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
) -> GradeReport:
    """Grade forecasts of models (`NAME` or `NAME/VERSION`) from cutoffs `start` to `end`.

    By default all symbols in the ledger are graded, with stored prices unless the source names
    files. Damaged lines are skipped. Raises DataError if there are no such forecasts.
    """
    damages: list[Damage] = []
    issued = collect(_wanted(source, models, start, end, damages))
    if not issued:
        raise _nothing_issued(source, damages)
    series, notes, failures = _load(source, issued)
    grades = []
    n_models = len(issued)
    while issued:
        own = issued.pop(0)
        versions = list(own.versions)
        several = f"{len(versions)} versions"
        name = (
            f"{own.model}/{versions[0] if len(versions) == 1 else several}"  # unlike any baseline's
        )
        counts = Counts(repeated=own.repeated)
        found = Grade(name, own.versions, own.interval, own.price, own.steps, counts)
        graded = _join(own, name, series[own.interval, own.price], counts)
        del own  # free the memory
        if graded is not None:
            found = _scored(found, graded, n_models)
            notes += _describe_short(graded, found.steps[-1])
        grades.append(found)
    return GradeReport(
        grades=tuple(grades),
        n_symbols=sum(map(len, series.values())),
        damages=tuple(damages),
        notes=tuple(notes),
        failures=tuple(failures),
    )


def _wanted(
    source: Source,
    models: Sequence[str],
    start: date | None,
    end: date | None,
    damages: list[Damage],
) -> Iterator[Entry]:
    """Yield the requested entries; append damaged lines to `damages`."""
    symbols, names = {symbol.upper() for symbol in source.symbols}, set(models)
    first, last = str(start or "0001-01-01"), str(end or "9999-12-31")
    for found in read_ledger(source.data_dir):
        if isinstance(found, Damage):
            damages.append(found)
        elif (
            (not symbols or found.symbol.upper() in symbols)
            and (not names or not names.isdisjoint((found.model, found.reference)))
            and first <= found.cutoff <= last
        ):
            yield found


def _nothing_issued(source: Source, damages: Sequence[Damage]) -> DataError:
    entries = (each for each in read_ledger(source.data_dir) if isinstance(each, Entry))
    known = sorted({each.reference for each in entries})
    if known:
        return DataError(
            "no such forecast was issued",
            where=source.data_dir / "ledger",
            why=f"it holds forecasts by {first_few(known, 5)}",
            next_step="Ask for other models, symbols or cutoffs.",
        )
    return DataError(
        "no forecast was issued",
        where=source.data_dir / "ledger",
        why=f"found only {len(damages)} damaged lines" if damages else "it is empty",
        next_step="Record some: lstmcli predict --record.",
    )


def _load(
    source: Source, issued: Sequence[Issued]
) -> tuple[dict[tuple[str, str], dict[str, Series]], list[str], list[Failure]]:
    """Read the prices of every symbol once per interval and price column.

    Returns, by interval and column, the series of each symbol in capitals; notes; and failures.
    Raises AllFailedError if no series can be read.
    """
    series: dict[tuple[str, str], dict[str, Series]] = {}
    notes: list[str] = []
    failures: list[Failure] = []
    days: dict[bytes, Days] = {}  # shared between series, since most have the same dates
    for interval, price in dict.fromkeys((each.interval, each.price) for each in issued):
        alike = [each for each in issued if (each.interval, each.price) == (interval, price)]
        names = {symbol.upper(): symbol for each in alike for symbol in each.symbols}
        symbols, unknown = _askable(source, list(names.values()))
        choice: PriceChoice = "close" if price == "Close" else "adj_close"
        data = Data(interval=interval, price=choice)
        asked = replace(source, symbols=tuple(symbols), around=date.max)
        failures += unknown
        own = series[interval, price] = {}
        for each in stream_prices(asked, data, interval) if symbols else ():
            if isinstance(each, Failure):
                failures.append(each)
                continue
            made = make_series(each, features=("close",), price=choice)
            dates = days.setdefault(made.dates.tobytes(), made.dates)
            own[each.symbol.upper()] = replace(made, dates=dates)
            notes += each.named_notes()
    raise_if_all_failed(sum(map(len, series.values())), failures)
    return series, notes, failures


def _askable(source: Source, symbols: Sequence[str]) -> tuple[list[str], list[Failure]]:
    """Return the symbols that prices may exist for; names of files are not in the store."""
    if source.csv:
        return list(symbols), []
    found, failures = [], []
    for symbol in symbols:
        try:
            found.append(check_symbol(symbol))
        except UsageError as error:
            failures.append(Failure.of(symbol, error))
    return found, failures


class _Graded(NamedTuple):
    """Gradable forecasts, and the rows of each symbol to fit baselines on."""

    backtest: Backtest
    series: Sequence[Series]
    fit_rows: Mapping[str, range]


def _join(issued: Issued, name: str, known: Mapping[str, Series], counts: Counts) -> _Graded | None:
    """Look up the outcome of every forecast; None if nothing can be graded yet.

    known : the series of each symbol in capitals.
    """
    # Allocate whole arrays at once: parts of many symbols would need memory twice.
    count, horizon, stop = len(issued.rows), len(issued.steps), 0
    places, sigma, actual = np.empty(count, np.int32), np.empty(count), np.empty((count, horizon))
    pairs: list[tuple[Series, Rows]] = []
    for symbol, own in issued.symbols.items():
        if symbol.upper() not in known:
            counts.leave_out("no prices of the symbol", own.stop - own.start)
            continue
        series = replace(known[symbol.upper()], symbol=symbol)
        part = _look_up(issued, series, np.arange(own.start, own.stop, dtype=np.int32), counts)
        if part is not None:
            at = slice(stop, stop := stop + len(part[0]))
            places[at], sigma[at], actual[at] = part[0], *part[2:]
            pairs.append((series, part[1]))
    if not pairs:
        return None
    all_series, rows = zip(*pairs, strict=True)
    places, lengths = places[:stop], list(map(len, rows))
    # Baselines use rows up to each symbol's first cutoff.
    fit_rows = {each.symbol: range(int(own[0]) + 1) for each, own in pairs}
    steps, levels = issued.steps, issued.levels
    fitted = [Fitted(models={}, trend={}, rows=fit_rows)]
    rivals = forecasters.baseline_forecasters(
        all_series,
        drawn_to_ready_made(fitted, all_series, steps[-1], issued.interval),
        horizon=steps[-1],
        levels=levels,
        interval=issued.interval,
        steps=steps,
    )
    seen = [each.until(own) for each, own in pairs]
    one, kind = np.broadcast_to(1.0, len(places)), issued.rows[places]
    fan = ScaledFan(one, kind, np.ones(len(steps)), issued.moves)
    median: Any = fan.level(levels.index(0.5) if levels else 0)
    own_forecast = Forecast(median, fan if levels else None, levels, steps=steps)
    backtest = Backtest(
        symbol=np.repeat([each.symbol for each in all_series], lengths),
        cutoff=issued.cutoff[places].astype("datetime64[D]"),
        last_close=np.concatenate([each.last_close[own] for each, own in pairs]),
        sigma=sigma[:stop],
        dates=issued.dates[places].astype("datetime64[D]"),
        actual=actual[:stop],
        forecasts=MadeForecasts(
            (name, *rivals),
            lambda each: own_forecast if each == name else rivals[each](seen, rows),
        ),
        calendar=np.repeat(np.array(calendars_of(all_series), dtype=np.int16), lengths),
    )
    return _Graded(backtest, all_series, fit_rows)


def _look_up(
    issued: Issued, series: Series, places: NDArray[np.int32], counts: Counts
) -> tuple[NDArray[np.int32], Rows, Floats, Floats] | None:
    """Find the moves of one symbol's forecasts, and count the forecasts in each state.

    places : indices in `issued`. Returns those of the n graded forecasts, their rows, sigmas and
    moves (n, H).
    """
    days, log_prices = day_numbers(series.dates), series.log_prices
    rows = np.searchsorted(days, issued.cutoff[places])
    has_bar = days[np.minimum(rows, len(days) - 1)] == issued.cutoff[places]
    has_past = rows >= np.maximum(issued.context_length[places] - 1, EWMA_START)
    counts.leave_out("no bar at the cutoff", _count(~has_bar))
    counts.leave_out("too few bars up to the cutoff", _count(has_bar & ~has_past))
    places, rows = places[has_bar & has_past], rows[has_bar & has_past]
    wanted = issued.dates[places]  # (n, H)
    ends = np.minimum(np.searchsorted(days, wanted), len(days) - 1)
    happened, to_come = days[ends] == wanted, wanted > days[-1]
    known, waits = happened.any(axis=1), to_come.any(axis=1)
    counts.leave_out("no bar at any of its sessions", _count(~known & ~waits))
    counts.pending += _count(~known & waits)
    if to_come.any():
        first = str(np.datetime64(int(wanted[to_come].min()), "D"))
        counts.next_session = min(first, counts.next_session or first)
    if not known.any():
        return None
    try:
        forecasters.check_moves(series, int(rows[known][0]) + 1, issued.steps[-1])
    except DataError as error:
        counts.leave_out(error.what, _count(known))
        return None
    counts.missing_sessions += _count(~happened[known] & ~to_come[known])
    counts.whole += _count(known & ~waits)
    counts.partly += _count(known & waits)
    actual = np.where(happened, log_prices[ends] - log_prices[rows][:, None], np.nan)[known]
    places, rows = places[known], rows[known]
    sigma = context_sigma(series, rows, issued.context_length[places])
    return places, rows, sigma, actual


def _count(chosen: Mask) -> int:
    return int(np.count_nonzero(chosen))


def _describe_short(graded: _Graded, horizon: int) -> list[str]:
    """Return a note if past moves cannot be compared, since symbols have too few rows."""
    fewest = fewest_climatology_rows(horizon)
    short = [symbol for symbol, rows in graded.fit_rows.items() if len(rows) < fewest]
    why = f"no comparison with past moves, which need {fewest} bars up to the first cutoff"
    return [f"{why}: {first_few(short, 5)} have fewer"] if short else []


def _scored(found: Grade, graded: _Graded, n_models: int) -> Grade:
    """Return a grade completed with its backtest, scores, verdicts and summaries."""
    # The ledger does not say what the models were trained on.
    fitted = [Fitted(models={}, trend={}, rows=graded.fit_rows)]
    name = found.model
    known = yardsticks(graded.backtest, name, graded.series, fitted, Evaluate().flat_band)
    parts = list(_parts(graded.backtest))
    scores = [score(part, name, known, n_judged=len(parts) * n_models) for part in parts]
    return replace(
        found,
        backtest=graded.backtest,
        scores=tuple(scores),
        verdicts=tuple(map(verdict, scores)),
        summaries=tuple(summary(*each, name) for each in zip(parts, scores, strict=True)),
        known=known,
    )


def _parts(result: Backtest) -> Iterator[Backtest]:
    """Yield all steps with any outcome; then those that leave enough windows for a test."""
    happened = np.flatnonzero(np.any(~np.isnan(result.actual), axis=0))
    whole = result.at(result.steps[: happened[-1] + 1])
    yield whole
    for count in range(len(whole.steps), 0, -1):
        part = whole.at(whole.steps[:count])
        if part.pool().keep(part.whole).n_independent >= MIN_WINDOWS:
            if part.steps != whole.steps:
                yield part
            return
