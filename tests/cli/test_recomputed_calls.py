"""Recompute directions, trends and crashes from the long table of an evaluation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.cli.recomputed import (
    FANS,
    LEVELS,
    TIGHT,
    Evaluated,
    Floats,
    apart,
    assert_said,
    at_step,
    deciding,
    in_units,
    mean_of,
    scored,
)
from tests.command_line import document_of


def each_step(evaluated: Evaluated) -> Any:
    """Yield what is said of each model at each step, and the rows that it is said of."""
    found = list(scored(evaluated, "direction", evaluated[0]["models"]))
    assert [each["step"] for _, each, _ in found] == [1, 5, 10] * len(evaluated[0]["models"])
    return found


def test_directions_and_the_best_constant_answer(evaluated: Evaluated) -> None:
    for _, each, rows in each_step(evaluated):
        said, moved = each["two_way"], rows[rows["y"] != 1.0]
        assert (said["n_windows"], said["n_unchanged"]) == (len(moved), len(rows) - len(moved))
        up = (moved["y"] > 1.0).to_numpy(np.float64)
        hit = (np.sign(moved["median"] - 1.0) == np.sign(moved["y"] - 1.0)).to_numpy(np.float64)
        rose = mean_of(moved, up)
        assert said["always"] == ("up" if rose >= 0.5 else "down")
        predicted = mean_of(moved, moved["median"] > 1)
        assert_said(said, up_actual=rose, up_predicted=predicted)
        assert_said(said, always_accuracy=max(rose, 1.0 - rose))
        if (moved["median"] == 1.0).all():
            assert said["accuracy"] is said["balanced_accuracy"] is None
            continue
        halves = [mean_of(moved, hit * kind) / mean_of(moved, kind) for kind in (up, 1.0 - up)]
        assert_said(said, accuracy=mean_of(moved, hit), balanced_accuracy=np.mean(halves))


def test_directions_on_windows_that_do_not_overlap(evaluated: Evaluated) -> None:
    tested = 0
    for _, each, rows in each_step(evaluated):
        said, moved = each["two_way"], rows[rows["y"] != 1.0]
        days = apart(moved)
        own, n = moved[moved["cutoff"].isin(days)], len(days)
        assert said["n_independent"] == said["test"]["n"] == n
        called, went = own["median"] > 1.0, own["y"] > 1.0
        rose = mean_of(own, went)
        assert_said(said, always_independent=max(rose, 1.0 - rose))
        if (moved["median"] == 1.0).all():
            assert said["interval"]["low"] is said["test"]["p"] is None
            continue
        share = mean_of(own, np.sign(own["median"] - 1.0) == np.sign(own["y"] - 1.0))
        assert_said(said, independent_accuracy=share)
        hits = share * n
        low = stats.beta.ppf(0.025, hits, n - hits + 1.0) if hits > 0 else 0.0
        high = stats.beta.ppf(0.975, hits + 1.0, n - hits) if hits < n else 1.0
        assert_said(said["interval"], {"abs": 1e-8}, low=low, high=high)
        if called.nunique() == 1:
            assert "no view on direction" in said["test"]["why"]
            continue
        # No forecast of these changes its mind about a symbol.
        assert (called.groupby(own["unique_id"]).nunique() == 1).all()
        assert said["test"]["why"] == "each symbol has the same answer every time"
        tested += 1
    assert tested >= 3


def test_crashes_and_spikes_beyond_the_bounds_of_training_rows(
    evaluated: Evaluated, trained_fan: Path
) -> None:
    metadata = json.loads((trained_fan / "data/models/fan/v0001/metadata.json").read_text())
    seen = 0
    for name, each, rows in each_step(evaluated):
        scaled = np.log(rows["y"]) / (rows["sigma"] * np.sqrt(rows["step"]))
        predicted = np.log(rows["median"])
        for kind in ("crash", "spike"):
            bound = metadata["trend"][kind][each["step"] - 1]
            beyond = (scaled < bound) if kind == "crash" else (scaled > bound)
            said = each[kind]
            assert (said["bound"], said["n_windows"]) == (bound, beyond.sum())
            assert said["n_independent"] == len(apart(rows[beyond]))
            assert_said(said, predicted_always=predicted.mean())
            calls = called_of(rows) if name in FANS else np.sign(predicted).astype(int) + 1
            for part, chosen in (("calls_always", slice(None)), ("calls", beyond.to_numpy())):
                shares = [(calls[chosen] == k).mean() for k in range(3)]
                if len(calls[chosen]):
                    assert list(said[part].values()) == pytest.approx(shares, **TIGHT)
            if beyond.any():
                actual = np.log(rows["y"])[beyond].mean()
                assert_said(said, predicted=predicted[beyond].mean(), actual=actual)
                seen += 1
    assert seen > 10


def test_how_far_forecasts_move_and_whether_they_copy(whole: Evaluated) -> None:
    found, table = whole
    decides = deciding(table[table["model"] == "naive"])
    assert found["n_independent"] == len(apart(decides))
    for name, model in found["models"].items():
        rows = table[table["shown"] & (table["model"] == name)]
        moves, truths = np.log(rows["median"]), np.log(rows["y"])
        last, groups = np.log(rows["last_close"]), [rows["unique_id"], rows["step"]]

        def within(values: Any, groups: Any = groups) -> Floats:
            centred: Floats = (values - values.groupby(groups).transform("mean")).to_numpy()
            return centred

        def correlation(a: Floats, b: Floats) -> float | None:
            size = np.sqrt((a**2).mean() * (b**2).mean())
            return float((a * b).mean() / size) if size > 1e-12 else None

        said = model["movement"]
        size = np.sqrt((moves**2).mean() / (truths**2).mean())
        spread = np.sqrt((within(moves) ** 2).mean() / (within(truths) ** 2).mean())
        assert_said(said, {"rel": 1e-6, "abs": 1e-7}, size=size, spread=spread)
        here, ahead, next_price = within(last), within(last + moves), within(last + truths)
        with_last, with_next = correlation(ahead, here), correlation(ahead, next_price)
        assert_said(said, {"abs": 1e-9}, with_last=with_last, with_next=with_next)
        step_size = np.sqrt((truths**2).groupby(rows["step"]).transform("mean")).to_numpy()
        a, b = within(moves) / step_size, within(truths) / step_size
        if said["of_moves"] is not None:
            assert said["of_moves"] == pytest.approx(correlation(a, b), abs=1e-7)
        luck = (said["of_moves"] or 0.0) * np.sqrt(found["n_independent"]) < 1.645
        assert said["copy"] == (said["with_last"] > said["with_next"] and luck)
        assert said["flat_line"] == (size < 0.05)


def called_of(rows: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The likeliest by the quantiles of a fan and the ends of its flat band; flat for no lean."""
    ends = np.log(rows[["flat_low", "flat_high"]].to_numpy())
    fans = np.log(rows[[f"q{level:g}" for level in LEVELS]].to_numpy())
    below = np.array([np.interp(both, fan, LEVELS) for both, fan in zip(ends, fans, strict=True)])
    down, up = below[:, 0], 1 - below[:, 1]
    likeliest = np.argmax(np.column_stack([down, 1 - down - up, up]), axis=1)
    return np.where(np.abs(up - down) < 1e-9, 1, likeliest)


def test_trends_of_a_fan_follow_from_its_quantiles_and_the_flat_band(evaluated: Evaluated) -> None:
    for name, each, rows in each_step(evaluated):
        if name in FANS:
            assert_trends(each["three_way"], rows, called_of(rows), evaluated[0]["flat_band"])
        else:
            assert each["three_way"] is None


def assert_trends(
    found: dict[str, Any],
    rows: pd.DataFrame,
    called: np.ndarray[Any, np.dtype[np.int64]],
    flat_band: float,
) -> None:
    """Compare the table of what was called when, and its accuracy; 0, 1, 2 are down, flat, up."""
    moves, bound = np.log(rows["y"]), flat_band * rows["sigma"] * np.sqrt(rows["step"])
    happened = np.where(moves.abs() < bound, 1, np.where(moves > 0, 2, 0))
    table = np.zeros((3, 3), dtype=int)
    np.add.at(table, (happened, called), 1)
    assert found["confusion"] == table.tolist()
    constant = [mean_of(rows, happened == k) for k in range(3)]
    assert found["always"] == ("down", "flat", "up")[int(np.argmax(constant))]
    recall = [table[k, k] / table[k].sum() for k in range(3) if table[k].sum()]
    accuracy = mean_of(rows, happened == called)
    assert_said(found, accuracy=accuracy, always_accuracy=max(constant))
    assert_said(found, balanced_accuracy=np.mean(recall))
    assert (found["n_windows"], found["n_independent"]) == (len(rows), len(apart(rows)))


def test_trends_of_a_point_model_follow_from_its_thresholds(home: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.csv"
    options = ("--step-size", "1", "--forecasts", long)
    found = document_of(home, "evaluate", *options)["scores"]
    table = in_units(long)
    rows = at_step(table, "tiny/v0001", 5)
    low = rows["median"] < rows["flat_low"]
    called = np.where(rows["median"] > rows["flat_high"], 2, np.where(low, 0, 1))
    assert set(called) == {0, 1, 2}
    said = found["models"]["tiny/v0001"]["direction"][-1]["three_way"]
    assert_trends(said, rows, called, found["flat_band"])
    metadata = json.loads((home / "data/models/tiny/v0001/metadata.json").read_text())
    edge = np.log(rows["flat_low"]) / rows["sigma"] / np.sqrt(5)
    np.testing.assert_allclose(edge, metadata["trend"]["low"][4], rtol=1e-6)
    # The scale of MASE and the volatility of a context, from the prices alone.
    prices = pd.read_csv(home / "prices.csv", index_col="Date")["Close"]
    test_start = prices.index.get_loc(metadata["split"]["test_start"])
    scale = prices[:test_start].diff().abs().mean()
    np.testing.assert_allclose(rows["mase_scale"] * rows["last_close"], scale, rtol=1e-9)
    sigma = np.log(prices).diff().rolling(9).std()
    np.testing.assert_allclose(rows["sigma"], sigma[rows["cutoff"]], rtol=1e-9)
