"""Backtest models and baselines over past cutoffs, and give a verdict."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from typing import Any, Literal

import numpy as np

from lstmcli.arrays import Mask
from lstmcli.cluster.connection import workers_of
from lstmcli.config import Settings
from lstmcli.dataset.series import Series
from lstmcli.errors import AllFailedError, DataError, Failure, raise_if_all_failed
from lstmcli.evaluation import forecasters
from lstmcli.evaluation.backtest import Backtest, Rows, turn_of
from lstmcli.evaluation.comparisons import OffGrid, grid_offsets, reduce_grid
from lstmcli.evaluation.forecasters import ALWAYS, Fitted, yardsticks
from lstmcli.evaluation.risk import BEYOND, LossBacktest
from lstmcli.evaluation.scores import HEADLINE_STEPS, Scores, score
from lstmcli.evaluation.significance import MIN_WINDOWS
from lstmcli.evaluation.trend import Thresholds, Yardsticks
from lstmcli.evaluation.verdict import (
    Contribution,
    Summary,
    Verdict,
    contribution,
    summary,
    verdict,
)
from lstmcli.forecasting.baselines import fewest_climatology_rows
from lstmcli.forecasting.model import series_for
from lstmcli.learning import refit as refitting
from lstmcli.learning.folds import tried
from lstmcli.learning.refit import OnRefit, Refit, RefitWindow
from lstmcli.learning.walk import Answer, Walk, make_walk
from lstmcli.learning.workers import Workers
from lstmcli.market.prices import Prices
from lstmcli.runs import evidence
from lstmcli.runs.base_fan import drawn_to_ready_made
from lstmcli.runs.looks import Looks
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import ModelRef, doubtful_paths, warn_ownership
from lstmcli.runs.stale import stale_because, warn_stale
from lstmcli.sources.loading import load_prices
from lstmcli.sources.shares import describe_shares, merged_shares, note_ready_made
from lstmcli.sources.source import Source, doubtful_folders
from lstmcli.training.device import threads

OnWindows = Callable[[Backtest, Yardsticks, bool], None]
"""Callback: called with windows, the scales for their scores, and whether they are shown."""


@dataclass(frozen=True)
class EvaluateReport:
    """Forecasts from past cutoffs and their scores.

    models : in the requested order; the scores are about the first.
    test_start : the first day whose bar may be a test cutoff. trained_until : the last day used to
    fit or select a model. in_training : (N,) whether a window starts before that day, so that a
    model that was not refitted has seen its outcome; such scores prove nothing.
    thresholds : the trend thresholds of each model. refits : every fit during the backtest.
    looks : all looks at these days of these series; None if this is no look or is not counted.
    verdicts, summaries : of each model. by_recipe : whether only refits forecast, not the models as
    trained. without : whether a feature helps, if requested. answer : how to get enough windows for
    a test, if there are too few. recipes : the settings of each model. series : the evaluated
    series, as the first model reads them, in the order of the backtest. losses : of the first
    model, by symbol, if requested.
    """

    models: tuple[ModelRef, ...]
    metadata: tuple[Metadata, ...]
    recipes: tuple[Settings, ...]
    series: tuple[Series, ...]
    horizon: int
    step_size: int
    test_start: np.datetime64
    trained_until: np.datetime64
    in_training: Mask
    backtest: Backtest
    scores: Scores
    thresholds: dict[str, Thresholds]
    refits: tuple[Refit, ...]
    looks: Looks | None
    verdicts: dict[str, Verdict]
    summaries: tuple[Summary, ...]
    by_recipe: bool
    without: Contribution | None
    answer: Answer | None
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]
    losses: tuple[LossBacktest, ...] = ()

    @property
    def fitted_cutoffs(self) -> int:
        """Return the number of windows that start in training rows."""
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
    refits: int | None = None,
    without: str | None = None,
    baselines: Sequence[str] = (),
    device: str = "auto",
    number_of_threads: int = 1,
    on_refit: OnRefit = lambda refit, number, total: None,
    on_windows: OnWindows = lambda windows, known, shown: None,
    counted: bool = True,
    phases: bool = True,
    beyond: Sequence[float] = BEYOND,
    risk: bool = False,
    ray: str | None = None,
    connections: ExitStack | None = None,
) -> EvaluateReport:
    """Forecast every symbol from past cutoffs with all models and baselines; score them.

    The default `start` is the recipe's, else the start of the test span. With `refit` all models
    and baselines are refitted after that many cutoff dates. With `refits` that many of the latest
    non-overlapping windows are forecast by refits only, starting before the first window. With
    `without` the recipe is compared with one that lacks a feature, both refitted at the same dates
    from the first window on. `counted` says whether this is a look at the test span, `phases`
    whether tests also use windows that start between those shown. `beyond` lists changes whose
    probabilities are scored; with `risk` the loss of every day between the windows is tested.
    Refits run on the Ray cluster at `ray`, if given; `connections` keeps it open for later
    evaluations. Raises DataError if no cutoff is followed by a whole horizon of bars, or if there
    are too few rows before that many windows.
    """
    began = time.monotonic()
    forecasters.check_baselines(baselines)
    asked: dict[str, object] = {"start": start, "end": end, "step_size": step_size}
    asked |= {"n_windows": n_windows, "refit": refit, "refit_window": refit_window}
    walk = make_walk(source, models, device, horizon, asked, refits, without)
    panel = _choose_series(walk, source)
    with threads(number_of_threads) as number:
        dates = walk.refit_dates(panel.series, panel.cutoffs)
        with ExitStack() as own:
            cluster = workers_of(ray if dates else None, threads=number, device=device)
            workers = (connections or own).enter_context(cluster)
            fits, done = panel.fit_in_turn(dates, on_refit, workers)
        forecast = partial(panel.forecast, fits, baselines, on_windows, beyond)
        result, known = forecast(panel.cutoffs, shown=True)
        until, since = walk.seen_until(done), [each.since for each in fits]
        in_training = (result.cutoff < until) & (turn_of(result.cutoff, since) == 0)
        # Rows that a model was fitted on are no evidence.
        first = min([until, *since[1:]])
        decides, further = panel.off_grid(forecast, first) if phases else (None, [])
        losses = walk.daily_losses(fits, panel.evaluated, panel.cutoffs, first) if risk else ()
    scores = score(
        result,
        walk.main,
        known,
        networks=tuple(walk.models),
        decides=decides,
        in_training=in_training,
        further=further,
        n_judged=len(walk.references),
    )
    seen = walk.looks(panel.series, panel.cutoffs, done) if counted else ()
    looks, uncounted = evidence.count_looks(source.data_dir, seen)
    past = evidence.warn_hindsight(in_training, until)
    answer = None
    if scores.n_independent < MIN_WINDOWS and not done:
        answer = walk.answer(panel.own, time.monotonic() - began)
    return EvaluateReport(
        models=tuple(walk.references),
        metadata=tuple(metadata for *_, metadata in walk.asked_for),
        recipes=tuple(model.settings for _, model, _ in walk.asked_for),
        series=tuple(panel.series),
        horizon=walk.horizon,
        step_size=walk.step_size,
        test_start=walk.test_start,
        trained_until=until,
        in_training=in_training,
        backtest=result,
        scores=scores,
        thresholds=dict(known.thresholds),
        refits=tuple(done),
        looks=looks,
        verdicts=_verdicts(walk, scores, past),
        by_recipe=walk.by_recipe,
        answer=answer,
        without=None if walk.without is None else contribution(scores, walk.pairs, walk.without),
        summaries=tuple(summary(result, scores, str(name)) for name in walk.references),
        notes=tuple(panel.notes(result, uncounted, done)),
        failures=tuple(panel.failures),
        losses=losses,
    )


def evaluate_each(
    source: Source,
    *,
    models: Sequence[str] = (),
    horizon: int | None = None,
    end: date | None = None,
    alone: str = "",
    **asked: Any,
) -> list[EvaluateReport]:
    """Evaluate each model on the series that it is chosen for, or `models` on all series.

    alone : an option that allows only one model. asked : the other options of `evaluate`. If all
    series of a model fail, they are among the failures of the first report; AllFailedError if no
    report is left.
    """
    around = replace(source, around=end or date.max)
    reports, failures = list[EvaluateReport](), list[Failure]()
    with ExitStack() as connections:
        asked |= {"horizon": horizon, "end": end, "connections": connections}
        for share in merged_shares(around, models, horizon, alone):
            names = models or (str(share.choice.model),)
            try:
                report = evaluate(share.source, models=names, **asked)
            except AllFailedError as error:
                failures += error.failures
                continue
            notes = (*note_ready_made([share], source.data_dir), *describe_shares([share]))
            reports.append(replace(report, notes=(*notes, *report.notes)))
    raise_if_all_failed(len(reports), failures)
    return [replace(reports[0], failures=(*reports[0].failures, *failures)), *reports[1:]]


@dataclass(frozen=True)
class _Panel:
    """The series as each model of a walk reads them.

    loaded : their prices. own : all series that models may be refitted on. evaluated : those with
    cutoffs. cutoffs : of the main model. fewest : rows that baselines need. failures : the
    unsuitable series.
    """

    walk: Walk
    source: Source
    loaded: list[Prices]
    own: dict[str, list[Series]]
    evaluated: dict[str, list[Series]]
    cutoffs: list[Rows]
    fewest: int
    failures: list[Failure]

    @property
    def series(self) -> list[Series]:
        """The evaluated series, as the main model reads them."""
        return self.evaluated[self.walk.main]

    def fit_in_turn(
        self, dates: Sequence[np.datetime64], on_refit: OnRefit, workers: Workers
    ) -> tuple[list[Fitted], list[Refit]]:
        """Return the fits in the order of their windows: the models as trained, then each refit."""
        walk = self.walk
        rows = partial(refitting.baseline_rows, self.series, self.cutoffs, fewest=self.fewest)
        fits, done = refitting.refits(
            walk.models,
            walk.metadata,
            self.own,
            dates,
            test_start=walk.test_start,
            window=walk.recipe.refit_window,
            rows=rows,
            on_refit=on_refit,
            workers=workers,
        )
        if walk.by_recipe:  # the models as trained have seen later rows
            fits = [replace(fits[1], since=ALWAYS), *fits[2:]]
        interval = self.loaded[0].interval
        return drawn_to_ready_made(fits, self.series, walk.horizon, interval), done

    def forecast(
        self,
        fits: Sequence[Fitted],
        baselines: Sequence[str],
        on_windows: OnWindows,
        beyond: Sequence[float],
        rows: Sequence[Rows],
        shown: bool = False,
    ) -> tuple[Backtest, Yardsticks]:
        """Forecast from cutoff rows of each series; also return the scales for the scores."""
        walk = self.walk
        windows = forecasters.backtest(
            fits,
            self.evaluated,
            self.series,
            rows,
            horizon=walk.horizon,
            context_length=walk.settings.window.context_length,
            interval=self.loaded[0].interval,
            extra=baselines,
        )
        known = yardsticks(windows, walk.main, self.series, fits, walk.recipe.flat_band, beyond)
        on_windows(windows, known, shown)
        return windows, known

    def off_grid(
        self,
        forecast: Callable[[list[Rows]], tuple[Backtest, Yardsticks]],
        since: np.datetime64,
    ) -> tuple[Mask, list[OffGrid]]:
        """Forecast from five grids of cutoffs, which include the windows shown.

        Returns (N,) whether each window shown is on a grid, and the other windows since `since`.
        """
        walk, series, shown, further = self.walk, self.series, self.cutoffs, []
        start = min(each.dates[rows[0]] for each, rows in zip(series, shown, strict=True))
        decides = [np.zeros(len(rows), dtype=np.bool_) for rows in shown]
        for offset in grid_offsets(walk.horizon):
            grid = walk.cutoffs(series, first=start, step_size=walk.horizon, offsets=(offset,))
            for known, rows, own in zip(decides, shown, grid, strict=True):
                known |= np.isin(rows, own)
            # Drop earlier cutoffs: baselines are fitted on rows up to the first window shown.
            rest = [
                np.setdiff1d(own[(own >= rows[0]) & (each.dates[own] >= since)], rows)
                for each, own, rows in zip(series, grid, shown, strict=True)
            ]
            if any(map(len, rest)):
                further.append(reduce_grid(forecast(rest)[0], HEADLINE_STEPS))
        return np.concatenate(decides), further

    def notes(
        self, result: Backtest, uncounted: Sequence[str], done: Sequence[Refit]
    ) -> Iterator[str]:
        """Yield notes. uncounted : notes on looks that were not counted. done : the refits."""
        walk, source, series = self.walk, self.source, self.series
        doubts, stale = [*doubtful_folders(source, walk.settings.data.interval)], list[str]()
        for reference, _, metadata in walk.asked_for:
            doubts += doubtful_paths(reference)
            stale += warn_stale(reference, stale_because(metadata, source.data_dir))
        yield from (*warn_ownership(doubts), *stale, *uncounted)
        main = walk.models[walk.main]
        yield from evidence.warn_untrained([each.symbol for each in series], main.trained_on)
        yield from evidence.note_held(main.settings)
        yield from evidence.warn_young(series, self.cutoffs, main.settings.window.context_length)
        own = {str(reference): model for reference, model, _ in walk.asked_for}
        done = [each for each in done if each.model in own]
        yield from refitting.describe_refits(done, own, walk.metadata)
        for name, made in result.forecasts.items():
            if made.replaced:
                cutoffs = f"{made.replaced} of {len(made.median)} cutoffs"
                yield f"{name}: no fit at {cutoffs}, where ewma_cone stands in for it"
        for prices in self.loaded:
            yield from prices.named_notes()


def _choose_series(walk: Walk, source: Source) -> _Panel:
    """Load the prices and choose series and cutoffs; AllFailedError if none is suitable."""
    around = replace(source, around=walk.recipe.end or date.max)
    interval = walk.metadata[walk.main].interval
    loaded, failures = load_prices(around, walk.settings.data, interval, walk.inputs)
    read: list[list[Series]] = []  # one list per series, with one item per model
    for prices in loaded:
        try:
            evidence.check_cut(prices, walk.first)
            read.append([series_for(each.settings, prices) for each in walk.models.values()])
        except DataError as error:
            failures.append(Failure.of(prices.symbol, error))
    raise_if_all_failed(len(read), failures)
    own = dict(zip(walk.models, map(list, zip(*read, strict=True)), strict=True))
    series = own[walk.main]
    if walk.by_recipe and walk.recipe.start is None:
        walk.check_possible(own)
    cutoffs = walk.cutoffs(
        series, first=walk.first, step_size=walk.step_size, n_windows=walk.recipe.n_windows
    )
    fans = any(model.levels for model in walk.models.values())
    fewest = fewest_climatology_rows(walk.horizon) if fans else 2  # a drift needs two prices
    span = refitting.trained_span(series, walk.test_start, walk.settings.split.embargo)
    fit_rows = refitting.baseline_rows(series, cutoffs, ALWAYS, span, fewest)
    whole, fewest_rows = walk.lengths
    grown = any(rows.max(initial=0) >= whole - 1 for rows in cutoffs)
    kept = []
    for number, (one, rows) in enumerate(zip(series, cutoffs, strict=True)):
        try:
            walk.check_cutoffs(one, rows, whole if grown else fewest_rows)
            if fans:
                forecasters.check_moves(one, fit_rows[one.symbol].stop, walk.horizon)
            kept.append(number)
        except DataError as error:
            failures.append(Failure.of(one.symbol, error))
    raise_if_all_failed(len(kept), failures)
    evaluated = {name: [each[k] for k in kept] for name, each in own.items()}
    suitable = [cutoffs[k] for k in kept]
    return _Panel(walk, source, loaded, own, evaluated, suitable, fewest, failures)


def _verdicts(walk: Walk, scores: Scores, past: tuple[str, ...]) -> dict[str, Verdict]:
    """Return the verdict on each model; each begins with the lines in `past`."""
    found = {}
    for reference, model, _ in walk.asked_for:
        own, counted = verdict(scores, str(reference)), tried(model.settings.tuning.trials)
        found[str(reference)] = replace(own, lines=(*past, *own.lines, *counted))
    return found
