"""Walk-forward folds: one after the other, each blind to what follows it."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lstmcli.config import Settings
from lstmcli.dataset.scaling import Scale
from lstmcli.errors import DataError, UsageError
from lstmcli.evaluation import metrics
from lstmcli.forecasting.forecaster import forecast
from lstmcli.learning.folds import (
    fold_series,
    known_prices,
    make_folds,
    objective_of,
    plan_fold,
    score_fold,
)
from lstmcli.market.prices import Prices
from tests.rows import for_each
from tests.synthetic import make_plan, make_prices, random_walk, tiny_settings, untrained

SETTINGS = tiny_settings()
FAN = tiny_settings(
    window={"context_length": 45, "horizon": 5, "scaling": "volatility"},
    model={"head": "direct", "hidden_sizes": [4]},
    train={"burn_in": 30, "chunk_length": 60},
)


def loaded(*rows: int, symbols: str = "ABC") -> list[Prices]:
    return [
        make_prices(symbol, Close=random_walk(count, seed))
        for seed, (symbol, count) in enumerate(zip(symbols, rows, strict=False))
    ]


def known(settings: Settings, prices: list[Prices]) -> list[Prices]:
    return known_prices(prices, make_plan(fold_series(prices, settings), settings))


@for_each("settings", [SETTINGS, FAN], ids=["point", "fan"])
@for_each("number", [1, 3])
def test_folds_follow_one_another_and_the_last_is_the_recipe_s_own(
    settings: Settings, number: int
) -> None:
    prices = loaded(400, 400)
    own = make_plan(fold_series(prices, settings), settings)
    folds = make_folds(known(settings, prices), settings, number)
    assert len(folds) == number
    plans = [plan_fold(known(settings, prices), settings, fold)[1] for fold in folds]
    for rows, validating in zip(plans[-1].train, plans[-1].validation, strict=True):
        assert np.array_equal(rows, own.train[0])
        assert np.array_equal(validating, own.validation[0])
    for earlier, later in itertools.pairwise(plans):
        assert earlier.validation[0].max() < later.validation[0].min()
        assert later.splits[0].train_rows == earlier.splits[0].fit_rows
    for fold, plan in zip(folds, plans, strict=True):
        assert fold.days == (str(plan.validation_start), str(plan.series[0].dates[-1]))
        assert plan.train[0].max() + settings.purge < plan.validation[0].min()
        assert plan.validation[0].max() + settings.purge < len(plan.series[0])


def test_no_row_of_the_test_span_and_none_after_a_fold_is_in_its_plan() -> None:
    prices = loaded(400)
    plan = make_plan(fold_series(prices, SETTINGS), SETTINGS)
    rows = known(SETTINGS, prices)
    assert len(rows[0].frame) == plan.splits[0].fit_rows == 340
    lengths = [
        len(plan_fold(rows, SETTINGS, fold)[1].series[0]) for fold in make_folds(rows, SETTINGS, 3)
    ]
    assert lengths == [340 - 2 * 51, 340 - 51, 340]


def test_a_series_takes_part_in_the_folds_that_it_has_rows_for() -> None:
    prices = loaded(400, 400)
    late = replace(prices[1], frame=prices[1].frame.iloc[250:])
    folds = make_folds([prices[0], late], SETTINGS, 3)
    assert [fold.symbols for fold in folds] == [("A",), ("A", "B"), ("A", "B")]
    _, plan = plan_fold([prices[0], late], SETTINGS, folds[0])
    assert [each.symbol for each in plan.series] == ["A"]


def test_a_series_that_stands_still_is_no_part_of_a_fan() -> None:
    still = make_prices("B", Close=np.r_[np.full(300, 5.0), random_walk(100)])
    folds = make_folds([*loaded(400), still], FAN, 3)
    assert [fold.symbols for fold in folds] == [("A",), ("A",), ("A",)]


@pytest.mark.parametrize(
    ("rows", "number", "words"),
    [
        (90, 6, "fold 1 of 6.*no series has training windows"),
        (400, 7, "no rows before it.*--folds"),
        (63, 7, "no rows before it"),  # not one
    ],
)
def test_too_many_folds_are_refused(rows: int, number: int, words: str) -> None:
    with pytest.raises(DataError, match=words):
        make_folds(loaded(rows), SETTINGS, number)


def test_a_shuffled_split_has_no_folds() -> None:
    split = {"method": "shuffled", "validation_fraction": 0.05, "purge": 0}
    with pytest.raises(UsageError, match=r"split.method shuffled.*not spans of time"):
        make_folds(loaded(400), tiny_settings(split=split), 3)


def test_features_that_no_series_has_are_left_out_as_in_training() -> None:
    window: dict[str, Any] = {"features": ["close", "volume"], "scaling": "volatility"}
    settings = tiny_settings(
        window={**window, "context_length": 45, "horizon": 5},
        model={"head": "direct"},
        train={"burn_in": 30, "chunk_length": 60},
    )
    (fold,) = make_folds(loaded(400), settings, 1)
    own, plan = plan_fold(loaded(400), settings, fold)
    assert own.window.features == ("close",)
    assert plan.series[0].inputs[0] == 0


@pytest.mark.parametrize("settings", [SETTINGS, FAN], ids=["point", "fan"])
def test_a_score_is_the_error_at_every_fifth_cutoff_window_by_window(settings: Settings) -> None:
    prices = loaded(400, 400)
    fold = make_folds(prices, settings, 3)[1]
    _, plan = plan_fold(prices, settings, fold)
    model = untrained(settings, Scale(torch.zeros(1), torch.ones(1)))
    losses = []
    for each, rows in zip(plan.series, plan.validation, strict=True):
        for row in rows[::5]:
            found = forecast(model, [each], [np.array([row])])
            actual = each.log_prices[row + 1 : row + 1 + settings.window.horizon]
            actual = actual - each.log_prices[row]
            if found.quantiles is None:
                losses.append(np.mean((np.exp(found.median[0]) - np.exp(actual)) ** 2))
                continue
            inner = [q for q, level in enumerate(found.levels) if 0.049 < level < 0.951]
            losses.append(
                2 * np.mean(
                    [
                        metrics.pinball(
                            np.exp(actual) - np.exp(found.quantiles[0, :, q]), found.levels[q]
                        )
                        for q in inner
                    ]
                )
            )  # fmt: skip
    expected = np.mean(losses)
    if objective_of(settings) == "rmse":
        expected = np.sqrt(expected)
    assert score_fold(model, plan) == pytest.approx(expected, rel=1e-5)
