"""Forecasts of many series against single windows and steps, for any weights, from past rows."""

import math
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from lstmcli.dataset.scaling import Scale, fit_batch_scale, fit_return_scale
from lstmcli.dataset.series import Series
from lstmcli.dataset.windows import contexts, join
from lstmcli.errors import DataError, UsageError
from lstmcli.forecasting import forecaster
from lstmcli.forecasting.forecaster import forecast, forecast_alike
from lstmcli.forecasting.model import TrainedModel
from tests.rows import for_each
from tests.synthetic import random_walk, series_of, tiny_settings, untrained

Floats = NDArray[np.float64]
SCALINGS = ("relative", "zscore", "batch", "log_return")
CASES = [*product(SCALINGS[:3], (True, False)), ("log_return", True)]
FIRST = series_of(random_walk(80), 1e6 * random_walk(80, seed=5, volatility=0.2))
SECOND = series_of(random_walk(50, seed=1) / 7, random_walk(50, seed=6), symbol="BBB")
CUTOFFS = [np.array([10, 30, 55]), np.array([7, 40])]


def a_model(scaling: str, *, rebase: bool = True, dropout: float = 0.0) -> TrainedModel:
    fitted: Scale | None = None
    if scaling == "log_return":
        fitted = fit_return_scale(torch.from_numpy(FIRST.values), [range(60)])
    elif scaling == "batch":
        fitted = fit_batch_scale(contexts(join([FIRST]), torch.arange(7, 60), 8))
    window = {"scaling": scaling, "features": ["close", "volume"], "rebase": rebase}
    return untrained(tiny_settings(window=window, model={"dropout": dropout}), fitted)


def fan_model(members: int = 1, length: int = 60) -> TrainedModel:
    """Return a model of wild weights that corrects a linear fan whose median moves."""
    model = untrained(
        tiny_settings(
            window={"context_length": length, "horizon": 7, "scaling": "volatility"},
            model={"head": "direct", "hidden_sizes": [6]},
            train={"burn_in": 30, "chunk_length": 50, "members": members},
        )
    )
    torch.manual_seed(0)
    for weight in model.network.parameters():
        nn.init.normal_(weight, std=0.3)
    assert model.har is not None
    return replace(model, har=replace(model.har, table=model.har.table + 0.3))


def with_prices(series: Series, factors: Floats) -> Series:
    """Return the series with its values and closes multiplied row by row."""
    values = series.values * factors[:, None]
    return replace(series, values=values, last_close=series.last_close * factors)


def twin(model: TrainedModel, window: Floats, scaling: str, *, rebase: bool) -> list[float]:
    """Forecast six steps from one window (L, C), one at a time."""
    rows = [row for row in window]
    loc = scale = base = np.ones(2)
    moves = []
    for step in range(6):
        seen = np.array(rows[-len(window) :])
        if step == 0 or rebase:
            base = seen[-1] if scaling == "log_return" else seen[0]
            loc, scale = np.zeros(2), np.ones(2)
            if scaling == "zscore":
                loc, scale = (seen / base - 1).mean(0), (seen / base - 1).std(0)
            if model.fitted is not None:
                loc, scale = model.fitted.loc.numpy(), model.fitted.scale.numpy()
        moved = np.log(seen[1:] / seen[:-1]) if scaling == "log_return" else seen / base - 1
        x = torch.tensor(((moved - loc) / scale)[None], dtype=torch.float32)
        answer = model.network(x)[0].detach().double().numpy() * scale + loc
        rows.append(base * np.exp(answer) if scaling == "log_return" else base * (1 + answer))
        moves.append(math.log(rows[-1][0] / window[-1, 0]))
    return moves


@for_each(("scaling", "rebase"), CASES)
def test_recursion_agrees_with_a_loop_over_windows_and_steps(scaling: str, rebase: bool) -> None:
    model = a_model(scaling, rebase=rebase)
    found = forecast(model, [FIRST, SECOND], CUTOFFS, horizon=6)
    expected = [
        twin(model, series.values[row - 7 : row + 1], scaling, rebase=rebase)
        for series, rows in zip([FIRST, SECOND], CUTOFFS, strict=True)
        for row in rows
    ]
    np.testing.assert_allclose(found.median, expected, rtol=1e-4, atol=1e-7)
    assert found.quantiles is None
    assert found.median.dtype == np.float64


@pytest.mark.parametrize("season", [True, False])
def test_seasonal_recursion_agrees_with_a_loop_over_windows_and_steps(
    season: bool,
) -> None:
    months = np.arange("1990-01", "1995-01", dtype="datetime64[M]").astype("datetime64[D]")
    series = replace(FIRST.part(slice(60)), dates=months)
    features = ["close", "volume", *["month"] * season]
    settings = tiny_settings(
        window={"scaling": "seasonal", "context_length": 20, "features": features}
    )
    fitted = fit_return_scale(torch.from_numpy(series.values), [range(60)], lag=12)
    model, loc, scale = untrained(settings, fitted), fitted.loc.numpy(), fitted.scale.numpy()
    for cutoff in (19, 34, 50):
        rows, moves = list(series.values[cutoff - 19 : cutoff + 1]), []
        for step in range(15):
            seen = np.array(rows[-20:])
            x = (np.log(seen[12:] / seen[:-12]) - loc) / scale
            if season:
                angles = [math.tau * (cutoff + step + row) / 12 for row in range(-7, 1)]
                x = np.column_stack([x, np.sin(angles), np.cos(angles)])
            answer = model.network(torch.tensor(x[None], dtype=torch.float32))[0].detach().double()
            rows.append(rows[-12] * np.exp(answer.numpy() * scale + loc))
            moves.append(math.log(rows[-1][0] / rows[19][0]))
        found = forecast(model, [series], [np.array([cutoff])], horizon=15).median[0]
        np.testing.assert_allclose(found, moves, rtol=1e-4, atol=1e-7)


PRICES = {
    "constant": [5.0] * 8,
    "a huge outlier": [5.0, 5.1, 5.2e6, 5.0, 4.9, 5.0, 5.1, 5.0],
    "a huge last value": [5.0, 5.1, 5.2, 5.0, 4.9, 5.0, 5.1, 5.0e6],
    "tiny": [1e-6, 1.1e-6, 1e-6, 0.9e-6, 1e-6, 1e-6, 1.2e-6, 1e-6],
    "large": [1e6, 1.1e6, 1e6, 0.9e6, 1e6, 1e6, 1.2e6, 1e6],
}
VOLUMES = {
    "none": [math.nan] * 8,
    "zero": [0.0] * 8,
    "zero at last": [9.0, 1, 2, 3, 2, 1, 3, 0],
    "one alone": [math.nan, math.nan, 7, math.nan, math.nan, math.nan, math.nan, math.nan],
}


@for_each(("scaling", "rebase"), CASES)
@for_each("bias", [None, -1e30, -20.0, 20.0, 1e30])
def test_a_forecast_is_never_missing_nor_beyond_a_millionfold(
    scaling: str, rebase: bool, bias: float | None
) -> None:
    """Whatever the window is, and however wild the network."""
    model, pairs = a_model(scaling, rebase=rebase), list(product(PRICES, VOLUMES))
    if bias is not None:
        with torch.no_grad():
            list(model.network.parameters())[-1].fill_(bias)
    odd = [series_of(np.array(PRICES[p]), np.array(VOLUMES[v])) for p, v in pairs]
    moves = forecast(model, [FIRST, *odd], [np.array([7])] * (1 + len(odd)), horizon=60).median
    names = ["ordinary", *pairs]
    assert [n for n, row in zip(names, moves, strict=True) if not np.isfinite(row).all()] == []
    assert np.abs(moves).max() <= math.log(1e6) * (1 + 1e-12)


def test_dropout_is_off_and_series_are_not_changed() -> None:
    model, before = a_model("relative", dropout=0.5), FIRST.values.copy()
    model.network.train()
    first, again = (forecast(model, [FIRST], CUTOFFS[:1]).median for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(FIRST.values, before)


@for_each("scaling", SCALINGS)
def test_no_row_after_a_cutoff_or_before_its_context_changes_a_bit(scaling: str) -> None:
    model, rows = a_model(scaling), [np.array([30])]
    later, earlier = np.ones(80), np.ones(80)
    later[31:], earlier[:23] = 1.7, 0.3
    before = forecast(model, [FIRST], rows).median
    for other in (with_prices(FIRST, later), with_prices(FIRST, earlier), FIRST.until(rows[0])):
        np.testing.assert_array_equal(before, forecast(model, [other], rows).median)


def test_windows_are_gathered_a_batch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = a_model("log_return")
    rows = [np.arange(7, 80), np.arange(7, 50)]
    whole = forecast(model, [FIRST, SECOND], rows).median
    sizes: list[int] = []
    model.network.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    monkeypatch.setattr(forecaster, "_BATCH", {"cpu": 20})
    parts = forecast(model, [FIRST, SECOND], rows).median
    assert max(sizes) == 20
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-7)


def test_the_horizon_is_the_trained_one_unless_given() -> None:
    model, rows = a_model("relative"), [np.array([30])]
    longer = forecast(model, [FIRST], rows, horizon=9).median
    np.testing.assert_array_equal(forecast(model, [FIRST], rows).median, longer[:, :4])
    np.testing.assert_array_equal(forecast(model, [FIRST], rows, horizon=2).median, longer[:, :2])


def test_a_cutoff_with_too_short_a_past_is_a_data_error_naming_the_symbol() -> None:
    model = a_model("relative")
    forecast(model, [FIRST, SECOND], [np.array([20]), np.array([7])])
    with pytest.raises(DataError, match=r"needs 8 rows up to a cutoff, has 7 \(BBB\)"):
        forecast(model, [FIRST, SECOND], [np.array([20]), np.array([20, 6])])


def test_a_series_without_cutoffs_is_skipped() -> None:
    model = a_model("relative")
    none = np.array([], dtype=np.int64)
    some = forecast(model, [SECOND, FIRST], [none, np.array([30])]).median
    np.testing.assert_array_equal(some, forecast(model, [FIRST], [np.array([30])]).median)
    assert forecast(model, [FIRST], [none]).median.shape == (0, 4)


@for_each("model", [*map(a_model, SCALINGS), fan_model()])
def test_forecast_alike_does_not_depend_on_other_cutoffs(model: TrainedModel) -> None:
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


def fan(model: TrainedModel, series: Series, *rows: int, **options: Any) -> Any:
    return np.asarray(forecast(model, [series], [np.array(rows)], **options).quantiles)


def test_untrained_network_is_a_volatility_cone() -> None:
    model = untrained(fan_model().settings)
    found = forecast(model, [FIRST], [np.array([79])])
    widths = np.ptp(np.asarray(found.quantiles)[0], axis=-1)
    assert widths == pytest.approx(widths[0] * np.sqrt(np.arange(1, 8)), rel=1e-5)
    assert found.median == pytest.approx(np.zeros((1, 7)), abs=1e-7)


def test_quantiles_and_spread_are_the_mean_and_deviation_over_members() -> None:
    both, rows = fan_model(members=2), [np.array([60, 79])]
    singles = [forecast(replace(both, network=each), [FIRST], rows) for each in both.members]
    found = forecast(both, [FIRST], rows)
    mean = np.mean([np.asarray(each.quantiles) for each in singles], axis=0)
    assert np.asarray(found.quantiles) == pytest.approx(mean, rel=1e-5)
    spread = np.std([each.median for each in singles], axis=0)
    assert found.spread == pytest.approx(spread, rel=1e-3)
    assert singles[0].spread is None


def test_with_too_few_rows_for_the_network_the_linear_fan_is_used_alone() -> None:
    model = fan_model(length=65)
    plain = replace(model, network=untrained(model.settings).network)
    both = [fan(each, FIRST, 63, 64) for each in (model, plain)]
    np.testing.assert_array_equal(both[0][0], both[1][0])
    assert np.abs(both[0][1] / both[1][1] - 1).min() > 1e-3


def test_shorter_horizon_is_the_first_steps_and_a_longer_one_is_refused() -> None:
    model = fan_model()
    whole, cut = fan(model, FIRST, 79), fan(model, FIRST, 79, horizon=3)
    assert cut == pytest.approx(whole[:, :3], rel=1e-5, abs=1e-7)
    with pytest.raises(UsageError, match="forecasts at most 7 steps"):
        fan(model, FIRST, 79, horizon=8)


@for_each(
    "prices",
    [
        np.full(90, 5.0),
        np.where(np.arange(90) == 60, 1e6, 100.0),
        1e-6 * np.exp(np.sin(np.arange(90))),
        1e6 * np.exp(np.sin(np.arange(90))),
    ],
    ids=["constant", "one outlier", "tiny", "huge"],
)
def test_quantiles_are_finite_and_never_cross(prices: Floats) -> None:
    found = fan(fan_model(), series_of(prices), *range(59, 90))
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=-1) >= 0).all()


def test_rows_after_a_cutoff_change_no_bit_of_its_fan() -> None:
    later = with_prices(FIRST, np.where(np.arange(80) > 70, 2.0, 1.0))
    np.testing.assert_array_equal(fan(fan_model(), FIRST, 70), fan(fan_model(), later, 70))
