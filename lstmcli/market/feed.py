"""Bars fresh from the feed that are fit to be stored: finished, checked, in our own columns."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import pandas as pd

from lstmcli.market.intervals import unit_of
from lstmcli.market.prices import COLUMNS
from lstmcli.market.throttle import Gate
from lstmcli.market.unfinished import bars_due, drop_unfinished, zone_of
from lstmcli.market.validate import check_prices
from lstmcli.market.yahoo import Interval, YahooBars, fetch_bars
from lstmcli.market.yahoo_errors import NothingInRange


@dataclass(frozen=True)
class Answer:
    """What the feed has for one symbol.

    frame : all of COLUMNS by session date, oldest first; never empty.
    time_zone, currency : of the exchange, "" where the feed does not say.
    partial : date of a bar that is kept although its session is still open.
    notes : one phrase for everything that was left out, marked missing or looks odd.
    behind : sessions that are over and that the last bar lies before; 0 where no calendar tells.
    """

    frame: pd.DataFrame
    time_zone: str
    currency: str
    partial: str | None
    notes: tuple[str, ...]
    behind: int = 0


def fetch_answer(
    symbol: str,
    *,
    start: date | None,
    end: date | None,
    interval: Interval,
    time_zone: str,
    include_partial: bool,
    now: datetime,
    gate: Gate,
) -> Answer:
    """Ask for the bars from `start` to `end`, both included, as they stand at `now`.

    Raises what `fetch_bars` and `check_prices` raise, and NothingInRange when the only bar there
    is has not been finished.
    """
    bars = fetch_bars(
        symbol, start=start, end=end, interval=interval, time_zone=time_zone, gate=gate
    )
    done = drop_unfinished(
        bars.frame,
        symbol=symbol,
        interval=interval,
        time_zone=bars.time_zone,
        now=now,
        market_time=bars.market_time,
    )
    partial = None if len(done) == len(bars.frame) else str(bars.frame.index[len(done)].date())
    frame = bars.frame if include_partial else done
    if frame.empty:
        raise NothingInRange(
            "no prices from Yahoo",
            where=symbol,
            why=f"its only bar, of {partial}, is not finished",
            next_step="Try again after the close.",
        )
    checked = check_prices(
        frame,
        symbol=symbol,
        source="Yahoo",
        today=now.astimezone(zone_of(bars.time_zone) or UTC).date(),
        interval=interval,
        mend=True,
        from_feed=True,
        unfinished=date.fromisoformat(partial) if include_partial and partial else None,
    )
    notes = [note.rstrip(".") for note in checked.notes]
    last, until = frame.index[-1].date(), _until(now, end)
    zone = bars.time_zone
    behind = bars_due(last, symbol=symbol, interval=interval, time_zone=zone, now=until) or 0
    if behind:
        late = unit_of(interval) + ("s" if behind > 1 else "")
        notes.append(f"stale: the answer ends {last}, {behind} {late} ago")
    return Answer(
        frame=checked.frame.reindex(columns=list(COLUMNS)),
        time_zone=bars.time_zone,
        currency=bars.currency,
        partial=partial if include_partial else None,
        notes=tuple(_left_out(bars, partial, include_partial) + notes),
        behind=behind,
    )


def _until(now: datetime, end: date | None) -> datetime:
    """The moment up to which bars are expected: none after the day of `end`."""
    if end is None:
        return now
    return min(now, datetime.combine(end + timedelta(days=1), time(), UTC))


def _left_out(bars: YahooBars, partial: str | None, kept: bool) -> list[str]:
    notes = []
    if bars.n_dropped:
        rows = "row" if bars.n_dropped == 1 else "rows"
        notes.append(f"{bars.n_dropped} {rows} without a price left out")
    if partial:
        notes.append(f"the unfinished bar of {partial} {'kept' if kept else 'left out'}")
    return notes
