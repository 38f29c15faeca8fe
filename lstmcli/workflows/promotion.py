"""Whether a new version takes the champion's place: only if it is better on what neither saw.

Whole horizons decide as soon as enough of them have matured that do not overlap; until then the
first steps do, which mature sooner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.errors import DataError, ModelError
from lstmcli.evaluation.backtest import Rows, actual_moves, future_rows
from lstmcli.evaluation.challenge import (
    FEWEST_WINDOWS,
    Comparison,
    compare,
    shared_levels,
    window_losses,
)
from lstmcli.evaluation.cutoffs import choose_cutoffs
from lstmcli.evaluation.intervals import MIN_WINDOWS
from lstmcli.evaluation.losses import check_forecast
from lstmcli.evaluation.pooling import count_dates
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel, series_for
from lstmcli.market.intervals import are_alike, bars_of
from lstmcli.market.prices import Prices
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.registry import ModelRef, champion

Promote = Literal["if-better", "always", "never"]
LEVEL = 0.01
FIRST_STEPS = 5
_MOST_DATES = 150  # more cutoffs of the first steps cost time and tell little


@dataclass(frozen=True)
class Decision:
    """Whether a version became champion, and why.

    against : the champion that it was held against, None without one. comparison : None where
    there was none. sessions_needed : how many more the champion's and its own test span need
    before it can be judged, None where that is not what it lacks.
    """

    promoted: bool
    why: str
    against: str | None = None
    comparison: Comparison | None = None
    sessions_needed: int | None = None


BROKE_DOWN = Decision(False, "training broke down")


@dataclass(frozen=True)
class _Pair:
    """One symbol as each of the two models reads it."""

    challenger: Series
    champion: Series


@dataclass(frozen=True)
class _Windows:
    """How many steps decide, from which cutoffs of each symbol, and how many sessions lack."""

    steps: int
    cutoffs: list[Rows]
    missing: int


def decide(
    promotion: Promote,
    challenger: TrainedModel,
    test_start: np.datetime64,
    prices: Sequence[Prices],
    *,
    data_dir: Path,
    name: str,
    level: float = LEVEL,
) -> Decision:
    """Hold a challenger against the champion of `name`, on windows later than either was fitted on.

    test_start : the first day whose bar may be a test cutoff of the challenger.
    level : how often a challenger that is no better may win by luck.
    """
    if promotion == "never":
        return Decision(False, "--promote never")
    if promotion == "always":
        return Decision(True, "--promote always")
    try:
        reference = champion(data_dir, name)
        if reference is None:
            return Decision(True, "the first version")
        leader, metadata = load_bundle(reference.folder, challenger.device)
    except ModelError as error:
        return Decision(True, f"the champion cannot be read: {error}")
    start = max(test_start, np.datetime64(metadata["split"]["test_start"]))
    try:
        pairs = _pairs(challenger, leader, prices, metadata.get("interval"))
        return _judge((challenger, leader), pairs, start, reference, level)
    except DataError as error:
        return Decision(False, f"{reference} does not fit these prices: {error}", str(reference))


def _judge(
    models: tuple[TrainedModel, TrainedModel],
    pairs: Sequence[_Pair],
    start: np.datetime64,
    reference: ModelRef,
    level: float,
) -> Decision:
    windows = _windows(models, pairs, start)
    if windows.missing:
        found, some = count_dates(_taken(pairs, windows.cutoffs)), windows.missing != 1
        why = (
            f"too few windows of {_named(windows.steps)} are later than what it and {reference} "
            f"were fitted on ({found}); it can be judged in {windows.missing} session{'s' * some}"
        )
        return Decision(False, why, str(reference), sessions_needed=windows.missing)
    compared = _compared(models, pairs, windows, level)
    return Decision(compared.better, _told(compared, reference), str(reference), compared)


def _pairs(
    challenger: TrainedModel, leader: TrainedModel, prices: Sequence[Prices], interval: str | None
) -> list[_Pair]:
    """The symbols that both can forecast; raises DataError with the first reason if none."""
    found, errors = [], []
    for each in prices:
        try:
            if interval is not None and not are_alike(interval, each.interval):
                raise DataError(
                    bars_of(each.interval), where=each.symbol, why=f"it reads {bars_of(interval)}"
                )
            pair = _Pair(*(series_for(model.settings, each) for model in (challenger, leader)))
            if pair.challenger.price != pair.champion.price:
                raise DataError(
                    "another price",
                    where=each.symbol,
                    why=f"it forecasts {pair.champion.price}, this one {pair.challenger.price}",
                )
            found.append(pair)
        except DataError as error:
            errors.append(error)
    if not found:
        raise errors[0]
    return found


def _windows(
    models: Sequence[TrainedModel], pairs: Sequence[_Pair], start: np.datetime64
) -> _Windows:
    """Whole horizons that do not overlap, if enough have matured, else the first steps."""
    horizon = min(model.settings.window.horizon for model in models)
    series = [pair.challenger for pair in pairs]

    def cutoffs(steps: int, every: int) -> list[Rows]:
        return choose_cutoffs(
            series,
            first=start,
            step_size=every,
            context_length=max(model.settings.window.context_length for model in models),
            horizon=steps,
        )

    whole = cutoffs(horizon, horizon)
    if count_dates(_taken(pairs, whole)) >= MIN_WINDOWS:
        return _Windows(horizon, whole, 0)
    steps = min(FIRST_STEPS, horizon)
    first = cutoffs(steps, 1)
    found = count_dates(_taken(pairs, first))
    every = -(-found // _MOST_DATES)
    return _Windows(
        steps,
        first if every <= 1 else cutoffs(steps, every),
        _sessions_needed(found, series, start, steps),
    )


def _sessions_needed(found: int, series: Sequence[Series], start: np.datetime64, steps: int) -> int:
    """How many more sessions it takes until so many first steps can be judged; 0 for none."""
    needed = max(MIN_WINDOWS, 2 * steps, (FEWEST_WINDOWS - 1) * steps + 1)
    if found >= needed:
        return 0
    sessions = np.unique(np.concatenate([each.dates for each in series]))
    return needed - found + max(0, steps - int(np.count_nonzero(sessions >= start)))


def _taken(pairs: Sequence[_Pair], cutoffs: Sequence[Rows]) -> NDArray[np.datetime64]:
    return np.concatenate(
        [pair.challenger.dates[rows] for pair, rows in zip(pairs, cutoffs, strict=True)]
    )


def _compared(
    models: tuple[TrainedModel, TrainedModel],
    pairs: Sequence[_Pair],
    windows: _Windows,
    level: float,
) -> Comparison:
    """Forecast one symbol after the other, so that memory stays flat."""
    levels = shared_levels(*(model.levels for model in models))
    parts = []
    for pair, rows in zip(pairs, windows.cutoffs, strict=True):
        if not len(rows):
            continue
        actual = actual_moves(pair.challenger, rows, windows.steps)
        losses = []
        for model, series in zip(models, (pair.challenger, pair.champion), strict=True):
            made = forecast(model, [series.until(rows)], [rows], horizon=windows.steps)
            check_forecast(series.symbol, made, actual)
            losses.append(window_losses(made, actual, levels))
        dates = pair.challenger.dates
        end = dates[future_rows(rows, windows.steps)[:, -1]]
        parts.append((*losses, np.full(len(rows), series.symbol), dates[rows], end))
    return compare(
        *(np.concatenate(column) for column in zip(*parts, strict=True)),
        levels=levels,
        steps=windows.steps,
        level=level,
    )


def _told(found: Comparison, reference: ModelRef) -> str:
    loss = "mean pinball loss" if found.loss == "pinball" else "RMSE"
    verdict = found.why or (
        f"p = {found.p:.2g}, {'' if found.better else 'not '}better at the "
        f"{100 * found.level:g} % level"
    )
    return (
        f"{loss} of {_named(found.steps)} {100 * found.challenger:.4g} % against "
        f"{100 * found.champion:.4g} % of {reference} on {found.n_dates} cutoffs "
        f"({found.n_independent} independent): {verdict}"
    )


def _named(steps: int) -> str:
    return "step 1" if steps == 1 else f"steps 1 to {steps}"
