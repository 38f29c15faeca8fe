"""Forecasts of a model from rows of many series: each from its own past, and nothing else."""

import numpy as np
import pytest
import torch
from torch import nn

from lstmcli.dataset.scaling import Scale, fit_batch_scale, fit_return_scale
from lstmcli.dataset.series import Series
from lstmcli.dataset.windows import contexts, join
from lstmcli.errors import DataError
from lstmcli.forecasting import forecaster
from lstmcli.forecasting.forecaster import forecast, forecast_alike
from lstmcli.forecasting.model import TrainedModel
from tests.rows import for_each
from tests.synthetic import random_walk, series_of, tiny_settings, untrained

SCALINGS = ("relative", "zscore", "batch", "log_return")
FIRST = series_of(random_walk(80), random_walk(80, seed=5) * 1e6)
SECOND = series_of(random_walk(50, seed=1) / 7, random_walk(50, seed=6), symbol="BBB")
CUTOFFS = [np.array([10, 30, 55]), np.array([7, 40])]


def a_model(scaling: str) -> TrainedModel:
    fitted: Scale | None = None
    if scaling == "log_return":
        fitted = fit_return_scale(torch.from_numpy(FIRST.values), [range(60)])
    elif scaling == "batch":
        fitted = fit_batch_scale(contexts(join([FIRST]), torch.arange(7, 60), 8))
    settings = tiny_settings(window={"scaling": scaling, "features": ["close", "volume"]})
    return untrained(settings, fitted)


def changed_after(series: Series, row: int) -> Series:
    """Return the series with every value after `row` replaced by noise."""
    values = series.values.copy()
    generator = torch.Generator().manual_seed(3)
    values[row + 1 :] = (
        torch.rand(values[row + 1 :].shape, generator=generator).double().numpy() + 0.5
    )
    close = series.last_close.copy()
    close[row + 1 :] = 1.0
    return Series(series.symbol, series.dates, values, close, series.inputs, series.price)


@for_each("scaling", SCALINGS)
def test_rows_after_a_cutoff_change_no_bit_of_its_forecast(scaling: str) -> None:
    model = a_model(scaling)
    before = forecast(model, [FIRST], [np.array([30])]).median
    after = forecast(model, [changed_after(FIRST, 30)], [np.array([30])]).median
    np.testing.assert_array_equal(before, after)
    cut = forecast(model, [FIRST.until(np.array([30]))], [np.array([30])]).median
    np.testing.assert_array_equal(before, cut)


@for_each("scaling", SCALINGS)
def test_rows_before_the_context_change_no_bit_either(scaling: str) -> None:
    model = a_model(scaling)
    changed = FIRST.values.copy()
    changed[:23] = 1.0
    other = Series("AAA", FIRST.dates, changed, FIRST.last_close, FIRST.inputs, FIRST.price)
    np.testing.assert_array_equal(
        forecast(model, [FIRST], [np.array([30])]).median,
        forecast(model, [other], [np.array([30])]).median,
    )


@for_each("scaling", SCALINGS)
def test_forecasts_stand_in_the_order_given_and_do_not_depend_on_each_other(scaling: str) -> None:
    model = a_model(scaling)
    together = forecast(model, [FIRST, SECOND], CUTOFFS).median
    assert together.shape == (5, 4)
    alone = [
        forecast(model, [series], [np.array([row])]).median[0]
        for series, rows in zip([FIRST, SECOND], CUTOFFS, strict=True)
        for row in rows
    ]
    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-7)


def test_windows_are_gathered_a_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = a_model("log_return")
    rows = [np.arange(7, 80), np.arange(7, 50)]
    whole = forecast(model, [FIRST, SECOND], rows).median
    sizes: list[int] = []

    def spy(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        sizes.append(len(inputs[0]))

    model.network.register_forward_pre_hook(spy)
    monkeypatch.setattr(forecaster, "_BATCH", {"cpu": 20})
    parts = forecast(model, [FIRST, SECOND], rows).median
    assert max(sizes) == 20
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-7)


def test_the_horizon_is_the_trained_one_unless_given() -> None:
    model = a_model("relative")
    trained = forecast(model, [FIRST], [np.array([30])]).median
    longer = forecast(model, [FIRST], [np.array([30])], horizon=9).median
    shorter = forecast(model, [FIRST], [np.array([30])], horizon=2).median
    assert (trained.shape, longer.shape, shorter.shape) == ((1, 4), (1, 9), (1, 2))
    np.testing.assert_array_equal(trained, longer[:, :4])
    np.testing.assert_array_equal(shorter, longer[:, :2])


def test_a_cutoff_with_too_short_a_past_is_a_data_error_naming_the_symbol() -> None:
    model = a_model("relative")
    forecast(model, [FIRST, SECOND], [np.array([20]), np.array([7])])
    with pytest.raises(DataError, match=r"needs 8 rows up to a cutoff, has 7 \(BBB\)"):
        forecast(model, [FIRST, SECOND], [np.array([20]), np.array([20, 6])])


def test_a_series_without_cutoffs_takes_no_part() -> None:
    model = a_model("relative")
    none = np.array([], dtype=np.int64)
    some = forecast(model, [SECOND, FIRST], [none, np.array([30])]).median
    np.testing.assert_array_equal(some, forecast(model, [FIRST], [np.array([30])]).median)
    assert forecast(model, [FIRST], [none]).median.shape == (0, 4)


@for_each("scaling", [*SCALINGS, "volatility"])
def test_forecast_alike_does_not_depend_on_what_else_is_forecast(scaling: str) -> None:
    if scaling == "volatility":
        window = {"scaling": scaling, "features": ["close"], "context_length": 65, "horizon": 5}
        head = {"head": "direct", "hidden_sizes": [7]}
        model = untrained(tiny_settings(window=window, model=head))
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.manual_seed(1)))
    else:
        model = a_model(scaling)
    rows = np.random.default_rng(0).permutation(np.arange(64, 80))
    together = forecast_alike(model, [FIRST], [rows])
    for size in (1, 3, 8):
        for start in range(0, len(rows), size):
            some = forecast_alike(model, [FIRST], [rows[start : start + size]])
            expected = together.rows(slice(start, start + size))
            assert some.median.tobytes() == expected.median.tobytes()
            if some.quantiles is not None and expected.quantiles is not None:
                assert some.quantiles[:].tobytes() == expected.quantiles[:].tobytes()
    plain = forecast(model, [FIRST], [rows])
    assert together.median == pytest.approx(plain.median, rel=1e-4, abs=1e-7)
    assert next(model.network.parameters()).dtype == torch.float32  # the model is as it was
