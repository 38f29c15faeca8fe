"""The gate: which windows, which symbols and which loss decide between two versions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from lstmcli.config import Settings
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning.promotion import Decision, Promote, decide
from lstmcli.market.prices import Prices
from lstmcli.runs.bundle import save_bundle
from lstmcli.runs.registry import ModelRef, next_version, promote
from tests.synthetic import make_prices, random_walk, tiny_settings, untrained, version_facts

FAN: dict[str, dict[str, Any]] = {
    "window": {"context_length": 40, "horizon": 30, "features": ["close"], "scaling": "volatility"},
    "model": {"head": "direct", "hidden_sizes": [3]},
    "train": {"chunk_length": 60, "burn_in": 30},
    "forecast": {"quantile_levels": [0.1, 0.5, 0.9]},
}
ROWS = 300


def settings(**sections: dict[str, Any]) -> Settings:
    return tiny_settings(**{name: {**FAN.get(name, {}), **sections.get(name, {})}
                            for name in {**FAN, **sections}})  # fmt: skip


NEW = ModelRef("mine", "v0009", Path("mine/v0009"))


def walks(rows: int = ROWS, symbols: int = 2, **more: Any) -> list[Prices]:
    return [make_prices(f"S{k}", Close=random_walk(rows, seed=k), **more) for k in range(symbols)]


def fan(of: Settings, shift: float = 0.0) -> TrainedModel:
    """An untrained fan; the further its head is shifted, the worse it is."""
    model = untrained(of)
    *_, head = model.network.children()
    with torch.no_grad():
        for value in head.parameters():
            value.add_(shift)
    return model


def day(prices: Prices, row: int) -> np.datetime64:
    return np.datetime64(prices.frame.index[row], "D")


def keep(
    data_dir: Path, model: TrainedModel, test_start: np.datetime64, interval: str = "1d"
) -> Path:
    """Make a model the champion of its name."""
    version = next_version(data_dir, "mine")
    found = version_facts(
        model.settings.window.horizon, split={"test_start": str(test_start)}, interval=interval
    )
    save_bundle(version.folder, model, found, [])
    promote(data_dir, version)
    return version.folder


def judged(
    data_dir: Path,
    challenger: TrainedModel,
    prices: list[Prices],
    row: int = 200,
    level: float = 0.01,
) -> Decision:
    start = day(prices[0], row)
    return decide("if-better", challenger, NEW, start, prices, data_dir=data_dir, level=level)[0]


def test_nothing_is_compared_where_the_answer_is_told(tmp_path: Path) -> None:
    prices, model = walks(), untrained(settings())
    first = judged(tmp_path, model, prices)
    assert (first.promoted, first.why, first.comparison) == (True, "the first version", None)
    ways: tuple[tuple[Promote, bool], ...] = (("always", True), ("never", False))
    for way, expected in ways:
        told, _ = decide(way, model, NEW, day(prices[0], 200), prices, data_dir=tmp_path)
        assert (told.promoted, told.why) == (expected, f"--promote {way}")


def test_first_steps_decide_until_twenty_whole_horizons_have_matured(tmp_path: Path) -> None:
    short = settings(window={"horizon": 10})
    prices = walks()
    keep(tmp_path, untrained(short), day(prices[0], 60))
    for row, steps, cutoffs, independent in ((90, 10, 20, 20), (101, 5, 97, 33), (200, 5, 95, 19)):
        found = judged(tmp_path, fan(short, 0.1), prices, row).comparison
        assert found is not None
        assert (found.steps, found.n_dates) == (steps, cutoffs), row
        assert found.n_independent == independent
        assert found.n_windows == 2 * cutoffs


def test_windows_are_later_than_what_either_was_fitted_on(tmp_path: Path) -> None:
    prices = walks()
    keep(tmp_path, untrained(settings()), day(prices[0], 220))
    for row, first in ((200, 220), (240, 240)):
        found = judged(tmp_path, fan(settings(), 0.1), prices, row).comparison
        assert found is not None
        assert found.first == str(day(prices[0], first))
        assert found.last == str(day(prices[0], ROWS - 6))


@pytest.mark.parametrize("horizon", [30, 5, 3, 1])
@pytest.mark.parametrize("found", [0, 1, 3, 15])
def test_too_few_sessions_are_told_exactly(tmp_path: Path, horizon: int, found: int) -> None:
    model = settings(window={"horizon": horizon})
    prices = walks(400)
    keep(tmp_path, untrained(model), day(prices[0], 200))

    def after(sessions: int) -> Decision:
        seen = [replace(each, frame=each.frame.iloc[: 200 + sessions]) for each in prices]
        start = day(prices[0], 200)
        return decide("if-better", fan(model, 0.1), NEW, start, seen, data_dir=tmp_path)[0]

    told = after(found)
    assert told.promoted is False
    assert told.comparison is None
    assert told.sessions_needed is not None
    assert f"it can be judged in {told.sessions_needed} session" in told.why
    assert after(found + told.sessions_needed - 1).sessions_needed == 1
    enough = after(found + told.sessions_needed).comparison
    assert enough is not None
    assert enough.p is not None


def test_a_share_and_a_coin_are_judged_as_soon_as_their_blocks_of_time_allow(
    tmp_path: Path,
) -> None:
    """Cutoffs of two calendars counted twice asked for whole horizons that nothing could test."""
    share, coin = walks(700, symbols=1)[0], make_prices("COIN", Close=random_walk(1200, seed=5))
    days = pd.date_range("2000-01-03", periods=1200, name="Date")
    coin = replace(coin, frame=coin.frame.set_axis(days))
    keep(tmp_path, untrained(settings()), day(share, 200))

    def after(sessions: int) -> Decision:
        seen = replace(share, frame=share.frame.iloc[: 200 + sessions])
        last = seen.frame.index[-1]
        both = [seen, replace(coin, frame=coin.frame[coin.frame.index <= last])]
        return judged(tmp_path, fan(settings(), 0.1), both)

    for sessions in (30, 80):
        needed = after(sessions).sessions_needed
        assert needed is not None
        assert sessions + needed in range(95, 115)
    for sessions in (115, 300, 450):
        found = after(sessions).comparison
        assert found is not None
        assert (found.steps, found.why) == (5, None)
        assert found.n_independent in range(sessions // 5 - 3, sessions // 5 + 1)
        assert found.n_dates > 100 or sessions == 115


def test_a_fan_against_a_point_model_is_judged_by_rmse(tmp_path: Path) -> None:
    prices = walks()
    point = tiny_settings(window={"scaling": "relative", "horizon": 6})
    keep(tmp_path, untrained(point), day(prices[0], 200))
    found = judged(tmp_path, untrained(settings()), prices).comparison
    assert found is not None
    assert (found.loss, found.levels, found.steps) == ("rmse", 0, 5)


def test_fans_of_different_levels_are_judged_by_those_they_share(tmp_path: Path) -> None:
    prices = walks()
    keep(tmp_path, untrained(settings()), day(prices[0], 200))
    other = settings(forecast={"quantile_levels": [0.05, 0.1, 0.5, 0.95]})
    found = judged(tmp_path, fan(other, 0.1), prices).comparison
    assert found is not None
    assert (found.loss, found.levels) == ("pinball", 2)


def test_symbols_that_only_one_can_forecast_are_left_out(tmp_path: Path) -> None:
    point = tiny_settings(window={"features": ["close", "volume"], "scaling": "relative"})
    volumes = random_walk(ROWS, seed=9)
    prices = [*walks(symbols=1, Volume=volumes), make_prices("X", Close=random_walk(ROWS))]
    keep(tmp_path, untrained(point), day(prices[0], 200))
    found = judged(tmp_path, untrained(settings()), prices).comparison
    assert found is not None
    assert found.symbols == 1
    none = judged(tmp_path, untrained(settings()), prices[1:])
    assert none.promoted is False
    assert none.why.startswith("mine/v0001 does not fit these prices: no Volume column")


def test_models_of_other_prices_or_bars_are_not_compared(tmp_path: Path) -> None:
    prices = walks(Adj_Close=random_walk(ROWS, seed=5))
    keep(tmp_path, untrained(settings(data={"price": "close"})), day(prices[0], 200))
    told = judged(tmp_path, untrained(settings()), prices)
    assert told.promoted is False
    assert "it forecasts Close, this one Adj Close" in told.why
    keep(tmp_path, untrained(settings()), day(prices[0], 200), interval="1wk")
    told = judged(tmp_path, untrained(settings()), prices)
    assert told.promoted is False
    assert "daily bars (S0): it reads weekly bars" in told.why


@pytest.mark.parametrize("damage", ["weights", "pointer"])
def test_a_champion_that_cannot_be_read_is_replaced(tmp_path: Path, damage: str) -> None:
    prices = walks()
    folder = keep(tmp_path, untrained(settings()), day(prices[0], 200))
    if damage == "weights":
        (folder / "model.safetensors").write_bytes(b"")
    else:
        (folder.parent / "champion").write_text("v0009\n")
    told = judged(tmp_path, untrained(settings()), prices)
    assert told.promoted is True
    assert told.why.startswith("the champion cannot be read: ")


def test_forecasts_that_are_no_numbers_never_win(tmp_path: Path) -> None:
    prices = walks()
    keep(tmp_path, untrained(settings()), day(prices[0], 200))
    broken = fan(settings(), 0.1)
    with torch.no_grad():
        next(broken.network.parameters()).fill_(torch.nan)
    told = judged(tmp_path, broken, prices)
    assert told.promoted is False
    assert "not a usable number" in told.why


def test_the_better_fan_wins_and_the_worse_one_does_not(tmp_path: Path) -> None:
    prices = walks(symbols=4)
    good, bad = fan(settings()), fan(settings(), 1.0)
    keep(tmp_path, bad, day(prices[0], 150))
    won = judged(tmp_path, good, prices, 150)
    assert won.promoted is True
    assert won.comparison is not None
    assert won.comparison.challenger < won.comparison.champion
    assert "better at the 1 % level" in won.why
    assert won.against == "mine/v0001"
    keep(tmp_path, good, day(prices[0], 150))
    lost = judged(tmp_path, bad, prices, 150)
    assert lost.promoted is False
    assert "not proven better at the 1 % level" in lost.why
