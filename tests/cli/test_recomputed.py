"""Recompute every figure of an evaluation from its long table with an independent library."""

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
    assert_said,
    at_step,
    band_of,
    deciding,
    harvey_error,
    mean_of,
    pooled,
    reach,
    resampled,
    scored,
)

INNER = np.array([0.1, 0.25, 0.5, 0.75, 0.9])


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
    for step in range(11):  # 0 is the whole path
        rows = table[table["step"] == step] if step else table
        figures = {name: path_figures(each) for name, each in rows.groupby("model")}
        assert set(figures) == set(found["models"])
        for name, model in found["models"].items():
            scores = model["steps" if step else "path"]
            assert (scores["crps"] is None) == ("crps" not in figures[name])
            said = [(scores[key], figure, TIGHT) for key, figure in figures[name].items()]
            for key, skills in (("rmse", scores["skill"]), ("crps", scores["crps_skill"])):
                for other, skill in skills.items():
                    ratio = figures[name][key] / figures[other][key]
                    said.append((skill, 1 - ratio, {"abs": 1e-9}))
            for value, figure, within in said:
                shown = value[step - 1] if step else value
                assert shown == pytest.approx(figure, **within)


def test_errors_of_each_symbol(evaluated: Evaluated) -> None:
    found, table = evaluated
    for (name, symbol), rows in table.groupby(["model", "unique_id"]):
        assert_said(found["models"][name]["symbols"][symbol], **path_figures(rows))


def test_skills_of_pairs_and_their_intervals_from_resampled_blocks_of_dates(
    evaluated: Evaluated,
) -> None:
    """Dates are drawn as documented: 2,000 times, squared errors first."""
    found, table = evaluated
    h, generator = reach(table[table["model"] == "naive"]), np.random.default_rng(0)
    assert len(found["pairwise"]) == len(found["models"]) - 1 + len(FANS) - 1
    for loss, power in (("squared", 0.5), ("crps", 1.0)):
        by_date = window_losses(table, loss).groupby("cutoff").mean()
        rows, count = resampled(len(by_date), h, generator)
        wider = np.sqrt(count / (count - 1)) * stats.t.ppf(0.975, count - 1)
        for pair in (each for each in found["pairwise"] if each["loss"] == loss):
            ours, theirs = (by_date[pair[key]].to_numpy() for key in ("model", "other"))
            assert_said(pair, {"abs": 1e-9}, skill=1 - (ours.mean() / theirs.mean()) ** power)
            drawn = 1 - (ours[rows].mean(axis=1) / theirs[rows].mean(axis=1)) ** power
            low, high = np.quantile(drawn, [stats.norm.sf(wider), stats.norm.cdf(wider)])
            assert_said(pair["interval"], {"abs": 1e-9}, low=low, high=high)


def test_pinball_and_reliability_of_every_level(evaluated: Evaluated) -> None:
    found = list(scored(evaluated, "levels"))
    every = [(step, level) for step in (1, 5, 10) for level in LEVELS]
    assert [(each["step"], each["level"]) for _, each, _ in found] == every * len(FANS)
    for _, each, rows in found:
        column = {"q": f"q{each['level']:g}"}
        loss = pooled(losses.quantile_loss(rows, column, q=each["level"]), "q")
        assert_said(each, pinball=loss, below=pooled(losses.calibration(rows, column), "q"))


def test_coverage_and_width_of_every_band_at_every_step(evaluated: Evaluated) -> None:
    found, table = evaluated
    for name in FANS:
        bands = found["models"][name]["steps"]["bands"]
        assert [band["nominal"] for band in bands] == [0.95, 0.8, 0.5]
        for band in bands:
            low, high = band_of(band["nominal"])
            for step in range(1, 11):
                rows = at_step(table, name, step)
                rows = rows.rename(columns={low: "fan-lo-0", high: "fan-hi-0"})
                covered = pooled(losses.coverage(rows, ["fan"], 0), "fan")
                width = mean_of(rows, rows["fan-hi-0"] - rows["fan-lo-0"])
                assert band["coverage"][step - 1] == pytest.approx(covered, abs=1e-12)
                assert band["width"][step - 1] == pytest.approx(width, **TIGHT)


def test_bands_that_are_judged_rest_on_all_phases(whole: Evaluated) -> None:
    found = list(scored(whole, "bands"))
    assert len(found) == 9 * len(FANS)
    for _, band, rows in found:
        low, high = band_of(band["nominal"])
        held = ((rows[low] <= rows["y"]) & (rows["y"] <= rows[high])).astype(float)
        width = mean_of(rows, rows[high] - rows[low])
        assert_said(band, coverage=mean_of(rows, held), width=width)
        series = rows.assign(c=held).groupby("cutoff")["c"].mean().sort_index().to_numpy()
        error, n = harvey_error(series, reach(rows)), len(apart(rows))
        if band["coverage"] in (0.0, 1.0):
            error = max(error, np.sqrt(band["nominal"] * (1 - band["nominal"]) / n))
        assert_said(band, {"rel": 1e-6}, standard_error=error)
        off = abs(band["coverage"] - band["nominal"])
        judged = n >= 20 and 2 * error <= 0.05
        assert band["good"] == (off <= max(0.02, 2 * error) if judged else None)


def test_histograms_of_the_fans(whole: Evaluated) -> None:
    """Interpolated by numpy; where a fan does not reach, within its outer levels, one bin each."""
    for _, each, rows in scored(whole, "pit"):
        fans = rows[[f"q{level:g}" for level in LEVELS]].to_numpy()
        values = [np.interp(*pair, LEVELS) for pair in zip(rows["y"], fans, strict=True)]
        bins = np.clip(np.ceil(np.array(values) * 10) - 1, 0, 9)
        shares = [mean_of(rows, bins == k) for k in range(10)]
        # Prices and their logarithms are interpolated almost alike: a window may change bins.
        assert_said(each, {"abs": 1.5 / each["n"]}, shares=shares)
        assert sum(each["shares"]) == pytest.approx(1.0)


def errors_of(rows: pd.DataFrame, loss: str) -> Any:
    if loss == "squared":
        return (rows["median"] - rows["y"]) ** 2
    over = {level: rows["y"] - rows[f"q{level:g}"] for level in INNER}
    return sum(np.maximum(q * gap, (q - 1) * gap) for q, gap in over.items()) * 2 / 5


def window_losses(rows: pd.DataFrame, loss: str) -> pd.DataFrame:
    """The loss of whole paths, by cutoff and symbol, a column for each model that has one."""
    table = rows.assign(e=errors_of(rows, loss))
    return table.pivot_table(values="e", index=["cutoff", "unique_id"], columns="model")


def test_p_values_and_skills_by_phase_over_all_that_decides(whole: Evaluated) -> None:
    """Diebold-Mariano in plain numpy, against Student's t of scipy."""
    found, table = whole
    rows = deciding(table)
    one = rows[rows["model"] == "naive"]
    h, n = reach(one), len(apart(one))
    assert (h, n) == (5, found["n_independent"])
    assert n >= 20
    checked = 0
    for loss, key, power in (("squared", "tests", 0.5), ("crps", "crps_tests", 1.0)):
        by_date = window_losses(rows, loss).groupby("cutoff").mean()
        for name, model in found["models"].items():
            for other, found_test in model[key].items():
                ours, theirs = by_date[name].to_numpy(), by_date[other].to_numpy()
                ratios = [ours[k::h].mean() / theirs[k::h].mean() for k in range(h)]
                by_phase = [1 - ratio**power for ratio in ratios]
                assert found_test["skills"] == pytest.approx(by_phase, abs=1e-9)
                test = found_test["test"]
                if test["p"] is None:  # the same losses
                    np.testing.assert_allclose(ours, theirs, rtol=1e-9)
                    continue
                statistic = (ours - theirs).mean() / harvey_error(ours - theirs, h)
                p = 2 * stats.t.sf(abs(statistic), n - 1)
                assert_said(test, {"rel": 1e-6}, statistic=statistic, p=p)
                checked += 1
    assert checked > 20


def test_the_joint_test_over_symbols_from_resampled_blocks_of_dates(whole: Evaluated) -> None:
    """Largest statistic of any symbol in 2,000 resamples of the dates, drawn as documented."""
    found, table = whole
    rows = deciding(table)
    h = reach(rows[rows["model"] == "naive"])
    checked = 0
    for loss, rival, key in (
        ("squared", "naive", "symbol_tests"),
        ("crps", "scaled_climatology", "symbol_crps_tests"),
    ):
        table_of_losses = window_losses(rows, loss)
        for name, model in found["models"].items():
            if name == rival or not model[key]:
                assert name == rival or loss == "crps"
                continue
            gains = table_of_losses[rival] - table_of_losses[name]
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
    drawn, count = resampled(n, h, np.random.default_rng(0))
    means = centred[:, tested][drawn[:, :n]].mean(axis=1)  # (2000, S)
    wider = stats.t.ppf(0.975, count - 1) / stats.norm.ppf(0.975) * np.sqrt(count / (count - 1))
    wider *= np.sqrt(6 / 5) if h > 1 else 1
    largest = (means / error[tested]).max(axis=1, initial=-np.inf) * wider
    p = np.full(gains.shape[1], np.nan)
    for at, s in enumerate(np.flatnonzero(tested)):
        beyond = np.sum(largest >= gains[:, s].mean() / error[tested][at])
        p[s] = (1 + beyond) / 2001
    return gains.mean(axis=0), p


def test_chances_of_a_rise_against_their_base_rate(whole: Evaluated, trained_fan: Path) -> None:
    metadata = json.loads((trained_fan / "data/models/fan/v0001/metadata.json").read_text())
    found = list(scored(whole, "chances"))
    assert [each["step"] for _, each, _ in found] == [1, 5, 10] * len(FANS)
    for _, each, rows in found:
        rose = (rows["y"] > 1.0).astype(float)
        rate = metadata["trend"]["rise"][each["step"] - 1]
        assert set(rows["base_rate_of_rise"]) == {each["base_rate"]} == {rate}
        brier = mean_of(rows, (rows["probability_of_rise"] - rose) ** 2)
        base = mean_of(rows, (rate - rose) ** 2)
        mean = pooled(rows, "probability_of_rise")
        assert_said(each, brier=brier, brier_base=base, rose=mean_of(rows, rose), mean=mean)
        assert_said(each, {"abs": 1e-9}, skill=1 - brier / base)
        tenths = (rows["probability_of_rise"] * 10 + 1e-9).astype(int)
        counts = np.bincount(tenths, minlength=10)
        assert [one["n_windows"] for one in each["reliability"]] == counts.tolist()


def test_chances_follow_from_the_quantiles(whole: Evaluated) -> None:
    _, table = whole
    rows = table[table["model"] == "fan/v0001"].iloc[::50]
    for _, row in rows.iterrows():
        fan = np.log([row[f"q{level:g}"] for level in LEVELS])
        chance = 1 - np.interp(0.0, fan, LEVELS)
        assert row["probability_of_rise"] == pytest.approx(chance, abs=1e-9)
    assert table.loc[table["model"] == "naive", "probability_of_rise"].isna().all()
