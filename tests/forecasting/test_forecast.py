"""The shape of a forecast: which column holds which step, and parts of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.forecasting.forecast import Forecast, join_forecasts

QUANTILES = np.arange(2 * 5 * 3, dtype=np.float64).reshape(2, 5, 3)
FAN = Forecast(QUANTILES[..., 1], QUANTILES, (0.1, 0.5, 0.9), QUANTILES[..., 0])


def test_columns_are_the_steps_from_one_unless_said() -> None:
    assert FAN.steps == (1, 2, 3, 4, 5)
    assert FAN.column(4) == 3


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5, unique=True))
def test_some_steps_keep_their_numbers(steps: list[int]) -> None:
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


def test_a_step_that_there_is_not_is_refused() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        FAN.at((1, 5)).column(2)
