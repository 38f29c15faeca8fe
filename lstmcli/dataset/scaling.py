"""Scale price windows to numbers near one, and scale the network's output back.

A frame holds the scaled window together with the map that scaled it, to convert the network's
output back to prices. Every map is fitted on the window's own rows (`relative`, `zscore`) or on
training rows (the others), never on rows after the cutoff.

    relative     p / p_0 - 1, with p_0 the first price of the window (as in the lab)
    zscore       (p - mean) / standard deviation of the window
    batch        relative, then standardised by the mean and deviation of the training batch; a
                 forecast uses those of all training windows, so it does not depend on the other
                 windows of its batch
    log_return   log(p_t / p_(t-1)), standardised on training rows; one row shorter
    seasonal     log(p_t / p_(t-12)) of monthly bars, standardised on training rows; twelve rows
                 shorter
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lstmcli.arrays import Days, Ints
from lstmcli.errors import DataError

MONTHS = 12


def months_of(dates: Days) -> Ints:
    """Return the month of the year of each date, (T,) -> (T,)."""
    return _months(dates) % MONTHS


def next_month(months: Tensor) -> Tensor:
    """Return the next month of each month."""
    return (months + 1) % MONTHS


def with_season(x: Tensor, months: Tensor | None) -> Tensor:
    """Append sine and cosine of the month to scaled rows: (N, L, F) -> (N, L, F + 2) float32.

    months : (N, L) of these rows, or longer if the scaling used up earlier rows; None appends
        nothing.
    """
    if months is None:
        return x.float()
    angle = months[:, -x.shape[1] :, None].to(x.dtype) * (2 * math.pi / MONTHS)
    return torch.cat([x, angle.sin(), angle.cos()], dim=-1).float()


def check_months(dates: Days, symbol: str) -> None:
    """Raise DataError unless there is exactly one bar per month."""
    apart = np.diff(_months(dates))
    if not (apart == 1).all():
        at = int(np.argmax(apart != 1))
        raise DataError(
            "not one bar for every month",
            where=symbol,
            why=f"{dates[at + 1]} follows {dates[at]}, and the recipe compares months of the year",
            next_step="Remove month from window.features and use a window.scaling other than "
            "seasonal.",
        )


def _months(dates: Days) -> Ints:
    return dates.astype("datetime64[M]").astype(np.int64)


FITTED_SCALINGS = ("log_return", "seasonal", "batch")
"""Scalings fitted on training rows; the others scale each window by itself."""

LAGS = {"log_return": 1, "seasonal": MONTHS}
"""Rows between the two values of a log return; the window becomes this much shorter."""


@dataclass(frozen=True)
class Scale:
    """`loc` and `scale`, (C,) float64 each, fitted on training rows."""

    loc: Tensor
    scale: Tensor

    def to(self, device: torch.device) -> "Scale":
        """Return the scale on `device`."""
        return Scale(self.loc.to(device), self.scale.to(device))


@dataclass(frozen=True)
class Frame:
    """N scaled windows, and the map back to prices.

    x : (N, L, C) float64, missing values 0 (the neutral value).
    base, loc, scale : (N, C); a value v of the next row is scaled to `(v / base - 1 - loc) / scale`
        or, if `log` is set, to `(log(v / base) - loc) / scale`.
    """

    x: Tensor
    base: Tensor
    loc: Tensor
    scale: Tensor
    log: bool = False

    def apply(self, values: Tensor) -> Tensor:
        """Scale values of the frame's columns, (N, C) or (N, L, C)."""
        base, loc, scale = (
            (part if values.dim() == 2 else part[:, None])
            for part in (self.base, self.loc, self.scale)
        )
        moved = (values / base).log() if self.log else values / base - 1
        return (moved - loc) / scale

    def invert(self, scaled: Tensor) -> Tensor:
        """Convert scaled next values (N, C) back to prices and volumes."""
        moved = scaled * self.scale + self.loc
        return self.base * moved.exp() if self.log else self.base * (1 + moved)


def make_frame(contexts: Tensor, scaling: str, fitted: Scale | None = None) -> Frame:
    """Scale contexts (N, L, C) for the network.

    `log_return`, `seasonal` and, outside training, `batch` need `fitted`; without it `batch` uses
    the mean and deviation of these windows.
    """
    if scaling in LAGS:
        return _log_return_frame(contexts, fitted, LAGS[scaling])
    first = first_known(contexts)
    ones, zeros = torch.ones_like(first), torch.zeros_like(first)
    if scaling == "relative":
        frame = Frame(contexts, first, zeros, ones)
    elif scaling == "zscore":
        own = _scale_of(contexts / first[:, None] - 1, rows=1)
        frame = Frame(contexts, first, own.loc, own.scale)
    else:
        batch = fitted or fit_batch_scale(contexts)
        frame = Frame(contexts, first, batch.loc.expand_as(first), batch.scale.expand_as(first))
    return replace(frame, x=_neutral(frame.apply(contexts)))


def fit_return_scale(values: Tensor, parts: list[range], lag: int = 1) -> Scale:
    """Fit the log returns over `lag` rows on the training parts of flat values (R, C)."""
    returns = torch.cat([_log_returns(values[part.start : part.stop], lag) for part in parts])
    return _scale_of(returns.masked_fill(~returns.isfinite(), torch.nan))


def fit_batch_scale(contexts: Tensor) -> Scale:
    """Fit `batch` on window-relative values of contexts (N, L, C)."""
    return _scale_of((contexts / first_known(contexts)[:, None] - 1).flatten(0, 1))


def first_known(contexts: Tensor) -> Tensor:
    """Return the first positive value of each column, or 1 if there is none: (N, L, C) -> (N, C).

    A zero volume is skipped like a missing value, because values are divided by the result.
    """
    known = contexts > 0
    index = known.to(torch.uint8).argmax(1, keepdim=True)
    values = contexts.gather(1, index).squeeze(1)
    return torch.where(known.any(1), values, torch.ones_like(values))


def last_known(contexts: Tensor) -> Tensor:
    """Return the last positive value of each column, or 1 if there is none: (N, C)."""
    return first_known(contexts.flip(1))


def _log_returns(values: Tensor, lag: int) -> Tensor:
    """Return log returns over `lag` rows, (..., T, C) -> (..., T - lag, C)."""
    logs = values.log()
    return logs[..., lag:, :] - logs[..., :-lag, :]


def _log_return_frame(contexts: Tensor, fitted: Scale | None, lag: int) -> Frame:
    assert fitted is not None, "log returns need a scale fitted on training rows"
    base = last_known(contexts[:, : contexts.shape[1] - lag + 1])
    loc, scale = fitted.loc.expand_as(base), fitted.scale.expand_as(base)
    returns = (_log_returns(contexts, lag) - loc[:, None]) / scale[:, None]
    return Frame(_neutral(returns), base, loc, scale, log=True)


def _neutral(x: Tensor) -> Tensor:
    return x.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)


def _scale_of(values: Tensor, rows: int = 0) -> Scale:
    """Fit mean and deviation over axis `rows`; a constant or unknown column has deviation 1."""
    loc = values.nanmean(rows).nan_to_num(0.0)
    deviation = (values - loc.unsqueeze(rows)).square().nanmean(rows).sqrt()
    return Scale(loc, deviation.where(deviation.isfinite() & (deviation > 1e-12), 1.0))
