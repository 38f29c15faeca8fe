"""From a raw frame to a valid price table: what is refused, dropped, marked missing or noted."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd

from lstmcli.errors import DataError
from lstmcli.market.bar_checks import (
    drop_empty_columns,
    mark_bad_values,
    mark_odd_values,
    note_equal_closes,
    note_gaps,
    usable_rows,
)
from lstmcli.market.intervals import infer_interval
from lstmcli.market.jumps import note_jumps
from lstmcli.market.periods import latest_date, leave_out_unfinished
from lstmcli.market.prices import (
    COLUMNS,
    Bars,
    PriceChoice,
    Prices,
    bars_from_frame,
    between,
    drop_null_rows,
    order_bars,
    price_column,
    refuse_bad_dates,
)


def check_prices(
    frame: pd.DataFrame,
    *,
    symbol: str,
    source: str,
    price: PriceChoice = "auto",
    strict: bool = False,
    today: date,
    line_of: Callable[[int], int] | None = None,
    interval: str | None = None,
    mend: bool = False,
    from_feed: bool = False,
    unfinished: date | None = None,
) -> Prices:
    """The valid price table in a raw frame, or DataError.

    frame : columns named as in COLUMNS (others are left out), dates parsed, in the index or in a
        column `Date`; a zone-aware date counts by its local day. Not changed.
    price : which column is forecast, as for `price_column`; it and Close must be right in every
        row, while bad values of the others are marked missing.
    strict : missing sessions and long gaps raise instead of being noted.
    today : dates after the day that follows it are refused.
    line_of : the line of the source for a row number of `frame`, for messages.
    interval : taken from the dates when it is not given.
    mend : as for `usable_rows`.
    from_feed : whether Yahoo sent the bars under that symbol.
    unfinished : date of a weekly or monthly bar that is kept although its period is not over.
    """
    bars = bars_from_frame(frame, COLUMNS, symbol, source, line_of)
    if bars.days.size and "Close" not in bars.columns:
        found = ", ".join(map(str, frame.columns)) or "none"
        raise DataError("no Close column", where=bars.where(), why=f"the columns found are {found}")
    return check_bars(
        replace(bars, from_feed=from_feed),
        price=price,
        strict=strict,
        today=today,
        interval=interval,
        mend=mend,
        unfinished=unfinished,
    )


def check_bars(
    bars: Bars,
    *,
    price: PriceChoice = "auto",
    strict: bool = False,
    today: date,
    interval: str | None = None,
    start: date | None = None,
    end: date | None = None,
    around: date | None = None,
    mend: bool = False,
    unfinished: date | None = None,
) -> Prices:
    """The same for bars with a Close.

    start, end : the first and last day that count; nothing is said of rows outside.
    around, mend : as for `usable_rows`.
    """
    if bars.days.size == 0:
        raise DataError("no rows", where=bars.where(), next_step="Give a file with prices in it.")
    latest = latest_date(today, "1d")
    if (bars.days > latest).any():
        dated = np.unique(bars.days[~np.isnat(bars.days)])
        latest = latest_date(today, interval or infer_interval(dated))
    refuse_bad_dates(bars, latest)
    bars, notes = order_bars(bars)
    bars = between(bars, start, end)
    bars, more = drop_empty_columns(bars, ["Close"])
    notes += more
    column = price_column(list(bars.columns), price, where=bars.where())
    targets = list(dict.fromkeys(["Close", column]))
    bars, more = drop_null_rows(bars, targets)
    notes += more
    interval = interval or infer_interval(bars.days)
    bars, more = leave_out_unfinished(bars, interval, today, unfinished)
    notes += more
    if bars.days.size == 0:
        raise DataError("no finished bars", where=bars.where(), why=" ".join(notes).rstrip("."))
    usable = usable_rows(bars, targets, around=around, mend=mend)
    bars, more = mark_bad_values(usable.bars, targets)
    notes += usable.notes + more
    bars, more = mark_odd_values(bars, usable.odd)
    notes += [
        *more,
        *note_jumps(bars, column, interval),
        *note_equal_closes(bars),
        *note_gaps(bars, interval, strict),
    ]
    return Prices(
        bars.symbol,
        _frame(bars),
        interval,
        bars.source,
        tuple(notes),
        usable.cut,
        usable.left_out,
        usable.doubted,
        bars.from_feed,
    )


def _frame(bars: Bars) -> pd.DataFrame:
    index = pd.DatetimeIndex(bars.days.astype("datetime64[ns]"), name="Date")
    kept = {name: bars.columns[name] for name in COLUMNS if name in bars.columns}
    return pd.DataFrame(kept, index=index)
