"""Refits during a backtest: models and baselines fitted again, every so many cutoffs.

A refit has the model's own settings, and a validation tail and a purge of its own. The series are
cut at its first cutoff, less the embargo, before anything is fitted, so that it cannot see further.
It forecasts from the cutoffs up to the next refit and is kept nowhere.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstmcli.config import Settings
from lstmcli.dataset.series import Series
from lstmcli.errors import Failure, ModelError, TrainingError, UsageError
from lstmcli.evaluation.backtest import Rows
from lstmcli.evaluation.forecasters import ALWAYS, Fitted, learn_trend
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning.fit import fit
from lstmcli.learning.learn import calibrated
from lstmcli.learning.plan import Plan, plan_suitable
from lstmcli.runs.metadata import Metadata

RefitWindow = Literal["expanding", "rolling"]
_DAY = np.timedelta64(1, "D")


class Span(NamedTuple):
    """The first and the last day that is fitted on."""

    first: np.datetime64
    last: np.datetime64


@dataclass(frozen=True)
class Refit:
    """One fit of one model during a backtest.

    since : the first cutoff that it forecasts from. first, last : the days that it was fitted on.
    rows, train, validation : its rows, training and validation windows, of all its symbols.
    epoch : the best one. left_out : why some symbols were unsuitable.
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
"""Callback: called after each refit with its record, its number and how many there will be."""


def refit_dates(
    series: Sequence[Series], cutoffs: Sequence[Rows], every: int | None, *, first: bool = False
) -> list[np.datetime64]:
    """Return the cutoff dates that a refit comes before: each `every`-th; the first if asked to."""
    if every is None:
        return []
    return list(cutoff_dates(series, cutoffs)[0 if first else every :: every])


def cutoff_dates(series: Sequence[Series], cutoffs: Sequence[Rows]) -> NDArray[np.datetime64]:
    """Return the cutoff dates of all series, ascending."""
    dates = [each.dates[rows] for each, rows in zip(series, cutoffs, strict=True)]
    return np.unique(np.concatenate(dates))


def check_refittable(models: Mapping[str, TrainedModel]) -> None:
    """Raise UsageError for a model whose split is not one of time."""
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
) -> tuple[list[Fitted], list[Refit]]:
    """Return what forecasts in turn: the models as they are, then fitted again for each date.

    metadata, series : by model, where it came from, and all that it may be fitted on again.
    rows : the rows of baselines for a first cutoff and the span of the first model.
    Raises AllFailedError when no series is long enough, TrainingError when training breaks down.
    """
    main = next(iter(models))
    before = trained_span(series[main], test_start, models[main].settings.split.embargo)
    trend = {name: metadata[name].trend for name in models}
    fits, done = [Fitted(models, trend, rows(ALWAYS, before))], []
    for day in dates:
        again: dict[str, TrainedModel] = {}
        learned: dict[str, Mapping[str, Any]] = {}
        spans: dict[str, Span] = {}
        for name, model in models.items():
            length = metadata[name].dates if window == "rolling" else None
            if length is None and window == "rolling":
                raise ModelError(
                    "no rolling refit",
                    where=name,
                    why="its metadata do not say how many dates it was fitted on",
                    next_step="Train it again, or pass --refit-window expanding.",
                )
            spans[name] = known_span(series[name], day, model.settings.split.embargo, length)
            again[name], learned[name], record = _refit(name, model, series[name], day, spans[name])
            done.append(record)
            on_refit(record, len(done), len(dates) * len(models))
        fits.append(Fitted(again, learned, rows(day, spans[main]), day))
    return fits, done


def describe_refits(
    done: Sequence[Refit], models: Mapping[str, TrainedModel], metadata: Mapping[str, Metadata]
) -> Iterator[str]:
    """Yield notes on what refits lacked: a start, prices of symbols trained on, long series."""
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
    """Return the days that may be fitted on for a first cutoff at `day`, that day included.

    embargo, length : dates of all series together, left out up to the day and kept before those.
    """
    dates = np.unique(np.concatenate([each.dates for each in series]))
    known = max(1, int(np.searchsorted(dates, day, side="right")) - embargo)
    first = 0 if length is None else max(0, known - length)
    return Span(dates[first], dates[known - 1])


def trained_span(series: Sequence[Series], test_start: np.datetime64, embargo: int) -> Span:
    """Return the days that a model was fitted on whose test span begins at `test_start`."""
    return known_span(series, test_start - _DAY, embargo)


def baseline_rows(
    series: Sequence[Series],
    cutoffs: Sequence[Rows],
    since: np.datetime64,
    span: Span,
    fewest: int,
) -> dict[str, range]:
    """Return the rows of each symbol that baselines are fitted on: those of the span.

    Where these are fewer than `fewest`, the model came from other prices, and the rows up to the
    symbol's first cutoff from `since` on stand in; no baseline is ever fitted past a cutoff.
    """
    found = {}
    for each, at in zip(series, cutoffs, strict=True):
        later = at[each.dates[at] >= since]
        limit = int(later[0]) + 1 if len(later) else len(each)
        first = int(np.searchsorted(each.dates, span.first))
        stop = min(limit, int(np.searchsorted(each.dates, span.last, side="right")))
        found[each.symbol] = range(first, stop) if stop - first >= fewest else range(limit)
    return found


def _refit(
    name: str, model: TrainedModel, series: Sequence[Series], day: np.datetime64, span: Span
) -> tuple[TrainedModel, Mapping[str, Any], Refit]:
    settings, plan, failures = plan_refit(model, series, span)
    done = fit(plan, settings, model.device)
    if done.error is not None:
        raise TrainingError(
            done.error.what,
            where=f"refit of {name} at {day}",
            why=done.error.why,
            next_step=done.error.next_step,
        ) from done.error
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
    return again, learn_trend(again, plan.series, plan.splits), record


def plan_refit(
    model: TrainedModel, series: Sequence[Series], span: Span
) -> tuple[Settings, Plan, list[Failure]]:
    """Return settings and plan of a fit on a span, of which every row trains or validates."""
    parts = [each.between(span.first, span.last) for each in series]
    settings = model.settings.changed(split={"train_end": span.last.astype(object), "embargo": 0})
    return settings, *plan_suitable([each for each in parts if len(each)], settings)
