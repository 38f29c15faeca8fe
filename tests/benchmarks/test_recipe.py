"""What the default recipe was chosen by: `pytest tests/benchmarks/test_recipe.py -m slow -s`.

Models are trained on the rows up to the end of six years and scored on the four years after it,
none later than 2012, so that the test span of the README's figures takes no part. Scores are CRPS
at 19 levels in log units from every fifth cutoff, as ratios to the trailing Gaussian cone; tests
use one loss a date (the mean over the folds that score it), Newey-West errors over 75 sessions and
t with the number of independent windows less one.

Data that do not ship are read from the folder that LSTMCLI_BENCHMARK_DATA names.
"""

import csv
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from lstmcli.evaluation.backtest import Forecaster, one_by_one, run_backtest
from lstmcli.evaluation.losses import window_crps
from lstmcli.evaluation.significance import hac_standard_error, student_t_two_sided
from lstmcli.forecasting import baselines
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.har import Har, fit_har, har_inputs
from lstmcli.forecasting.model import series_for
from lstmcli.learning.fit import fit
from lstmcli.market.prices import Prices
from lstmcli.recipes import load_settings
from tests.benchmarks import measure
from tests.synthetic import CPU, make_plan

pytestmark = pytest.mark.slow

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

TRAIN_ENDS = range(1998, 2010, 2)
LAST = np.datetime64("2012-10-15")
LEVELS = tuple(round(0.05 * k, 2) for k in range(1, 20))
HORIZON, EVERY = 50, 5
LAG = 75 // EVERY
YEAR = 252.0
OLD_DEFAULT = Path(__file__).with_name("old_default.csv")
ELSEWHERE = os.environ.get("LSTMCLI_BENCHMARK_DATA")
needs_data = pytest.mark.skipif(not ELSEWHERE, reason="LSTMCLI_BENCHMARK_DATA is not set")


@dataclass(frozen=True)
class Fold:
    """Losses of the windows of one fold: (N,) by forecaster; the index is the first symbol."""

    dates: NDArray[np.datetime64]
    is_index: NDArray[np.bool_]
    losses: Mapping[str, Floats]


def test_six_folds_before_2013() -> None:
    """Print the ratios to the cone, and the differences to the old default and to past moves."""
    folds = [score_fold(year) for year in TRAIN_ENDS]
    for name in ("har", "default", "scaled_climatology"):
        ratios = [
            [fold.losses[name][at].mean() / fold.losses["cone"][at].mean() for at in groups(fold)]
            for fold in folds
        ]
        print("\n" + name, "index {:.4f}, stocks {:.4f}".format(*np.mean(ratios, axis=0)), end="")
    print()
    old = read_old()
    for name in ("har", "default"):
        for number, group in enumerate(("index", "stocks")):
            cone = np.mean([fold.losses["cone"][groups(fold)[number]].mean() for fold in folds])
            own = by_date(folds, name, number)
            past = by_date(folds, "scaled_climatology", number)
            for other, theirs in (("the old default", old[number]), ("past moves", past)):
                print(f"{name} less {other}, {group}: {difference(own, theirs, float(cone))}")
    assert all(np.isfinite(fold.losses["default"]).all() for fold in folds)


def test_bands_hold_what_they_say() -> None:
    """Print the coverage of har's 80 and 95 % bands on the stocks of the folds."""
    levels, hits = (0.025, 0.1, 0.5, 0.9, 0.975), defaultdict(list)
    for year in TRAIN_ENDS:
        known = fold_prices(year)
        har = fit_har(
            [x[:n] for _, x, n in known], horizon=HORIZON, levels=levels, bars_per_year=YEAR
        )
        for dates, x, n in known[1:]:
            at = cutoffs(dates, n, year)
            made = np.asarray(linear(har, x, at).quantiles)
            moves = moves_from(x, at)
            for nominal, low, high in ((80, 1, 3), (95, 0, 4)):
                inside = (made[..., low] <= moves) & (moves <= made[..., high])
                for step in (1, 20, 50):
                    for day, hit in zip(dates[at], inside[:, step - 1], strict=True):
                        hits[nominal, step, day].append(hit)
    for nominal in (80, 95):
        for step in (1, 20, 50):
            series = np.array(
                [np.mean(hits[key]) for key in sorted(hits) if key[:2] == (nominal, step)]
            )
            error = hac_standard_error(series, LAG)
            assert error is not None
            print(f"{nominal} %, step {step}: {100 * series.mean():.1f} % +- {100 * error:.1f}")


def test_half_of_the_stocks_serve_the_other_half() -> None:
    """Print the CRPS of ten stocks from a fit on the other ten, and from one on all."""
    for name, rows in (("odd", range(1, 21, 2)), ("even", range(2, 21, 2))):
        found = []
        for year in TRAIN_ENDS:
            known = fold_prices(year)
            parts = [x[:n] for _, x, n in known]
            fits = [
                fit_har(some, horizon=HORIZON, levels=LEVELS, bars_per_year=YEAR)
                for some in (parts, [parts[row] for row in rows])
            ]
            losses: list[list[float]] = [[], [], []]
            for number, (dates, x, n) in enumerate(known):
                if number == 0 or number in rows:
                    continue
                at = cutoffs(dates, n, year)
                made = [linear(har, x, at) for har in fits]
                made.append(baselines.gaussian_cone(x, at, HORIZON, levels=LEVELS))
                for into, each in zip(losses, made, strict=True):
                    into.append(crps(each, x, at).mean())
            all_of_them, half, cone = map(np.mean, losses)
            found.append([all_of_them / cone, half / cone])
        print(
            "fitted on all {:.4f}, on the {name} half {:.4f}".format(*np.mean(found, 0), name=name)
        )


@needs_data
def test_a_long_index() -> None:
    """Print har against past moves on the S&P 500, 1940 to 2012, fitted again every two years."""
    table = pd.read_csv(f"{ELSEWHERE}/sp500_daily_1927_2015.csv", parse_dates=["Date"])
    dates = table["Date"].to_numpy().astype("datetime64[D]")
    x = np.log(table["Close"].to_numpy(np.float64))
    parts = []
    for year in range(1940, 2013, 2):
        first, stop = np.searchsorted(
            dates, [np.datetime64(f"{year}-01-01"), np.datetime64(f"{min(year + 2, 2013)}-01-01")]
        )
        at = np.arange(first, stop, EVERY)
        bars = first / ((dates[first - 1] - dates[0]) / np.timedelta64(1, "D") / 365.25)
        har = fit_har([x[:first]], horizon=HORIZON, levels=LEVELS, bars_per_year=float(bars))
        made = (
            linear(har, x, at),
            baselines.scaled_climatology(x, at, HORIZON, levels=LEVELS, fit_rows=int(first)),
            baselines.gaussian_cone(x, at, HORIZON, levels=LEVELS),
        )
        parts.append([crps(each, x, at) for each in made])
    own, past, cone = (np.concatenate(each) for each in zip(*parts, strict=True))
    print(f"\nhar {own.mean() / cone.mean():.4f}, past moves {past.mean() / cone.mean():.4f}")
    print("har less past moves:", difference(own, past, cone.mean()))


@needs_data
def test_the_range_of_the_day() -> None:
    """Print har with and without high and low by step, on folds 2003 to 2008 of 20 stocks."""
    files = sorted(Path(f"{ELSEWHERE}/stocks").glob("*.csv"))
    tables = [pd.read_csv(file, parse_dates=["Date"]) for file in files]
    shown = [0, 4, 19, 49]
    for name in ("closes", "with the range"):
        ratios = []
        for year in range(2003, 2009):
            known = []
            for table in tables:
                dates = table["Date"].to_numpy().astype("datetime64[D]")
                ranges = np.log((table["High"] / table["Low"]).to_numpy(np.float64))
                n = int(np.searchsorted(dates, np.datetime64(f"{year}-12-31"), side="right"))
                known.append((dates, np.log(table["Close"].to_numpy(np.float64)), ranges, n))
            har = fit_har(
                [x[:n] for _, x, _, n in known],
                ranges=[None if name == "closes" else each[:n] for *_, each, n in known],
                horizon=HORIZON,
                levels=LEVELS,
                bars_per_year=YEAR,
            )
            sums = np.zeros((2, len(shown)))
            for dates, x, ranges, n in known:
                at = cutoffs(dates, n, year)
                moves = moves_from(x, at)
                made = linear(har, x, at, None if name == "closes" else ranges)
                cone = baselines.gaussian_cone(x, at, HORIZON, levels=LEVELS)
                for row, each in enumerate((made, cone)):
                    fan = np.asarray(each.quantiles)
                    sums[row] += [
                        window_crps(fan[:, h, None], LEVELS, moves[:, h, None]).mean()
                        for h in shown
                    ]
            ratios.append(sums[0] / sums[1])
        steps = ", ".join(
            f"step {h + 1} {each:.4f}" for h, each in zip(shown, np.mean(ratios, 0), strict=True)
        )
        print(f"\n{name}: {steps}", end="")


@cache
def score_fold(year: int) -> Fold:
    settings = load_settings(
        "default", ['window.features=["close"]', f"split.train_end={year}-12-31"]
    )
    plan = make_plan([series_for(settings, each) for each in shipped()], settings)
    model = fit(plan, settings, CPU).model
    assert model.har is not None
    rows = {
        each.symbol: split.fit_rows for each, split in zip(plan.series, plan.splits, strict=True)
    }
    whole = fit_har(
        [each.log_prices[: rows[each.symbol]] for each in plan.series],
        horizon=HORIZON,
        levels=model.levels,
        bars_per_year=YEAR,
    )
    forecasters: dict[str, Forecaster] = {
        "default": partial(forecast, model),
        "har": one_by_one(lambda each, at: linear(whole, each.log_prices, at)),
        "scaled_climatology": one_by_one(
            lambda each, at: baselines.scaled_climatology(
                each.log_prices, at, HORIZON, levels=model.levels, fit_rows=rows[each.symbol]
            )
        ),
        "cone": one_by_one(
            lambda each, at: baselines.gaussian_cone(
                each.log_prices, at, HORIZON, levels=model.levels
            )
        ),
    }
    found = run_backtest(
        plan.series,
        [cutoffs(each.dates, rows[each.symbol], year) for each in plan.series],
        forecasters,
        horizon=HORIZON,
        context_length=250,
    )
    scored = [number for number, level in enumerate(model.levels) if level in LEVELS]
    assert tuple(model.levels[number] for number in scored) == LEVELS
    losses = {
        name: window_crps(np.asarray(each.quantiles)[..., scored], LEVELS, found.actual)
        for name, each in found.forecasts.items()
    }
    return Fold(found.cutoff, found.symbol == plan.series[0].symbol, losses)


@cache
def shipped() -> tuple[Prices, ...]:
    return tuple(measure.shipped(load_settings("default")))


def fold_prices(year: int) -> list[tuple[NDArray[np.datetime64], Floats, int]]:
    """Dates, log prices and number of training rows of each shipped symbol, the index first."""
    settings = load_settings("default", ['window.features=["close"]'])
    end = np.datetime64(f"{year}-12-31")
    return [
        (each.dates, each.log_prices, int(np.searchsorted(each.dates, end, side="right")))
        for each in (series_for(settings, prices) for prices in shipped())
    ]


def cutoffs(dates: NDArray[np.datetime64], first: int, year: int) -> Rows:
    last = min(LAST, np.datetime64(f"{year + 4}-10-15"))
    return np.arange(first, int(np.searchsorted(dates, last)), EVERY)


def moves_from(x: Floats, at: Rows) -> Floats:
    """Log moves over every step from some rows, (N, H)."""
    return np.asarray(x[at[:, None] + np.arange(1, HORIZON + 1)] - x[at, None])


def crps(made: Forecast, x: Floats, at: Rows) -> Floats:
    return window_crps(np.asarray(made.quantiles), LEVELS, moves_from(x, at))


def linear(har: Har, x: Floats, at: Rows, ranges: Floats | None = None) -> Forecast:
    inputs, sigma = har_inputs(x, ranges)
    return har.forecast(har.scale(inputs[at], sigma[at]), np.full(len(at), har.location(0.30, 20)))


def groups(fold: Fold) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    return fold.is_index, ~fold.is_index


def by_date(folds: Sequence[Fold], name: str, group: int) -> Floats:
    """One loss a date, in order of time: the mean over its symbols and the folds that score it."""
    found = defaultdict(list)
    for fold in folds:
        at = groups(fold)[group]
        for day in np.unique(fold.dates[at]):
            found[day].append(fold.losses[name][at & (fold.dates == day)].mean())
    return np.array([np.mean(found[day]) for day in sorted(found)])


def read_old() -> tuple[Floats, Floats]:
    """The losses of the default recipe of version 0.2, as `by_date` gives them."""
    index, stocks = defaultdict(list), defaultdict(list)
    with OLD_DEFAULT.open(newline="") as file:
        for row in csv.DictReader(file):
            index[row["date"]].append(float(row["index"]))
            stocks[row["date"]].append(float(row["stocks"]))
    first, second = (
        np.array([np.mean(each[day]) for day in sorted(each)]) for each in (index, stocks)
    )
    return first, second


def difference(own: Floats, other: Floats, unit: float) -> str:
    gaps = (own - other) / unit
    error = hac_standard_error(gaps, LAG)
    assert error is not None
    independent = len(gaps) * EVERY // HORIZON
    p = student_t_two_sided(gaps.mean() / error, independent - 1)
    return f"{gaps.mean():+.4f} +- {error:.4f}, p = {p:.2g}"
