"""Grade: the forecasts of the ledger against what happened since, by the scores of a backtest.

Moves are taken between two bars of the same column as it stands now, so that a split or a dividend
since the forecast does no harm.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstmcli.config import Data, Evaluate
from lstmcli.dataset.series import Series, make_series
from lstmcli.dataset.volatility import EWMA_START
from lstmcli.errors import DataError, Failure, UsageError, raise_if_all_failed
from lstmcli.evaluation.backtest import Backtest, MadeForecasts, Rows, calendars_of, context_sigma
from lstmcli.evaluation.forecasters import (
    ALWAYS,
    Fitted,
    baseline_forecasters,
    check_moves,
    yardsticks,
)
from lstmcli.evaluation.pooling import day_numbers
from lstmcli.evaluation.scores import Scores, score
from lstmcli.evaluation.significance import MIN_WINDOWS
from lstmcli.evaluation.trend import Yardsticks
from lstmcli.evaluation.verdict import verdict
from lstmcli.forecasting.baselines import fewest_climatology_rows
from lstmcli.forecasting.forecast import Forecast, ScaledFan
from lstmcli.market.prices import PriceChoice
from lstmcli.market.symbols import check_symbol
from lstmcli.printable import first_few
from lstmcli.runs.ledger import Damage, Entry, Issued, collect, read_ledger
from lstmcli.workflows.prices import Source, stream_prices


@dataclass(frozen=True)
class Counts:
    """What became of the forecasts that were issued.

    whole : graded, with no session to come; partly : graded, with some to come; pending : all to
    come. next_session : the first that is to come. repeated : issued again for the same cutoff, and
    not graded. left_out : the others, by why. missing_sessions : steps of graded ones that passed
    without a bar.
    """

    whole: int
    partly: int
    pending: int
    next_session: str | None
    repeated: int
    left_out: dict[str, int]
    missing_sessions: int


@dataclass(frozen=True)
class Grade:
    """What the forecasts of one model name are worth.

    model : its name with the version, or with how many there are. versions : forecasts of each.
    backtest : of the graded forecasts, and of the baselines on the same steps; None where nothing
        can be graded yet. scores : over all steps of which any has happened; and, where too few
        such windows do not overlap for a test, over the most steps of which enough do. verdicts :
        of those, in that order. known : what the backtest is scored by.
    """

    model: str
    versions: dict[str, int]
    interval: str
    price: str
    steps: tuple[int, ...]
    counts: Counts
    backtest: Backtest | None
    scores: tuple[Scores, ...]
    verdicts: tuple[str, ...]
    known: Yardsticks | None


@dataclass(frozen=True)
class GradeReport:
    """All that the ledger says, model by model, and the lines of it that are damaged."""

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
    """Grade what was issued by the models (`NAME` or `NAME/VERSION`) from `start` to `end`.

    Without symbols in the source all of the ledger are graded, with the prices of the store unless
    the source names files. Damaged lines are left out. Raises DataError where nothing was issued.
    """
    damages: list[Damage] = []
    issued = collect(_wanted(source, models, start, end, damages))
    if not issued:
        raise _nothing_issued(source, damages)
    series, notes, failures = _load(source, issued)
    grades = []
    n_models = len(issued)
    while issued:
        own, found, rows = _join(issued.pop(0), series)  # which is let go of before it is scored
        grades.append(_scored(own, found, rows, n_models))
        notes += _tell_short(rows, own.steps[-1])
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
    """Yield the entries asked for; put aside what is damaged."""
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
        why=f"found {len(damages)} damaged lines and no other" if damages else "it is empty",
        next_step="Record some: lstmcli predict --record.",
    )


_Loaded = Mapping[tuple[str, str], Mapping[str, Series]]
"""By interval and price column, the series of each symbol in capitals."""


def _load(source: Source, issued: Sequence[Issued]) -> tuple[_Loaded, list[str], list[Failure]]:
    """Read the prices of every symbol once for each interval and price column.

    Raises AllFailedError where there are none at all.
    """
    series: dict[tuple[str, str], dict[str, Series]] = {}
    notes: list[str] = []
    failures: list[Failure] = []
    days: dict[bytes, NDArray[np.datetime64]] = {}  # those of most series are the same
    for interval, price in dict.fromkeys((each.interval, each.price) for each in issued):
        alike = [each for each in issued if (each.interval, each.price) == (interval, price)]
        names = {symbol.upper(): symbol for each in alike for symbol, _ in each.by_symbol()}
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
    """Return the symbols that there may be prices of; the store holds no file's own names."""
    if source.csv:
        return list(symbols), []
    found, failures = [], []
    for symbol in symbols:
        try:
            found.append(check_symbol(symbol))
        except UsageError as error:
            failures.append(Failure.of(symbol, error))
    return found, failures


@dataclass
class _Tally:
    """What became of the forecasts so far; next_day : of the first session to come."""

    whole: int = 0
    partly: int = 0
    pending: int = 0
    missing: int = 0
    next_day: int | None = None
    left_out: Counter[str] = field(default_factory=Counter)

    def counts(self, repeated: int) -> Counts:
        return Counts(
            whole=self.whole,
            partly=self.partly,
            pending=self.pending,
            next_session=None if self.next_day is None else str(np.datetime64(self.next_day, "D")),
            repeated=repeated,
            left_out={why: count for why, count in self.left_out.items() if count},
            missing_sessions=self.missing,
        )


def _join(issued: Issued, loaded: _Loaded) -> tuple[Grade, Sequence[Series], Mapping[str, range]]:
    """Look up what happened after every cutoff; the scores are still to come.

    Returns the series graded too, and the rows up to each one's first cutoff, which baselines are
    fitted on.
    """
    versions, tally = list(issued.versions), _Tally()
    several = f"{len(versions)} versions"
    name = f"{issued.model}/{versions[0] if len(versions) == 1 else several}"  # as no baseline's
    known = loaded[issued.interval, issued.price]
    graded: list[tuple[Series, Rows]] = []
    count, places = len(issued.rows), np.empty_like(issued.rows)
    sigma, actual, stop = np.empty(count), np.empty((count, len(issued.steps))), 0
    for symbol, own in issued.by_symbol():
        found = known.get(symbol.upper())
        if found is None:
            tally.left_out["no prices of the symbol"] += len(own)
            continue
        series = replace(found, symbol=symbol)
        if part := _look_up(issued, series, own, tally):
            at = slice(stop, stop := stop + len(part[0]))
            places[at], sigma[at], actual[at] = part[0], *part[2:]
            graded.append((series, part[1]))
    fit_rows = {each.symbol: range(int(rows[0]) + 1) for each, rows in graded}
    about = name, issued.versions, issued.interval, issued.price, issued.steps
    grade = Grade(*about, tally.counts(issued.repeated), None, (), (), None)
    if not graded:
        return grade, (), {}
    places, all_series = places[:stop], [each for each, _ in graded]
    lengths, calendars = [len(rows) for _, rows in graded], calendars_of(all_series)
    backtest = Backtest(
        symbol=np.repeat([each.symbol for each in all_series], lengths),
        cutoff=issued.cutoff[places].astype("datetime64[D]"),
        last_close=np.concatenate([each.last_close[rows] for each, rows in graded]),
        sigma=sigma[:stop],
        dates=issued.dates[places].astype("datetime64[D]"),
        actual=actual[:stop],
        forecasts=_forecasts(issued, places, graded, fit_rows, name),
        calendar=np.repeat(np.array(calendars, dtype=np.int32), lengths),
    )
    return replace(grade, backtest=backtest), all_series, fit_rows


_Graded = tuple[NDArray[np.int32], Rows, NDArray[np.float64], NDArray[np.float64]]
"""The n graded forecasts of one symbol: places in `Issued`, rows, sigmas, and moves (n, H)."""


def _look_up(
    issued: Issued, series: Series, places: NDArray[np.int32], tally: _Tally
) -> _Graded | None:
    """Find the moves of one symbol's forecasts, and count what became of them."""
    days, log_prices, left_out = day_numbers(series.dates), series.log_prices, tally.left_out
    rows = np.searchsorted(days, issued.cutoff[places])
    has_bar = days[np.minimum(rows, len(days) - 1)] == issued.cutoff[places]
    has_past = rows >= np.maximum(issued.context_length[places] - 1, EWMA_START)
    left_out["no bar at the cutoff"] += _count(~has_bar)
    left_out["too few bars up to the cutoff"] += _count(has_bar & ~has_past)
    places, rows = places[has_bar & has_past], rows[has_bar & has_past]
    wanted = issued.dates[places]  # (n, H)
    ends = np.minimum(np.searchsorted(days, wanted), len(days) - 1)
    happened, to_come = days[ends] == wanted, wanted > days[-1]
    known, waits = happened.any(axis=1), to_come.any(axis=1)
    left_out["no bar at any of its sessions"] += _count(~known & ~waits)
    tally.pending += _count(~known & waits)
    if to_come.any():
        first = int(wanted[to_come].min())
        tally.next_day = first if tally.next_day is None else min(first, tally.next_day)
    if not known.any():
        return None
    try:
        check_moves(series, int(rows[known][0]) + 1, issued.steps[-1])
    except DataError as error:
        left_out[error.what] += _count(known)
        return None
    tally.missing += _count(~happened[known] & ~to_come[known])
    tally.whole += _count(known & ~waits)
    tally.partly += _count(known & waits)
    actual = np.where(happened, log_prices[ends] - log_prices[rows][:, None], np.nan)[known]
    places, rows = places[known], rows[known]
    sigma, lengths = np.empty(len(rows)), issued.context_length[places]
    for length in np.unique(lengths).tolist():  # each forecast's own context
        sigma[lengths == length] = context_sigma(series, rows[lengths == length], length)
    return places, rows, sigma, actual


def _count(chosen: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(chosen))


def _forecasts(
    issued: Issued,
    places: NDArray[np.int32],
    graded: Sequence[tuple[Series, Rows]],
    fit_rows: Mapping[str, range],
    name: str,
) -> MadeForecasts:
    """Return the forecasts issued and those of the baselines, made as they are asked for."""
    series, rows = zip(*graded, strict=True)
    steps, levels = issued.steps, issued.levels
    rivals = baseline_forecasters(
        series,
        [fit_rows],
        [ALWAYS],
        horizon=steps[-1],
        levels=levels,
        interval=issued.interval,
        steps=steps,
    )
    seen = [each.until(own) for each, own in graded]
    one = np.broadcast_to(1.0, len(places))
    fan = ScaledFan(one, issued.rows[places], np.ones(len(steps)), issued.moves)
    median: Any = fan.level(levels.index(0.5) if levels else 0)
    own = Forecast(median, fan if levels else None, levels, steps=steps)
    return MadeForecasts(
        (name, *rivals), lambda each: own if each == name else rivals[each](seen, rows)
    )


def _tell_short(fit_rows: Mapping[str, range], horizon: int) -> list[str]:
    """Say why there is no climatology, which needs enough rows of every symbol."""
    fewest = fewest_climatology_rows(horizon)
    short = [symbol for symbol, rows in fit_rows.items() if len(rows) < fewest]
    why = f"no scaled_climatology, which needs {fewest} bars up to the first cutoff"
    return [f"{why}: {first_few(short, 5)} have fewer"] if short else []


def _scored(
    grade: Grade, series: Sequence[Series], fit_rows: Mapping[str, range], n_models: int
) -> Grade:
    """Add the scores and their verdicts; none where nothing can be graded yet."""
    if grade.backtest is None:
        return grade
    # Nothing is known of the models' training.
    fitted = [Fitted(models={}, trend={}, rows=fit_rows)]
    known = yardsticks(grade.backtest, grade.model, series, fitted, Evaluate().flat_band)
    parts = list(_parts(grade.backtest))
    n_judged = len(parts) * n_models
    scores = [score(part, grade.model, known, n_judged=n_judged) for part in parts]
    return replace(
        grade,
        scores=tuple(scores),
        verdicts=tuple(str(verdict(each)) for each in scores),
        known=known,
    )


def _parts(result: Backtest) -> Iterator[Backtest]:
    """Yield all steps of which any has happened; then those that leave windows for a test."""
    happened = np.flatnonzero(np.any(~np.isnan(result.actual), axis=0))
    whole = result.at(result.steps[: happened[-1] + 1])
    yield whole
    for count in range(len(whole.steps), 0, -1):
        part = whole.at(whole.steps[:count])
        if part.pool().keep(part.whole).n_independent >= MIN_WINDOWS:
            if part.steps != whole.steps:
                yield part
            return
