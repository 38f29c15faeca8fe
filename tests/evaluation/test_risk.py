"""Prices that a close may fall below, and losses: from a fan, and from past moves."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lstmcli.errors import UsageError
from lstmcli.evaluation.risk import (
    asked_changes,
    asked_of,
    asked_prices,
    backtest_loss,
    chances_below,
    loss_moves,
    past_beyond,
    score_beyond,
)
from lstmcli.evaluation.significance import (
    christoffersen_independence,
    christoffersen_joint,
    christoffersen_unconditional,
)
from lstmcli.forecasting.forecast import Forecast
from tests.evaluation.panels import daily
from tests.rows import for_each

LEVELS = (0.025, 0.05, 0.5, 0.95, 0.975)
FAN = np.array([[-0.3, -0.2, 0.0, 0.2, 0.3], [-0.6, -0.4, 0.1, 0.4, 0.6]])


def forecast() -> Forecast:
    return Forecast(FAN[None, :, 2], FAN[None], LEVELS)


def test_prices_and_changes_are_read_once_each() -> None:
    found = asked_prices(["180", 180, "180.0", "-10%", "+5 %", "5%", "1234567.25"])
    assert [each.text for each in found] == ["180", "-10%", "+5%", "1234567.25"]
    assert found[0].move(200.0) == pytest.approx(np.log(0.9))
    assert found[1].move(200.0) == pytest.approx(np.log(0.9))
    assert found[2].move(7.0) == pytest.approx(np.log(1.05))


@for_each("text", ["0", "-180", "-100%", "abc", "1,900", "$5", "", "nan", "1e3", "10%%"])
def test_invalid_prices_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a price"):
        asked_prices([text])


def test_chances_lie_on_the_line_between_quantiles() -> None:
    below, beyond = chances_below(forecast(), np.array([-0.1, 0.3]))
    assert below[0] == pytest.approx([0.275, np.interp(-0.1, FAN[1], LEVELS)])
    assert below[1] == pytest.approx([0.975, np.interp(0.3, FAN[1], LEVELS)])
    assert not beyond.any()


def test_beyond_the_outermost_quantile_there_is_no_tail() -> None:
    below, beyond = chances_below(forecast(), np.array([-0.5, 0.5]))
    assert below[:, 0].tolist() == [0.025, 0.975]
    assert beyond.tolist() == [[True, False], [True, False]]


def test_the_loss_is_the_quantile_of_five_per_cent() -> None:
    assert loss_moves(forecast()).tolist() == [-0.2, -0.4]
    between = Forecast(FAN[None, :, 2], FAN[None][..., [0, 2]], (0.025, 0.5))
    expected = [np.interp(0.05, (0.025, 0.5), row) for row in FAN[:, [0, 2]]]
    assert loss_moves(between) == pytest.approx(expected)
    narrow = Forecast(FAN[None, :, 2], FAN[None][..., [2, 3]], (0.5, 0.95))
    assert np.isnan(loss_moves(narrow)).all()


def test_past_moves_agree_with_their_slow_twin() -> None:
    log_prices = np.cumsum(np.random.default_rng(0).normal(0, 0.05, 60))
    found = asked_of(log_prices, 50.0, asked_prices(["-10%", "52"]), horizon=70, loss=True)
    assert found.prices == pytest.approx([45.0, 52.0])
    assert found.past_loss is not None
    for step in (1, 5, 59, 60, 70):
        past = [log_prices[k + step] - log_prices[k] for k in range(len(log_prices) - step)]
        assert found.n_past[step - 1] == len(past)
        for level, move in enumerate((np.log(0.9), np.log(52 / 50))):
            share = sum(each < move for each in past) / len(past) if past else np.nan
            assert found.past_below[level, step - 1] == pytest.approx(share, nan_ok=True)
        loss = np.quantile(past, 0.05) if past else np.nan
        assert found.past_loss[step - 1] == pytest.approx(loss, nan_ok=True)


def test_a_loss_needs_no_prices_and_prices_need_no_loss() -> None:
    log_prices = np.linspace(0.0, 1.0, 30)
    assert asked_of(log_prices, 1.0, (), horizon=3, loss=True).past_below.shape == (0, 3)
    assert asked_of(log_prices, 1.0, asked_prices([2]), horizon=3).past_loss is None


def straight(chance, level):
    """Fans of one step whose chance of a move below a level is `chance`."""
    at = (0.025, 0.5, 0.975)
    return Forecast(
        np.zeros((len(chance), 1)), level + np.array(at) - np.array(chance)[:, None, None], at
    )


def test_scores_of_large_moves_agree_with_their_slow_twin() -> None:
    generator = np.random.default_rng(3)
    chance, base = generator.uniform(0.05, 0.9, 300), generator.choice([0.1, 0.3], 300)
    actual = generator.normal(-0.05, 0.1, 300)
    actual[5] = np.nan
    for change, own in ((-0.1, chance), (0.1, 1.0 - chance)):
        fan = straight(chance, np.log1p(change))
        found = score_beyond(fan, 1, actual, daily(300), change, base)
        assert found is not None
        brier, brier_base, happened = [], [], []
        for k in range(300):
            if actual[k] == actual[k]:
                came = actual[k] < np.log(0.9) if change < 0 else actual[k] > np.log(1.1)
                happened.append(came)
                brier.append((own[k] - came) ** 2)
                brier_base.append((base[k] - came) ** 2)
        assert found.brier == pytest.approx(np.mean(brier))
        assert found.brier_base == pytest.approx(np.mean(brier_base))
        assert found.happened == pytest.approx(np.mean(happened))
        assert found.skill == pytest.approx(1.0 - np.mean(brier) / np.mean(brier_base))
        assert (found.n_windows, found.beyond_fan) == (299, 0.0)


def test_a_level_beyond_every_fan_has_no_score() -> None:
    def scored(fan: Forecast, base: float) -> Any:
        return score_beyond(fan, 1, np.zeros(4), daily(4), -0.1, np.full(4, base))

    found = scored(straight(np.full(4, -3.0), np.log(0.9)), np.nan)
    assert (found.brier, found.skill, found.base_rate, found.beyond_fan) == (None, None, None, 1.0)
    assert found.mean == pytest.approx(0.025)
    inside = scored(straight([0.1] * 4, np.log(0.9)), 0.0)
    assert (inside.skill, inside.happened) == (None, 0.0)
    assert inside.brier == pytest.approx(0.01)
    assert scored(Forecast(np.zeros((4, 1))), 0.0) is None


def test_each_symbol_has_its_own_base_rate() -> None:
    rising, falling = np.arange(40.0) * 0.01, -np.arange(40.0) * 0.06
    found = past_beyond({"A": rising, "B": falling, "C": rising[:2]}, (-0.1, 0.1), (1, 20))
    assert found[-0.1, 1] == {"A": 0.0, "B": 0.0, "C": 0.0}
    assert (found[-0.1, 20]["B"], found[0.1, 20]["A"]) == (1.0, 1.0)
    assert np.isnan(found[0.1, 20]["C"])


def test_independence_agrees_with_its_slow_twin() -> None:
    hits = np.random.default_rng(5).random(600) < 0.05
    hits[100:104] = True
    counts = {(a, b): 0 for a in (0, 1) for b in (0, 1)}
    for before, after in pairwise(hits.astype(int).tolist()):
        counts[before, after] += 1

    def likelihood(p0: float, p1: float) -> float:
        return sum(
            n * math.log(p if after else 1.0 - p)
            for (before, after), n in counts.items()
            for p in [p1 if before else p0]
            if n
        )

    after_none = counts[0, 1] / (counts[0, 0] + counts[0, 1])
    after_one = counts[1, 1] / (counts[1, 0] + counts[1, 1])
    always = (counts[0, 1] + counts[1, 1]) / sum(counts.values())
    ratio = 2.0 * (likelihood(after_none, after_one) - likelihood(always, always))
    found = christoffersen_independence(hits)
    assert found.statistic == pytest.approx(ratio)
    assert found.p == pytest.approx(math.erfc(math.sqrt(ratio / 2.0)))  # of one degree of freedom
    coverage = christoffersen_unconditional(int(hits.sum()), len(hits), 0.05).statistic or 0.0
    joint = christoffersen_joint(hits, 0.05)
    assert joint.statistic == pytest.approx(coverage + ratio)
    assert joint.p == pytest.approx(math.exp(-(coverage + ratio) / 2.0))  # of two


KUPIEC = [  # days, chance, and the exceptions between which 5 % does not reject, both left out
    *((255, 0.025, 2, 12), (255, 0.05, 6, 21), (255, 0.1, 16, 36)),
    *((510, 0.01, 1, 11), (510, 0.05, 16, 36)),
    *((1000, 0.01, 4, 17), (1000, 0.05, 37, 65), (1000, 0.1, 81, 120)),
]


@for_each("days, chance, low, high", KUPIEC)
def test_exceptions_that_are_not_rejected(days: int, chance: float, low: int, high: int) -> None:
    """The regions of Kupiec (1995), as textbooks on value at risk quote them."""
    ps = [christoffersen_unconditional(hits, days, chance).p for hits in range(150)]
    kept = [hits for hits, p in enumerate(ps) if p is not None and p >= 0.05]
    assert kept == list(range(low + 1, high))


def test_a_loss_is_tested_from_250_days_on() -> None:
    for days, why in ((249, "249 windows; a test needs 250"), (250, None)):
        fan = Forecast(np.zeros((days, 1)), np.tile([-0.1, 0.0, 0.1], (days, 1, 1)), (0.05, 0.5, 1))
        actual = np.where(np.arange(days) % 20 == 0, -0.2, 0.05)
        cutoff = np.datetime64("2020-01-01") + np.arange(days)
        found = backtest_loss("A", cutoff, fan, actual)
        assert found is not None
        assert (found.days, found.exceeded) == (days, 13)
        assert [each.why for each in (found.coverage, found.independence, found.joint)] == [why] * 3
        assert backtest_loss("A", cutoff, Forecast(np.zeros((days, 1))), actual) is None


def test_only_changes_are_scored_over_past_windows() -> None:
    assert asked_changes(["-10%", "5%", "-10%"]) == (-0.1, 0.05)
    for each in ("180", "0%"):
        with pytest.raises(UsageError, match="not a change"):
            asked_changes([each])
