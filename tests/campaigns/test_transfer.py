"""Is a new listing better served by a model of other stocks than by one of its own?

Run with `pytest -m slow -s tests/campaigns/test_transfer.py`. Each stock that ships is cut to its
last 300 bars before 2013. The donor was trained on three quarters of the stocks, this one not among
them, on days before 2013; it is fine-tuned as `lstmcli train --from` does by default. From scratch
the same recipe learns on the same 300 bars, which have no room for validation either: once for as
many passes as the recipe has, once for ten times as many, since a pass over 300 bars is a single
step. Fine-tuning is held against the better of the two, of all stocks together.
"""

from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lstmcli.evaluation.backtest import choose_cutoffs, one_by_one, run_backtest
from lstmcli.evaluation.losses import window_crps
from lstmcli.evaluation.pooling import Pool
from lstmcli.evaluation.significance import diebold_mariano, overlapping_error, student_t_quantile
from lstmcli.forecasting import baselines
from lstmcli.forecasting.forecaster import forecast
from lstmcli.forecasting.model import series_for
from lstmcli.learning.fit import fit
from lstmcli.learning.plan import plan_prices, without_validation
from lstmcli.learning.transfer import find_donor
from lstmcli.market.prices import Prices
from lstmcli.recipes import load_settings
from lstmcli.runs.bundle import load_bundle
from lstmcli.sources.loading import load_prices
from lstmcli.sources.source import Source
from lstmcli.workflows.train import train

pytestmark = pytest.mark.slow

GROUPS, BARS, HORIZON, EVERY = 4, 300, 50, 25
END, FIRST = "2012-12-31", np.datetime64("2013-01-02")
CHANGES = ["train.device=cpu", f"split.train_end={END}"]
CPU = torch.device("cpu")
LONGER = 10
Losses = dict[str, np.ndarray]  # of every arm, at each test cutoff


def test_fine_tuning_against_from_scratch_on_300_bars(tmp_path: Path) -> None:
    settings = load_settings("default", CHANGES)
    stocks = load_prices(Source(Path("data"), date(2026, 1, 1)), settings.data)[0][1:]
    losses, spans = [], []
    for number, stock in enumerate(stocks):
        group = number % GROUPS
        if number < GROUPS:
            others = [each.symbol for i, each in enumerate(stocks) if i % GROUPS != group]
            source = Source(tmp_path, date(2026, 1, 1), tuple(others), settings.data.csv)
            train(settings, source, name=f"donor{group}")
        found, *span = one_stock(stock, tmp_path, f"donor{group}")
        losses.append(found)
        spans.append(span)
        print(
            f"{stock.symbol:5}",
            " ".join(f"{name} {loss.mean():.5f}" for name, loss in found.items()),
            flush=True,
        )
    verdict(losses, Pool(*map(np.concatenate, zip(*spans, strict=True))))


def one_stock(stock: Prices, folder: Path, name: str) -> tuple[Losses, np.ndarray, np.ndarray]:
    """The CRPS of every arm at each test cutoff, the cutoffs, and where their windows end."""
    before = int((stock.frame.index <= END).sum())
    short = Prices(stock.symbol, stock.frame.iloc[before - BARS : before], "1d", stock.source)
    (folder / f"{stock.symbol}.csv").write_text(short.frame.to_csv())
    donor = find_donor(folder, name)
    tuned = load_settings(donor.reference.folder / "config.toml", CHANGES)
    assert stock.symbol not in donor.model.trained_on
    source = Source(folder, date(2026, 1, 1), csv=(str(folder / f"{stock.symbol}.csv"),))
    report = train(tuned, source, name=stock.symbol, donor=donor)
    models = {"fine-tuned": load_bundle(report.model.folder, CPU)[0]}
    for arm, factor in (("scratch", 1), ("scratch x10", LONGER)):
        epochs = donor.model.settings.train.epochs * factor
        settings = load_settings(
            donor.reference.folder / "config.toml", [*CHANGES, f"train.epochs={epochs}"]
        )
        plan, _ = plan_prices([short], without_validation(settings), ())
        models[arm] = fit(plan, settings, CPU).model
    long = Prices(stock.symbol, stock.frame.iloc[before - BARS :], "1d", stock.source)
    series = [series_for(tuned, long)]
    cutoffs = choose_cutoffs(
        series, first=FIRST, step_size=EVERY, context_length=250, horizon=HORIZON
    )
    levels = tuned.forecast.quantile_levels
    arms: dict[str, Any] = {arm: partial(forecast, model) for arm, model in models.items()}
    arms["climatology"] = one_by_one(
        lambda each, at: baselines.scaled_climatology(
            each.log_prices, at, HORIZON, levels=levels, fit_rows=BARS
        )
    )
    result = run_backtest(series, cutoffs, arms, horizon=HORIZON, context_length=250)
    return {
        arm: window_crps(each.quantiles, levels, result.actual)
        for arm, each in result.forecasts.items()
    }, result.cutoff, result.dates[:, -1]  # fmt: skip


def verdict(losses: list[Losses], pool: Pool) -> None:
    """Print the pooled paired differences by date, and hold the bar of three stocks in four."""
    pooled = {arm: np.concatenate([each[arm] for each in losses]) for arm in losses[0]}
    better = min(("scratch", "scratch x10"), key=lambda arm: pooled[arm].mean())
    wins = {}
    for arm in ("scratch", "scratch x10", "climatology"):
        wins[arm] = sum(each["fine-tuned"].mean() < each[arm].mean() for each in losses)
        difference = pool.series(pooled["fine-tuned"] - pooled[arm])
        error, _ = overlapping_error(difference, pool.reach)
        reach = error * student_t_quantile(0.95, pool.n_independent - 1)
        mean = difference.mean()
        ours, theirs = (pool.series(pooled[each]) for each in ("fine-tuned", arm))
        test = diebold_mariano(ours, theirs, pool.reach, pool.n_independent)
        print(
            f"against {arm}: better in {wins[arm]} of {len(losses)}; CRPS "
            f"{pooled['fine-tuned'].mean():.5f} - {pooled[arm].mean():.5f} = {mean:+.5f}, 95 % "
            f"{mean - reach:+.5f} to {mean + reach:+.5f} ({len(difference)} dates, "
            f"{pool.n_independent} independent, p {test.p:.2g})"
        )
    assert wins[better] >= 15
