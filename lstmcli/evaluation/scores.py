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
from lstmcli.evaluation.at_step import AtStep, at_step
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.bands import Band
from lstmcli.evaluation.comparisons import (
    Comparable,
    Loss,
    Pair,
    SkillIntervals,
    comparable,
    loss_tests,
    pairwise,
    skill_intervals,
)
from lstmcli.evaluation.direction_scores import DirectionScores
from lstmcli.evaluation.error_scores import (
    PathScores,
    StepScores,
    path_scores,
    step_scores,
    symbol_scores,
)
from lstmcli.evaluation.intervals import Interval
from lstmcli.evaluation.levels import LevelScore, level_scores
from lstmcli.evaluation.losses import Losses, check_forecast, losses
from lstmcli.evaluation.movement import Movement, movement
from lstmcli.evaluation.pit import PitHistogram
from lstmcli.evaluation.pooling import by_symbol, count_dates
from lstmcli.evaluation.significance import SignificanceTest
from lstmcli.evaluation.symbol_tests import SymbolTest, rows_apart, symbol_tests
from lstmcli.evaluation.tails import Tails
from lstmcli.evaluation.trend import Thresholds

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
    longer: Scores | None = None,
) -> Scores:
    """Score every forecast of a backtest beside the baselines.

    mase_scales : by symbol, `metrics.mase_scale` of its training prices; without one, no MASE.
    networks : those compared with every other model pair by pair; `model` alone unless given.
    thresholds : by model, from training rows; a point forecast without has no three-way score.
    tails : crash and spike bounds of training rows; without them, no such windows.
    steps : steps to report directions and bands at; the horizon is always the last.
    against : names of baselines; those that the backtest does not hold are left out.
    generator : draws the blocks of the skills' intervals; without one there are none.
    longer : the scores of the same windows over more steps; what they say of a single step stands.
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
    symbols, group = by_symbol(backtest.symbol)
    scale = np.array([mase_scales.get(symbol) or np.nan for symbol in symbols])[group]
    against = tuple(name for name in against if name in backtest.forecasts)
    told, fitted = {} if longer is None else _told(longer), thresholds or {}
    dated = comparable(backtest)
    n_independent = count_dates(backtest.cutoff[dated.apart.rows])
    apart = rows_apart(backtest)
    kept = np.concatenate(apart)  # of the losses of each window; of all there are too many
    reduced: dict[str, Losses] = {}
    at_steps: dict[str, tuple[AtStep, ...]] = {}
    movements: dict[str, Movement] = {}
    for name in backtest.forecasts:
        own = backtest.only(name)
        check_forecast(name, own.forecasts[name], backtest.actual)
        at_steps[name] = tuple(
            told.get((name, step)) or at_step(own, name, step, flat_band, fitted.get(name), tails)
            for step in at
        )
        movements[name] = _movement(own, name, group, n_independent)
        found = losses(own, name, scale / backtest.last_close, group)
        dated.add(name, found, backtest.cutoff)
        reduced[name] = found.at(kept)
        del own, found
    intervals = {} if generator is None else skill_intervals(dated.some, generator)
    places = np.split(np.arange(len(kept)), np.cumsum([len(rows) for rows in apart])[:-1])
    tests = symbol_tests(symbols, reduced, places)
    models = _models(backtest, reduced, dated, against, at_steps, intervals, movements, tests)
    some = dated.some.rows
    dates = backtest.cutoff[some]
    return Scores(
        model=model,
        against=against,
        horizon=horizon,
        n_symbols=len(symbols),
        n_windows=int(some.sum()),
        n_cutoffs=count_dates(dates),
        n_independent=n_independent,
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
    at_steps: Mapping[str, tuple[AtStep, ...]],
    intervals: SkillIntervals,
    movements: Mapping[str, Movement],
    tests: Mapping[str, dict[str, SymbolTest]],
) -> dict[str, ModelScores]:
    paths = path_scores(reduced, against)
    symbols = symbol_scores(reduced, against, by_symbol(backtest.symbol)[0])
    found = {}
    for name, each in reduced.items():
        at = at_steps[name]
        columns = {one.direction.step: backtest.column(one.direction.step) for one in at}
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
            bands=tuple(band for one in at for band in one.bands),
            pit=tuple(one.pit for one in at if one.pit is not None),
            direction=tuple(one.direction for one in at),
            movement=movements[name],
        )
    return found


def _intervals(
    intervals: SkillIntervals, loss: Loss, name: str, against: Iterable[str]
) -> dict[str, Interval]:
    return {other: intervals[loss, name, other] for other in against} if intervals else {}


def _told(scores: Scores) -> dict[tuple[str, int], AtStep]:
    """What the scores say of each model at each step alone."""
    return {
        (name, one.step): AtStep(
            one,
            tuple(band for band in each.bands if band.step == one.step),
            next((pit for pit in each.pit if pit.step == one.step), None),
        )
        for name, each in scores.models.items()
        for one in each.direction
    }


def _movement(
    backtest: Backtest, name: str, group: NDArray[np.intp], n_independent: int
) -> Movement:
    known = ~np.isnan(backtest.actual[:, -1])
    return movement(
        backtest.forecasts[name].median[known, -1],
        backtest.actual[known, -1],
        backtest.last_close[known],
        group[known],
        n_independent=n_independent,
    )
