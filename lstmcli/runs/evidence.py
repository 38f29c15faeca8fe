"""Detect forecasts in hindsight, and count the models scored on a test span.

A forecast is in hindsight if its cutoff is before the last row that the model was trained on,
whatever its symbol, since markets move together.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lstmcli.config import Settings
from lstmcli.dataset.series import Series
from lstmcli.errors import DataError, FileError, LockedError, UsageError
from lstmcli.forecasting.model import TrainedModel
from lstmcli.market.prices import Prices
from lstmcli.printable import first_few
from lstmcli.runs.looks import By, Look, Looks, Sketch, record_looks, sketch
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import ModelRef


def check_cut(prices: Prices, first: np.datetime64) -> None:
    """Raise DataError if a row from day `first` on, which scores need, is unusable."""
    if prices.cut is not None and np.datetime64(prices.cut) >= first:
        raise DataError(
            "unusable row among those to score",
            where=f"{prices.symbol}, {prices.source}",
            why=f"the row of {prices.cut} cannot be used, expected cutoffs after it",
            next_step=f"Correct it, or pass --start {prices.frame.index[0]:%Y-%m-%d}.",
        )


def warn_untrained(symbols: Sequence[str], trained_on: Sequence[str]) -> tuple[str, ...]:
    """Return one note that lists the symbols the model was not trained on."""
    known = set(trained_on)
    new = [symbol for symbol in symbols if symbol not in known]
    return (f"the model was not trained on {first_few(new, 5)}",) if new else ()


def note_held(settings: Settings) -> tuple[str, ...]:
    """Return a note if a recursive forecast reads inputs of future days."""
    held = [each.text for each in settings.window.inputs if each.lag < settings.window.horizon]
    if settings.model.head != "recursive" or not held:
        return ()
    return (
        f"{first_few(held, 5)}: not known ahead of a forecast, so its steps read the last known "
        "value",
    )


def warn_shorter(series: Series, metadata: Metadata) -> tuple[str, ...]:
    """Return a note if a series lacks early rows of training, on which a fan depends."""
    then = (each.first for each in metadata.symbols if each.symbol == series.symbol)
    if (first := next(then, None)) is None or str(series.dates[0]) <= first:
        return ()
    return (
        f"it begins on {series.dates[0]}, in training it began on {first}: what is usual in the "
        "long run is taken from fewer rows",
    )


def warn_young(
    series: Sequence[Series], cutoffs: Sequence[NDArray[np.int64]], length: int
) -> Iterator[str]:
    """Yield a note for each series with cutoffs after fewer rows than the network reads."""
    for each, rows in zip(series, cutoffs, strict=True):
        if young := int(np.count_nonzero(rows < length - 1)):
            yield (
                f"{each.symbol}: {young} of {len(rows)} windows have fewer than the {length} rows "
                "that the network reads: forecast by the linear fan alone, without long-run "
                "volatility"
            )


def hindsight(metadata: Metadata, cutoff: np.datetime64) -> str | None:
    """Return a note on a forecast in hindsight; None if the model has seen no later day."""
    until, chosen = metadata.trained_until, metadata.validation_start
    if cutoff >= until:
        return None
    those = f" (validation from {chosen} on)" if chosen else ""
    return f"hindsight: the model was fitted on rows up to {until}, after this cutoff{those}"


def warn_hindsight(in_training: NDArray[np.bool_], until: np.datetime64) -> tuple[str, ...]:
    """Return one sentence on windows that start before that day, or nothing if none does."""
    count = int(np.count_nonzero(in_training))
    if not count:
        return ()
    return (
        f"Hindsight: {count} of {in_training.size} windows start before {until}, the last day used "
        "to fit or choose the model, and prove nothing.",
    )


def check_unseen(first: np.datetime64, models: Mapping[str, Metadata]) -> None:
    """Raise UsageError if cutoffs would start on days that the ready-made model has seen."""
    for name, each in models.items():
        seen = each.ready_made
        if seen is not None and first <= seen.until:
            origin = "was" if name == seen.model else f"was trained from {seen.model}, which was"
            raise UsageError(
                "cannot score days that the model has seen",
                where=f"--start {first}",
                why=f"{name} {origin} fitted on days up to {seen.until}",
                next_step=f"Pass --start {seen.until + 1} or a later day.",
            )


@dataclass(frozen=True)
class Span:
    """Days of one series that a model was scored on."""

    series: Sketch
    first: np.datetime64
    last: np.datetime64


def spans(
    series: Iterable[Series], cutoffs: Iterable[NDArray[np.int64]], horizon: int
) -> list[Span]:
    """Return the scored days of each series that has windows; cutoffs are rows of each series."""
    return [
        Span(
            sketch(each.symbol, each.dates, each.log_prices),
            each.dates[rows.min()],
            each.dates[min(rows.max() + horizon, len(each) - 1)],
        )
        for each, rows in zip(series, cutoffs, strict=True)
        if len(rows)
    ]


def look(
    model: TrainedModel, reference: ModelRef, by: By, settings: str, scored: Sequence[Span]
) -> Look:
    """Return the look of a model at one or more spans."""
    return Look(
        model=_identity(model),
        name=str(reference),
        by=by,
        settings=settings,
        first=str(min(each.first for each in scored)),
        last=str(max(each.last for each in scored)),
        series=tuple(each.series for each in scored),
    )


def looks_at_test_spans(
    models: Iterable[tuple[ModelRef, TrainedModel, Metadata]],
    series: Sequence[Series],
    cutoffs: Sequence[NDArray[np.int64]],
    horizon: int,
    refitted: Sequence[np.datetime64],
    settings: str,
) -> list[Look]:
    """Return each model's look at its test span, or at the span that its refits forecast."""
    looks = []
    for reference, model, metadata in models:
        start = min([metadata.span_start, *refitted])
        rows = [own[each.dates[own] >= start] for each, own in zip(series, cutoffs, strict=True)]
        if scored := spans(series, rows, horizon):
            looks.append(look(model, reference, "evaluate", settings, scored))
    return looks


def count_looks(data_dir: Path, looks: Sequence[Look]) -> tuple[Looks | None, tuple[str, ...]]:
    """Count looks; return all looks at their period, or None if counting failed, and notes."""
    if not looks:
        return None, ()
    try:
        found, note = record_looks(data_dir, looks)
    except (FileError, LockedError) as error:
        return None, (f"this look at the test span was not counted: {error}",)
    return found, (note,) if note else ()


def describe_looks(looks: Looks | None) -> tuple[str, ...]:
    """Return a note on the number of models scored on a period, if there are at least two."""
    if looks is None or looks.models < 2:
        return ()
    by = ", ".join(f"{count} by {command}" for command, count in looks.by.items())
    return (
        f"You have evaluated {'at least ' * looks.at_least}{looks.models} models on this period "
        f"({by}). If those results guided your choices, expect worse on new data.",
    )


def _identity(model: TrainedModel) -> str:
    """Return a hash of weights, linear fan, scales, calibration and settings: all of a forecast."""
    found = hashlib.blake2b(digest_size=8)
    for name, weights in model.network.state_dict().items():
        found.update(name.encode())
        found.update(weights.detach().cpu().contiguous().numpy().tobytes())
    if model.calibration is not None:
        found.update(np.ascontiguousarray(model.calibration.factors).tobytes())
    if model.har is not None:  # often all that differs: many networks add nothing to it
        for values in model.har.arrays().values():
            found.update(np.ascontiguousarray(values).tobytes())
    for scale in (model.fitted, model.inputs):
        if scale is not None:
            for fitted in vars(scale).values():
                found.update(fitted.detach().cpu().contiguous().numpy().tobytes())
    shape = model.settings.model_dump_json(include={"window", "model", "forecast"})
    found.update(shape.encode())
    return found.hexdigest()
