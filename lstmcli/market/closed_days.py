"""Rows of a shared table that are none of a series: those of days on which its exchange is closed.

Next to a currency or another exchange, a share's column is empty on weekends and holidays. Such a
row is no missing price. An empty field of a session is one, and stays to be counted.
"""

import numpy as np
from numpy.typing import NDArray

from lstmcli.market.intervals import Days, infer_interval, weekday_of
from lstmcli.market.schedule import LONGEST_CLOSURE
from lstmcli.market.sessions import missing_sessions

Mask = NDArray[np.bool_]

_STRAY = 0.02


def closed_rows(days: Days, filled: Mask, symbol: str) -> Mask:
    """The rows (N,) without values on days when the exchange of `symbol` is closed.

    days : (N,) in any order. filled : (N,) rows with values. Weekly bars leave out the weekdays
    that they are never dated by; monthly bars leave out none.
    """
    empty = ~filled
    if not empty.any() or not filled.any():
        return np.zeros(days.size, dtype=bool)
    dates = np.unique(days[filled])
    interval = infer_interval(dates)
    if interval == "1d":
        # A holiday before the first value or after the last is no session; a run of weekdays is.
        outside = ((days < dates[0]) | (days > dates[-1])) & np.is_busday(days)
        closed = empty & ~np.isin(days, missing_sessions(dates, symbol))
        return closed & ~outside if outside.sum() > LONGEST_CLOSURE else closed
    if interval != "1wk":
        return np.zeros(days.size, dtype=bool)
    unused = np.bincount(weekday_of(dates), minlength=7) <= _STRAY * dates.size
    return empty & unused[weekday_of(days)]
