"""What the wine recipe was chosen by: `pytest tests/benchmarks/test_wine.py -m slow -s`.

Each variant is trained on the months up to May of four years and scored on the twelve cutoffs after
it, none of whose windows reaches into the test span. Path RMSE in % of the last price, three seeds;
in brackets the seasonal naive on the same cutoffs.
"""

from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch

from lstmcli.dataset.series import Series
from lstmcli.evaluation.backtest import actual_moves
from lstmcli.forecasting.baselines import seasonal_naive
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import series_for
from lstmcli.learning.fit import fit
from lstmcli.recipes import load_settings
from lstmcli.workflows.prices import Source, load_prices
from tests.synthetic import make_plan

pytestmark = pytest.mark.slow

YEARS = range(1987, 1991)
SEEDS = range(3)
MONTH = 'window.features=["close","month"]'
RETURNS = "window.scaling=log_return"
VARIANTS = {
    "recipe": [],
    "with the month": [MONTH],
    "monthly returns": [RETURNS],
    "monthly returns and the month": [RETURNS, MONTH],
    "monthly returns, five times the rate": [RETURNS, "train.learning_rate=5e-3"],
    "these and the month": [RETURNS, MONTH, "train.learning_rate=5e-3"],
    "five times the learning rate": ["train.learning_rate=5e-3"],
    "half the learning rate": ["train.learning_rate=5e-4"],
    "16 cells": ["model.hidden_sizes=[16]"],
    "context of 24": ["window.context_length=24"],
    "Huber loss": ["train.loss=huber"],
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_the_wine_recipe_on_rows_before_the_test_span(variant: str) -> None:
    folds = np.array([one_year(year, VARIANTS[variant]) for year in YEARS])
    rmse, rival = 100 * np.sqrt(folds.mean(axis=0))
    by_year = " ".join(f"{100 * value:.1f}" for value in np.sqrt(folds[:, 0]))
    print(f"\n{variant}: {rmse:.2f} % ({rival:.2f} %); by year {by_year}")
    assert folds.shape == (len(YEARS), 2)
    assert np.isfinite(folds).all()


def one_year(year: int, overrides: list[str]) -> tuple[float, float]:
    """Mean squared errors of the network, over its seeds, and of the seasonal naive."""
    errors = []
    for seed in SEEDS:
        settings = load_settings(
            "wine",
            [
                "data.end=1992-05-31",
                f"split.train_end={year}-05-31",
                f"train.seed={seed}",
                *overrides,
            ],
        )
        (prices,), _ = load_prices(Source(Path("data"), date(2026, 1, 1)), settings.data)
        series = series_for(settings, prices)
        plan = make_plan([series], settings)
        model = fit(plan, settings, torch.device("cpu")).model
        cutoffs = np.arange(plan.splits[0].fit_rows, plan.splits[0].fit_rows + 12)
        errors.append(_error(forecast(model, [series], [cutoffs]).median, series, cutoffs))
    rival = seasonal_naive(series.log_prices, cutoffs, 12, period=12)
    return float(np.mean(errors)), _error(rival.median, series, cutoffs)


def _error(median: np.ndarray, series: Series, cutoffs: np.ndarray) -> float:
    actual = actual_moves(series, cutoffs, median.shape[1])
    return float(np.square(np.exp(median) - np.exp(actual)).mean())
