"""Whether a new version takes the champion's place: only if it is better on what neither saw."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch

from lstmcli.errors import DataError, ModelError
from lstmcli.evaluation.backtest import run_backtest
from lstmcli.evaluation.cutoffs import choose_cutoffs
from lstmcli.evaluation.metrics import squared_error
from lstmcli.evaluation.pooling import count_dates, pooled
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel, series_for
from lstmcli.market.prices import Prices
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.registry import ModelRef


@dataclass(frozen=True)
class Decision:
    """Whether a version became champion, and why in a few words."""

    promoted: bool
    why: str


def decide(
    promotion: Literal["if-better", "always", "never"],
    challenger: TrainedModel,
    test_start: np.datetime64,
    prices: Sequence[Prices],
    champion: ModelRef | None,
) -> Decision:
    """Compare the challenger with the champion on test windows later than either was fitted on."""
    if promotion == "never":
        return Decision(False, "--promote never")
    if promotion == "always":
        return Decision(True, "--promote always")
    if champion is None:
        return Decision(True, "the first version")
    try:
        leader, metadata = load_bundle(champion.folder, torch.device("cpu"))
    except ModelError as error:
        return Decision(True, f"the champion cannot be read: {error}")
    start = max(test_start, np.datetime64(metadata["split"]["test_start"]))
    try:
        ours, theirs, windows = _path_rmse(challenger, leader, prices, start)
    except DataError as error:
        return Decision(False, f"{champion} does not fit these prices: {error}")
    if not windows:
        return Decision(False, f"no window is later than what it and {champion} were fitted on")
    figures = (
        f"path RMSE {100 * ours:.4g} % against {100 * theirs:.4g} % of {champion} "
        f"on {windows} independent window{'s' * (windows != 1)}"
    )
    return Decision(ours < theirs, figures)


def _path_rmse(
    challenger: TrainedModel,
    champion: TrainedModel,
    prices: Sequence[Prices],
    start: np.datetime64,
) -> tuple[float, float, int]:
    """Return the path RMSE of both, and the number of cutoff dates, which do not overlap."""
    windows = [model.settings.window for model in (challenger, champion)]
    horizon = min(window.horizon for window in windows)
    context_length = max(window.context_length for window in windows)
    errors = []
    dates = 0
    for model in (challenger, champion):
        series = [series_for(model.settings, each) for each in prices]
        cutoffs = choose_cutoffs(
            series,
            first=start,
            step_size=horizon,
            context_length=context_length,
            horizon=horizon,
        )
        result = run_backtest(
            series,
            cutoffs,
            {"model": partial(forecast, model, horizon=horizon)},
            horizon=horizon,
            context_length=context_length,
        )
        squared = squared_error(result.forecasts["model"].median, result.actual).mean(axis=1)
        errors.append(float(np.sqrt(pooled(squared, result.cutoff))))
        dates = count_dates(result.cutoff)
    return errors[0], errors[1], dates
