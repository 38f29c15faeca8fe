"""What Python gives for data, days and options: as the commands take it, or an error."""

from collections.abc import Callable
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lstmcli as lc
from lstmcli.api.given import as_day, check_options, several
from lstmcli.errors import UsageError

DAY = date(2026, 1, 5)


@pytest.mark.parametrize("call", [lc.train, lc.predict, lc.evaluate, lc.anomalies, lc.forecast])
def test_no_symbols_are_not_those_of_the_recipe(call: Callable[[Any], Any]) -> None:
    nothing: tuple[Any, ...] = ([], (), {}, iter([]))
    for data in nothing:
        with pytest.raises(UsageError, match="no symbols"):
            call(data)


@pytest.mark.parametrize(
    "value", ["2026-01-05", DAY, pd.Timestamp(DAY, tz="UTC"), np.datetime64(DAY, "ns")], ids=repr
)
def test_days_are_taken_as_pandas_and_numpy_have_them(value: Any) -> None:
    assert as_day(value) == DAY


@pytest.mark.parametrize("value", [pd.NaT, np.datetime64("NaT"), "", 20260105], ids=repr)
def test_what_is_no_day_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="not a day"):
        as_day(value)


@pytest.mark.parametrize(
    "option",
    [
        *({"horizon": value} for value in (0, -1, 2.5, "5", True)),
        *({name: 0} for name in ("n_windows", "step_size", "refit", "refits", "steps")),
        *({name: -1} for name in ("max_data_age", "threads", "timeout", "wait")),
        *({"probability": value} for value in (0, 0.5, float("nan"))),
        {"promote": "yes"}, {"promote_level": 5}, {"resample": "1h"}, {"device": "gpu"},
    ],
    ids=str,
)  # fmt: skip
def test_options_take_what_those_of_the_commands_take(option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(UsageError, match=f"cannot use {name}: found .*, expected "):
        check_options(**option)


def test_numbers_of_numpy_and_none_are_options_too() -> None:
    check_options(horizon=np.int64(5), probability=np.float64(0.01), threads=None, device="cuda:1")


def test_one_is_as_good_as_a_list_of_one() -> None:
    assert [[*several(each)] for each in ("base", 70, [70])] == [["base"], [70], [70]]
