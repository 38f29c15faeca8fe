"""From a backtest to everything that a report says about it, as plain numbers.

Errors are in units of the last price (0.03323 is 3.323 %), rates are shares of 1, and None stands
where a figure is undefined. `dataclasses.asdict` of a `Scores` is ready for JSON. Means are taken
over symbols at each cutoff date, then over dates; the tests use only cutoffs that do not overlap.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.evaluation import trend
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.bands import Band, bands
from lstmcli.evaluation.comparisons import (
    Comparable,
    Loss,
    Pair,
    SkillIntervals,
    comparable,
    loss_tests,
    pairwise,
    skill_intervals,
    windows_apart,
)
from lstmcli.evaluation.direction_scores import DirectionScores, direction_scores
from lstmcli.evaluation.error_scores import (
    PathScores,
    StepScores,
    path_scores,
    step_scores,
    symbol_scores,
)
from lstmcli.evaluation.intervals import Interval
from lstmcli.evaluation.levels import LevelScore, level_scores
from lstmcli.evaluation.losses import Losses, losses
from lstmcli.evaluation.movement import Movement, movement
from lstmcli.evaluation.pit import PitHistogram, pit_histogram
from lstmcli.evaluation.pooling import count_dates
from lstmcli.evaluation.significance import SignificanceTest
from lstmcli.evaluation.symbol_tests import SymbolTest, symbol_tests
from lstmcli.evaluation.tails import Tails
from lstmcli.evaluation.trend import Thresholds
from lstmcli.forecasting.forecast import Forecast

HEADLINE_STEPS = (1, 5, 20, 50)
AGAINST = ("naive", "drift", "seasonal_naive", "scaled_climatology")


@dataclass(frozen=True)
class ModelScores:
    """All about one model.

    tests : by baseline, Diebold-Mariano on the path's squared error, where no windows overlap.
    crps_tests : the same on the path's CRPS, against every other fan; `crps_tests_all` on all
        cutoffs, their overlap in the variance.
    skill_intervals, crps_skill_intervals : 95 % block-bootstrap intervals of `path.skill` and
        `path.crps_skill`; empty where no generator was given.
    symbol_tests : symbol by symbol, with Holm's correction.
    levels, bands, pit : of the fan at the headline steps; empty for point forecasts.
    """

    model: str
    path: PathScores
    steps: StepScores
    symbols: dict[str, PathScores]
    tests: dict[str, SignificanceTest]
    crps_tests: dict[str, SignificanceTest]
    crps_tests_all: dict[str, SignificanceTest]
    skill_intervals: dict[str, Interval]
    crps_skill_intervals: dict[str, Interval]
    symbol_tests: dict[str, SymbolTest]
    levels: tuple[LevelScore, ...]
    bands: tuple[Band, ...]
    pit: tuple[PitHistogram, ...]
    direction: tuple[DirectionScores, ...]
    movement: Movement


@dataclass(frozen=True)
class Scores:
    """A scored backtest.

    model : the network that the report is about. against : baselines that skills refer to.
    n_windows : symbols times cutoffs of which anything has happened. n_cutoffs : their dates.
    n_independent : dates whose complete windows do not overlap. `symbols` of each model is empty
    when there is only one symbol. pairwise : each network beside every other model.
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
    pairwise: tuple[Pair, ...]


def score(
    backtest: Backtest,
    *,
    model: str,
    mase_scales: Mapping[str, float | None],
    networks: Sequence[str] = (),
    flat_band: float = trend.FLAT_BAND,
    thresholds: Mapping[str, Thresholds] | None = None,
    tails: Tails | None = None,
    steps: tuple[int, ...] = HEADLINE_STEPS,
    against: tuple[str, ...] = AGAINST,
    generator: np.random.Generator | None = None,
) -> Scores:
    """Score every forecast of a backtest beside the baselines.

    mase_scales : by symbol, `metrics.mase_scale` of its training prices; without one, no MASE.
    networks : those compared with every other model pair by pair; `model` alone unless given.
    thresholds : by model, from training rows; a point forecast without has no three-way score.
    tails : crash and spike bounds of training rows; without them, no such windows.
    steps : steps to report directions and bands at; the horizon is always the last.
    against : names of baselines; those that the backtest does not hold are left out.
    generator : draws the blocks of the skills' intervals; without one there are none.
    Raises DataError when there is no `model`, or a forecast is no usable number.
    """
    if model not in backtest.forecasts:
        raise DataError(
            "No forecasts to score",
            where=model,
            why=f"the backtest holds {', '.join(backtest.forecasts) or 'none'}",
        )
    *before, horizon = backtest.steps
    at = (*(step for step in before if step in steps), horizon)
    scale = np.array([mase_scales.get(str(symbol)) or np.nan for symbol in backtest.symbol])
    reduced = {
        name: losses(backtest, name, scale / backtest.last_close) for name in backtest.forecasts
    }
    against = tuple(name for name in against if name in reduced)
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
    dated = comparable(backtest, reduced)
    intervals = {} if generator is None else skill_intervals(dated.some, generator)
    models = _models(backtest, reduced, dated, against, directions, intervals)
    some: NDArray[np.bool_] = np.any(~np.isnan(backtest.actual), axis=1)
    dates = backtest.cutoff[some]
    return Scores(
        model=model,
        against=against,
        horizon=horizon,
        n_symbols=int(np.unique(backtest.symbol).size),
        n_windows=int(some.sum()),
        n_cutoffs=count_dates(dates),
        n_independent=count_dates(backtest.cutoff[windows_apart(backtest)]),
        first_cutoff=str(dates.min()) if dates.size else None,
        last_cutoff=str(dates.max()) if dates.size else None,
        flat_band=flat_band,
        models=models,
        pairwise=pairwise(
            networks or (model,),
            {name: each.path for name, each in models.items()},
            dated,
            intervals,
        ),
    )


def _models(
    backtest: Backtest,
    reduced: Mapping[str, Losses],
    dated: Comparable,
    against: tuple[str, ...],
    directions: Mapping[str, tuple[DirectionScores, ...]],
    intervals: SkillIntervals,
) -> dict[str, ModelScores]:
    some: NDArray[np.bool_] = np.any(~np.isnan(backtest.actual), axis=1)
    paths = path_scores(reduced, against, backtest.cutoff, some)
    symbols = symbol_scores(reduced, against, backtest.symbol)
    tests = symbol_tests(backtest, reduced)
    found = {}
    for name, each in reduced.items():
        columns = {one.step: backtest.column(one.step) for one in directions[name]}
        fan = [_at(backtest, name, step) for step in columns]
        path = paths[name]
        found[name] = ModelScores(
            model=name,
            path=path,
            steps=step_scores(name, reduced, against, backtest.steps),
            symbols=symbols[name],
            tests=loss_tests(dated.apart.squared, name, against),
            crps_tests=loss_tests(dated.apart.crps, name, reduced),
            crps_tests_all=loss_tests(dated.whole.crps, name, reduced, dated.whole.h),
            skill_intervals=_intervals(intervals, "squared", name, path.skill),
            crps_skill_intervals=_intervals(intervals, "crps", name, path.crps_skill),
            symbol_tests=tests[name],
            levels=() if each.fan is None else level_scores(each.fan, columns),
            bands=tuple(band for one in fan for band in bands(*one)),
            pit=tuple(pit for one in fan if (pit := pit_histogram(*one)) is not None),
            direction=directions[name],
            movement=_movement(backtest, name),
        )
    return found


def _intervals(
    intervals: SkillIntervals, loss: Loss, name: str, against: Iterable[str]
) -> dict[str, Interval]:
    return {other: intervals[loss, name, other] for other in against} if intervals else {}


_AtStep = tuple[Forecast, int, NDArray[np.float64], NDArray[np.datetime64], NDArray[np.datetime64]]


def _at(backtest: Backtest, name: str, step: int) -> _AtStep:
    """A forecast, a step, and there the actual moves, the cutoffs and the ends of the windows."""
    column = backtest.column(step)
    actual, end = backtest.actual[:, column], backtest.dates[:, column]
    return backtest.forecasts[name], step, actual, backtest.cutoff, end


def _movement(backtest: Backtest, name: str) -> Movement:
    known = ~np.isnan(backtest.actual[:, -1])
    return movement(
        backtest.forecasts[name].median[known, -1],
        backtest.actual[known, -1],
        backtest.last_close[known],
        backtest.symbol[known],
        n_independent=count_dates(backtest.cutoff[windows_apart(backtest)]),
    )
