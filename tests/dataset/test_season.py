"""The season against a loop over dates, beside the rows it belongs to, for whole months only."""

import math
from datetime import date, timedelta

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.dataset.scaling import check_months, months_of, next_month, with_season
from lstmcli.errors import DataError
from lstmcli.forecasting.model import network_inputs
from lstmcli.recipes import load_settings
from tests.rows import for_each

MONTHLY = np.arange("1989-11", "1991-03", dtype="datetime64[M]").astype("datetime64[D]")


@given(st.lists(st.dates(date(1850, 1, 1), date(2100, 12, 31)), min_size=1))
def test_months_are_those_of_the_calendar_before_1970_and_after(days: list[date]) -> None:
    found = months_of(np.array(days, dtype="datetime64[D]"))
    assert found.tolist() == [day.month - 1 for day in days]


@given(st.dates(date(1850, 1, 1), date(2100, 12, 31)))
def test_the_month_after_is_that_of_the_day_after_its_last(day: date) -> None:
    after = day.replace(day=28)
    while after.month == day.month:
        after += timedelta(days=1)
    assert next_month(torch.tensor([day.month - 1])).tolist() == [after.month - 1]


def test_sine_and_cosine_stand_beside_the_rows_that_they_belong_to() -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 5, 3)))
    months = torch.tensor([[9, 10, 11, 0, 1, 2, 3], [4, 5, 6, 7, 8, 9, 10]])
    found = with_season(x, months)  # the first two rows went into the scaling
    assert (found.shape, found.dtype) == ((2, 5, 5), torch.float32)
    torch.testing.assert_close(found[..., :3], x.float())
    for window in range(2):
        for row in range(5):
            angle = 2 * math.pi * int(months[window, row + 2]) / 12
            expected = [math.sin(angle), math.cos(angle)]
            np.testing.assert_allclose(found[window, row, 3:].numpy(), expected, atol=1e-7)


def test_without_months_only_the_rows_are_left() -> None:
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    assert torch.equal(with_season(x, None), x.float())


def test_a_month_counts_for_two_inputs() -> None:
    for features, expected in (
        ('["close", "volume"]', ("close", "volume")),
        (
            '["month", "close", "volume"]',
            ("close", "volume", "sine of the month", "cosine of the month"),
        ),
    ):
        settings = load_settings("lab", [f"window.features={features}"])
        assert network_inputs(settings) == expected


def test_one_bar_for_every_month_passes_whichever_day_it_is_dated_by() -> None:
    check_months(MONTHLY, "AAA")
    check_months(MONTHLY + (np.arange(len(MONTHLY)) % 28).astype("timedelta64[D]"), "AAA")


@for_each(
    ("dates", "words"),
    [
        (np.delete(MONTHLY, 3), "1990-03-01 follows 1990-01-01"),
        (np.insert(MONTHLY, 3, np.datetime64("1990-01-20")), "1990-01-20 follows 1990-01-01"),
        (np.arange("1990-01-30", "1990-03-05", dtype="datetime64[D]"), "1990-01-31 follows"),
    ],
    ids=["one is missing", "two in one", "daily"],
)
def test_other_bars_are_refused_with_the_first_pair_that_is_wrong(
    dates: np.ndarray, words: str
) -> None:
    with pytest.raises(DataError, match=rf"not one bar for every month \(AAA\): {words}"):
        check_months(dates, "AAA")
