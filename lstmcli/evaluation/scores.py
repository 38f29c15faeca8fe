"""All scores of a backtest, as plain numbers.

Errors are in units of the last price (0.03323 is 3.323 %), rates are shares of 1, and None is
an undefined figure. `dataclasses.asdict` of a `Scores` is ready for JSON. Means are taken
over symbols at each cutoff date, then over dates; tests rest on windows of five phases of the grid.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import DataError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.bands import (
    Band,
    LevelScore,
    PitHistogram,
    bands,
    level_scores,
    pit_histogram,
)
from lstmcli.evaluation.comparisons import (
    LOSSES,
    SIGNIFICANT,
    Evidence,
    Loss,
    LossTest,
    Pair,
    Phase,
    Shown,
    SkillIntervals,
    SymbolTest,
    of_windows,
    pairwise,
    reported_steps,
    symbol_tests,
    whole_windows,
    with_phases,
)
from lstmcli.evaluation.direction import Chances, chances
from lstmcli.evaluation.losses import (
    Losses,
    PathScores,
    StepScores,
    check_forecast,
    losses,
    path_scores,
    step_scores,
    symbol_scores,
)
from lstmcli.evaluation.movement import Movement, movement
from lstmcli.evaluation.pooling import Pool, by_symbol, count_dates
from lstmcli.evaluation.significance import Interval
from lstmcli.evaluation.trend import FLAT_BAND, DirectionScores, Tails, Thresholds, direction_scores


@dataclass(frozen=True)
class AtStep:
    """Scores at one step: direction; for fans also bands, PIT and probabilities of a rise."""

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
    """Score model `name` at a step, on known outcomes.

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


_SymbolTests = tuple[dict[str, SymbolTest], dict[str, SymbolTest]]
HEADLINE_STEPS = (1, 5, 20, 50)
PAST_MOVES = "scaled_climatology"
AGAINST = ("naive", "drift", "seasonal_naive", PAST_MOVES)


@dataclass(frozen=True)
class ModelScores:
    """All scores of one model.

    tests : by baseline, on the path's squared error over the evidence. crps_tests : on its CRPS,
        against every other fan.
    skill_intervals, crps_skill_intervals : 95 % block-bootstrap intervals of `path.skill` and
        `path.crps_skill`; empty where no generator was given.
    symbol_tests : squared error against naive, symbol by symbol, jointly. symbol_crps_tests : CRPS
        against scaled_climatology.
    levels, bands, pit, chances : of the fan at the headline steps; empty for point forecasts.
    """

    model: str
    path: PathScores
    steps: StepScores
    symbols: dict[str, PathScores]
    tests: dict[str, LossTest]
    crps_tests: dict[str, LossTest]
    skill_intervals: dict[str, Interval]
    crps_skill_intervals: dict[str, Interval]
    symbol_tests: dict[str, SymbolTest]
    symbol_crps_tests: dict[str, SymbolTest]
    levels: tuple[LevelScore, ...]
    bands: tuple[Band, ...]
    pit: tuple[PitHistogram, ...]
    chances: tuple[Chances, ...]
    direction: tuple[DirectionScores, ...]
    movement: Movement


@dataclass(frozen=True)
class CalendarCount:
    """Window counts of the symbols that share an exchange calendar."""

    symbols: tuple[str, ...]
    n_windows: int
    n_independent: int


@dataclass(frozen=True)
class Scores:
    """A scored backtest.

    model : the network that the report is about. against : baselines that skills refer to.
    n_windows : symbols times cutoffs of which anything has happened. n_cutoffs : their dates.
    n_independent : dates whose complete windows do not overlap or, where calendars differ, blocks
    that hold more than half of the symbols; `calendars` then gives each one's own count.
    n_deciding : windows that the tests rest on. `symbols` of each model is empty when there is only
    one symbol. pairwise : each network against every other model.
    """

    model: str
    against: tuple[str, ...]
    horizon: int
    n_symbols: int
    n_windows: int
    n_cutoffs: int
    n_independent: int
    n_deciding: int
    calendars: tuple[CalendarCount, ...]
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
    flat_band: float = FLAT_BAND,
    thresholds: Mapping[str, Thresholds] | None = None,
    tails: Tails | None = None,
    base_rates: Sequence[float] = (),
    steps: tuple[int, ...] = HEADLINE_STEPS,
    against: tuple[str, ...] = AGAINST,
    generator: np.random.Generator | None = None,
    longer: Scores | None = None,
    decides: NDArray[np.bool_] | None = None,
    in_training: NDArray[np.bool_] | None = None,
    further: Sequence[Phase] = (),
    n_judged: int | None = None,
) -> Scores:
    """Score every forecast of a backtest against the baselines.

    mase_scales : by symbol, `metrics.mase_scale` of its training prices; without one, no MASE.
    networks : those compared with every other model pair by pair; `model` alone unless given.
    thresholds : by model, from training rows; a point forecast without has no three-way score.
    tails : crash and spike bounds of training rows; without them, no such windows.
    base_rates : by step, the share of rises in training rows.
    steps : steps to report directions and bands at; the horizon is always the last.
    against : names of baselines; those that the backtest does not hold are left out.
    generator : draws the blocks of the skills' intervals; without one there are none.
    longer : the scores of the same windows over more steps; those of single steps are reused.
    decides, further : the windows that tests rest on: (N,) which of the backtest's, all unless
        given, and others that are not shown, which bands rest on too.
    in_training : (N,) windows whose outcome a model was fitted on, left out of tests and bands.
    n_judged : how many models a screen judges, which share one level; the `networks` unless given.
    Raises DataError when there is no `model`, or a forecast is not a usable number.
    """
    if model not in backtest.forecasts:
        raise DataError(
            "No forecasts to score",
            where=model,
            why=f"the backtest holds {', '.join(backtest.forecasts) or 'none'}",
        )
    at = reported_steps(backtest.steps, steps)
    base = dict(enumerate(base_rates, start=1))
    symbols, group = backtest.symbols
    scale = np.array([mase_scales.get(symbol) or np.nan for symbol in symbols])[group]
    scale /= backtest.last_close
    against = tuple(name for name in against if name in backtest.forecasts)
    known, fitted = {} if longer is None else _at_steps(longer), thresholds or {}
    reduced: dict[str, Losses] = {}
    at_steps: dict[str, tuple[AtStep, ...]] = {}
    movements: dict[str, Movement] = {}
    tests: dict[str, _SymbolTests] = {}
    proves = None if in_training is None or not in_training.any() else ~in_training
    shown, rows = Shown(backtest), whole_windows(backtest)
    for each in (decides, proves):
        rows &= True if each is None else each
    evidence = Evidence(
        of_windows(backtest, rows, {}, {}).join([each.losses for each in further]),
        SIGNIFICANT / (n_judged or max(1, len(networks))),
    )
    # One model after another, so that memory does not grow with their number; those first that
    # symbols are tested against.
    rivals = [name for name in ("naive", PAST_MOVES) if name in backtest.forecasts]
    for name in dict.fromkeys([*rivals, *backtest.forecasts]):
        own = backtest.only(name)
        check_forecast(name, own.forecasts[name], backtest.actual)
        sound = own if proves is None else own.keep(proves)
        wide = with_phases(sound.at(at), further) if further else sound
        at_steps[name] = tuple(
            known.get((name, step))
            or at_step(
                own, wide, name, step, flat_band, fitted.get(name), tails, base.get(step), proves
            )
            for step in at
        )
        reduced[name] = losses(own, name, scale)
        movements[name] = movement(
            sound.forecasts[name].median,
            sound.actual,
            sound.last_close,
            group if proves is None else group[proves],
            evidence.pool.n_independent,
        )
        del own, sound, wide
        shown.add(name, reduced[name])
        for loss, values in zip(LOSSES, (reduced[name].squared, reduced[name].crps), strict=True):
            if values is not None:
                others = [getattr(each.losses, loss)[name] for each in further]
                evidence.add(loss, name, np.concatenate([values[rows], *others]))
        reduced[name] = reduced[name].pooled()
        tests[name] = (
            symbol_tests(evidence, "squared", name, "naive"),
            symbol_tests(evidence, "crps", name, PAST_MOVES),
        )
        if name not in rivals:
            evidence.drop(name)
    reduced = {name: reduced[name] for name in backtest.forecasts}
    intervals = {} if generator is None else shown.skill_intervals(generator)
    models = _models(backtest, reduced, evidence, against, at_steps, intervals, movements, tests)
    dates = backtest.cutoff[shown.some]
    return Scores(
        model=model,
        against=against,
        horizon=at[-1],
        n_symbols=len(symbols),
        n_windows=dates.size,
        n_cutoffs=count_dates(dates),
        n_independent=evidence.pool.n_independent,
        n_deciding=evidence.pool.size,
        calendars=_calendars(backtest, shown.some),
        first_cutoff=str(dates.min()) if dates.size else None,
        last_cutoff=str(dates.max()) if dates.size else None,
        flat_band=flat_band,
        models=models,
        pairwise=pairwise(
            networks or (model,),
            {name: each.path for name, each in models.items()},
            evidence,
            intervals,
        ),
    )


def _models(
    backtest: Backtest,
    reduced: Mapping[str, Losses],
    evidence: Evidence,
    against: tuple[str, ...],
    at_steps: Mapping[str, tuple[AtStep, ...]],
    intervals: SkillIntervals,
    movements: Mapping[str, Movement],
    tests: Mapping[str, _SymbolTests],
) -> dict[str, ModelScores]:
    paths = path_scores(reduced, against)
    symbols = symbol_scores(reduced, against, backtest.symbols[0])
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
            tests=evidence.tests("squared", name, against),
            crps_tests=evidence.tests("crps", name, reduced),
            skill_intervals=_intervals(intervals, "squared", name, path.skill),
            crps_skill_intervals=_intervals(intervals, "crps", name, path.crps_skill),
            symbol_tests=tests[name][0],
            symbol_crps_tests=tests[name][1],
            levels=() if each.fan is None else level_scores(each.fan, columns),
            bands=tuple(band for one in at for band in one.bands),
            pit=tuple(one.pit for one in at if one.pit is not None),
            chances=tuple(one.chances for one in at if one.chances is not None),
            direction=tuple(one.direction for one in at),
            movement=movements[name],
        )
    return found


def _calendars(backtest: Backtest, some: NDArray[np.bool_]) -> tuple[CalendarCount, ...]:
    """Count the windows of each calendar where there are several.

    some : (N,) of which windows anything has happened.
    """
    if backtest.calendar is None or np.unique(backtest.calendar).size < 2:
        return ()
    whole, found = whole_windows(backtest), []
    for calendar in np.unique(backtest.calendar):
        own = backtest.calendar == calendar
        cutoff, end = backtest.cutoff[own & whole], backtest.dates[own & whole, -1]
        found.append(
            CalendarCount(
                symbols=tuple(by_symbol(backtest.symbol[own])[0]),
                n_windows=int((own & some).sum()),
                n_independent=Pool(cutoff, end).n_independent,
            )
        )
    return tuple(found)


def _intervals(
    intervals: SkillIntervals, loss: Loss, name: str, against: Iterable[str]
) -> dict[str, Interval]:
    return {other: intervals[loss, name, other] for other in against} if intervals else {}


def _at_steps(scores: Scores) -> dict[tuple[str, int], AtStep]:
    """Return the scores of each model at each single step."""
    return {
        (name, one.step): AtStep(
            one,
            tuple(band for band in each.bands if band.step == one.step),
            next((pit for pit in each.pit if pit.step == one.step), None),
            next((found for found in each.chances if found.step == one.step), None),
        )
        for name, each in scores.models.items()
        for one in each.direction
    }
