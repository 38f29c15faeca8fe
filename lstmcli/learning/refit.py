"""Refits during a backtest: models and baselines are refitted every few cutoffs.

A refit uses the model's settings, with its own validation part and purge. The series are cut at its
first cutoff, less the embargo, before fitting, so that it cannot see later rows. It forecasts from
the cutoffs up to the next refit and is not saved.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from lstmcli.arrays import Days
from lstmcli.config import Settings
from lstmcli.dataset.series import Series
from lstmcli.errors import Failure, LstmcliError, ModelError, UsageError
from lstmcli.evaluation.backtest import Rows
from lstmcli.evaluation.forecasters import ALWAYS, Fitted, learn_trend
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning.fit import fit
from lstmcli.learning.learn import calibrated
from lstmcli.learning.plan import Plan, plan_suitable
from lstmcli.learning.workers import Workers
from lstmcli.runs.metadata import Metadata
from lstmcli.training.device import choose_device

RefitWindow = Literal["expanding", "rolling"]
_DAY = np.timedelta64(1, "D")


class Span(NamedTuple):
    """The first and the last day used for fitting."""

    first: np.datetime64
    last: np.datetime64


@dataclass(frozen=True)
class Refit:
    """One fit of one model during a backtest.

    since : the first cutoff that it forecasts from. first, last : the days used for fitting. rows,
    train, validation : numbers of rows, training and validation windows over all symbols. epoch :
    the best one. left_out : reasons for unsuitable symbols.
    """

    model: str
    since: str
    first: str
    last: str
    symbols: int
    rows: int
    train: int
    validation: int
    epoch: int
    left_out: tuple[str, ...]


OnRefit = Callable[[Refit, int, int], None]
"""Callback: called after each refit with (refit, number, total)."""


def refit_dates(
    series: Sequence[Series], cutoffs: Sequence[Rows], every: int | None, *, first: bool = False
) -> list[np.datetime64]:
    """Return the cutoff dates to refit before: each `every`-th, and with `first` the first."""
    if every is None:
        return []
    return list(cutoff_dates(series, cutoffs)[0 if first else every :: every])


def cutoff_dates(series: Sequence[Series], cutoffs: Sequence[Rows]) -> Days:
    """Return the sorted cutoff dates of all series."""
    dates = [each.dates[rows] for each, rows in zip(series, cutoffs, strict=True)]
    return np.unique(np.concatenate(dates))


def check_refittable(models: Mapping[str, TrainedModel]) -> None:
    """Raise UsageError for a model whose split is not chronological."""
    for name, model in models.items():
        if model.settings.split.method != "chronological":
            raise UsageError(
                "this model cannot be refitted",
                where=name,
                why=f"its split.method is {model.settings.split.method}",
                next_step="Pass --refit never, or train with split.method chronological.",
            )


def refits(
    models: Mapping[str, TrainedModel],
    metadata: Mapping[str, Metadata],
    series: Mapping[str, Sequence[Series]],
    dates: Sequence[np.datetime64],
    *,
    test_start: np.datetime64,
    window: RefitWindow,
    rows: Callable[[np.datetime64, Span], Mapping[str, range]],
    on_refit: OnRefit,
    workers: Workers,
) -> tuple[list[Fitted], list[Refit]]:
    """Return the fits that forecast in turn: the models as trained, then a refit per date.

    metadata, series : by model; the series are all that it may be refitted on. rows : returns the
    rows of baselines for a first cutoff and the span of the first model. workers : run the refits;
    their networks are then moved to the devices of the models. Raises AllFailedError if no series
    is long enough, TrainingError if training diverges.
    """
    main = next(iter(models))
    before = trained_span(series[main], test_start, models[main].settings.split.embargo)
    trend = {name: metadata[name].trend for name in models}
    fits, done = [Fitted(models, trend, rows(ALWAYS, before))], list[Refit]()
    lengths = {name: _length(name, metadata[name], window) for name in models} if dates else {}
    tasks = [
        _Task(name, day, known_span(series[name], day, model.settings.split.embargo, lengths[name]))
        for day in dates
        for name, model in models.items()
    ]
    settings = {name: model.settings for name, model in models.items()}
    shared = workers.put((settings, series, workers.device))
    refitted = workers.run(_refit, ((shared, task) for task in tasks), ahead=len(tasks))
    again: dict[str, TrainedModel] = {}
    trends: dict[str, Mapping[str, Any]] = {}
    for task, found in zip(tasks, refitted, strict=True):
        if isinstance(found, LstmcliError):
            raise found
        model, learned, record = found
        done.append(record)
        on_refit(record, len(done), len(tasks))
        again[task.model], trends[task.model] = model.to(models[task.model].device), learned
        if task.model == main:
            span = task.span
        if len(again) == len(models):
            fits.append(Fitted(again, trends, rows(task.day, span), task.day))
            again, trends = {}, {}
    return fits, done


def _length(name: str, metadata: Metadata, window: RefitWindow) -> int | None:
    """Return the number of dates for a refit, None for all; ModelError if it is unknown."""
    if window == "rolling" and metadata.dates is None:
        raise ModelError(
            "no rolling refit",
            where=name,
            why="its metadata do not say how many dates it was fitted on",
            next_step="Retrain it, or pass --refit-window expanding.",
        )
    return metadata.dates if window == "rolling" else None


def describe_refits(
    done: Sequence[Refit], models: Mapping[str, TrainedModel], metadata: Mapping[str, Metadata]
) -> Iterator[str]:
    """Yield notes on what refits lacked: a donor, prices of symbols, enough rows."""
    for name, model in models.items():
        origin = metadata[name].ready_made
        if done and origin is not None and origin.model != name:
            yield f"refits of {name} do not start from {origin.model}, as it did"
        most = max((each.symbols for each in done if each.model == name), default=0)
        if 0 < most < len(model.trained_on):
            yield (
                f"refits of {name} have {most} of the {len(model.trained_on)} symbols that it was "
                "trained on"
            )
    for each in done:
        yield from (f"refit of {each.model} at {each.since}: {why}" for why in each.left_out)


def known_span(
    series: Sequence[Series], day: np.datetime64, embargo: int, length: int | None = None
) -> Span:
    """Return the days that a fit may use if `day`, included, is its first cutoff.

    embargo, length : numbers of dates over all series, dropped up to the day and used before those.
    """
    dates = np.unique(np.concatenate([each.dates for each in series]))
    known = max(1, int(np.searchsorted(dates, day, side="right")) - embargo)
    first = 0 if length is None else max(0, known - length)
    return Span(dates[first], dates[known - 1])


def trained_span(series: Sequence[Series], test_start: np.datetime64, embargo: int) -> Span:
    """Return the days used to fit a model whose test span starts at `test_start`."""
    return known_span(series, test_start - _DAY, embargo)


def baseline_rows(
    series: Sequence[Series],
    cutoffs: Sequence[Rows],
    since: np.datetime64,
    span: Span,
    fewest: int,
) -> dict[str, range]:
    """Return the rows of each symbol to fit baselines on: those of the span.

    If there are fewer than `fewest`, the model was trained on other prices; then all rows up to the
    symbol's first cutoff since `since` are used. No baseline is ever fitted past a cutoff.
    """
    found = {}
    for each, at in zip(series, cutoffs, strict=True):
        later = at[each.dates[at] >= since]
        limit = int(later[0]) + 1 if len(later) else len(each)
        first = int(np.searchsorted(each.dates, span.first))
        stop = min(limit, int(np.searchsorted(each.dates, span.last, side="right")))
        found[each.symbol] = range(first, stop) if stop - first >= fewest else range(limit)
    return found


class _Task(NamedTuple):
    """A refit to run: of a model, before a first cutoff, on a span."""

    model: str
    day: np.datetime64
    span: Span


def _refit(
    shared: tuple[Mapping[str, Settings], Mapping[str, Sequence[Series]], str], task: _Task
) -> tuple[TrainedModel, Mapping[str, Any], Refit]:
    """Run a refit; return the model on the CPU, its trend figures and its record.

    shared : settings and series by model, and the device.
    """
    (settings, series, device), (name, day, span) = shared, task
    own, plan, failures = plan_refit(settings[name], series[name], span)
    done = fit(plan, own, choose_device(device))
    if done.error is not None:
        raise done.error.changed(where=f"refit of {name} at {day}") from done.error
    again = calibrated(done.model, plan)
    counts = plan.counts()
    record = Refit(
        model=name,
        since=str(day),
        first=str(min(each.dates[0] for each in plan.series)),
        last=str(max(each.dates[-1] for each in plan.series)),
        symbols=len(plan.series),
        epoch=done.best_epoch,
        left_out=tuple(failure.reason for failure in failures),
        **{part: counts[part] for part in ("rows", "train", "validation")},
    )
    trend = learn_trend(again, plan.series, plan.splits)
    return again.to(torch.device("cpu")), trend, record


def plan_refit(
    settings: Settings, series: Sequence[Series], span: Span
) -> tuple[Settings, Plan, list[Failure]]:
    """Return settings and plan of a fit that uses every row of a span, without a test part."""
    parts = [each.between(span.first, span.last) for each in series]
    settings = settings.changed(split={"train_end": span.last.astype(object), "embargo": 0})
    return settings, *plan_suitable([each for each in parts if len(each)], settings)
