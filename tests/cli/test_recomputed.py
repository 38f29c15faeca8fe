"""Every figure of an evaluation again, from its long table and by an independent library."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from utilsforecast import losses

from tests.command_line import in_process

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
INNER = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
BANDS = {0.95: (0.025, 0.975), 0.8: (0.1, 0.9), 0.5: (0.25, 0.75)}
FANS = ("fan/v0001", "gaussian_cone", "ewma_cone", "scaled_climatology")
TIGHT: dict[str, float] = {"rel": 1e-9, "abs": 1e-12}


@pytest.fixture(scope="module", params=[(), ("--step-size", "3")], ids=["apart", "overlapping"])
def evaluated(
    trained_fan: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The scores as JSON, and the long table in units of the last price."""
    long = tmp_path_factory.mktemp("long") / "long.csv"
    arguments = ("--format", "json", "--forecasts", str(long), *request.param)
    done = in_process("evaluate", *arguments, folder=trained_fan)
    assert done.code == 0, done.err
    table = pd.read_csv(long).rename(columns={"symbol": "unique_id", "actual": "y"})
    prices = ["y", "median", *(f"q{level:g}" for level in LEVELS)]
    table[prices] = table[prices].div(table["last_close"], axis=0)
    found: dict[str, Any] = json.loads(done.out)["scores"]
    return found, table


def pooled(by_window: pd.DataFrame, column: str) -> float:
    """Average over the symbols of each cutoff, then over the cutoffs."""
    return float(by_window.groupby("cutoff")[column].mean().mean())


def path_figures(rows: pd.DataFrame) -> dict[str, float]:
    figures = {
        "rmse": pooled(losses.mse(rows, ["median"]), "median") ** 0.5,
        "mae": pooled(losses.mae(rows, ["median"]), "median"),
    }
    if rows["q0.5"].notna().all():
        fan = {"crps": [f"q{level:g}" for level in INNER]}
        figures["crps"] = 2 * pooled(losses.mqloss(rows, fan, INNER), "crps")
    return figures


def test_errors_and_skills_of_paths_and_steps(
    evaluated: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    found, table = evaluated
    for where in ("path", "steps"):
        for step in range(1, 11) if where == "steps" else (None,):
            rows = table if step is None else table[table["step"] == step]
            figures = {name: path_figures(each) for name, each in rows.groupby("model")}
            assert set(figures) == set(found["models"])
            for name, model in found["models"].items():

                def at(values: Any, step: int | None = step) -> float:
                    return float(values if step is None else values[step - 1])

                scores = model[where]
                for key, figure in figures[name].items():
                    assert at(scores[key]) == pytest.approx(figure, **TIGHT)
                assert (scores["crps"] is None) == ("crps" not in figures[name])
                for key, skills in (("rmse", scores["skill"]), ("crps", scores["crps_skill"])):
                    for other, skill in skills.items():
                        ratio = figures[name][key] / figures[other][key]
                        assert at(skill) == pytest.approx(1 - ratio, abs=1e-9)


def test_pairs_carry_the_skills_of_the_paths(
    evaluated: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    found, table = evaluated
    figures = {name: path_figures(each) for name, each in table.groupby("model")}
    assert len(found["pairwise"]) == len(figures) - 1 + len(FANS) - 1
    for pair in found["pairwise"]:
        key = "rmse" if pair["loss"] == "squared" else "crps"
        ratio = figures[pair["model"]][key] / figures[pair["other"]][key]
        assert pair["skill"] == pytest.approx(1 - ratio, abs=1e-9)
        assert pair["interval"]["low"] is None or (
            pair["interval"]["low"] <= pair["skill"] <= pair["interval"]["high"]
        )


def test_pinball_and_reliability_of_every_level(
    evaluated: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    found, table = evaluated
    for name in FANS:
        levels = found["models"][name]["levels"]
        assert [(each["step"], each["level"]) for each in levels] == [
            (step, level) for step in (1, 5, 10) for level in LEVELS
        ]
        for each in levels:
            rows = table[(table["model"] == name) & (table["step"] == each["step"])]
            column = {"q": f"q{each['level']:g}"}
            loss = losses.quantile_loss(rows, column, q=each["level"])
            assert each["pinball"] == pytest.approx(pooled(loss, "q"), **TIGHT)
            assert each["below"] == pytest.approx(
                pooled(losses.calibration(rows, column), "q"), abs=1e-12
            )


def test_coverage_and_width_of_every_band_at_every_step(
    evaluated: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    found, table = evaluated
    for name in FANS:
        model = found["models"][name]
        headline = {(each["step"], each["nominal"]): each for each in model["bands"]}
        assert [band["nominal"] for band in model["steps"]["bands"]] == list(BANDS)
        for band in model["steps"]["bands"]:
            low, high = (f"q{level:g}" for level in BANDS[band["nominal"]])
            for step in range(1, 11):
                rows = table[(table["model"] == name) & (table["step"] == step)]
                rows = rows.rename(columns={low: "fan-lo-0", high: "fan-hi-0"})
                covered = pooled(losses.coverage(rows, ["fan"], 0), "fan")
                width = pooled(rows.assign(w=rows["fan-hi-0"] - rows["fan-lo-0"]), "w")
                assert band["coverage"][step - 1] == pytest.approx(covered, abs=1e-12)
                assert band["width"][step - 1] == pytest.approx(width, **TIGHT)
                if (step, band["nominal"]) in headline:
                    same = headline[step, band["nominal"]]
                    assert same["coverage"] == pytest.approx(covered, abs=1e-12)
                    assert same["width"] == pytest.approx(width, **TIGHT)


def test_histograms_of_the_fans(evaluated: tuple[dict[str, Any], pd.DataFrame]) -> None:
    """Interpolated by numpy; where a fan does not reach, within its outer levels, one bin each."""
    found, table = evaluated
    columns = [f"q{level:g}" for level in LEVELS]
    for name in FANS:
        for each in found["models"][name]["pit"]:
            rows = table[(table["model"] == name) & (table["step"] == each["step"])]
            values = [
                np.interp(truth, fan, LEVELS)
                for truth, fan in zip(rows["y"], rows[columns].to_numpy(), strict=True)
            ]
            bins = np.clip(np.ceil(np.array(values) * 10) - 1, 0, 9)
            shares = [pooled(rows.assign(b=bins == k), "b") for k in range(10)]
            # Prices and their logarithms are interpolated almost alike: a window may change bins.
            assert each["shares"] == pytest.approx(shares, abs=1.5 / each["n"])
            assert sum(each["shares"]) == pytest.approx(1.0)


def test_direction_accuracy_at_every_headline_step(
    evaluated: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    found, table = evaluated
    for name, model in found["models"].items():
        for each in model["direction"]:
            rows = table[(table["model"] == name) & (table["step"] == each["step"])]
            calls = rows.assign(y=(rows["y"] > 1.0) * 1.0, called=(rows["median"] > 1.0) * 1.0)
            hits = 1.0 - pooled(losses.mae(calls, ["called"]), "called")
            if (rows["median"] == 1.0).all():
                assert each["two_way"]["accuracy"] is None
            else:
                assert each["two_way"]["accuracy"] == pytest.approx(hits, abs=1e-12)
            assert each["two_way"]["up_actual"] == pytest.approx(pooled(calls, "y"), abs=1e-12)
