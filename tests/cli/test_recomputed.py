"""Every figure of an evaluation again, from its long table and by an independent library."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from utilsforecast import losses

from tests.cli.recomputed import (
    FANS,
    LEVELS,
    TIGHT,
    Evaluated,
    Floats,
    apart,
    at_step,
    deciding,
    harvey_error,
    mean_of,
    pooled,
    reach,
)

INNER = np.array([0.1, 0.25, 0.5, 0.75, 0.9])
BANDS = {0.95: (0.025, 0.975), 0.8: (0.1, 0.9), 0.5: (0.25, 0.75)}


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


def test_errors_and_skills_of_paths_and_steps(evaluated: Evaluated) -> None:
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


def test_errors_of_each_symbol(evaluated: Evaluated) -> None:
    found, table = evaluated
    for (name, symbol), rows in table.groupby(["model", "unique_id"]):
        scores = found["models"][name]["symbols"][symbol]
        for key, figure in path_figures(rows).items():
            assert scores[key] == pytest.approx(figure, **TIGHT)


def test_pairs_carry_the_skills_of_the_paths(evaluated: Evaluated) -> None:
    found, table = evaluated
    figures = {name: path_figures(each) for name, each in table.groupby("model")}
    assert len(found["pairwise"]) == len(figures) - 1 + len(FANS) - 1
    for pair in found["pairwise"]:
        key = "rmse" if pair["loss"] == "squared" else "crps"
        ratio = figures[pair["model"]][key] / figures[pair["other"]][key]
        assert pair["skill"] == pytest.approx(1 - ratio, abs=1e-9)


def test_intervals_of_skills_from_resampled_blocks_of_dates(evaluated: Evaluated) -> None:
    """Dates are drawn as documented: 2,000 times, squared errors first."""
    found, table = evaluated
    h = reach(table[table["model"] == "naive"])
    block, generator = 1 if h == 1 else 2 * h, np.random.default_rng(0)
    checked = 0
    for loss in ("squared", "crps"):
        names = list(found["models"]) if loss == "squared" else FANS
        by_date = {
            name: losses_by_date(table[table["model"] == name], loss).to_numpy() for name in names
        }
        n = len(by_date["scaled_climatology"])
        count = -(-n // block)
        starts = generator.integers(0, n, size=(2000, count))
        rows = (starts[:, :, None] + np.arange(block)).reshape(2000, -1) % n
        wider = np.sqrt(count / (count - 1)) * stats.t.ppf(0.975, count - 1)
        for pair in (each for each in found["pairwise"] if each["loss"] == loss):
            ours, theirs = (by_date[pair[key]][rows].mean(axis=1) for key in ("model", "other"))
            ratio = ours / theirs if loss == "crps" else np.sqrt(ours / theirs)
            ends = np.quantile(1 - ratio, [stats.norm.sf(wider), stats.norm.cdf(wider)])
            shown = [pair["interval"][key] for key in ("low", "high")]
            assert shown == pytest.approx(ends, abs=1e-9)
            checked += 1
    assert checked == len(found["models"]) - 1 + len(FANS) - 1


def test_pinball_and_reliability_of_every_level(evaluated: Evaluated) -> None:
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


def test_coverage_and_width_of_every_band_at_every_step(evaluated: Evaluated) -> None:
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


def test_bands_that_are_judged_rest_on_all_phases(whole: Evaluated) -> None:
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
            series = rows.assign(c=held).groupby("cutoff")["c"].mean().sort_index().to_numpy()
            error, n = harvey_error(series, reach(rows)), len(apart(rows))
            if band["coverage"] in (0.0, 1.0):
                error = max(error, np.sqrt(band["nominal"] * (1 - band["nominal"]) / n))
            assert band["standard_error"] == pytest.approx(error, rel=1e-6)
            off = abs(band["coverage"] - band["nominal"])
            judged = n >= 20 and 2 * error <= 0.05
            assert band["good"] == (off <= max(0.02, 2 * error) if judged else None)


def test_histograms_of_the_fans(whole: Evaluated) -> None:
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


def errors_of(rows: pd.DataFrame, loss: str) -> Any:
    if loss == "squared":
        return (rows["median"] - rows["y"]) ** 2
    over = {level: rows["y"] - rows[f"q{level:g}"] for level in INNER}
    return sum(np.maximum(q * gap, (q - 1) * gap) for q, gap in over.items()) * 2 / 5


def losses_by_date(rows: pd.DataFrame, loss: str) -> "pd.Series[float]":
    """The loss of whole paths, averaged over symbols at each cutoff, by cutoff in time."""
    return rows.assign(e=errors_of(rows, loss)).groupby("cutoff")["e"].mean().sort_index()


def test_p_values_and_skills_by_phase_over_all_that_decides(whole: Evaluated) -> None:
    """Diebold-Mariano in plain numpy, against Student's t of scipy."""
    found, table = whole
    rows = deciding(table)
    one = rows[rows["model"] == "naive"]
    h, n = reach(one), len(apart(one))
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
                statistic = (ours - theirs).mean() / harvey_error(ours - theirs, h)
                assert test["test"]["statistic"] == pytest.approx(statistic, rel=1e-6)
                p = 2 * stats.t.sf(abs(statistic), n - 1)
                assert test["test"]["p"] == pytest.approx(p, rel=1e-6)
                checked += 1
    assert checked > 20


def test_the_joint_test_over_symbols_from_resampled_blocks_of_dates(whole: Evaluated) -> None:
    """Largest statistic of any symbol in 2,000 resamples of the dates, drawn as documented."""
    found, table = whole
    rows = deciding(table)
    h = reach(rows[rows["model"] == "naive"])
    checked = 0
    for name, model in found["models"].items():
        for loss, rival, key in (
            ("squared", "naive", "symbol_tests"),
            ("crps", "scaled_climatology", "symbol_crps_tests"),
        ):
            if name == rival or not model[key]:
                assert name == rival or loss == "crps"
                continue
            gains = window_losses(rows, rival, loss) - window_losses(rows, name, loss)
            table_of_gains = gains.unstack("unique_id").sort_index().to_numpy()  # (U, S)
            expected = joint_test(table_of_gains, h)
            for symbol, gain, p in zip(sorted(model[key]), *expected, strict=True):
                test = model[key][symbol]
                assert test["gain"] == pytest.approx(gain, rel=1e-6, abs=1e-12)
                assert test["n"] == found["n_independent"]
                if test["p"] is None:
                    assert test["why"] == "no variation"
                    continue
                assert test["p"] == pytest.approx(p, abs=1e-9)
                checked += 1
    assert checked >= 8


def window_losses(rows: pd.DataFrame, name: str, loss: str) -> "pd.Series[float]":
    """The loss of the path of each symbol and cutoff."""
    own = rows[rows["model"] == name]
    return own.assign(e=errors_of(own, loss)).groupby(["cutoff", "unique_id"])["e"].mean()


def joint_test(gains: Floats, h: int) -> tuple[Floats, Floats]:
    """The mean gain of each symbol, and the share of resamples whose largest one is as great."""
    n, lag = len(gains), 2 * (h - 1)
    centred = gains - gains.mean(axis=0)
    variance = (centred**2).mean(axis=0)
    for k in range(1, lag + 1):
        shifted = (centred[k:] * centred[:-k]).sum(axis=0) / n
        variance = variance + 2 * (1 - k / (lag + 1)) * shifted
    error = np.sqrt(np.maximum(variance, 0) / n)
    tested = error > 0
    block = 1 if h == 1 else 2 * h
    count = -(-n // block)
    starts = np.random.default_rng(0).integers(0, n, size=(2000, count))
    drawn = ((starts[:, :, None] + np.arange(block)).reshape(2000, -1) % n)[:, :n]
    means = centred[:, tested][drawn].mean(axis=1)  # (2000, S)
    wider = stats.t.ppf(0.975, count - 1) / stats.norm.ppf(0.975) * np.sqrt(count / (count - 1))
    wider *= np.sqrt(6 / 5) if h > 1 else 1
    largest = (means / error[tested]).max(axis=1, initial=-np.inf) * wider
    p = np.full(gains.shape[1], np.nan)
    for at, s in enumerate(np.flatnonzero(tested)):
        beyond = np.sum(largest >= gains[:, s].mean() / error[tested][at])
        p[s] = (1 + beyond) / 2001
    return gains.mean(axis=0), p


def test_chances_of_a_rise_against_their_base_rate(whole: Evaluated, trained_fan: Path) -> None:
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
            assert each["brier_base"] == pytest.approx(base, **TIGHT)
            assert each["rose"] == pytest.approx(mean_of(rows, rose), **TIGHT)
            assert each["skill"] == pytest.approx(1 - brier / base, abs=1e-9)
            assert each["mean"] == pytest.approx(pooled(rows, "probability_of_rise"), **TIGHT)
            counts = np.bincount(
                (rows["probability_of_rise"] * 10 + 1e-9).astype(int), minlength=10
            )
            assert [one["n_windows"] for one in each["reliability"]] == counts.tolist()


def test_chances_follow_from_the_quantiles(whole: Evaluated) -> None:
    _, table = whole
    rows = table[table["model"] == "fan/v0001"].iloc[::50]
    for _, row in rows.iterrows():
        fan = np.log([row[f"q{level:g}"] for level in LEVELS])
        chance = 1 - np.interp(0.0, fan, LEVELS)
        assert row["probability_of_rise"] == pytest.approx(chance, abs=1e-9)
    assert table.loc[table["model"] == "naive", "probability_of_rise"].isna().all()
