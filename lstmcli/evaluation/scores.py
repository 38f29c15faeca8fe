"""All scores of a backtest, as plain numbers.

Errors are in units of the last price (0.03323 is 3.323 %), rates are shares of 1, and None means
undefined. `dataclasses.asdict` of a `Scores` is ready for JSON. Means are taken over the symbols at
each cutoff date, then over dates; tests use windows from five phases of the grid.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from lstmcli.arrays import Floats, Mask
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
    OffGrid,
    Pair,
    SymbolTest,
    pairwise,
    reported_steps,
    skill_intervals,
    symbol_tests,
)
from lstmcli.evaluation.direction import Chances, Movement, chances, movement
from lstmcli.evaluation.losses import (
    Losses,
    PathScores,
    StepScores,
    check_forecast,
    losses,
    path_scores,
    step_scores,
)
from lstmcli.evaluation.pooling import Pool, by_symbol, count_dates
from lstmcli.evaluation.risk import BeyondScores, past_beyond, score_beyond
from lstmcli.evaluation.significance import Interval
from lstmcli.evaluation.trend import DirectionScores, Yardsticks, direction_scores

HEADLINE_STEPS = (1, 5, 20, 50)
PAST_MOVES = "scaled_climatology"
AGAINST = ("naive", "drift", "seasonal_naive", "seasonal_drift", PAST_MOVES, "har")


@dataclass(frozen=True)
class ModelScores:
    """All scores of one model.

    tests : by baseline, of the path's squared error over the evidence. crps_tests : of its CRPS,
        against every other fan.
    skill_intervals, crps_skill_intervals : 95 % block-bootstrap intervals of `path.skill` and
        `path.crps_skill`.
    symbol_tests : squared error against naive, symbol by symbol, jointly. symbol_crps_tests : CRPS
        against scaled_climatology.
    levels, bands, pit, chances : of the fan at the headline steps; empty for point forecasts.
    beyond : of its chances of large moves at these steps.
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
    beyond: tuple[BeyondScores, ...]
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

    model : the network that the report describes. against : baselines of the skills.
    n_windows : symbols times cutoffs with at least one known outcome. n_cutoffs : their dates.
    n_independent : dates whose complete windows do not overlap or, if calendars differ, blocks that
    hold more than half of the symbols; `calendars` then gives the count of each calendar.
    n_deciding : windows used in the tests. The `symbols` of each model are empty if there is only
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
    model: str,
    known: Yardsticks,
    *,
    networks: Sequence[str] = (),
    decides: Mask | None = None,
    in_training: Mask | None = None,
    further: Sequence[OffGrid] = (),
    n_judged: int | None = None,
) -> Scores:
    """Score every forecast of a backtest against the baselines.

    networks : models compared with every other model pair by pair; only `model` by default.
    decides, further : the windows used in the tests: (N,) mask of the backtest's windows, all by
        default, and further windows that are not shown; bands use these too.
    in_training : (N,) windows whose outcome a model was fitted on, excluded from tests and bands.
    n_judged : number of models that share one level of significance; that of `networks` by default.
    Raises DataError if there is no `model`, or a forecast is not a usable number.
    """
    if model not in backtest.forecasts:
        raise DataError(
            "No forecasts to score",
            where=model,
            why=f"the backtest holds {', '.join(backtest.forecasts) or 'none'}",
        )
    at = reported_steps(backtest.steps, HEADLINE_STEPS)
    symbols, group = backtest.symbols
    scale = np.array([known.mase_scales.get(symbol) or np.nan for symbol in symbols])[group]
    scale /= backtest.last_close
    against = tuple(name for name in AGAINST if name in backtest.forecasts)
    proves = None if in_training is None or not in_training.any() else ~in_training
    some = np.any(~np.isnan(backtest.actual), axis=1)
    pool, rows = backtest.pool().keep(some), backtest.whole.copy()
    for each in (decides, proves):
        rows &= True if each is None else each
    ends = backtest.at(at[-1:]).only().keep(rows)
    evidence = Evidence(
        ends.join([each.windows.at(at[-1:]).only() for each in further]),
        SIGNIFICANT / (n_judged or max(1, len(networks))),
    )
    del ends
    reduced: dict[str, Losses] = {}
    made: dict[str, partial[ModelScores]] = {}
    observed: dict[Loss, dict[str, Floats]] = {loss: {} for loss in LOSSES}
    # One model at a time, so that memory does not grow with their number. The rivals of the tests
    # by symbol come first, because later models need their losses.
    past = past_beyond(known.past, known.beyond, at)
    rivals = [name for name in ("naive", PAST_MOVES) if name in backtest.forecasts]
    for name in dict.fromkeys([*rivals, *backtest.forecasts]):
        own = backtest.only(name)
        check_forecast(name, own.forecasts[name], backtest.actual)
        n_independent = evidence.pool.n_independent
        own_scores = _own_scores(own, name, at, known, past, proves, further, n_independent)
        found = losses(own, name, scale)
        del own
        for loss in LOSSES:
            if (values := found.windows.get(loss)) is not None:
                observed[loss][name] = pool.series(values[some])
                others = [each.losses[loss, name] for each in further]
                evidence.add(loss, name, np.concatenate([values[rows], *others]))
        reduced[name] = replace(found, windows={})
        del found, values
        made[name] = partial(
            own_scores,
            symbol_tests=symbol_tests(evidence, "squared", name, "naive"),
            symbol_crps_tests=symbol_tests(evidence, "crps", name, PAST_MOVES),
        )
        for loss in LOSSES:
            if (loss, name) not in (("squared", "naive"), ("crps", PAST_MOVES)):
                evidence.windows.pop((loss, name), None)
    reduced = {name: reduced[name] for name in backtest.forecasts}
    intervals = skill_intervals(observed, pool.reach)
    paths = path_scores({name: each.path for name, each in reduced.items()}, against)
    of_symbols = [
        path_scores({name: each.symbols[row] for name, each in reduced.items()}, against)
        for row in range(len(symbols) if len(symbols) > 1 else 0)
    ]
    dates = backtest.cutoff[some]
    return Scores(
        model=model,
        against=against,
        horizon=at[-1],
        n_symbols=len(symbols),
        n_windows=dates.size,
        n_cutoffs=count_dates(dates),
        n_independent=evidence.pool.n_independent,
        n_deciding=evidence.pool.size,
        calendars=_calendars(backtest, some),
        first_cutoff=str(dates.min()) if dates.size else None,
        last_cutoff=str(dates.max()) if dates.size else None,
        flat_band=known.flat_band,
        models={
            name: made[name](
                path=paths[name],
                steps=step_scores(name, reduced, against, backtest.steps),
                symbols={
                    symbol: found[name] for symbol, found in zip(symbols, of_symbols, strict=False)
                },
                tests=evidence.tests("squared", name, against),
                crps_tests=evidence.tests("crps", name, reduced),
                skill_intervals={
                    other: intervals["squared", name, other] for other in paths[name].skill
                },
                crps_skill_intervals={
                    other: intervals["crps", name, other] for other in paths[name].crps_skill
                },
                levels=level_scores(each.fan, at, backtest.steps) if each.fan else (),
            )
            for name, each in reduced.items()
        },
        pairwise=pairwise(networks or (model,), paths, evidence, intervals),
    )


def _own_scores(
    own: Backtest,
    name: str,
    steps: Sequence[int],
    known: Yardsticks,
    past: dict[tuple[float, int], dict[str, float]],
    proves: Mask | None,
    further: Sequence[OffGrid],
    n_independent: int,
) -> partial[ModelScores]:
    """Return the scores of a model that need only its own forecasts.

    The fan is scored on all windows that are evidence, shown or not; the directions on the windows
    shown. proves : (N,) mask of the shown windows that are evidence, all by default.
    """
    sound = own if proves is None else own.keep(proves)
    wide = sound.at(steps).join([each.windows for each in further])
    base_rates = dict(enumerate(known.base_rates, start=1))
    symbols, group = wide.symbols
    found_bands: list[Band] = []
    directions, histograms, rises, large = [], [], [], []
    for column, step in enumerate(steps):
        directions.append(direction_scores(own, name, step, known, proves))
        fan = wide.forecasts[name], step, wide.actual[:, column], wide.pool(column)
        found_bands += bands(*fan)
        histograms.append(pit_histogram(*fan))
        rises.append(chances(*fan, base_rates.get(step)))
        for change in known.beyond:
            rates = np.array([past[change, step][symbol] for symbol in symbols])[group]
            large.append(score_beyond(*fan, change, rates))
        del fan  # frees its memory before the next fan
    moves = sound.forecasts[name].median, sound.actual, sound.last_close, sound.symbols[1]
    return partial(
        ModelScores,
        model=name,
        bands=tuple(found_bands),
        pit=tuple(each for each in histograms if each is not None),
        chances=tuple(each for each in rises if each is not None),
        beyond=tuple(each for each in large if each is not None),
        direction=tuple(directions),
        movement=movement(*moves, n_independent),
    )


def _calendars(backtest: Backtest, some: Mask) -> tuple[CalendarCount, ...]:
    """Count the windows of each calendar; empty if there is only one.

    some : (N,) mask of the windows with at least one known outcome.
    """
    found, numbers = [], np.unique(backtest.calendar)
    for number in numbers if numbers.size > 1 else ():
        own = backtest.calendar == number
        whole = own & backtest.whole
        found.append(
            CalendarCount(
                symbols=tuple(by_symbol(backtest.symbol[own])[0]),
                n_windows=int((own & some).sum()),
                n_independent=Pool(backtest.cutoff[whole], backtest.dates[whole, -1]).n_independent,
            )
        )
    return tuple(found)
