"""A champion under a year or two of weekly retrainings, through the real workflow and gate.

Run with `pytest -m slow -s tests/campaigns/test_weekly_retraining.py`; some five minutes on one
core.
"""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmcli.config import check_settings
from lstmcli.sources.source import Source
from lstmcli.workflows.train import train
from tests.command_line import sessions

pytestmark = pytest.mark.slow

SYMBOLS, START, WEEK, WEEKS = 6, 700, 5, 100
DAYS = sessions(START + 2 * WEEKS * WEEK)
RECIPE: dict[str, Any] = {
    "window": {"context_length": 60, "horizon": 10, "features": ["close"]},
    "model": {"hidden_sizes": [8]},
    "train": {"epochs": 12, "learning_rate": 0.01, "chunk_length": 120, "burn_in": 40},
    "forecast": {"quantile_levels": [0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95]},
}
REVERSAL = 0.8  # of each return, taken back by the next one
LEARNED = 80  # weeks of the new regime up to the last day that is fitted on


def structureless(rows, seed):
    """Log returns without any drift or memory but that of their volatility, (rows, SYMBOLS)."""
    generator = np.random.default_rng(seed)
    shocks = generator.standard_normal((2, rows, SYMBOLS + 1))
    moves = (shocks[0, :, :1] + shocks[0, :, 1:]) / np.sqrt(2.0)  # a market, and each its own
    volatility = np.zeros((rows, SYMBOLS))
    for day in range(1, rows):
        news = (shocks[1, day, :1] + shocks[1, day, 1:]) / np.sqrt(2.0)
        volatility[day] = 0.97 * volatility[day - 1] + 0.15 * news
    return 0.01 * np.exp(volatility) * moves


def with_reversal(returns, since, share=REVERSAL):
    """The same, with a share of every return taken back by the next one, from a row on."""
    moved = returns.copy()
    for day in range(since, len(returns)):
        moved[day] -= share * moved[day - 1]
    return moved


class Weeks:
    """A data folder in which one model is trained again every week."""

    def __init__(self, folder: Path, returns: Any, **split: Any) -> None:
        self.folder, self.split = folder, split
        closes = 100.0 * np.exp(np.cumsum(returns, axis=0))
        self.lines = [
            f"{day}," + ",".join(f"{close:.6f}" for close in row) + "\n"
            for day, row in zip(DAYS, closes, strict=False)
        ]

    def train(self, rows, seed=0, **split):
        """Train on the first rows; returns the report."""
        header = "Date," + ",".join(f"S{number}" for number in range(SYMBOLS)) + "\n"
        (self.folder / "prices.csv").write_text(header + "".join(self.lines[:rows]))
        recipe = {**RECIPE, "split": {**self.split, **split}}
        recipe["train"] = {**RECIPE["train"], "seed": seed, "device": "cpu"}
        return train(
            check_settings(recipe, where="campaign"),
            Source(
                self.folder,
                date.fromisoformat(DAYS[rows - 1]),
                csv=(str(self.folder / "prices.csv"),),
            ),
            name="weekly",
        )


@pytest.mark.parametrize("seed", [0, 1])
def test_without_structure_the_champion_is_replaced_at_most_five_times(tmp_path, seed):
    weeks = Weeks(tmp_path, structureless(START + WEEKS * WEEK, seed))
    weeks.train(START)
    replaced, p_values = [], []
    for week in range(1, WEEKS + 1):
        decision = weeks.train(START + week * WEEK, seed=week).decision
        replaced += [week] if decision.promoted else []
        p_values.append(decision.comparison.p)
    low = np.mean(np.array(p_values) < 0.05)
    print(
        f"\nseed {seed}: replaced {len(replaced)} times of {WEEKS}, in weeks {replaced}; "
        f"p below 0.05 in {low:.0%}"
    )
    assert len(replaced) <= 5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_change_that_the_champion_cannot_know_replaces_it_as_soon_as_it_can_be_judged(
    tmp_path, seed
):
    """The recipe's train_end was moved past the change; the sessions since then are compared."""
    returns = structureless(START + 2 * WEEKS * WEEK, seed)
    weeks = Weeks(tmp_path, with_reversal(returns, START))
    weeks.train(START)
    end = START + LEARNED * WEEK
    judged = []
    for week in range(1, 30):
        decision = weeks.train(end + week * WEEK, train_end=DAYS[end - 1]).decision
        if decision.comparison is None:
            assert decision.sessions_needed == 8 * 5 + 1 - week * WEEK
            continue
        judged.append(decision)
        if decision.promoted:
            break
    first = judged[0].comparison
    print(
        f"\nseed {seed}: first judged in week {week - len(judged) + 1}, on {first.n_independent} "
        f"windows of {first.steps} steps, p = {first.p:.2g}; replaced in run {len(judged)}: "
        f"{judged[-1].why}"
    )
    assert (first.steps, first.n_independent) == (5, 8)
    assert judged[-1].promoted
    assert len(judged) <= 3
