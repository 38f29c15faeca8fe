"""Predict: the next `horizon` sessions of every symbol, from its last bar or an earlier one.

Symbols go through batch by batch: what was read of one is dropped as soon as the rows that its
forecast needs are taken out, and its forecast as soon as the caller has used it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lstmcli import __version__
from lstmcli.errors import DataError, Failure, UsageError, raise_if_all_failed
from lstmcli.evaluation.losses import LARGEST_MOVE
from lstmcli.evaluation.scores import HEADLINE_STEPS
from lstmcli.evaluation.trend import Thresholds, Yardsticks
from lstmcli.forecasting.explain import explain
from lstmcli.forecasting.forecaster import forecast_alike
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning.evidence import Span, count_looks, look, tell_looks
from lstmcli.market.prices import Prices
from lstmcli.printable import first_few
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.ledger import Entry, append
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import ModelRef, doubtful_paths, find_model, tell_doubts
from lstmcli.runs.state import StaleMark
from lstmcli.training.device import choose_device, threads
from lstmcli.workflows.prices import (
    Source,
    doubtful_folders,
    stream_prices,
    tell_untrained,
)
from lstmcli.workflows.stale import (
    stale_because,
    tell_adjustment,
    tell_stale,
)
from lstmcli.workflows.symbol_forecast import Ready, SymbolForecast, make_ready

STALE_SESSIONS = 3
EXPLAINED = 5  # symbols; a table each
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)  # recorded in the ledger
_HEX_DIGITS = 16
_BATCH = 128  # symbols in a pass through the network; more gain nothing and take memory


@dataclass(frozen=True)
class PredictReport:
    """What is forecast, by which model, and which symbols could not be.

    known : what training rows say that its forecasts are scored by, but for MASE's scales.
    trained_prices : the columns that it was trained on. stale : what of its data was restated
        since.
    forecasts : in the order asked for; those of a stream come as they are made, once.
    symbols, warnings : of the forecasts. notes : one sentence for whatever else there is to know.
    failures : the symbols that could not be forecast. All four are complete at a stream's end.
    """

    model: ModelRef
    metadata: Metadata
    horizon: int
    known: Yardsticks
    trained_prices: tuple[str, ...]
    stale: tuple[StaleMark, ...]
    forecasts: Iterable[SymbolForecast]
    symbols: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


def predict(
    source: Source,
    *,
    model: str | None = None,
    horizon: int | None = None,
    as_of: date | None = None,
    max_data_age: int = STALE_SESSIONS,
    device: str = "auto",
    number_of_threads: int = 1,
    stream: bool = False,
    explained: bool = False,
    counted: bool = True,
) -> PredictReport:
    """Forecast from the last bar, or from the last one up to `as_of`, many symbols at a time.

    `max_data_age` is how many sessions the last bar may lie back before its forecast carries a
    warning. A symbol that cannot be forecast becomes a Failure; when none can, the error is raised.
    With `stream` the memory needed does not grow with the number of symbols; what concerns all of
    them is raised before this returns nevertheless. With `explained` the forecasts of the first
    symbols are explained too. `counted` says whether outcomes that are shown are a look at them.
    """
    if as_of is not None and as_of > source.today:
        raise UsageError(
            "cannot forecast as of a day to come",
            where=f"--as-of {as_of}",
            why=f"today is {source.today}",
            next_step="Leave --as-of out to forecast from the last bar.",
        )
    reference = find_model(source.data_dir, model)
    trained, metadata = load_bundle(reference.folder, choose_device(device))
    steps = horizon or trained.settings.window.horizon
    report = PredictReport(
        reference,
        metadata,
        steps,
        _known(trained, str(reference), metadata.trend, steps),
        trained_prices=tuple(sorted(set(metadata.trained_prices.values()))),
        stale=stale_because(reference, metadata, source.data_dir),
        forecasts=(),
    )
    prepare = partial(
        make_ready,
        model=trained,
        metadata=metadata,
        as_of=as_of,
        today=min(as_of or source.today, source.today),
        max_data_age=max_data_age,
        steps=report.horizon,
    )
    made = _forecasts(
        replace(source, around=as_of or date.max),
        trained,
        prepare,
        number_of_threads,
        report,
        EXPLAINED if explained else 0,
        counted,
    )
    forecasts = chain(list(islice(made, 1)), made)
    return replace(report, forecasts=forecasts if stream else tuple(forecasts))


def before_end(report: PredictReport, act: Callable[[], object]) -> PredictReport:
    """Return the report as a stream that acts when all is made: before a result is shown."""

    def forecasts() -> Iterator[SymbolForecast]:
        yield from report.forecasts
        act()

    return replace(report, forecasts=forecasts())


def check_issuable(as_of: object) -> None:
    """Raise UsageError for a forecast from an earlier day, which anyone could make afterwards."""
    if as_of is not None:
        raise UsageError(
            "nothing to record",
            where="--record --as-of",
            why="a forecast from an earlier day is made by hindsight",
            next_step="Leave one of the two out; evaluate grades past cutoffs.",
        )


def recorded(report: PredictReport, data_dir: Path, now: datetime) -> PredictReport:
    """Return the report as a stream that writes the ledger when all is made: before it is shown.

    now : the time of issue. The report's warnings say what was left out, or cut from the ledger.
    Raises FileError where the forecasts cannot be written: none of them is then.
    """
    issued = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def forecasts() -> Iterator[SymbolForecast]:
        entries: list[Entry] = []
        left_out: dict[str, list[str]] = {}
        for each in report.forecasts:
            why = _unfit(each, now)
            if why is None:
                entries.append(_ledger_entry(each, report, issued))
            else:
                left_out.setdefault(why, []).append(each.symbol)
            yield each
        report.warnings.extend(append(data_dir, entries))
        report.warnings.extend(
            f"not recorded, since {why}: {first_few(symbols, 5)}"
            for why, symbols in left_out.items()
        )

    return replace(report, forecasts=forecasts())


def _known(
    model: TrainedModel, name: str, trend: Mapping[str, Sequence[float]], steps: int
) -> Yardsticks:
    """Return what the model has learned of trends; NaN for steps beyond those trained."""
    beyond = [np.nan] * steps
    low, high = (np.array([*trend[side], *beyond][:steps]) for side in ("low", "high"))
    return Yardsticks(
        mase_scales={},
        thresholds={name: Thresholds(low, high)},
        base_rates=trend.get("rise", ())[:steps],
        flat_band=model.settings.evaluate.flat_band,
    )


def _forecasts(
    source: Source,
    model: TrainedModel,
    prepare: Callable[[Prices], Ready],
    number_of_threads: int,
    report: PredictReport,
    explained: int,
    counted: bool,
) -> Iterator[SymbolForecast]:
    """Make the forecasts of a report and fill its lists; raises AllFailedError for none at all.

    explained : how many of the first are explained.
    """
    # Explained are the steps of the tables, and the last.
    steps = (*(step for step in HEADLINE_STEPS if step < report.horizon), report.horizon)
    notes: list[str] = []
    warned: dict[str, list[str]] = {}  # symbols by warning: one line for all of them
    other_prices: dict[str, str] = {}
    scored: list[Span] = []
    with threads(number_of_threads):
        read = stream_prices(source, model.settings.data, report.metadata.interval)
        for batch in _batches(read, prepare, notes, report.failures):
            made = forecast_alike(
                model,
                [each.series for each in batch],
                [np.array([len(each.series) - 1]) for each in batch],
                horizon=report.horizon,
            )
            for number, each in enumerate(batch):
                finished = each.finish(made.rows(slice(number, number + 1)))
                if len(report.symbols) < explained:
                    found = explain(model, each.series, len(each.series) - 1, steps=steps)
                    finished = replace(finished, explanation=found)
                report.symbols.append(finished.symbol)
                scored += [each.scored] if each.scored and counted else []
                for warning in finished.warnings:
                    text = warning.removeprefix(f"{finished.symbol}: ")
                    warned.setdefault(text, []).append(finished.symbol)
                if not finished.price_as_trained:
                    other_prices[finished.symbol] = finished.price
                yield finished
    raise_if_all_failed(len(report.symbols), report.failures)
    report.warnings.extend(f"{first_few(symbols, 5)}: {text}" for text, symbols in warned.items())
    report.notes.extend(_count_look(source, model, report, scored))
    folders = doubtful_folders(source, model.settings.data.interval)
    report.notes.extend(tell_doubts([*folders, *doubtful_paths(report.model)]))
    report.notes.extend(tell_stale(report.model, report.stale))
    report.notes.extend(tell_adjustment(report.trained_prices, other_prices))
    report.notes.extend(tell_untrained(report.symbols, model.trained_on))
    report.notes.extend(notes)
    if explained and (total := len(report.symbols)) > EXPLAINED:
        report.notes.append(
            f"explained the first {EXPLAINED} of {total} symbols; name the others to see them"
        )


def _count_look(
    source: Source, model: TrainedModel, report: PredictReport, scored: Sequence[Span]
) -> Iterator[str]:
    """Count forecasts that are shown with their outcome as a look; yield what to say of it."""
    if scored:
        settings = f"as-of horizon={report.horizon}"
        this = look(model, report.model, "predict", settings, scored)
        looks, notes = count_looks(source.data_dir, [this])
        yield from (*tell_looks(looks), *notes)


def _batches(
    read: Iterable[Prices | Failure],
    prepare: Callable[[Prices], Ready],
    notes: list[str],
    failures: list[Failure],
) -> Iterator[list[Ready]]:
    """Take the prices read, and give what can be forecast a batch at a time."""
    ready: list[Ready] = []
    for each in read:
        if isinstance(each, Failure):
            failures.append(each)
            continue
        notes.extend(each.named_notes())
        try:
            ready.append(prepare(each))
        except DataError as error:
            failures.append(Failure.of(each.symbol, error))
        if len(ready) == _BATCH:
            yield ready
            ready = []
    if ready:
        yield ready


def _unfit(each: SymbolForecast, now: datetime) -> str | None:
    """Why a forecast cannot be recorded, or None."""
    if _is_late(each, now):
        return "the first session was over already"
    fan = each.forecast.quantiles
    moves = each.forecast.median if fan is None else np.asarray(fan)
    if not (np.abs(moves) <= LARGEST_MOVE).all():  # False for NaN
        return "the forecast is no usable number"
    return None


def _is_late(each: SymbolForecast, now: datetime) -> bool:
    """Whether the first session forecast was over: by its date, and by complete bars missing.

    Of either alone neither is sure: a week is dated by its first day, and a series of the user's
    own name may keep holidays that are unknown.
    """
    return each.behind > 0 and bool(each.dates[0] < np.datetime64(now.astimezone(UTC).date()))


def _ledger_entry(each: SymbolForecast, report: PredictReport, issued: str) -> Entry:
    last = each.forecast.steps[-1]
    steps = [step for step in HEADLINE_STEPS if step < last] + [last]
    kept = each.forecast.at(steps)
    moves = kept.median[0][:, None]
    levels: tuple[float, ...] = ()
    if kept.quantiles is not None:
        columns = _nearest_columns(kept.levels)
        moves = kept.quantiles[0][:, columns]
        levels = tuple(kept.levels[k] for k in columns)
    return Entry(
        issued=issued,
        model=report.model.name,
        version=report.model.version,
        symbol=each.symbol,
        interval=each.interval,
        price=each.price,
        cutoff=str(each.cutoff),
        last_close=each.last_close,
        context_length=each.context_length,
        steps=steps,
        dates=[str(each.dates[step - 1]) for step in steps],
        levels=levels,
        moves=moves.tolist(),
        data=each.fingerprint,
        weights=report.metadata.weights_sha256[:_HEX_DIGITS],
        lstmcli=__version__,
    )


def _nearest_columns(levels: tuple[float, ...]) -> list[int]:
    """Return where the levels lie that come nearest to those wanted, each once."""
    at: NDArray[np.float64] = np.asarray(levels)
    return sorted({int(np.argmin(np.abs(at - level))) for level in LEVELS})
