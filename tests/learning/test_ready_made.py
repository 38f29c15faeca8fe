"""Where the ready-made model helps others: short trainings, and the baseline `har`."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from lstmcli.config import DEFAULT_LEVELS
from lstmcli.dataset.series import Series
from lstmcli.evaluation.forecasters import Fitted
from lstmcli.learning.learn import learn
from lstmcli.learning.transfer import held_back, ready_made_donor
from lstmcli.recipes import load_settings
from lstmcli.runs.base_fan import drawn_to_ready_made
from tests.synthetic import make_plan, random_walk, series_of, tiny_settings

SEEN = np.datetime64("2018-01-16")


def young(rows: int = 400, first: str = "2017-01-02") -> Series:
    return series_of(random_walk(rows, seed=3), symbol="NEW", first=first)


def test_har_is_drawn_towards_it_for_cutoffs_that_it_has_not_seen() -> None:
    each = young()
    border = int(np.searchsorted(each.dates, SEEN))
    fits = [Fitted({}, {}, {"NEW": range(stop)}) for stop in (border, border + 1, 380)]
    drawn = drawn_to_ready_made(fits, [each], 50, "1d")
    assert [fit.start is not None for fit in drawn] == [False, True, True]
    for fit, other in zip(fits[1:], drawn[1:], strict=True):
        alone = fit.har([each], 50, DEFAULT_LEVELS).coefficients
        near = other.har([each], 50, DEFAULT_LEVELS).coefficients
        assert other.start is not None
        shipped = other.start.coefficients
        assert np.abs(near - shipped).max() < 0.1 * np.abs(alone - shipped).max()


@pytest.mark.parametrize(("horizon", "interval"), [(10, "1d"), (50, "1wk")])
def test_of_another_horizon_or_bars_it_is_no_help(horizon: int, interval: str) -> None:
    each = young()
    fits = [Fitted({}, {}, {"NEW": range(380)})]
    assert drawn_to_ready_made(fits, [each], horizon, interval) == fits


def test_the_har_that_a_short_training_is_held_against_is_drawn_as_its_own_is() -> None:
    settings = load_settings("default", ['window.features=["close"]', "model.network=har"])
    plan = make_plan([young(1500, "2015-01-02")], settings)
    donor, note = ready_made_donor(plan, settings, "1d")
    assert donor is not None
    assert donor.linear_only
    assert note.startswith("few windows validate: the linear fan is drawn towards base")
    losses = []
    for start in (donor, None):
        cpu = torch.device("cpu")
        scores = learn(held_back(donor, plan), settings, cpu, "1d", donor=start).scores
        assert scores is not None
        network, har = (scores.models[name].path.crps for name in ("network", "har"))
        assert network == pytest.approx(har, rel=1e-9)
        losses.append(har)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


_WITHOUT = "few windows validate, and base, the ready-made model, cannot help: "


def test_a_short_training_says_why_it_gets_no_help() -> None:
    fan: dict[str, Any] = {
        "window": {"context_length": 60, "horizon": 10, "scaling": "volatility"},
        "model": {"head": "direct"},
        "train": {"burn_in": 30, "chunk_length": 50},
    }
    settings = tiny_settings(**fan)
    plan = make_plan([young()], settings)
    assert ready_made_donor(plan, settings, "1d") == (
        None,
        f"{_WITHOUT}it has another horizon or other levels",
    )
    assert ready_made_donor(plan, settings, "1wk") == (None, f"{_WITHOUT}it is of daily bars")
    several = replace(plan, series=(plan.series[0], plan.series[0]))
    assert ready_made_donor(several, settings, "1d") == (None, "")
    assert ready_made_donor(plan, tiny_settings(), "1d") == (None, "")
    default = load_settings("default", ['window.features=["close"]', "model.network=har"])
    enough, seen = (make_plan([young(rows, "1980-01-01")], default) for rows in (9000, 1500))
    assert ready_made_donor(enough, default, "1d") == (None, "")
    late = f"{_WITHOUT}it has seen the days up to 2018-01-16"
    assert ready_made_donor(seen, default, "1d") == (None, late)
