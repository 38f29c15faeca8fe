"""Prices that a close may fall below, and losses: from a fan, and from past moves."""

import numpy as np
import pytest

from lstmcli.errors import UsageError
from lstmcli.evaluation.risk import asked_of, asked_prices, chances_below, loss_moves
from lstmcli.forecasting.forecast import Forecast
from tests.rows import for_each

LEVELS = (0.025, 0.05, 0.5, 0.95, 0.975)
FAN = np.array([[-0.3, -0.2, 0.0, 0.2, 0.3], [-0.6, -0.4, 0.1, 0.4, 0.6]])


def forecast() -> Forecast:
    return Forecast(FAN[None, :, 2], FAN[None], LEVELS)


def test_prices_and_changes_are_read_once_each():
    found = asked_prices(["180", 180, "180.0", "-10%", "+5 %", "5%", "1234567.25"])
    assert [each.text for each in found] == ["180", "-10%", "+5%", "1234567.25"]
    assert found[0].move(200.0) == pytest.approx(np.log(0.9))
    assert found[1].move(200.0) == pytest.approx(np.log(0.9))
    assert found[2].move(7.0) == pytest.approx(np.log(1.05))


@for_each("text", ["0", "-180", "-100%", "abc", "1,900", "$5", "", "nan", "1e3", "10%%"])
def test_what_is_no_price_is_refused(text: str):
    with pytest.raises(UsageError, match="not a price"):
        asked_prices([text])


def test_chances_lie_on_the_line_between_quantiles():
    below, beyond = chances_below(forecast(), np.array([-0.1, 0.3]))
    assert below[0] == pytest.approx([0.275, np.interp(-0.1, FAN[1], LEVELS)])
    assert below[1] == pytest.approx([0.975, np.interp(0.3, FAN[1], LEVELS)])
    assert not beyond.any()


def test_beyond_the_outermost_quantile_there_is_no_tail():
    below, beyond = chances_below(forecast(), np.array([-0.5, 0.5]))
    assert below[:, 0].tolist() == [0.025, 0.975]
    assert beyond.tolist() == [[True, False], [True, False]]


def test_the_loss_is_the_quantile_of_five_per_cent():
    assert loss_moves(forecast()).tolist() == [-0.2, -0.4]
    between = Forecast(FAN[None, :, 2], FAN[None][..., [0, 2]], (0.025, 0.5))
    expected = [np.interp(0.05, (0.025, 0.5), row) for row in FAN[:, [0, 2]]]
    assert loss_moves(between) == pytest.approx(expected)
    narrow = Forecast(FAN[None, :, 2], FAN[None][..., [2, 3]], (0.5, 0.95))
    assert np.isnan(loss_moves(narrow)).all()


def test_past_moves_agree_with_their_slow_twin():
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


def test_without_prices_there_is_still_a_loss_and_the_reverse():
    log_prices = np.linspace(0.0, 1.0, 30)
    assert asked_of(log_prices, 1.0, (), horizon=3, loss=True).past_below.shape == (0, 3)
    assert asked_of(log_prices, 1.0, asked_prices([2]), horizon=3).past_loss is None
