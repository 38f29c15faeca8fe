"""Which past bars a backtest forecasts from: every `step_size`-th date, for all symbols alike."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lstmcli.dataset.series import Series


def choose_cutoffs(
    series: Sequence[Series],
    *,
    first: np.datetime64,
    last: np.datetime64 | None = None,
    step_size: int,
    n_windows: int | None = None,
    context_length: int,
    horizon: int,
) -> list[NDArray[np.int64]]:
    """Return the cutoff rows of each series, ascending, (N_s,) each.

    The dates are counted on the union of all series' dates: forward from `first` (included), or,
    with `n_windows`, backward from the last date that any series can be scored from. A series
    takes part on the dates that it has a bar of, with `context_length` rows up to it and `horizon`
    rows after it.
    """
    usable = [_usable(each, first, last, context_length, horizon) for each in series]
    dates = [each.dates[rows] for each, rows in zip(series, usable, strict=True)]
    union = np.unique(np.concatenate(dates))
    chosen = union[::step_size] if n_windows is None else union[::-step_size][:n_windows]
    return [
        rows[np.isin(days, chosen)].astype(np.int64)
        for rows, days in zip(usable, dates, strict=True)
    ]


def _usable(
    series: Series,
    first: np.datetime64,
    last: np.datetime64 | None,
    context_length: int,
    horizon: int,
) -> NDArray[np.int64]:
    rows = np.arange(context_length - 1, max(context_length - 1, len(series) - horizon))
    dates = series.dates[rows]
    inside = dates >= first
    return rows[inside if last is None else inside & (dates <= last)]
