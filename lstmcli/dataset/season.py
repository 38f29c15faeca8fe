"""The month of the year as an input: known ahead, so that a forecast may read that of every step.

Months are counted from 0 for January. The year is a circle, and sine and cosine say where on it a
row lies: December is as near to January as June to July.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmcli.errors import DataError

MONTHS = 12


def months_of(dates: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Return the month of the year of each date, (T,) -> (T,)."""
    return _months(dates) % MONTHS


def next_month(months: Tensor) -> Tensor:
    """Return the month after each."""
    return (months + 1) % MONTHS


def with_season(x: Tensor, months: Tensor | None) -> Tensor:
    """Lay sine and cosine of the season beside scaled rows: (N, L, F) -> (N, L, F + 2) float32.

    months : (N, L) of these rows, or longer where rows before them went into the scaling; None
        leaves the season out.
    """
    if months is None:
        return x.float()
    angle = months[:, -x.shape[1] :, None].to(x.dtype) * (2 * math.pi / MONTHS)
    return torch.cat([x, angle.sin(), angle.cos()], dim=-1).float()


def count_with_season(features: Sequence[str]) -> int:
    """Return F, how many inputs the features make where every column is one."""
    return len(features) + ("month" in features)


def check_months(dates: NDArray[np.datetime64], symbol: str) -> None:
    """Raise DataError unless there is one bar for every month."""
    apart = np.diff(_months(dates))
    if not (apart == 1).all():
        at = int(np.argmax(apart != 1))
        raise DataError(
            "not one bar for every month",
            where=symbol,
            why=f"{dates[at + 1]} follows {dates[at]}, and the recipe compares months of the year",
            next_step="Leave month out of window.features and pass another window.scaling than "
            "seasonal.",
        )


def _months(dates: NDArray[np.datetime64]) -> NDArray[np.int64]:
    return dates.astype("datetime64[M]").astype(np.int64)
