"""Evaluate: walk forward over past cutoffs, beside the baselines, to a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import compress
from typing import Any

import numpy as np

from lstmcli.config import Settings
from lstmcli.dataset.series import Series
from lstmcli.errors import DataError, UsageError
from lstmcli.evaluation.backtest import Backtest, Rows
from lstmcli.evaluation.cutoffs import choose_cutoffs
from lstmcli.evaluation.scores import Scores
from lstmcli.evaluation.verdict import verdict
from lstmcli.forecasting.baselines import fewest_climatology_rows
from lstmcli.forecasting.model import TrainedModel
from lstmcli.market.prices import Prices
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.ownership import tell_doubts
from lstmcli.runs.registry import ModelRef, doubtful_paths, find_model
from lstmcli.training.device import choose_device, threads
from lstmcli.workflows.prices import (
    Failure,
    Source,
    load_prices,
    raise_if_all_failed,
    series_for,
    tell_untrained,
)
from lstmcli.workflows.scoring import EXTRA_BASELINES, backtest, check_moves, score_backtest

_FEWEST_FIT_ROWS = 2


@dataclass(frozen=True)
class EvaluateReport:
    """What was forecast from past cutoffs and what it is worth.

    models : the networks, in the order asked for; the scores are about the first.
    test_start : the first day whose bar may be a test cutoff. fitted_cutoffs : how many cutoffs lie
        before it, in rows that a model was fitted on; figures from them prove nothing.
    """

    models: tuple[ModelRef, ...]
    metadata: tuple[dict[str, Any], ...]
    settings: Settings
    price: str
    horizon: int
    step_size: int
    test_start: np.datetime64
    fitted_cutoffs: int
    backtest: Backtest
    scores: Scores
    verdicts: dict[str, str]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


def evaluate(
    source: Source,
    *,
    models: Sequence[str] = (),
    horizon: int | None = None,
    start: date | None = None,
    end: date | None = None,
    step_size: int | None = None,
    n_windows: int | None = None,
    baselines: Sequence[str] = (),
    device: str = "auto",
    number_of_threads: int = 1,
) -> EvaluateReport:
    """Forecast every symbol from past cutoffs with each model and each baseline, and score them.

    Without `start` the cutoffs begin where the recipe says, else with the test span. Raises
    DataError when no cutoff has a whole horizon of bars behind it.
    """
    unknown = set(baselines) - set(EXTRA_BASELINES)
    if unknown:
        raise UsageError(
            "no such baseline",
            where=", ".join(sorted(unknown)),
            why="there is " + ", ".join(EXTRA_BASELINES),
            next_step="The others are always shown.",
        )
    references = [find_model(source.data_dir, model) for model in models or (None,)]
    _check_unique(references)
    bundles = [load_bundle(each.folder, choose_device(device)) for each in references]
    networks = {str(ref): model for ref, (model, _) in zip(references, bundles, strict=True)}
    settings = bundles[0][0].settings
    loaded, failures = load_prices(source, settings.data)
    own, unsuitable = _own_series(networks, loaded)
    failures += unsuitable
    raise_if_all_failed(len(loaded) - len(unsuitable), failures)
    test_start = max(np.datetime64(metadata["split"]["test_start"]) for _, metadata in bundles)
    steps = _horizon(horizon, networks)
    step = step_size or settings.evaluate.step_size or steps
    asked = start or settings.evaluate.start
    first = test_start if asked is None else np.datetime64(asked)
    cutoffs = choose_cutoffs(
        own[str(references[0])],
        first=first,
        last=_last(end or settings.evaluate.end),
        step_size=step,
        n_windows=n_windows or settings.evaluate.n_windows,
        context_length=max(model.settings.window.context_length for model in networks.values()),
        horizon=steps,
    )
    fans = any(model.levels for model in networks.values())
    numbers, unsuitable = _fit_rows(
        own[str(references[0])], cutoffs, first, test_start, steps, fans
    )
    failures += unsuitable
    raise_if_all_failed(len(numbers), failures)
    some = [each.symbol in numbers for each in own[str(references[0])]]
    own = {name: list(compress(each, some)) for name, each in own.items()}
    series, cutoffs = own[str(references[0])], list(compress(cutoffs, some))
    fit_rows = list(numbers.values())
    with threads(number_of_threads):
        result = backtest(
            {name: (model, own[name]) for name, model in networks.items()},
            series,
            cutoffs,
            fit_rows=fit_rows,
            horizon=steps,
            context_length=settings.window.context_length,
            interval=loaded[0].interval,
            extra=baselines,
        )
    scores = score_backtest(
        result,
        str(references[0]),
        series,
        fit_rows,
        flat_band=settings.evaluate.flat_band,
        trend={str(r): data["trend"] for r, (_, data) in zip(references, bundles, strict=True)},
    )
    return EvaluateReport(
        models=tuple(references),
        metadata=tuple(metadata for _, metadata in bundles),
        settings=settings,
        price=series[0].price,
        horizon=steps,
        step_size=step,
        test_start=test_start,
        fitted_cutoffs=int((result.cutoff < test_start).sum()),
        backtest=result,
        scores=scores,
        verdicts={name: verdict(scores, name) for name in networks},
        notes=(
            *(note for each in references for note in tell_doubts(doubtful_paths(each))),
            *tell_untrained([each.symbol for each in series], bundles[0][0].trained_on),
            *(f"{each.symbol}: {note}" for each in loaded for note in each.notes),
        ),
        failures=tuple(failures),
    )


def _own_series(
    networks: Mapping[str, TrainedModel], loaded: Sequence[Prices]
) -> tuple[dict[str, list[Series]], list[Failure]]:
    """Return the series with the features that each model reads, and those that lack some."""
    own: dict[str, list[Series]] = {name: [] for name in networks}
    unsuitable = []
    for prices in loaded:
        try:
            found = [series_for(model.settings, prices) for model in networks.values()]
        except DataError as error:
            unsuitable.append(Failure(prices.symbol, str(error), error.exit_code))
            continue
        for name, series in zip(networks, found, strict=True):
            own[name].append(series)
    return own, unsuitable


def _horizon(asked: int | None, networks: Mapping[str, TrainedModel]) -> int:
    """Return the steps that all models forecast: the smallest trained number unless asked for."""
    return asked or min(model.settings.window.horizon for model in networks.values())


def _last(end: date | None) -> np.datetime64 | None:
    return None if end is None else np.datetime64(end)


def _fit_rows(
    series: Sequence[Series],
    cutoffs: Sequence[Rows],
    first: np.datetime64,
    test_start: np.datetime64,
    horizon: int,
    fans: bool,
) -> tuple[dict[str, int], list[Failure]]:
    """Return how many rows of each symbol a baseline may be fitted on: those before the test span.

    Where these are too few, the model came from other prices, and the rows up to the first cutoff
    stand in; no baseline is ever fitted past a cutoff. Symbols that cannot be judged come second.
    """
    fewest = fewest_climatology_rows(horizon) if fans else _FEWEST_FIT_ROWS
    numbers, unsuitable = {}, []
    for each, rows in zip(series, cutoffs, strict=True):
        try:
            _check_windows(each, rows, first, horizon)
            before, known = int(np.searchsorted(each.dates, test_start)), int(rows[0]) + 1
            number = min(before, known) if before >= fewest else known
            if fans:
                check_moves(each, number, horizon)
        except DataError as error:
            unsuitable.append(Failure(each.symbol, str(error), error.exit_code))
        else:
            numbers[each.symbol] = number
    return numbers, unsuitable


def _check_unique(references: Sequence[ModelRef]) -> None:
    names = [str(each) for each in references]
    if len(set(names)) < len(names):
        raise UsageError(
            "a model comes twice",
            where=", ".join(names),
            next_step="Pass each --model once; those of the same name and version cannot be told "
            "apart.",
        )


def _check_windows(series: Series, cutoffs: Rows, first: np.datetime64, horizon: int) -> None:
    if not len(cutoffs):
        raise DataError(
            "no window to evaluate",
            where=series.symbol,
            why=f"no cutoff from {first} on has {horizon} bars after it; its {len(series)} bars "
            f"run from {series.dates[0]} to {series.dates[-1]}",
            next_step="Pass an earlier --start, or --csv FILE with later prices.",
        )
