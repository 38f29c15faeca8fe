"""What is said of one model at a single step, which hangs on no other step of the path."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.bands import Band, bands
from lstmcli.evaluation.chances import Chances, chances
from lstmcli.evaluation.direction_scores import DirectionScores, direction_scores
from lstmcli.evaluation.pit import PitHistogram, pit_histogram
from lstmcli.evaluation.tails import Tails
from lstmcli.evaluation.trend import Thresholds


@dataclass(frozen=True)
class AtStep:
    """The direction up to the step; of a fan each band, the PIT and the chances of a rise there."""

    direction: DirectionScores
    bands: tuple[Band, ...]
    pit: PitHistogram | None
    chances: Chances | None


def at_step(
    backtest: Backtest,
    wide: Backtest,
    name: str,
    step: int,
    flat_band: float,
    thresholds: Thresholds | None,
    tails: Tails | None,
    base_rate: float | None,
    proves: NDArray[np.bool_] | None = None,
) -> AtStep:
    """Score model `name` at a step, on what has happened.

    wide : all windows that prove something, for the fan; directions are those of the windows shown,
        of which `proves` are evidence, (N,), all unless given.
    base_rate : share of rises in training rows.
    """
    column = wide.column(step)
    fan = (wide.forecasts[name], step, wide.actual[:, column], wide.pool(column))
    return AtStep(
        direction_scores(
            backtest,
            name,
            step,
            flat_band=flat_band,
            thresholds=thresholds,
            tails=tails,
            proves=proves,
        ),
        bands(*fan),
        pit_histogram(*fan),
        chances(*fan, base_rate),
    )
