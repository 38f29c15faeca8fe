"""What the default recipe was chosen by: `pytest tests/benchmarks/test_recipe.py -m slow -s`.

Each variant is trained on the rows up to the end of six years and scored on the four years after
it, none later than 2012, so that the test span of the README's figures takes no part. CRPS is given
as a ratio to the Gaussian cone on the same cutoffs, every fifth, the mean of the six spans.
"""

from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from lstmcli.evaluation.backtest import Forecaster, one_by_one, run_backtest
from lstmcli.evaluation.losses import window_crps
from lstmcli.forecasting import baselines
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import series_for
from lstmcli.learning.fit import fit
from lstmcli.market.prices import Prices
from lstmcli.recipes import load_settings
from lstmcli.workflows.prices import Source, load_prices
from tests.synthetic import make_plan

pytestmark = pytest.mark.slow

TRAIN_ENDS = range(1998, 2010, 2)
LAST = np.datetime64("2012-10-15")
CLOSES = ['window.features=["close"]']  # all that the sample has
VARIANTS = {
    "default": [],
    "three members": ["train.members=3"],
    "six polynomials of the step": ["model.basis_size=6"],
    "64 cells": ["model.hidden_sizes=[64]"],
    "a third of the learning rate": ["train.learning_rate=1e-3"],
    "all steps in each batch": ["train.steps_per_batch=50"],
    "labels weighed alike": ["train.volatility_weight=0"],
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_of_the_recipe_on_spans_before_2013(variant: str) -> None:
    overrides = VARIANTS[variant]
    loaded, _ = load_prices(
        Source(Path("data"), date(2026, 1, 1)), load_settings("default", overrides).data
    )
    ratios = np.array([one_span(year, overrides, loaded) for year in TRAIN_ENDS])
    (index, stocks), (usual_index, usual_stocks) = ratios.mean(axis=0)
    print(
        f"\n{variant}: index {index:.4f}, stocks {stocks:.4f} "
        f"(scaled_climatology {usual_index:.4f}, {usual_stocks:.4f}); by span "
        + " ".join(f"{span[0, 0]:.3f}/{span[0, 1]:.3f}" for span in ratios)
    )
    assert ratios.shape == (len(TRAIN_ENDS), 2, 2)
    assert np.isfinite(ratios).all()


def one_span(year: int, overrides: list[str], loaded: list[Prices]) -> list[list[float]]:
    """CRPS over the cone's: [[network on index, on stocks], [climatology on index, on stocks]]."""
    settings = load_settings("default", [*CLOSES, f"split.train_end={year}-12-31", *overrides])
    plan = make_plan([series_for(settings, each) for each in loaded], settings)
    model = fit(plan, settings, torch.device("cpu")).model
    last = min(LAST, np.datetime64(f"{year + 4}-10-15"))
    cutoffs = [
        np.arange(split.fit_rows, int(np.searchsorted(each.dates, last)), 5)
        for each, split in zip(plan.series, plan.splits, strict=True)
    ]
    rows = {
        each.symbol: split.fit_rows for each, split in zip(plan.series, plan.splits, strict=True)
    }
    forecasters: dict[str, Forecaster] = {
        "network": partial(forecast, model),
        "climatology": one_by_one(
            lambda each, at: baselines.scaled_climatology(
                each.log_prices, at, 50, levels=model.levels, fit_rows=rows[each.symbol]
            )
        ),
        "cone": one_by_one(
            lambda each, at: baselines.gaussian_cone(each.log_prices, at, 50, levels=model.levels)
        ),
    }
    found = run_backtest(plan.series, cutoffs, forecasters, horizon=50, context_length=250)
    score = {
        name: window_crps(each.quantiles, each.levels, found.actual)
        for name, each in found.forecasts.items()
        if each.quantiles is not None
    }
    index = found.symbol == plan.series[0].symbol
    return [
        [float(score[name][at].mean() / score["cone"][at].mean()) for at in (index, ~index)]
        for name in ("network", "climatology")
    ]
