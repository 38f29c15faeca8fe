"""Prices that a fan can be fitted and judged on."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.errors import DataError
from lstmcli.evaluation.forecasters import check_moves
from lstmcli.forecasting.baselines import fewest_climatology_rows, scaled_climatology
from tests.synthetic import random_walk, series_of

HORIZON = 5
FEWEST = fewest_climatology_rows(HORIZON)


@given(rows=st.integers(FEWEST, 200), still=st.integers(1, 200))
def test_only_series_that_a_climatology_can_be_fitted_on_pass(rows: int, still: int) -> None:
    prices = random_walk(210)
    prices[:still] = 100.0
    series = series_of(prices)
    cutoffs = np.array([rows - 1])
    try:
        scaled_climatology(series.log_prices, cutoffs, HORIZON, levels=(0.1,), fit_rows=rows)
    except DataError:
        with pytest.raises(
            DataError, match=r"no variation \(AAA\): Close does not change from 2000"
        ):
            check_moves(series, rows, HORIZON)
    else:
        check_moves(series, rows, HORIZON)


@given(rows=st.integers(22, FEWEST - 1))
def test_in_short_series_all_but_the_first_rows_must_follow_a_price_change(
    rows: int,
) -> None:
    prices = random_walk(FEWEST)
    prices[:20] = 100.0
    check_moves(series_of(prices), rows, HORIZON)
    prices[:21] = 100.0
    with pytest.raises(DataError, match=f"found {rows - 21} rows .* at least {rows - 20}"):
        check_moves(series_of(prices), rows, HORIZON)
