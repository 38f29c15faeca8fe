"""Every figure of an evaluation again, from its long table and by an independent library."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from utilsforecast import losses

from tests.command_line import csv_text, in_process, walk

ROWS, LAST = 1000, np.datetime64("2020-01-31")
LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
INNER = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
BANDS = {0.95: (0.025, 0.975), 0.8: (0.1, 0.9), 0.5: (0.25, 0.75)}
FANS = ("fan/v0001", "gaussian_cone", "ewma_cone", "scaled_climatology")
TIGHT: dict[str, float] = {"rel": 1e-9, "abs": 1e-12}


@pytest.fixture(scope="module", params=[(), ("--step-size", "3")], ids=["apart", "overlapping"])
def whole(
    trained_fan: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The scores as JSON, and the long table of all windows in units of the last price."""
    folder = tmp_path_factory.mktemp("long")
    files: list[str] = []
    for seed, name in enumerate(("one", "two")):  # long enough for tests
        (folder / f"{name}.csv").write_text(csv_text(walk(ROWS, seed=seed), LAST))
        files += ["--csv", str(folder / f"{name}.csv")]
    arguments = ("--format", "json", "--forecasts", str(folder / "long.csv"), *request.param)
    done = in_process("evaluate", *files, *arguments, folder=trained_fan)
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)["scores"]
    return found, in_units(folder / "long.csv")


@pytest.fixture
def evaluated(
    whole: tuple[dict[str, Any], pd.DataFrame],
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The same with the windows alone that the report shows."""
    found, table = whole
    return found, table[table["shown"]]


def in_units(path: Path) -> pd.DataFrame:
    """Return a long table with its prices divided by the last close."""
    table = pd.read_csv(path).rename(columns={"symbol": "unique_id", "actual": "y"})
    prices = ["y", "median", "flat_low", "flat_high", "mase_scale"]
    prices += [column for column in table if column.startswith("q")]
    table[prices] = table[prices].div(table["last_close"], axis=0)
    return table


def pooled(by_window: pd.DataFrame, column: str) -> float:
    """Average over the symbols of each cutoff, then over the cutoffs."""
    return float(by_window.groupby("cutoff")[column].mean().mean())


def at_step(table: pd.DataFrame, name: str, step: int) -> pd.DataFrame:
    return table[(table["model"] == name) & (table["step"] == step)]


def path_figures(rows: pd.DataFrame) -> dict[str, float]:
    figures = {
        "rmse": pooled(losses.mse(rows, ["median"]), "median") ** 0.5,
        "mae": pooled(losses.mae(rows, ["median"]), "median"),
        "mase": pooled(rows.assign(e=(rows["median"] - rows["y"]).abs() / rows["mase_scale"]), "e"),
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


def test_bands_that_are_judged_rest_on_all_phases(
    whole: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    found, table = whole
    for name in FANS:
        bands = found["models"][name]["bands"]
        assert len(bands) == 9
        for band in bands:
            low, high = (f"q{level:g}" for level in BANDS[band["nominal"]])
            rows = at_step(table, name, band["step"])
            held = ((rows[low] <= rows["y"]) & (rows["y"] <= rows[high])).astype(float)
            assert band["coverage"] == pytest.approx(pooled(rows.assign(c=held), "c"), abs=1e-12)
            width = pooled(rows.assign(w=rows[high] - rows[low]), "w")
            assert band["width"] == pytest.approx(width, **TIGHT)


def test_histograms_of_the_fans(whole: tuple[dict[str, Any], pd.DataFrame]) -> None:
    """Interpolated by numpy; where a fan does not reach, within its outer levels, one bin each."""
    found, table = whole
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


def deciding(table: pd.DataFrame) -> pd.DataFrame:
    """The windows of five phases of the grid, whichever of them are shown."""
    days = read_days()
    place = table["cutoff"].map(days)
    horizon = int(table["step"].max())
    return table[(place - place.min()) % horizon % -(-horizon // 5) == 0]


def read_days() -> dict[str, int]:
    lines = csv_text(walk(ROWS), LAST).splitlines()[1:]
    return {line.split(",")[0]: number for number, line in enumerate(lines)}


def losses_by_date(rows: pd.DataFrame, loss: str) -> pd.Series:
    """The loss of whole paths, averaged over symbols at each cutoff, by cutoff in time."""
    if loss == "squared":
        errors = (rows["median"] - rows["y"]) ** 2
    else:
        over = {level: rows["y"] - rows[f"q{level:g}"] for level in INNER}
        errors = sum(np.maximum(q * gap, (q - 1) * gap) for q, gap in over.items()) * 2 / 5
    return rows.assign(e=errors).groupby("cutoff")["e"].mean().sort_index()


def reach_and_count(rows: pd.DataFrame) -> tuple[int, int]:
    """How many cutoffs one window reaches across, and how many windows do not overlap."""
    ends = rows.groupby("cutoff")["date"].max().sort_index()
    days = ends.index.to_numpy()
    reach = max(int((days[at:] < ends.iloc[at]).sum()) for at in range(len(days)))
    count, free = 0, ""
    for day, end in ends.items():
        if str(day) >= free:
            count, free = count + 1, str(end)
    return reach, count


def test_p_values_and_skills_by_phase_over_all_that_decides(
    whole: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    """Diebold-Mariano in plain numpy, against Student's t of scipy."""
    found, table = whole
    rows = deciding(table)
    h, n = reach_and_count(rows[rows["model"] == "naive"])
    assert (h, n) == (5, found["n_independent"])
    assert n >= 20
    checked = 0
    for name, model in found["models"].items():
        for loss, tests in (("squared", model["tests"]), ("crps", model["crps_tests"])):
            for other, test in tests.items():
                ours, theirs = (
                    losses_by_date(rows[rows["model"] == each], loss).to_numpy()
                    for each in (name, other)
                )
                by_phase = [
                    1 - (ours[k::h].mean() / theirs[k::h].mean()) ** (0.5 if loss[0] == "s" else 1)
                    for k in range(h)
                ]
                assert test["skills"] == pytest.approx(by_phase, abs=1e-9)
                if test["test"]["p"] is None:  # the same losses
                    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
                    continue
                statistic = harvey(ours - theirs, h)
                assert test["test"]["statistic"] == pytest.approx(statistic, rel=1e-6)
                p = 2 * stats.t.sf(abs(statistic), n - 1)
                assert test["test"]["p"] == pytest.approx(p, rel=1e-6)
                checked += 1
    assert checked > 20


def harvey(d: np.ndarray[Any, np.dtype[np.float64]], h: int) -> float:
    n, apart = len(d), d - d.mean()
    gamma = [float(np.sum(apart[k:] * apart[: n - k])) / n for k in range(h)]
    variance = gamma[0] + 2 * sum(gamma[1:])
    if variance <= 0:
        variance = gamma[0] + 2 * sum((1 - k / h) * gamma[k] for k in range(1, h))
    factor = (n + 1 - 2 * h + h * (h - 1) / n) / n
    return float(d.mean() / np.sqrt(variance / n) * np.sqrt(factor))


def test_chances_of_a_rise_against_their_base_rate(
    whole: tuple[dict[str, Any], pd.DataFrame], trained_fan: Path
) -> None:
    found, table = whole
    metadata = json.loads((trained_fan / "data/models/fan/v0001/metadata.json").read_text())
    for name in FANS:
        chances = found["models"][name]["chances"]
        assert [each["step"] for each in chances] == [1, 5, 10]
        for each in chances:
            rows = at_step(table, name, each["step"])
            rose = (rows["y"] > 1.0).astype(float)
            rate = metadata["trend"]["rise"][each["step"] - 1]
            assert set(rows["base_rate_of_rise"]) == {each["base_rate"]} == {rate}
            brier, base = (
                pooled(rows.assign(b=(rows[column] - rose) ** 2), "b")
                for column in ("probability_of_rise", "base_rate_of_rise")
            )
            assert each["brier"] == pytest.approx(brier, **TIGHT)
            assert each["skill"] == pytest.approx(1 - brier / base, abs=1e-9)
            assert each["mean"] == pytest.approx(pooled(rows, "probability_of_rise"), **TIGHT)
            counts = np.bincount(
                (rows["probability_of_rise"] * 10 + 1e-9).astype(int), minlength=10
            )
            assert [one["n_windows"] for one in each["reliability"]] == counts.tolist()


def test_chances_follow_from_the_quantiles(whole: tuple[dict[str, Any], pd.DataFrame]) -> None:
    _, table = whole
    rows = table[table["model"] == "fan/v0001"].iloc[::50]
    for _, row in rows.iterrows():
        fan = np.log([row[f"q{level:g}"] for level in LEVELS])
        chance = 1 - np.interp(0.0, fan, LEVELS)
        assert row["probability_of_rise"] == pytest.approx(chance, abs=1e-9)
    assert table.loc[table["model"] == "naive", "probability_of_rise"].isna().all()


def test_trends_of_a_fan_follow_from_its_quantiles_and_the_flat_band(
    evaluated: tuple[dict[str, Any], pd.DataFrame],
) -> None:
    found, table = evaluated
    rows = at_step(table, "fan/v0001", 10)
    ends = np.log(rows[["flat_low", "flat_high"]].to_numpy())
    fans = np.log(rows[[f"q{level:g}" for level in LEVELS]].to_numpy())
    below = np.array([np.interp(both, fan, LEVELS) for both, fan in zip(ends, fans, strict=True)])
    called = np.argmax(np.column_stack([below[:, 0], np.diff(below), 1 - below[:, 1]]), axis=1)
    assert_trends(found["models"]["fan/v0001"], rows, called, found["flat_band"])


def assert_trends(
    model: dict[str, Any],
    rows: pd.DataFrame,
    called: np.ndarray[Any, np.dtype[np.int64]],
    flat_band: float,
) -> None:
    """Compare the table of what was called when, and its accuracy; 0, 1, 2 are down, flat, up."""
    moves, bound = np.log(rows["y"]), flat_band * rows["sigma"] * np.sqrt(rows["step"])
    happened = np.where(moves.abs() < bound, 1, np.where(moves > 0, 2, 0))
    found = model["direction"][-1]["three_way"]
    table = np.zeros((3, 3), dtype=int)
    np.add.at(table, (happened, called), 1)
    assert found["confusion"] == table.tolist()
    right = rows.assign(r=(happened == called).astype(float))
    assert found["accuracy"] == pytest.approx(pooled(right, "r"), abs=1e-12)


def test_trends_of_a_point_model_follow_from_its_thresholds(trained: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.csv"
    arguments = ("--format", "json", "--step-size", "1", "--forecasts", str(long))
    done = in_process("evaluate", *arguments, folder=trained)
    found = json.loads(done.out)["scores"]
    table = in_units(long)
    rows = at_step(table, "tiny/v0001", 5)
    low = rows["median"] < rows["flat_low"]
    called = np.where(rows["median"] > rows["flat_high"], 2, np.where(low, 0, 1))
    assert set(called) == {0, 1, 2}
    assert_trends(found["models"]["tiny/v0001"], rows, called, found["flat_band"])
    trend = json.loads((trained / "data/models/tiny/v0001/metadata.json").read_text())["trend"]
    edge = np.log(rows["flat_low"]) / rows["sigma"] / np.sqrt(5)
    np.testing.assert_allclose(edge, trend["low"][4], rtol=1e-6)
    # The scale of MASE and the volatility of a context, from the prices alone.
    split = json.loads((trained / "data/models/tiny/v0001/metadata.json").read_text())["split"]
    prices = pd.read_csv(trained / "prices.csv", index_col="Date")["Close"]
    scale = prices[: prices.index.get_loc(split["test_start"])].diff().abs().mean()
    np.testing.assert_allclose(rows["mase_scale"] * rows["last_close"], scale, rtol=1e-9)
    sigma = np.log(prices).diff().rolling(9).std()
    np.testing.assert_allclose(rows["sigma"], sigma[rows["cutoff"]], rtol=1e-9)
