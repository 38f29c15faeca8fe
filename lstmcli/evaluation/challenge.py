"""Is a challenger better than the champion? One question, asked one-sided, at a level that is said.

A champion stays unless the data speak against it, so that nothing here is symmetric. The losses are
means over the symbols of each cutoff date, as in every test of the design.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.distributions import student_t_two_sided
from lstmcli.evaluation.metrics import pinball, squared_error
from lstmcli.evaluation.pooling import Pool, count_dates
from lstmcli.evaluation.significance import diebold_mariano
from lstmcli.forecasting.forecast import Forecast

Floats = NDArray[np.float64]
Loss = Literal["pinball", "rmse"]

FEWEST_WINDOWS = 8  # independent windows below which nothing is decided


@dataclass(frozen=True)
class Comparison:
    """What both cost on the same windows, and how likely so great an advantage is by luck.

    loss : "pinball", the mean over the `levels` that both fans have, or "rmse" where either has no
    fan; in units of the last price. steps : 1 to this one decide. challenger, champion : the
    losses. symbols, first, last : whose windows, and their first and last cutoff.
    n_windows : of all symbols. n_dates : their cutoff dates. n_independent : as of their `Pool`.
    p : one-sided, small where the challenger is better; None where undefined, then `why` says the
    reason. level : what p must stay below.
    """

    loss: Loss
    levels: int
    steps: int
    challenger: float
    champion: float
    symbols: int
    first: str
    last: str
    n_windows: int
    n_dates: int
    n_independent: int
    p: float | None
    level: float
    why: str | None = None

    @property
    def better(self) -> bool:
        """Whether the challenger is better by more than luck explains."""
        return self.p is not None and self.p < self.level


def shared_levels(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """The levels that both fans have, 0.5 always among them; none where either is no fan."""
    return tuple(level for level in ours if level in set(theirs))


def window_losses(forecast: Forecast, actual: Floats, levels: Sequence[float]) -> Floats:
    """The mean pinball loss of each window over its steps and the levels, (N,).

    Without levels the squared error of the median. actual : (N, H) log moves.
    """
    if not levels:
        return np.asarray(squared_error(forecast.median, actual).mean(axis=1))
    assert forecast.quantiles is not None
    truth, total = np.exp(actual), np.zeros(len(actual))
    for level in levels:  # one at a time, so that memory stays flat
        fan = forecast.quantiles[..., forecast.levels.index(level)]
        total += pinball(truth - np.exp(fan), level).mean(axis=1)
    return total / len(levels)


def compare(
    challenger: Floats,
    champion: Floats,
    pool: Pool,
    *,
    levels: Sequence[float],
    steps: int,
    level: float,
) -> Comparison:
    """Compare the losses of two models on the same N windows, N > 0; (N,) each.

    The variance of a few overlapping windows is known so poorly that Student's t has only half as
    many degrees of freedom as there are independent windows: with one less than all of them a test
    at 1 % fires in up to 2.6 % of structureless comparisons, so in at most 1.5 %
    (tests/campaigns/test_promotion.py).
    """
    ours, theirs = pool.series(challenger), pool.series(champion)
    test = diebold_mariano(ours, theirs, pool.reach, pool.n_independent, FEWEST_WINDOWS)
    p = None
    if test.statistic is not None:
        tail = student_t_two_sided(test.statistic, pool.n_independent // 2) / 2.0
        p = tail if test.statistic < 0.0 else 1.0 - tail
    return Comparison(
        loss="pinball" if levels else "rmse",
        levels=len(levels),
        steps=steps,
        challenger=_reported(ours, levels),
        champion=_reported(theirs, levels),
        symbols=1 if pool.symbol is None else np.unique(pool.symbol).size,
        first=str(pool.cutoff.min().astype("datetime64[D]")),
        last=str(pool.cutoff.max().astype("datetime64[D]")),
        n_windows=pool.size,
        n_dates=count_dates(pool.cutoff),
        n_independent=pool.n_independent,
        p=p,
        level=level,
        why=test.why,
    )


def _reported(losses: Floats, levels: Sequence[float]) -> float:
    mean = float(losses.mean())
    return mean if levels else float(np.sqrt(mean))
