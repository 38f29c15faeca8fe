"""From a backtest to everything that a report says about it, as plain numbers.

Errors are in units of the last price (0.03323 is 3.323 %), rates are shares of 1, and None stands
where a figure is undefined. `dataclasses.asdict` of a `Scores` is ready for JSON. Means are taken
over symbols at each cutoff date, then over dates; the tests use only cutoffs that do not overlap.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.evaluation import trend
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.bands import Band, bands
from lstmcli.evaluation.direction_scores import DirectionScores, direction_scores
from lstmcli.evaluation.error_scores import (
    PathScores,
    StepScores,
    path_scores,
    step_scores,
    symbol_scores,
)
from lstmcli.evaluation.losses import Losses, losses
from lstmcli.evaluation.movement import Movement, movement
from lstmcli.evaluation.pooling import by_date, count_dates, independent, overlap
from lstmcli.evaluation.significance import SignificanceTest, diebold_mariano
from lstmcli.evaluation.tails import Tails
from lstmcli.evaluation.trend import Thresholds

HEADLINE_STEPS = (1, 5, 20, 50)
AGAINST = ("naive", "drift", "seasonal_naive")


@dataclass(frozen=True)
class ModelScores:
    """All about one model.

    tests : by baseline, Diebold-Mariano on the path's squared error, where no windows overlap.
    crps_tests : the same on the path's CRPS, against every other fan; `crps_tests_all` on all
        cutoffs, their overlap in the variance.
    """

    model: str
    path: PathScores
    steps: StepScores
    symbols: dict[str, PathScores]
    tests: dict[str, SignificanceTest]
    crps_tests: dict[str, SignificanceTest]
    crps_tests_all: dict[str, SignificanceTest]
    bands: tuple[Band, ...]
    direction: tuple[DirectionScores, ...]
    movement: Movement


@dataclass(frozen=True)
class Scores:
    """A scored backtest.

    model : the network that the report is about. against : baselines that skills refer to.
    n_windows : symbols times cutoffs of which anything has happened. n_cutoffs : their dates.
    n_independent : dates whose complete windows do not overlap. `symbols` of each model is empty
    when there is only one symbol.
    """

    model: str
    against: tuple[str, ...]
    horizon: int
    n_symbols: int
    n_windows: int
    n_cutoffs: int
    n_independent: int
    first_cutoff: str | None
    last_cutoff: str | None
    flat_band: float
    models: dict[str, ModelScores]


def score(
    backtest: Backtest,
    *,
    model: str,
    mase_scales: Mapping[str, float | None],
    flat_band: float = trend.FLAT_BAND,
    thresholds: Mapping[str, Thresholds] | None = None,
    tails: Tails | None = None,
    steps: tuple[int, ...] = HEADLINE_STEPS,
    against: tuple[str, ...] = AGAINST,
) -> Scores:
    """Score every forecast of a backtest beside the baselines.

    mase_scales : by symbol, `metrics.mase_scale` of its training prices; without one, no MASE.
    thresholds : by model, from training rows; a point forecast without has no three-way score.
    tails : crash and spike bounds of training rows; without them, no such windows.
    steps : steps to report directions and bands at; the horizon is always the last.
    against : names of baselines; those that the backtest does not hold are left out.
    Raises DataError when there is no `model`, or a forecast is no usable number.
    """
    if model not in backtest.forecasts:
        raise DataError(
            "No forecasts to score",
            where=model,
            why=f"the backtest holds {', '.join(backtest.forecasts) or 'none'}",
        )
    horizon = backtest.actual.shape[1]
    some: NDArray[np.bool_] = np.any(~np.isnan(backtest.actual), axis=1)
    apart = _apart(backtest)
    scale = np.array([mase_scales.get(str(symbol)) or np.nan for symbol in backtest.symbol])
    reduced = {
        name: losses(backtest, name, scale / backtest.last_close) for name in backtest.forecasts
    }
    against = tuple(name for name in against if name in reduced)
    at = (*sorted({step for step in steps if 0 < step < horizon}), horizon)
    directions = {
        name: tuple(
            direction_scores(
                backtest,
                name,
                step,
                flat_band=flat_band,
                thresholds=(thresholds or {}).get(name),
                tails=tails,
            )
            for step in at
        )
        for name in reduced
    }
    dates = backtest.cutoff[some]
    return Scores(
        model=model,
        against=against,
        horizon=horizon,
        n_symbols=int(np.unique(backtest.symbol).size),
        n_windows=int(some.sum()),
        n_cutoffs=count_dates(dates),
        n_independent=count_dates(backtest.cutoff[apart]),
        first_cutoff=str(dates.min()) if dates.size else None,
        last_cutoff=str(dates.max()) if dates.size else None,
        flat_band=flat_band,
        models={
            name: _model(name, backtest, reduced, against, some, apart, directions[name])
            for name in reduced
        },
    )


def _model(
    name: str,
    backtest: Backtest,
    reduced: Mapping[str, Losses],
    against: tuple[str, ...],
    some: NDArray[np.bool_],
    apart: NDArray[np.bool_],
    directions: tuple[DirectionScores, ...],
) -> ModelScores:
    return ModelScores(
        model=name,
        path=path_scores(name, reduced, against, backtest.cutoff, some),
        steps=step_scores(name, reduced, against),
        symbols=symbol_scores(name, reduced, against, backtest.cutoff, backtest.symbol),
        tests=_tests(name, reduced, against, backtest.cutoff, apart),
        crps_tests=_crps_tests(name, reduced, backtest.cutoff, apart, 1),
        crps_tests_all=_crps_tests_all(name, reduced, backtest),
        bands=tuple(band for each in directions for band in _bands(backtest, name, each.step)),
        direction=directions,
        movement=_movement(backtest, name),
    )


def _apart(backtest: Backtest) -> NDArray[np.bool_]:
    """Rows whose windows are complete and do not overlap, (N,)."""
    whole: NDArray[np.bool_] = np.all(~np.isnan(backtest.actual), axis=1)
    apart = np.zeros(whole.shape, dtype=np.bool_)
    apart[whole] = independent(backtest.cutoff[whole], backtest.dates[whole, -1])
    return apart


def _tests(
    name: str,
    reduced: Mapping[str, Losses],
    against: tuple[str, ...],
    cutoff: NDArray[np.datetime64],
    apart: NDArray[np.bool_],
) -> dict[str, SignificanceTest]:
    dates = cutoff[apart]
    ours = by_date(reduced[name].squared[apart], dates)[1]
    return {
        other: diebold_mariano(ours, by_date(reduced[other].squared[apart], dates)[1])
        for other in against
        if other != name
    }


def _crps_tests(
    name: str,
    reduced: Mapping[str, Losses],
    cutoff: NDArray[np.datetime64],
    rows: NDArray[np.bool_],
    h: int,
) -> dict[str, SignificanceTest]:
    """Test the CRPS of a fan against that of every other, `h` counted in cutoffs."""
    mine = reduced[name].crps
    if mine is None:
        return {}
    dates = cutoff[rows]
    ours = by_date(mine[rows], dates)[1]
    return {
        other: diebold_mariano(ours, by_date(theirs.crps[rows], dates)[1], h)
        for other, theirs in reduced.items()
        if other != name and theirs.crps is not None
    }


def _crps_tests_all(
    name: str, reduced: Mapping[str, Losses], backtest: Backtest
) -> dict[str, SignificanceTest]:
    whole = np.asarray(~np.isnan(backtest.actual).any(axis=1))
    reach = overlap(backtest.cutoff[whole], backtest.dates[whole, -1])
    return _crps_tests(name, reduced, backtest.cutoff, whole, reach)


def _bands(backtest: Backtest, name: str, step: int) -> tuple[Band, ...]:
    column = step - 1
    return bands(
        backtest.forecasts[name],
        step,
        backtest.actual[:, column],
        backtest.cutoff,
        backtest.dates[:, column],
    )


def _movement(backtest: Backtest, name: str) -> Movement:
    known = ~np.isnan(backtest.actual[:, -1])
    return movement(
        backtest.forecasts[name].median[known, -1],
        backtest.actual[known, -1],
        backtest.last_close[known],
        backtest.symbol[known],
    )
