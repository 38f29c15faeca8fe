"""What became of issued forecasts: today's prices at the sessions that they meant.

Moves are taken between two bars of the same column as it stands now, so that a split or a dividend
since the forecast does no harm.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.dataset.volatility import EWMA_START
from lstmcli.errors import DataError
from lstmcli.evaluation.backtest import Backtest, MadeForecasts, Rows, context_sigma
from lstmcli.evaluation.cutoffs import calendars_of
from lstmcli.evaluation.forecasters import ALWAYS, baseline_forecasters, check_moves
from lstmcli.forecasting.baselines import fewest_climatology_rows
from lstmcli.workflows.issued import Issued, made


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
class Outcome:
    """The graded forecasts beside the baselines, as a backtest of their steps.

    backtest : None where nothing can be graded yet. series, fit_rows : of the symbols in it, and
    the rows up to each one's first cutoff, which baselines are fitted on.
    """

    counts: Counts
    backtest: Backtest | None
    series: tuple[Series, ...]
    fit_rows: dict[str, range]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Known:
    """The forecasts of one symbol that something can be said of: their places and rows."""

    series: Series
    places: NDArray[np.int64]
    rows: Rows


def find_outcome(issued: Issued, series: Mapping[str, Series], name: str) -> Outcome:
    """Look up what happened after every cutoff, and forecast from it with every baseline.

    series : those that there are, by symbol in capitals. name : of the issued forecasts, among the
    baselines'.
    """
    tally = _Tally()
    actual = np.full(issued.dates.shape, np.nan)
    found = []
    starts = np.flatnonzero(issued.symbol[1:] != issued.symbol[:-1]) + 1
    for places in np.split(np.arange(len(issued.symbol)), starts):
        symbol = str(issued.symbol[places[0]])
        own = series.get(symbol.upper())
        if own is None:
            tally.left_out["no prices of the symbol"] += len(places)
            continue
        known = _look_up(issued, replace(own, symbol=symbol), places, actual, tally)
        if known is not None:
            found.append(known)
    counts = tally.counts(issued.repeated)
    if not found:
        return Outcome(counts, None, (), {}, ())
    fit_rows = {each.series.symbol: range(int(each.rows[0]) + 1) for each in found}
    return Outcome(
        counts,
        _backtest(issued, found, actual, fit_rows, name),
        tuple(each.series for each in found),
        fit_rows,
        _tell_short(fit_rows, issued.steps[-1]),
    )


@dataclass
class _Tally:
    """What became of the forecasts so far."""

    whole: int = 0
    partly: int = 0
    pending: int = 0
    missing: int = 0
    next_session: np.datetime64 | None = None
    left_out: Counter[str] = field(default_factory=Counter)

    def wait_for(self, sessions: NDArray[np.datetime64]) -> None:
        """Keep the first of sessions that are still to come."""
        if sessions.size and (self.next_session is None or sessions.min() < self.next_session):
            self.next_session = sessions.min()

    def counts(self, repeated: int) -> Counts:
        return Counts(
            whole=self.whole,
            partly=self.partly,
            pending=self.pending,
            next_session=None if self.next_session is None else str(self.next_session),
            repeated=repeated,
            left_out={why: count for why, count in self.left_out.items() if count},
            missing_sessions=self.missing,
        )


def _look_up(
    issued: Issued,
    series: Series,
    places: NDArray[np.int64],
    actual: NDArray[np.float64],
    tally: _Tally,
) -> _Known | None:
    """Find the moves of one symbol's forecasts for `actual`, and count what became of them."""
    days, log_prices = series.dates, series.log_prices
    rows = np.searchsorted(days, issued.cutoff[places])
    has_bar = days[np.minimum(rows, len(days) - 1)] == issued.cutoff[places]
    has_past = rows >= np.maximum(issued.context_length[places] - 1, EWMA_START)
    tally.left_out["no bar at the cutoff"] += _count(~has_bar)
    tally.left_out["too few bars up to the cutoff"] += _count(has_bar & ~has_past)
    places, rows = places[has_bar & has_past], rows[has_bar & has_past]
    wanted = issued.dates[places]  # (n, H)
    ends = np.minimum(np.searchsorted(days, wanted), len(days) - 1)
    happened, to_come = days[ends] == wanted, wanted > days[-1]
    actual[places] = np.where(happened, log_prices[ends] - log_prices[rows][:, None], np.nan)
    some, waits = happened.any(axis=1), to_come.any(axis=1)
    tally.left_out["no bar at any of its sessions"] += _count(~some & ~waits)
    tally.pending += _count(~some & waits)
    tally.wait_for(wanted[to_come])
    if not some.any():
        return None
    try:
        check_moves(series, int(rows[some][0]) + 1, issued.steps[-1])
    except DataError as error:
        tally.left_out[error.what] += _count(some)
        return None
    tally.missing += _count(~happened[some] & ~to_come[some])
    tally.whole += _count(some & ~waits)
    tally.partly += _count(some & waits)
    return _Known(series, places[some], rows[some])


def _count(chosen: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(chosen))


def _backtest(
    issued: Issued,
    found: Sequence[_Known],
    actual: NDArray[np.float64],
    fit_rows: Mapping[str, range],
    name: str,
) -> Backtest:
    series, rows = [each.series for each in found], [each.rows for each in found]
    places = np.concatenate([each.places for each in found])
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
    seen = [each.until(at) for each, at in zip(series, rows, strict=True)]
    makers = {rival: partial(forecaster, seen, rows) for rival, forecaster in rivals.items()}
    return Backtest(
        symbol=issued.symbol[places],
        cutoff=issued.cutoff[places],
        last_close=np.concatenate([each.series.last_close[each.rows] for each in found]),
        sigma=np.concatenate([_sigma(each, issued.context_length[each.places]) for each in found]),
        dates=issued.dates[places],
        actual=actual[places],
        forecasts=MadeForecasts(
            {name: partial(made, issued.moves, issued.rows[places], steps, levels), **makers}
        ),
        calendar=np.repeat(calendars_of(series), [len(at) for at in rows]),
    )


def _sigma(known: _Known, context_length: NDArray[np.int64]) -> NDArray[np.float64]:
    """The volatility of each forecast's own context, (n,)."""
    sigma = np.empty(len(known.rows))
    for length in np.unique(context_length):
        those = context_length == length
        sigma[those] = context_sigma(known.series, known.rows[those], int(length))
    return sigma


def _tell_short(fit_rows: Mapping[str, range], horizon: int) -> tuple[str, ...]:
    """Say why there is no climatology, which needs enough rows of every symbol."""
    fewest = fewest_climatology_rows(horizon)
    short = [symbol for symbol, rows in fit_rows.items() if len(rows) < fewest]
    if not short:
        return ()
    more = f" and {len(short) - 5} more" if len(short) > 5 else ""
    return (
        f"no scaled_climatology, which needs {fewest} bars up to the first cutoff: "
        f"{', '.join(short[:5])}{more} have fewer",
    )
