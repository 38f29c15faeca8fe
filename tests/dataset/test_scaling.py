"""Each scaling and the season against loops, their inverses, and values that are never NaN."""

import math
from datetime import date, timedelta

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lstmcli.dataset.scaling import (
    FITTED_SCALINGS,
    LAGS,
    Scale,
    check_months,
    first_known,
    fit_batch_scale,
    fit_return_scale,
    last_known,
    make_frame,
    months_of,
    next_month,
    with_season,
)
from lstmcli.errors import DataError
from lstmcli.forecasting.model import network_inputs
from lstmcli.recipes import load_settings
from tests.rows import for_each
from tests.synthetic import random_walk

SCALINGS = ("relative", "zscore", "batch", "log_return", "seasonal")
LENGTH = 14
PARTS = [range(LENGTH), range(LENGTH, 2 * LENGTH)]
NAN = math.nan


def a_batch(
    windows: int = 5, length: int = LENGTH, columns: int = 2, seed: int = 0
) -> torch.Tensor:
    generator = np.random.default_rng(seed)
    moves = generator.normal(0, 0.02, (windows, length, columns)).cumsum(axis=1)
    return torch.from_numpy(generator.uniform(1, 1000, (windows, 1, columns)) * np.exp(moves))


def a_scale(contexts: torch.Tensor, scaling: str) -> Scale | None:
    if scaling == "batch":
        return fit_batch_scale(contexts)
    if scaling in LAGS:
        return fit_return_scale(contexts.flatten(0, 1), PARTS[: len(contexts)], LAGS[scaling])
    return None


def twin(window: NDArray[np.float64], scaling: str, fitted: Scale | None) -> NDArray[np.float64]:
    """Scale one complete window (L, C) column by column, row by row."""
    columns = []
    for c in range(window.shape[1]):
        prices = [float(value) for value in window[:, c]]
        if scaling in LAGS:
            values = [
                math.log(b / a) for a, b in zip(prices, prices[LAGS[scaling] :], strict=False)
            ]
        else:
            values = [price / prices[0] - 1 for price in prices]
        if scaling == "zscore":
            mean = sum(prices) / len(prices)
            deviation = math.sqrt(sum((price - mean) ** 2 for price in prices) / len(prices))
            values = [(price - mean) / deviation for price in prices]
        if fitted is not None:
            values = [(value - float(fitted.loc[c])) / float(fitted.scale[c]) for value in values]
        columns.append(values)
    return np.array(columns).T


@for_each("scaling", SCALINGS)
def test_a_frame_agrees_with_a_loop_over_windows(scaling: str) -> None:
    contexts = a_batch()
    fitted = a_scale(contexts, scaling)
    expected = [twin(window, scaling, fitted) for window in contexts.numpy()]
    frame = make_frame(contexts, scaling, fitted)
    np.testing.assert_allclose(frame.x.numpy(), np.stack(expected), rtol=1e-9, atol=1e-12)


def test_batch_scaling_uses_the_given_windows_unless_a_scale_is_given() -> None:
    contexts = a_batch()
    alone = make_frame(contexts, "batch").x
    torch.testing.assert_close(alone, make_frame(contexts, "batch", fit_batch_scale(contexts)).x)
    torch.testing.assert_close(alone.mean((0, 1)), torch.zeros(2, dtype=torch.float64))
    torch.testing.assert_close(alone.square().mean((0, 1)), torch.ones(2, dtype=torch.float64))
    fixed = Scale(torch.zeros(2).double(), torch.ones(2).double())
    torch.testing.assert_close(
        make_frame(contexts, "batch", fixed).x, make_frame(contexts, "relative").x
    )


def test_the_scale_of_returns_is_their_mean_and_deviation_within_the_parts() -> None:
    first, second = random_walk(20, seed=1), random_walk(30, seed=2) * 50
    values = torch.from_numpy(np.concatenate([first, second])[:, None])
    scale = fit_return_scale(values, [range(15), range(20, 45)])
    returns = np.concatenate([np.diff(np.log(first[:15])), np.diff(np.log(second[:25]))])
    np.testing.assert_allclose(scale.loc.numpy(), [returns.mean()])
    np.testing.assert_allclose(scale.scale.numpy(), [returns.std()])


@pytest.mark.parametrize("scaling", SCALINGS)
@given(seed=st.integers(0, 1000), size=st.floats(1e-3, 1e3))
def test_apply_and_invert_undo_each_other(scaling: str, seed: int, size: float) -> None:
    contexts = a_batch(seed=seed) * size
    frame = make_frame(contexts, scaling, a_scale(contexts, scaling))
    following = contexts[:, -1] * torch.from_numpy(
        np.exp(np.random.default_rng(seed).normal(0, 0.1, (5, 2)))
    )
    torch.testing.assert_close(frame.invert(frame.apply(following)), following)


WINDOWS = {
    "constant": [5.0] * 7,
    "a huge outlier": [5.0, 5.1, 5.2e6, 5.0, 4.9, 5.0, 5.1],
    "tiny": [1e-6, 1.1e-6, 1e-6, 0.9e-6, 1e-6, 1e-6, 1.2e-6],
    "large": [1e6, 1.1e6, 1e6, 0.9e6, 1e6, 1e6, 1.2e6],
}
VOLUMES = {
    "none": [NAN] * 7,
    "zero": [0.0] * 7,
    "zero at first": [0.0, 10, 20, 30, 20, 10, 30],
    "zero at last": [10.0, 20, 30, 20, 10, 30, 0],
    "missing at first": [NAN, 10, 20, 30, 20, 10, 30],
    "missing at last": [10.0, 20, 30, 20, 10, 30, NAN],
    "alternating": [0.0, 10, NAN, 30, 0, 10, NAN],
}


@for_each("scaling", SCALINGS)
@for_each("own", [True, False], ids=["own scale", "another's scale"])
@for_each("volume", VOLUMES.values(), ids=VOLUMES.keys())
@for_each("prices", WINDOWS.values(), ids=WINDOWS.keys())
def test_the_network_inputs_are_always_moderate_numbers(
    prices: list[float], volume: list[float], own: bool, scaling: str
) -> None:
    window = torch.tensor([prices, volume], dtype=torch.float64).T.repeat(2, 1)
    contexts = torch.stack([window, a_batch(1)[0]])
    fitted = a_scale(contexts if own else a_batch(), scaling)
    frame = make_frame(contexts, scaling, fitted)
    assert frame.x.isfinite().all()
    assert frame.x.abs().max() < 1e12
    assert (frame.base > 0).all()
    assert (frame.scale > 0).all()
    assert frame.invert(torch.zeros(2, 2, dtype=torch.float64)).isfinite().all()


def test_one_window_with_a_zero_volume_does_not_spoil_the_scale_of_the_others() -> None:
    contexts = a_batch()
    contexts[0, 0, 1] = 0.0
    scale = fit_batch_scale(contexts)
    assert scale.loc.abs().max() < 1
    assert scale.scale.max() < 1


def test_missing_values_become_the_neutral_value_and_leave_the_rest_alone() -> None:
    contexts = a_batch()
    frame = make_frame(contexts, "relative")
    contexts[2, 3, 1] = NAN
    holed = make_frame(contexts, "relative")
    assert holed.x[2, 3, 1] == 0
    frame.x[2, 3, 1] = 0
    assert torch.equal(holed.x, frame.x)


def test_the_first_and_last_known_values_skip_values_that_cannot_divide() -> None:
    columns = [[NAN, 0.0, 3.0, 4.0], [1.0, 2.0, 0.0, NAN], [NAN, NAN, 0.0, NAN]]
    contexts = torch.tensor(columns, dtype=torch.float64).T[None]
    assert first_known(contexts).tolist() == [[3.0, 1.0, 1.0]]
    assert last_known(contexts).tolist() == [[4.0, 2.0, 1.0]]


def test_the_scalings_that_need_a_fitted_scale_are_named() -> None:
    assert set(FITTED_SCALINGS) == {"batch", "log_return", "seasonal"}
    with pytest.raises(AssertionError):
        make_frame(a_batch(), "log_return")


MONTHLY = np.arange("1989-11", "1991-03", dtype="datetime64[M]").astype("datetime64[D]")


@given(st.lists(st.dates(date(1850, 1, 1), date(2100, 12, 31)), min_size=1))
def test_months_are_those_of_the_calendar_before_1970_and_after(days: list[date]) -> None:
    found = months_of(np.array(days, dtype="datetime64[D]"))
    assert found.tolist() == [day.month - 1 for day in days]


@given(st.dates(date(1850, 1, 1), date(2100, 12, 31)))
def test_the_next_month_is_that_of_the_day_after_the_last_day(day: date) -> None:
    after = day.replace(day=28)
    while after.month == day.month:
        after += timedelta(days=1)
    assert next_month(torch.tensor([day.month - 1])).tolist() == [after.month - 1]


def test_sine_and_cosine_are_appended_to_their_own_rows() -> None:
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


def test_the_month_makes_two_inputs() -> None:
    for features, expected in (
        ('["close", "volume"]', ("close", "volume")),
        (
            '["month", "close", "volume"]',
            ("close", "volume", "sine of the month", "cosine of the month"),
        ),
    ):
        settings = load_settings("lab", [f"window.features={features}"])
        assert network_inputs(settings) == expected


def test_one_bar_for_every_month_passes_whatever_its_day() -> None:
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
def test_other_bars_are_refused_with_the_first_wrong_pair(dates: np.ndarray, words: str) -> None:
    with pytest.raises(DataError, match=rf"not one bar for every month \(AAA\): {words}"):
        check_months(dates, "AAA")
