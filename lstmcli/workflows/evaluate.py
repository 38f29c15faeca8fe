"""Evaluate: walk forward over past cutoffs, next to the baselines, to a verdict."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from itertools import compress
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.config import Settings
from lstmcli.dataset.series import Series
from lstmcli.errors import DataError, Failure, UsageError, raise_if_all_failed
from lstmcli.evaluation.backtest import Backtest, Rows, choose_cutoffs, turn_of
from lstmcli.evaluation.forecasters import (
    ALWAYS,
    Yardsticks,
    backtest,
    check_baselines,
    check_moves,
    score_backtest,
    since_of,
    thresholds_by_window,
    yardsticks,
)
from lstmcli.evaluation.phases import Phase, phase_offsets, reduce_phase
from lstmcli.evaluation.scores import HEADLINE_STEPS, Scores
from lstmcli.evaluation.trend import Thresholds
from lstmcli.evaluation.verdict import verdict
from lstmcli.forecasting.baselines import fewest_climatology_rows
from lstmcli.forecasting.model import TrainedModel, series_for
from lstmcli.learning.evidence import (
    count_looks,
    look,
    spans,
    tell_hindsight,
)
from lstmcli.learning.folds import tried
from lstmcli.learning.refit import (
    OnRefit,
    Refit,
    RefitWindow,
    baseline_rows,
    check_refittable,
    refit_dates,
    refits,
    tell_refits,
    trained_span,
)
from lstmcli.market.intervals import bars_of
from lstmcli.market.prices import Prices
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.looks import Look, Looks
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import ModelRef, doubtful_paths, find_model, tell_doubts
from lstmcli.training.device import choose_device, threads
from lstmcli.workflows.prices import Source, doubtful_folders, load_prices, tell_untrained
from lstmcli.workflows.stale import stale_because, tell_stale

_FEWEST_FIT_ROWS = 2

OnWindows = Callable[[Backtest, Yardsticks, bool], None]
"""Callback: called with windows, what they are scored by, and whether they are shown."""


@dataclass(frozen=True)
class EvaluateReport:
    """Forecasts from past cutoffs and their scores.

    models : the networks, in the order asked for; the scores are about the first.
    test_start : the first day whose bar may be a test cutoff. trained_until : the last day that a
        model was fitted on or chosen by. in_training : (N,) whether a window starts before that
        day, so that a model that was not refitted knows what came; such figures prove nothing.
    thresholds : of the trends that each model calls. refits : every fit during the backtest.
    looks : all looks at these days of these series, None where this one is none or uncounted.
    recipes : the settings of each model. series : what was evaluated, as the first model reads it,
        in the order of the backtest.
    """

    models: tuple[ModelRef, ...]
    metadata: tuple[Metadata, ...]
    recipes: tuple[Settings, ...]
    series: tuple[Series, ...]
    horizon: int
    step_size: int
    test_start: np.datetime64
    trained_until: np.datetime64
    in_training: NDArray[np.bool_]
    backtest: Backtest
    scores: Scores
    thresholds: dict[str, Thresholds]
    refits: tuple[Refit, ...]
    looks: Looks | None
    verdicts: dict[str, str]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]

    @property
    def fitted_cutoffs(self) -> int:
        """Return how many windows start in training rows."""
        return int(np.count_nonzero(self.in_training))


def evaluate(
    source: Source,
    *,
    models: Sequence[str] = (),
    horizon: int | None = None,
    start: date | None = None,
    end: date | None = None,
    step_size: int | None = None,
    n_windows: int | None = None,
    refit: int | Literal["never"] | None = None,
    refit_window: RefitWindow | None = None,
    baselines: Sequence[str] = (),
    device: str = "auto",
    number_of_threads: int = 1,
    on_refit: OnRefit = lambda refit, number, total: None,
    on_windows: OnWindows = lambda windows, known, shown: None,
    counted: bool = True,
    phases: bool = True,
) -> EvaluateReport:
    """Forecast every symbol from past cutoffs with each model and each baseline, and score them.

    Without `start` the cutoffs begin where the recipe says, else with the test span. With `refit`
    all that is fitted is fitted again after every so many cutoff dates. `counted` says whether
    this is a look at the test span, `phases` whether tests rest on windows that start between those
    shown too. Raises DataError when no cutoff has a whole horizon of bars behind it.
    """
    check_baselines(baselines)
    references = [find_model(source.data_dir, model) for model in models or (None,)]
    _check_unique([str(each) for each in references])
    bundles = [load_bundle(each.folder, choose_device(device)) for each in references]
    networks = {str(ref): model for ref, (model, _) in zip(references, bundles, strict=True)}
    metadata = {str(ref): data for ref, (_, data) in zip(references, bundles, strict=True)}
    settings, main = settings_for(source, bundles[0][0].settings), str(references[0])
    recipe = settings.evaluate
    every = recipe.refit if refit is None else None if refit == "never" else refit
    if every is not None:
        check_refittable(networks)
    start, end = start or recipe.start, end or recipe.end
    n_windows, refit_window = n_windows or recipe.n_windows, refit_window or recipe.refit_window
    steps = horizon or min(model.settings.window.horizon for model in networks.values())
    step_size = step_size or recipe.step_size or steps
    test_start = max(each.test_start for each in metadata.values())
    first = test_start if start is None else np.datetime64(start)
    loaded, failures = load_prices(
        replace(source, around=end or date.max), settings.data, _interval(metadata)
    )
    own, unsuitable = _own_series(networks, loaded, first)
    failures += unsuitable
    raise_if_all_failed(len(loaded) - len(unsuitable), failures)
    context_length = max(model.settings.window.context_length for model in networks.values())
    choose = partial(
        choose_cutoffs,
        last=None if end is None else np.datetime64(end),
        context_length=context_length,
        horizon=steps,
    )
    cutoffs = choose(own[main], first=first, step_size=step_size, n_windows=n_windows)
    fans = any(model.levels for model in networks.values())
    fewest = fewest_climatology_rows(steps) if fans else _FEWEST_FIT_ROWS
    span = trained_span(own[main], test_start, settings.split.embargo)
    fit_rows = baseline_rows(own[main], cutoffs, ALWAYS, span, fewest)
    unsuitable = _unsuitable(own[main], cutoffs, first, fit_rows, context_length, steps, fans)
    failures += unsuitable
    left_out = {each.symbol for each in unsuitable}
    some = [each.symbol not in left_out for each in own[main]]
    raise_if_all_failed(sum(some), failures)
    evaluated = {name: list(compress(each, some)) for name, each in own.items()}
    series, cutoffs = evaluated[main], list(compress(cutoffs, some))
    with threads(number_of_threads):
        fits, done = refits(
            networks,
            metadata,
            own,
            refit_dates(series, cutoffs, every),
            test_start=test_start,
            window=refit_window,
            rows=partial(baseline_rows, series, cutoffs, fewest=fewest),
            on_refit=on_refit,
        )

        def made(rows: Sequence[Rows], shown: bool = False) -> Backtest:
            windows = backtest(
                fits,
                evaluated,
                series,
                rows,
                horizon=steps,
                context_length=settings.window.context_length,
                interval=loaded[0].interval,
                extra=baselines,
            )
            known = yardsticks(windows, main, series, fits, recipe.flat_band)
            on_windows(windows, known, shown)
            return windows

        result = made(cutoffs, shown=True)
        until, since = max(each.trained_until for each in metadata.values()), since_of(fits)
        in_training = (result.cutoff < until) & (turn_of(result.cutoff, since) == 0)
        decides, further = _other_phases(
            series,
            cutoffs,
            partial(choose, series, first=result.cutoff.min(), step_size=steps),
            made,
            offsets=phase_offsets(steps) if phases else (),
            # What a model was fitted on is no evidence.
            since=min([until, *since[1:]]),
        )
    scores = score_backtest(
        result,
        main,
        series,
        fits,
        flat_band=recipe.flat_band,
        decides=decides if phases else None,
        in_training=in_training,
        further=further,
    )
    # What changes the scores: baselines do not.
    chosen = (
        f"horizon={steps} step_size={step_size} start={first} end={end} n_windows={n_windows} "
        f"refit={every and (every, refit_window)}"
    )
    seen = _looks(references, bundles, series, cutoffs, steps, since[1:], chosen) if counted else ()
    looks, uncounted = count_looks(source.data_dir, seen)
    past = tell_hindsight(in_training, until)
    doubts, stale = [*doubtful_folders(source, settings.data.interval)], list[str]()
    for each, (_, data) in zip(references, bundles, strict=True):
        doubts += doubtful_paths(each)
        stale += tell_stale(each, stale_because(each, data, source.data_dir))
    return EvaluateReport(
        models=tuple(references),
        metadata=tuple(metadata.values()),
        recipes=tuple(model.settings for model, _ in bundles),
        series=tuple(series),
        horizon=steps,
        step_size=step_size,
        test_start=test_start,
        trained_until=until,
        in_training=in_training,
        backtest=result,
        scores=scores,
        thresholds=thresholds_by_window(result, fits),
        refits=tuple(done),
        looks=looks,
        verdicts={
            name: " ".join([*past, str(verdict(scores, name)), *tried(own.settings.tuning.trials)])
            for name, own in networks.items()
        },
        notes=(
            *past,
            *tell_doubts(doubts),
            *stale,
            *uncounted,
            *tell_untrained([each.symbol for each in series], bundles[0][0].trained_on),
            *tell_refits(done, networks),
            *(note for prices in loaded for note in prices.named_notes()),
        ),
        failures=tuple(failures),
    )


def settings_for(source: Source, settings: Settings) -> Settings:
    """Leave out the recipe's dates where the source names data, which they are not of."""
    if not source.names_data:
        return settings
    recipe = settings.evaluate.model_copy(update={"start": None, "end": None})
    return settings.model_copy(update={"evaluate": recipe})


def _looks(
    references: Sequence[ModelRef],
    bundles: Sequence[tuple[TrainedModel, Metadata]],
    series: Sequence[Series],
    cutoffs: Sequence[Rows],
    horizon: int,
    refitted: Sequence[np.datetime64],
    settings: str,
) -> list[Look]:
    """Return each model's look at its test span, or at what its refits forecast."""
    looks = []
    for reference, (model, metadata) in zip(references, bundles, strict=True):
        start = min([metadata.span_start, *refitted])
        both = zip(series, cutoffs, strict=True)
        scored = spans(series, [rows[each.dates[rows] >= start] for each, rows in both], horizon)
        looks += [look(model, reference, "evaluate", settings, scored)] if scored else []
    return looks


def _other_phases(
    series: Sequence[Series],
    shown: Sequence[Rows],
    choose: Callable[..., list[Rows]],
    forecast_from: Callable[[list[Rows]], Backtest],
    *,
    offsets: Sequence[int],
    since: np.datetime64,
) -> tuple[NDArray[np.bool_], list[Phase]]:
    """Forecast from the phases of the grid that are not shown, from a day on; keep what decides.

    Returns which of the windows shown are of a phase, (N,), and the others.
    """
    decides = [np.zeros(len(rows), dtype=np.bool_) for rows in shown]
    further = []
    for offset in offsets:
        phase = choose(offsets=(offset,))
        for known, rows, own in zip(decides, shown, phase, strict=True):
            known |= np.isin(rows, own)
        # Baselines of a symbol are fitted on the rows up to its first window shown.
        rest = [
            np.setdiff1d(own[(own >= rows[0]) & (each.dates[own] >= since)], rows)
            for each, own, rows in zip(series, phase, shown, strict=True)
        ]
        if any(len(rows) for rows in rest):
            further.append(reduce_phase(forecast_from(rest), HEADLINE_STEPS))
    return np.concatenate(decides), further


def _own_series(
    networks: Mapping[str, TrainedModel], loaded: Sequence[Prices], first: np.datetime64
) -> tuple[dict[str, list[Series]], list[Failure]]:
    """Return the series with the features that each model reads, and those that lack some.

    first : the day from which rows are scored, so that they must all be usable.
    """
    own: dict[str, list[Series]] = {name: [] for name in networks}
    unsuitable = []
    for prices in loaded:
        try:
            _check_usable(prices, first)
            found = [series_for(model.settings, prices) for model in networks.values()]
        except DataError as error:
            unsuitable.append(Failure.of(prices.symbol, error))
            continue
        for name, series in zip(networks, found, strict=True):
            own[name].append(series)
    return own, unsuitable


def _check_usable(prices: Prices, first: np.datetime64) -> None:
    if prices.cut is not None and np.datetime64(prices.cut) >= first:
        raise DataError(
            "unusable row among those to score",
            where=f"{prices.symbol}, {prices.source}",
            why=f"no forecast can be scored against the row of {prices.cut}, expected cutoffs "
            "after it",
            next_step=f"Correct it, or pass --start {prices.frame.index[0]:%Y-%m-%d}.",
        )


def _interval(metadata: Mapping[str, Metadata]) -> str:
    """Return the interval that all models read; raises UsageError where there are several."""
    found = {name: data.interval for name, data in metadata.items()}
    if len(set(found.values())) > 1:
        raise UsageError(
            "cannot evaluate models of bars of different lengths together",
            why=", ".join(f"{name} reads {bars_of(each)}" for name, each in found.items()),
            next_step="Evaluate each alone.",
        )
    return next(iter(found.values()))


def _unsuitable(
    series: Sequence[Series],
    cutoffs: Sequence[Rows],
    first: np.datetime64,
    fit_rows: Mapping[str, range],
    context_length: int,
    horizon: int,
    fans: bool,
) -> list[Failure]:
    """Return the symbols that cannot be judged: no cutoff, or no moves to learn from."""
    failures = []
    for each, rows in zip(series, cutoffs, strict=True):
        try:
            if not len(rows):
                raise DataError(
                    "no window to evaluate",
                    where=each.symbol,
                    why=f"no cutoff from {first} on has {context_length} bars up to it and "
                    f"{horizon} after it; its {len(each)} bars run from {each.dates[0]} to "
                    f"{each.dates[-1]}",
                    next_step="Pass an earlier --start, or --csv FILE with later prices.",
                )
            if fans:
                check_moves(each, fit_rows[each.symbol].stop, horizon)
        except DataError as error:
            failures.append(Failure.of(each.symbol, error))
    return failures


def _check_unique(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        raise UsageError(
            "a model is given twice",
            where=", ".join(names),
            next_step="Pass each --model once.",
        )
