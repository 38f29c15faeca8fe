"""What the wine recipe was chosen by: `pytest tests/benchmarks/test_wine.py -m slow -s`.

Each variant is trained on the months up to a month of some years and scored on the twelve cutoffs
after it, none of whose windows reaches into the test span. Path RMSE in % of the last price, three
seeds; next to it `seasonal_naive` and `seasonal_drift` on the same cutoffs, the better of which is
to be beaten. Variants are chosen on the wine that ships. The sales of beer, wine and liquor in the
United States, which come from the folder that LSTMCLI_BENCHMARK_DATA names, say whether it holds.
"""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from lstmcli.dataset.series import Series
from lstmcli.evaluation.backtest import actual_moves
from lstmcli.forecasting.baselines import seasonal_drift, seasonal_naive
from lstmcli.forecasting.forecaster import forecast
from lstmcli.learning.fit import fit
from lstmcli.recipes import load_settings
from tests.benchmarks.measure import shipped_plan
from tests.command_line import document_of, succeed
from tests.synthetic import CPU

pytestmark = pytest.mark.slow


class Sales(NamedTuple):
    """Monthly sales: where they are, the years to train up to, in which month, and the last row."""

    file: Path
    years: range
    month: str
    end: str


ELSEWHERE = Path(os.environ.get("LSTMCLI_BENCHMARK_DATA", ""))
RETAIL = ELSEWHERE / "beer_wine_liquor_retail_monthly_1992_2018.csv"
SALES = {
    "wine": Sales(Path("data/wine.csv").resolve(), range(1987, 1991), "05-31", "1992-05-31"),
    "retail": Sales(RETAIL, range(2004, 2011, 2), "12-31", "2012-12-31"),
}
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
    "GRU": ["model.network=gru"],
}


@pytest.mark.parametrize("sales", SALES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_the_wine_recipe_on_rows_before_the_test_span(variant: str, sales: str) -> None:
    own = SALES[sales]
    if not own.file.exists():
        pytest.skip("LSTMCLI_BENCHMARK_DATA is not set")
    folds = np.array([one_year(own, year, VARIANTS[variant]) for year in own.years])
    rmse, naive, drift = 100 * np.sqrt(folds.mean(axis=0))
    by_year = " ".join(f"{100 * value:.1f}" for value in np.sqrt(folds[:, 0]))
    print(
        f"\n{sales}, {variant}: {rmse:.2f} % by year {by_year} "
        f"(seasonal_naive {naive:.2f} %, seasonal_drift {drift:.2f} %)"
    )
    assert folds.shape == (len(own.years), 3)
    assert np.isfinite(folds).all()


@pytest.mark.skipif(not RETAIL.exists(), reason="LSTMCLI_BENCHMARK_DATA is not set")
def test_the_verdict_on_the_retail_sales_is_against_the_better_rule(tmp_path: Path) -> None:
    """Print it for the test span, 2013 to 2018, which took no part in any choice."""
    train = "train", "--config", "wine", "--csv", RETAIL, "--set", "split.train_end=2012-12-31"
    succeed(*train, folder=tmp_path)
    found = document_of(tmp_path, "evaluate", "--csv", RETAIL)
    rmse = {name: each["path"]["rmse"] for name, each in found["scores"]["models"].items()}
    verdict = found["verdicts"]["wine/v0001"]
    print(f"\n{verdict}")
    for name, value in rmse.items():
        print(f"{name} {100 * value:.2f} %")
    assert rmse["seasonal_drift"] < rmse["seasonal_naive"]
    assert "the same month a year before and its growth, the hardest" in verdict


def one_year(sales: Sales, year: int, overrides: list[str]) -> list[float]:
    """Mean squared errors of the network, over its seeds, of the naive rule and of the drift."""
    errors = []
    for seed in SEEDS:
        settings = load_settings(
            "wine",
            [
                f'data.csv=["{sales.file}"]',
                f"data.end={sales.end}",
                f"split.train_end={year}-{sales.month}",
                f"train.seed={seed}",
                *overrides,
            ],
        )
        plan = shipped_plan(settings)
        (series,) = plan.series
        model = fit(plan, settings, CPU).model
        fit_rows = plan.splits[0].fit_rows
        cutoffs = np.arange(fit_rows, fit_rows + 12)
        errors.append(_error(forecast(model, [series], [cutoffs]).median, series, cutoffs))
    x = series.log_prices
    naive = seasonal_naive(x, cutoffs, 12, period=12)
    drift = seasonal_drift(x, cutoffs, 12, period=12, fit_rows=fit_rows)
    return [
        float(np.mean(errors)),
        *(_error(rule.median, series, cutoffs) for rule in (naive, drift)),
    ]


def _error(median: np.ndarray, series: Series, cutoffs: np.ndarray) -> float:
    actual = actual_moves(series, cutoffs, median.shape[1])
    return float(np.square(np.exp(median) - np.exp(actual)).mean())
