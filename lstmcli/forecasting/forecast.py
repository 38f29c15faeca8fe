"""The one shape of every forecast, from a network or a baseline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Forecast:
    """Forecasts from N cutoffs as cumulative log moves away from the last price.

    `median[i, column(h)]` uses rows up to cutoff i and none after; the price forecast for step h is
    `last_close[i] * exp(median[i, column(h)])`.

    median : (N, H).
    quantiles : (N, H, Q), or None for a point forecast.
    levels : the Q probability levels, ascending; empty for a point forecast.
    spread : (N, H) standard deviation of the median over the members of an ensemble, else None.
    steps : (H,) the step of each column: 1..H, but where only some were kept.
    """

    median: NDArray[np.float64]
    quantiles: NDArray[np.float64] | None = None
    levels: tuple[float, ...] = ()
    spread: NDArray[np.float64] | None = None
    steps: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.steps:
            object.__setattr__(self, "steps", tuple(range(1, self.median.shape[1] + 1)))

    def column(self, step: int) -> int:
        """Return which column holds a step."""
        return self.steps.index(step)

    def rows(self, index: slice | NDArray[np.int64]) -> "Forecast":
        """Return some of the N forecasts."""
        return Forecast(
            self.median[index],
            None if self.quantiles is None else self.quantiles[index],
            self.levels,
            None if self.spread is None else self.spread[index],
            self.steps,
        )

    def at(self, steps: Sequence[int]) -> "Forecast":
        """Return some of its steps."""
        first, *others = (self.column(step) for step in steps)
        adjoin = others == list(range(first + 1, first + 1 + len(others)))
        columns = slice(first, first + len(steps)) if adjoin else [first, *others]
        return Forecast(
            self.median[:, columns],
            None if self.quantiles is None else self.quantiles[:, columns],
            self.levels,
            None if self.spread is None else self.spread[:, columns],
            tuple(steps),
        )


def join_forecasts(parts: Iterable[Forecast], count: int) -> Forecast:
    """Put forecasts of the same kind behind one another, `count` in all.

    Each part is copied as it comes, so that no more than one is held beside the whole.
    """
    whole, done = None, 0
    for part in parts:
        if whole is None:
            whole = Forecast(
                np.empty((count, *part.median.shape[1:])),
                None if part.quantiles is None else np.empty((count, *part.quantiles.shape[1:])),
                part.levels,
                None if part.spread is None else np.empty((count, *part.spread.shape[1:])),
                part.steps,
            )
        rows = slice(done, done + len(part.median))
        for into, given in (
            (whole.median, part.median),
            (whole.quantiles, part.quantiles),
            (whole.spread, part.spread),
        ):
            if into is not None and given is not None:
                into[rows] = given
        done = rows.stop
    if whole is None or done != count:
        raise ValueError(f"{done} of {count} forecasts")
    return whole
