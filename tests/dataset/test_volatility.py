"""The inputs against loops over single rows, without later rows, and never NaN."""

import math

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lstmcli.dataset.volatility import (
    EWMA_DECAY,
    EWMA_START,
    LONGER,
    SHORTER,
    VolatilityFrame,
    ewma_sigma,
    input_names,
    volatility_frame,
)
from tests.rows import for_each

FEATURES = ("close", "open", "high", "low", "volume")
LENGTH = 60
NAN = math.nan


def a_batch(windows: int = 3, length: int = LENGTH, seed: int = 0) -> torch.Tensor:
    """Return raw windows (N, L, 5): price, open, high, low, volume, with a volume missing."""
    generator = np.random.default_rng(seed)
    moves = generator.normal(0, 0.02, (windows, length)).cumsum(axis=1)
    close = generator.uniform(1, 1000, (windows, 1)) * np.exp(moves)
    opened = close * np.exp(generator.normal(0, 0.005, close.shape))
    high = np.maximum(opened, close) * np.exp(np.abs(generator.normal(0, 0.01, close.shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(generator.normal(0, 0.01, close.shape)))
    volume = np.exp(generator.normal(12, 0.5, close.shape))
    volume[:, [0, 7, 30]], volume[:, 31] = NAN, 0.0
    return torch.from_numpy(np.stack([close, opened, high, low, volume], axis=-1))


def mean_path(values: list[float], decay: float) -> list[float]:
    """Return the weighted mean after each value; the first EWMA_START share theirs."""
    start = values[:EWMA_START]
    mean = sum(start) / len(start)
    path = [mean] * len(start)
    for value in values[EWMA_START:]:
        mean = decay * mean + (1 - decay) * value
        path.append(mean)
    return path


def twin(window: NDArray[np.float64]) -> tuple[list[list[float]], list[float]]:
    """Compute inputs and sigma of one window (L, 5) without constant stretches, row by row."""
    close, opened, high, low, volume = (window[:, c].tolist() for c in range(5))
    squares = [math.log(close[i] / close[i - 1]) ** 2 for i in range(1, len(close))]
    sigma, shorter, longer = (
        [math.sqrt(mean) for mean in mean_path(squares, decay)]
        for decay in (EWMA_DECAY, SHORTER, LONGER)
    )
    known = [float(value > 0) for value in volume[1:]]
    logs = [math.log(value) if value > 0 else 0.0 for value in volume[1:]]
    usual = [
        total / share if share else NAN
        for total, share in zip(mean_path(logs, LONGER), mean_path(known, LONGER), strict=True)
    ]
    rows = []
    for i in range(1, len(close)):
        before = sigma[max(i - 2, 0)]
        rows.append(
            [
                math.log(close[i] / close[i - 1]) / before,
                math.log(sigma[i - 1]) + 4.2,
                math.log(shorter[i - 1] / sigma[i - 1]),
                math.log(longer[i - 1] / sigma[i - 1]),
                math.log(opened[i] / close[i - 1]) / before,
                math.log(high[i] / low[i]) / before - 1.5,
                logs[i - 1] - usual[i - 1] if known[i - 1] else 0.0,
            ]
        )
    return [[min(8.0, max(-8.0, value)) for value in row] for row in rows], sigma


def assert_sane(frame: VolatilityFrame) -> None:
    assert frame.x.dtype == torch.float32
    assert frame.x.isfinite().all()
    assert frame.x.abs().max() <= 8.0
    assert frame.sigma.isfinite().all()
    assert (frame.sigma > 0).all()


@for_each("length", [3, EWMA_START, EWMA_START + 1, EWMA_START + 2, LENGTH])
def test_the_frame_agrees_with_a_loop_over_rows(length: int) -> None:
    contexts = a_batch(length=LENGTH)[:, :length]
    frame = volatility_frame(contexts, FEATURES)
    assert frame.x.shape == (3, length - 1, 7)
    assert_sane(frame)
    for n in range(3):
        x, sigma = twin(contexts[n].numpy())
        np.testing.assert_allclose(frame.x[n].numpy(), x, atol=2e-6)
        np.testing.assert_allclose(frame.sigma[n].numpy(), sigma, rtol=1e-12)


def test_sigma_equals_the_volatility_of_the_baselines() -> None:
    contexts = a_batch()
    sigma = volatility_frame(contexts, ["close"]).sigma
    for n in range(len(contexts)):
        expected = ewma_sigma(contexts[n, :, 0].log().numpy())
        np.testing.assert_allclose(
            sigma[n, EWMA_START - 1 :].numpy(), expected[EWMA_START:], rtol=1e-12
        )


@for_each(
    ("features", "count"),
    [
        (["close"], 4),
        (["close", "volume"], 5),
        (["open", "close"], 5),
        (["close", "high"], 4),
        (["low", "volume", "close", "high"], 6),
        (FEATURES, 7),
    ],
)
def test_a_frame_has_the_named_number_of_inputs(features: list[str], count: int) -> None:
    order = ["close", *(name for name in features if name != "close")]
    columns = [FEATURES.index(name) for name in order]
    contexts = a_batch()
    frame = volatility_frame(contexts[:, :, columns], features)
    assert frame.x.shape[-1] == len(input_names(features)) == count
    # Whatever the order they are named in, the inputs keep theirs.
    full = volatility_frame(contexts, FEATURES).x
    present = [0, 1, 2, 3]
    present += [4] if "open" in features else []
    present += [5] if {"high", "low"} <= set(features) else []
    present += [6] if "volume" in features else []
    assert torch.equal(frame.x, full[:, :, present])


@for_each("changed", [EWMA_START + 1, 40, LENGTH - 1])
@for_each("factor", [1e6, 0.0])
def test_no_row_depends_on_later_rows(changed: int, factor: float) -> None:
    contexts = a_batch()
    other = contexts.clone()
    other[:, changed:, 1:] *= factor
    other[:, changed:, 0] *= factor or 0.5
    first, second = volatility_frame(contexts, FEATURES), volatility_frame(other, FEATURES)
    # Row i of the frame is row i + 1 of the window.
    assert torch.equal(first.x[:, : changed - 1], second.x[:, : changed - 1])
    assert torch.equal(first.sigma[:, : changed - 1], second.sigma[:, : changed - 1])
    assert not torch.equal(first.x[:, changed - 1], second.x[:, changed - 1])


@for_each("level", [1e-6, 0.1, 1.0, 1e6])
def test_a_constant_series_gives_finite_inputs_and_the_minimum_sigma(level: float) -> None:
    frame = volatility_frame(torch.full((2, LENGTH, 5), level, dtype=torch.float64), FEATURES)
    assert_sane(frame)
    assert (frame.sigma == 1e-8).all()
    assert (frame.x[..., [0, 2, 3, 4]] == 0).all()
    assert (frame.x[..., 6].abs() < 1e-12).all()


@for_each("column", [1, 2, 3, 4])
@for_each("value", [0.0, NAN, -1.0])
def test_a_missing_value_makes_only_its_own_input_neutral(column: int, value: float) -> None:
    contexts = a_batch()
    expected = volatility_frame(contexts, FEATURES)
    contexts[:, 45, column] = value
    found = volatility_frame(contexts, FEATURES)
    assert_sane(found)
    missing = {1: 4, 2: 5, 3: 5, 4: 6}[column]
    assert (found.x[:, 44, missing] == 0).all()
    elsewhere = [c for c in range(7) if c != missing]
    assert torch.equal(found.x[..., elsewhere], expected.x[..., elsewhere])
    if column != 4:  # a volume also leaves the average of those after it
        assert torch.equal(found.x[:, 45:], expected.x[:, 45:])


@given(
    seed=st.integers(0, 10_000),
    length=st.integers(2, 80),
    volatility=st.sampled_from([0.0, 1e-12, 1e-6, 0.01, 1.0, 5.0]),
    scale=st.sampled_from([1e-6, 1.0, 1e6]),
    missing=st.floats(0, 1),
)
def test_any_positive_series_gives_finite_bounded_inputs(
    seed: int, length: int, volatility: float, scale: float, missing: float
) -> None:
    generator = np.random.default_rng(seed)
    values = scale * np.exp(generator.normal(0, volatility, (2, length, 5)).cumsum(axis=1))
    holes = generator.random(values.shape) < missing
    values[..., 1:][holes[..., 1:]] = generator.choice([NAN, 0.0, 1e-300, 1e300])
    frame = volatility_frame(torch.from_numpy(values), FEATURES)
    assert frame.x.shape == (2, length - 1, 7)
    assert_sane(frame)
