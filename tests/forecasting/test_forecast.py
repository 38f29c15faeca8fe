"""The shape of a forecast: the step of each column, and parts of it."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.forecasting.forecast import (
    Forecast,
    ScaledFan,
    central_bands,
    empirical_quantiles,
    join_forecasts,
)
from tests.rows import for_each

QUANTILES = np.arange(2 * 5 * 3, dtype=np.float64).reshape(2, 5, 3)
FAN = Forecast(QUANTILES[..., 1], QUANTILES, (0.1, 0.5, 0.9), QUANTILES[..., 0])


def test_columns_are_the_steps_from_one_by_default() -> None:
    assert FAN.steps == (1, 2, 3, 4, 5)
    assert FAN.column(4) == 3


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1),
    st.lists(st.floats(0, 1), min_size=1),
)
def test_empirical_quantiles_are_those_of_numpy(values: list[float], levels: list[float]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no known value
        expected = np.nanquantile(values, levels)
    np.testing.assert_array_equal(empirical_quantiles(np.array(values), levels), expected)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5, unique=True))
def test_selected_steps_keep_their_numbers(steps: list[int]) -> None:
    found = FAN.at(steps)
    assert found.steps == tuple(steps)
    assert found.quantiles is not None
    assert found.spread is not None
    for step in steps:
        at = found.column(step)
        assert found.median[:, at].tolist() == FAN.median[:, step - 1].tolist()
        assert found.quantiles[:, at].tolist() == QUANTILES[:, step - 1].tolist()
        assert found.spread[:, at].tolist() == QUANTILES[:, step - 1, 0].tolist()
    assert found.at(sorted(steps)).steps == tuple(sorted(steps))
    assert found.rows(slice(1)).steps == found.steps
    assert join_forecasts([found, found], 4).steps == found.steps


def test_a_scaled_fan_equals_the_product_of_its_factors() -> None:
    generator = np.random.default_rng(0)
    scale, kind = generator.random(6), np.array([0, 1, 2, 2, 1, 0], np.int32)
    root, table = np.sqrt([1.0, 5.0]), generator.normal(size=(3, 2, 4))
    fan = ScaledFan(scale, kind, root, table)
    whole = np.array(
        [
            [[scale[i] * root[h] * table[kind[i], h, q] for q in range(4)] for h in range(2)]
            for i in range(6)
        ]
    )
    known = scale > 0.3
    assert fan.shape == whole.shape
    np.testing.assert_array_equal(np.asarray(fan), whole)
    np.testing.assert_array_equal(fan[2:4], whole[2:4])
    np.testing.assert_array_equal(fan[3], whole[3])
    np.testing.assert_array_equal(fan[known, 1, :], whole[known, 1, :])
    np.testing.assert_array_equal(fan[:, 1], whole[:, 1])
    np.testing.assert_array_equal(fan[..., 2], whole[..., 2])
    forecast = Forecast(np.broadcast_to(0.0, (6, 2)), fan, (0.1, 0.4, 0.5, 0.9), steps=(1, 5))
    for made, rows, columns in (
        (forecast.rows(known), known, slice(None)),
        (forecast.at((5,)), slice(None), [1]),
        (
            join_forecasts([forecast.rows(slice(2)), forecast.rows(slice(2, 6))], 6),
            slice(None),
            slice(None),
        ),
    ):
        assert made.quantiles is not None
        np.testing.assert_array_equal(made.quantiles[:], whole[rows][:, columns])
        assert made.median.shape == whole[rows][:, columns].shape[:2]
        assert not made.median.any()


def test_joined_fans_keep_their_own_tables() -> None:
    scale, kind, root = np.ones(2), np.arange(2, dtype=np.int32), np.ones(1)
    fans = [ScaledFan(scale, kind, root, np.full((2, 1, 1), value)) for value in (1.0, 2.0)]
    joined = join_forecasts([Forecast(np.zeros((2, 1)), each, (0.5,)) for each in fans], 4)
    assert np.asarray(joined.quantiles).ravel().tolist() == [1.0, 1.0, 2.0, 2.0]


@for_each(
    "index",
    [slice(1, 3), np.array([2, 0]), np.array([True, False, True, False]), np.zeros(0, np.int64)],
    ids=["slice", "numbers", "mask", "none"],
)
def test_rows_of_a_constant_array_still_take_one_number(index: Any) -> None:
    constant = Forecast(np.broadcast_to(0.25, (4, 5)))
    found = constant.rows(index)
    assert found.median.shape == constant.median[index].shape
    assert found.median.strides == (0, 0)
    assert (found.median == 0.25).all()
    joined = join_forecasts([found, constant], len(found.median) + 4)
    assert joined.median.strides == (0, 0)
    assert (joined.median == 0.25).all()


@for_each("made", [FAN, Forecast(np.broadcast_to(0.25, (2, 5)))])
@for_each("at", [0, 1, 2])
def test_parts_without_windows_add_nothing(made: Forecast, at: int) -> None:
    parts = [made.rows(slice(1)), made.rows(slice(1, 2))]
    parts.insert(at, Forecast(np.empty((0, 5)), levels=made.levels))
    joined = join_forecasts(parts, 2)
    np.testing.assert_array_equal(joined.median, made.median)
    assert (joined.quantiles is None) == (made.quantiles is None)
    assert joined.levels == made.levels
    empty = join_forecasts([made.rows(slice(0)), made.rows(slice(0))], 0)
    assert empty.median.shape == (0, 5)
    assert empty.levels == made.levels


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        FAN.at((1, 5)).column(2)


def test_central_bands_pair_symmetric_levels_widest_first():
    bands = central_bands((0.025, *(round(0.05 * k, 2) for k in range(1, 20)), 0.975))
    assert bands[0] == (0.95, 0, 20)
    assert (0.8, 2, 18) in bands
    assert len(bands) == 10
    assert central_bands((0.1, 0.5)) == ()
