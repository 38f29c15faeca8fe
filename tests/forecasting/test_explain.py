"""Explanations against masking one bar at a time by hand, and without later rows."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmcli.dataset.scaling import Scale, make_frame
from lstmcli.dataset.volatility import ewma_sigma, volatility_frame
from lstmcli.forecasting import explain as module
from lstmcli.forecasting.calibration import Calibration
from lstmcli.forecasting.explain import Explanation, explain
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import TrainedModel
from lstmcli.networks.recurrent import gates
from tests.synthetic import random_walk, series_of, tiny_settings, untrained

STEPS = (1, 3, 5)
SERIES = series_of(random_walk(90))
ROW = 70
Mask = Callable[[Tensor, int], Tensor]
Floats = NDArray[np.float64]


def fan_model(members: int = 1) -> TrainedModel:
    settings = tiny_settings(
        window={"scaling": "volatility", "context_length": 45, "horizon": 5},
        model={"head": "direct"},
        train={"members": members, "chunk_length": 45, "burn_in": 30},
        forecast={"quantile_levels": [0.05, 0.25, 0.5, 0.75, 0.95]},
    )
    return shaken(untrained(settings))


def point_model() -> TrainedModel:
    scale = Scale(torch.zeros(1).double(), torch.full((1,), 0.01))
    return shaken(untrained(tiny_settings(), scale))


def shaken(model: TrainedModel) -> TrainedModel:
    """Return the model with weights that react to their inputs."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.network.parameters():
            weight.add_(0.5 * torch.randn(weight.shape, generator=generator))
    return model


EACH = pytest.mark.parametrize("model", [fan_model(2), point_model()], ids=["fan", "point"])


def rows_read(model: TrainedModel) -> int:
    return 44 if model.levels else 7


def context(model: TrainedModel) -> Tensor:
    length = model.settings.window.context_length
    return torch.from_numpy(SERIES.values[ROW + 1 - length : ROW + 1][None])


def fan_by_hand(model: TrainedModel, mask: Mask) -> Floats:
    """Return the quantiles (H, Q) of the members' mean when the window is read through a mask."""
    frame = volatility_frame(context(model), ["close"])
    x = mask(frame.x, 0)
    steps = torch.arange(5)
    with torch.no_grad():
        parts = (member.children() for member in model.members)
        each = [head(body(x)[:, -1], steps)[0].double().exp() for body, head in parts]
    assert model.har is not None
    unit = ewma_sigma(SERIES.log_prices)[ROW] * (steps + 1).sqrt()
    return (torch.stack(each).mean(0) * unit).numpy()[:, None] * model.har.table


def path_by_hand(model: TrainedModel, mask: Mask) -> Floats:
    """Return the log moves (H,) of a recursion whose masked bars stay masked."""
    window, moves = context(model), []
    last = window[0, -1, 0].clone()
    for step in range(5):
        frame = make_frame(window, "log_return", model.fitted)
        with torch.no_grad():
            answer = model.network(mask(frame.x.float(), step)).double()
        row = frame.invert(answer)
        moves.append(float((row[0, 0] / last).log()))
        window = torch.cat([window[:, 1:], row[:, None]], dim=1)
    return np.array(moves)


def masking(first: int, last: int) -> Mask:
    def mask(x: Tensor, moved: int) -> Tensor:
        x = x.clone()
        mean = x.mean(dim=1)
        for bar in range(first, last + 1):
            if bar - moved >= 0:
                x[:, bar - moved] = mean
        return x

    return mask


def nothing(x: Tensor, moved: int) -> Tensor:
    return x


@pytest.mark.parametrize("members", [1, 3])
def test_effects_on_a_fan_agree_with_masking_one_window_at_a_time(members: int) -> None:
    model = fan_model(members)
    found = explain(model, SERIES, ROW, steps=STEPS)
    assert found.width is not None

    def numbers(mask: Mask) -> tuple[Floats, Floats]:
        fan = fan_by_hand(model, mask)[[step - 1 for step in STEPS]]
        low, high = (
            [np.interp(level, model.levels, quantiles) for quantiles in fan] for level in (0.1, 0.9)
        )
        return fan[:, 2], np.subtract(high, low)

    median, width = numbers(nothing)
    for bar in range(rows_read(model)):
        for of_median, of_width, first in (
            (found.median.alone, found.width.alone, bar),
            (found.median.with_older, found.width.with_older, 0),
        ):
            other_median, other_width = numbers(masking(first, bar))
            np.testing.assert_allclose(of_width[bar], other_width / width - 1, atol=1e-5)
            np.testing.assert_allclose(of_median[bar], np.expm1(other_median - median), atol=1e-6)
    assert np.abs(found.width.alone).max() > 1e-3


def test_effects_on_a_recursion_agree_with_masking_one_window_at_a_time() -> None:
    model = point_model()
    found = explain(model, SERIES, ROW, steps=STEPS)
    assert found.width is None
    at = [step - 1 for step in STEPS]
    whole = path_by_hand(model, nothing)[at]
    for bar in range(rows_read(model)):
        for effect, first in ((found.median.alone, bar), (found.median.with_older, 0)):
            other = path_by_hand(model, masking(first, bar))[at]
            np.testing.assert_allclose(effect[bar], np.expm1(other - whole), atol=1e-6)
    assert np.abs(found.median.alone).max() > 1e-3


def test_a_calibrated_fan_is_explained_as_it_is_forecast() -> None:
    plain = fan_model()
    factors = np.tile([2.0, 2.0, 0.0, 2.0, 2.0], (5, 1))
    model = replace(plain, calibration=Calibration(factors))
    found, expected = (explain(each, SERIES, ROW, steps=STEPS) for each in (model, plain))
    assert found.width is not None
    assert expected.width is not None
    np.testing.assert_allclose(found.width.alone, expected.width.alone, atol=1e-6)  # twice as wide


@EACH
def test_gates_are_means_over_cells_and_members(
    model: TrainedModel,
) -> None:
    found = explain(model, SERIES, ROW, steps=STEPS)
    if model.levels:
        x = volatility_frame(context(model), ["close"]).x
    else:
        x = make_frame(context(model), "log_return", model.fitted).x.float()
    each = [gates(next(member.children()), x) for member in model.members]
    assert [(gate.layer, gate.name) for gate in found.gates] == [
        (layer, name) for layer in (1, 2) for name in ("forget", "input", "output")
    ]
    for gate in found.gates:
        expected = torch.stack([m[gate.layer - 1][gate.name][0].mean(dim=1) for m in each]).mean(0)
        np.testing.assert_allclose(gate.openness, expected.numpy(), atol=1e-6)


def same(one: Explanation, other: Explanation) -> bool:
    pairs = [(one.median.alone, other.median.alone), (one.dates, other.dates)]
    pairs += [(a.openness, b.openness) for a, b in zip(one.gates, other.gates, strict=True)]
    if one.width is not None and other.width is not None:
        pairs.append((one.width.with_older, other.width.with_older))
    return all(np.array_equal(a, b) for a, b in pairs)


@EACH
def test_nothing_after_the_cutoff_is_seen_and_the_bars_are_those_up_to_it(
    model: TrainedModel,
) -> None:
    found = explain(model, SERIES, ROW, steps=STEPS)
    later = series_of(np.where(np.arange(90) > ROW, 7.0, SERIES.last_close))
    assert same(found, explain(model, later, ROW, steps=STEPS))
    # A fan depends on all rows up to the cutoff: those before its window fix its volatility.
    first = 0 if model.levels else 10
    part = SERIES.part(slice(first, ROW + 1))
    assert same(found, explain(model, part, ROW - first, steps=STEPS))
    assert len(found.dates) == rows_read(model)
    assert found.dates[-1] == SERIES.dates[ROW]
    assert (found.symbol, found.steps) == ("AAA", STEPS)
    assert found.median.alone.shape == (rows_read(model), len(STEPS))


@EACH
def test_effects_do_not_depend_on_the_batch_size(
    model: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = explain(model, SERIES, ROW, steps=STEPS)
    monkeypatch.setattr("lstmcli.forecasting.forecaster._BATCH", {"cpu": 3})
    assert same(expected, explain(model, SERIES, ROW, steps=STEPS))  # a forecast's own batches
    for size, rows in ((3, 2**20), (512, 1)):
        monkeypatch.setattr(module, "_COPIES", size)
        monkeypatch.setattr(module, "_ROWS", rows)
        found = explain(model, SERIES, ROW, steps=STEPS).median
        np.testing.assert_allclose(found.alone, expected.median.alone, atol=1e-6)
        np.testing.assert_allclose(found.with_older, expected.median.with_older, atol=1e-6)


def test_the_model_is_unchanged_even_if_explaining_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = point_model()
    before = forecast(model, [SERIES], [np.array([ROW])]).median

    def broken(*arguments: object, **more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "forecast", broken)
    with pytest.raises(KeyboardInterrupt):
        explain(model, SERIES, ROW, steps=STEPS)
    np.testing.assert_array_equal(forecast(model, [SERIES], [np.array([ROW])]).median, before)
