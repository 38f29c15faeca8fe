"""Refits during a backtest: what they see, what they are, and that nothing else changes."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmcli.config import Settings
from lstmcli.errors import AllFailedError, UsageError
from lstmcli.evaluation.trend import Thresholds
from lstmcli.learning import refit as refit_module
from lstmcli.learning.plan import plan_suitable
from lstmcli.learning.refit import Span, check_refittable, known_span, refit_dates
from lstmcli.recipes import load_settings
from lstmcli.sources.source import Source
from lstmcli.workflows.evaluate import EvaluateReport, evaluate
from lstmcli.workflows.train import train
from tests.command_line import hashes, sessions, walk
from tests.synthetic import random_walk, series_of, tiny_settings, untrained

TODAY = date(2020, 1, 1)
ROWS, HORIZON = 420, 5
DAYS = sessions(ROWS)
POINT = (
    "window.context_length=10", "window.scaling=log_return", "model.head=recursive",
)  # fmt: skip
FAN = ("window.context_length=45", "train.burn_in=30", "train.chunk_length=60")
KINDS = {"point": POINT, "fan": FAN}


class World:
    """Two series, one of which begins later, and a model that was trained on the first of them."""

    def __init__(self, kind: str, folder: Path, *settings: str) -> None:
        self.folder = folder
        self.settings = load_settings(
            "default",
            [
                f"window.horizon={HORIZON}", 'window.features=["close"]', "model.hidden_sizes=[3]",
                "train.epochs=2", "train.device=cpu", f"split.train_end={DAYS[299]}",
                *KINDS[kind], *settings,
            ],
        )  # fmt: skip
        self.prices = np.column_stack([walk(ROWS, 1), walk(ROWS, 2)])
        self.prices[:40, 1] = np.nan
        self.report = train(self._with_data(self.settings), self.source(), name="m")

    def source(self) -> Source:
        return Source(self.folder, TODAY)

    def write(self, name: str, prices: Any) -> str:
        lines = [
            ",".join([day, *("" if np.isnan(each) else f"{each:.6f}" for each in row)])
            for day, row in zip(DAYS, prices, strict=False)
        ]
        path = self.folder / f"{name}.csv"
        path.write_text("\n".join(["Date,AAA,BBB", *lines]) + "\n")
        return str(path)

    def _with_data(self, settings: Settings) -> Settings:
        data = settings.data.model_copy(update={"csv": (self.write("all", self.prices),)})
        return settings.model_copy(update={"data": data})

    def train_up_to(self, day: str) -> None:
        split = self.settings.split.model_copy(update={"train_end": date.fromisoformat(day)})
        settings = self.settings.model_copy(update={"split": split})
        train(self._with_data(settings), self.source(), name="later")

    def evaluate(self, prices: Any = None, *, model: str = "m", **options: Any) -> EvaluateReport:
        csv = () if prices is None else (self.write("other", prices),)
        source = replace(self.source(), csv=csv)
        return evaluate(source, models=[model], **options)


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(request.param, tmp_path)


@pytest.fixture(scope="module")
def point(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world of point forecasts, in which nothing is trained."""
    return World("point", tmp_path_factory.mktemp("point"))


@pytest.fixture(scope="module")
def fan(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world of fans, in which nothing is trained."""
    return World("fan", tmp_path_factory.mktemp("fan"))


@pytest.fixture(params=KINDS, scope="module")
def walked(request: pytest.FixtureRequest) -> tuple[World, EvaluateReport]:
    """A world with a refit at every third cutoff."""
    world: World = request.getfixturevalue(request.param)
    return world, world.evaluate(refit=3)


def forecasts(report: EvaluateReport, last: str) -> dict[str, bytes]:
    """All that is forecast from the cutoffs up to a day, and the thresholds of its calls."""
    result = report.backtest
    rows = result.cutoff <= np.datetime64(last)
    assert rows.any()
    found = {"sigma": result.sigma[rows].tobytes()}
    for name, each in result.forecasts.items():
        found[name] = each.median[rows].tobytes()
        if each.quantiles is not None:
            found[f"{name} fan"] = each.quantiles[rows].tobytes()
    for name, table in report.thresholds.items():
        found[f"{name} thresholds"] = np.hstack([table.low[rows], table.high[rows]]).tobytes()
    return found


def no_row_after_a_cutoff_matters(world: World, original: EvaluateReport, number: int) -> None:
    """Rewrite what follows a cutoff: the same forecasts up to it, from the same refits."""
    cutoffs = np.unique(original.backtest.cutoff)
    last = str(cutoffs[number])
    prices = world.prices.copy()
    after = np.array(DAYS) > last
    prices[after] *= np.random.default_rng(1).uniform(0.7, 1.4, (int(after.sum()), 2))
    other = world.evaluate(prices, refit=3)
    assert forecasts(other, last) == forecasts(original, last)
    assert forecasts(other, DAYS[-1]) != forecasts(original, DAYS[-1])
    known = [refit for refit in original.refits if refit.since <= last]
    assert known == [refit for refit in other.refits if refit.since <= last]
    assert len(known) == number // 3


def test_no_row_after_a_cutoff_reaches_a_forecast_or_a_refit_before_it(
    walked: tuple[World, EvaluateReport],
) -> None:
    no_row_after_a_cutoff_matters(*walked, 5)


def test_a_refit_that_calibrates_on_later_rows_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaky(series: Any, day: Any, embargo: int, length: Any = None) -> Span:
        return known_span(series, day + np.timedelta64(20, "D"), embargo, length)

    monkeypatch.setattr(refit_module, "known_span", leaky)
    world = World("fan", tmp_path, "forecast.calibrate=true")
    original = world.evaluate(refit=3)
    with pytest.raises(AssertionError, match="assert"):
        no_row_after_a_cutoff_matters(world, original, 3)


def test_a_refit_is_what_training_up_to_its_first_cutoff_gives(world: World) -> None:
    again = world.evaluate(refit=4)
    (first, *_) = again.refits
    world.train_up_to(first.last)
    assert first.last == first.since
    trained = world.evaluate(model="later", start=date.fromisoformat(first.since))
    turn = np.isin(again.backtest.cutoff, np.unique(again.backtest.cutoff)[4:8])
    rows = np.isin(trained.backtest.cutoff, again.backtest.cutoff[turn])
    for name, other in (("m/v0001", "later/v0001"), ("drift", "drift"), ("naive", "naive")):
        ours, theirs = again.backtest.forecasts[name], trained.backtest.forecasts[other]
        np.testing.assert_allclose(ours.median[turn], theirs.median[rows], rtol=1e-5, atol=1e-9)
        if ours.quantiles is not None and theirs.quantiles is not None:
            np.testing.assert_allclose(
                ours.quantiles[turn], theirs.quantiles[rows], rtol=1e-4, atol=1e-7
            )
    thresholds: Thresholds = again.thresholds["m/v0001"]
    np.testing.assert_allclose(
        thresholds.low[turn][0], trained.thresholds["later/v0001"].low, rtol=1e-5
    )


def test_before_the_first_refit_all_is_as_without_and_after_it_not(fan: World) -> None:
    never, again = fan.evaluate(), fan.evaluate(refit=6)
    assert never.refits == ()
    np.testing.assert_array_equal(never.backtest.cutoff, again.backtest.cutoff)
    before = never.backtest.cutoff < np.datetime64(again.refits[0].since)
    for name in ("m/v0001", "drift"):
        old, new = never.backtest.forecasts[name].median, again.backtest.forecasts[name].median
        np.testing.assert_allclose(old[before], new[before], rtol=1e-5, atol=1e-9)
        assert (old[~before] != new[~before]).all()


def test_baselines_are_fitted_on_the_rows_of_the_last_refit(point: World) -> None:
    report = point.evaluate(refit=3, refit_window="rolling")
    log_prices = np.log(np.round(point.prices, 6))
    drift = report.backtest.forecasts["drift"].median
    since = ["", *(refit.since for refit in report.refits)]
    spans = [(DAYS[0], DAYS[299]), *((refit.first, refit.last) for refit in report.refits)]
    for n, (symbol, cutoff) in enumerate(
        zip(report.backtest.symbol, report.backtest.cutoff.astype(str), strict=True)
    ):
        first, last = spans[max(k for k, day in enumerate(since) if day <= cutoff)]
        inside = [first <= day <= last for day in DAYS]
        known = log_prices[inside, ["AAA", "BBB"].index(symbol)]
        known = known[~np.isnan(known)]
        daily = (known[-1] - known[0]) / (len(known) - 1)
        np.testing.assert_allclose(drift[n], daily * np.arange(1, HORIZON + 1), rtol=1e-9)


def test_expanding_refits_begin_with_the_first_row_and_rolling_ones_keep_their_length(
    point: World,
) -> None:
    expanding = point.evaluate(refit=5).refits
    rolling = point.evaluate(refit=5, refit_window="rolling").refits
    assert [refit.since for refit in expanding] == [refit.since for refit in rolling]
    for refit, other in zip(expanding, rolling, strict=True):
        assert (refit.first, refit.last) == (DAYS[0], refit.since)
        assert refit.rows == 2 * (DAYS.index(refit.last) + 1) - 40
        assert other.last == other.since
        assert DAYS.index(other.last) - DAYS.index(other.first) + 1 == 300


def test_an_embargo_keeps_the_latest_rows_from_training_and_from_refits(tmp_path: Path) -> None:
    world = World("point", tmp_path, "split.embargo=7")
    assert world.report.metadata.record["split"]["embargo"] == 7
    report = world.evaluate(refit=4)
    assert str(report.backtest.cutoff.min()) == DAYS[307]
    for refit in report.refits:
        assert DAYS.index(refit.last) == DAYS.index(refit.since) - 7


def test_labels_of_a_refit_end_before_the_cutoff_it_is_first_used_at(
    fan: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = []

    def spied(*arguments: Any) -> Any:
        plans.append(plan_suitable(*arguments)[0])
        return plans[-1], []

    monkeypatch.setattr(refit_module, "plan_suitable", spied)
    report = fan.evaluate(refit=5)
    assert len(plans) == len(report.refits) > 1
    for plan, refit in zip(plans, report.refits, strict=True):
        for series, train_, validation in zip(
            plan.series, plan.train, plan.validation, strict=True
        ):
            assert train_.max() + HORIZON < validation.min()
            assert str(series.dates[validation.max() + HORIZON]) <= refit.since


def test_nothing_is_kept_of_a_refit(tmp_path: Path) -> None:
    world = World("point", tmp_path)
    before = hashes(tmp_path)
    world.evaluate(refit=5)
    after = hashes(tmp_path)
    del after["looks.json"], after["models/.looks"]
    assert after == before


def test_every_model_is_refitted_with_its_own_settings_and_told_of(tmp_path: Path) -> None:
    world = World("point", tmp_path)
    world.train_up_to(DAYS[290])
    told: list[tuple[str, int, int]] = []
    source = world.source()
    report = evaluate(
        source,
        models=["m", "later"],
        refit=6,
        on_refit=lambda refit, number, total: told.append((refit.model, number, total)),
    )
    names = ["m/v0001", "later/v0001"]
    assert told == [(names[n % 2], n + 1, len(told)) for n in range(len(told))]
    assert [refit.model for refit in report.refits] == [name for name, _, _ in told]


def test_the_recipe_says_how_often_unless_the_call_does(tmp_path: Path) -> None:
    world = World("point", tmp_path, "evaluate.refit=6", "evaluate.refit_window=rolling")
    assert world.evaluate().refits[-1].first > DAYS[0]
    assert world.evaluate(refit="never").refits == ()
    assert len(world.evaluate(refit=9, refit_window="expanding").refits) == 2


def test_cutoffs_from_a_refit_on_are_none_that_the_model_was_fitted_on(point: World) -> None:
    start = date.fromisoformat(DAYS[250])
    assert point.evaluate(start=start).fitted_cutoffs == 20
    assert point.evaluate(start=start, refit=4).fitted_cutoffs == 8


def test_refits_tell_what_they_lack(point: World) -> None:
    assert point.evaluate(refit=9).notes == ()
    prices = point.prices.copy()
    prices[:360, 1] = np.nan
    notes = point.evaluate(prices, refit=9).notes
    assert notes[0] == "refits of m/v0001 have 1 of the 2 symbols that it was trained on"
    assert notes[1].startswith("refit of m/v0001 at ")
    assert "BBB" in notes[1]
    assert len(notes) == 2


def test_a_refit_on_too_few_rows_says_what_it_needs(point: World) -> None:
    prices = point.prices.copy()
    prices[:305] = np.nan
    with pytest.raises(AllFailedError, match=r"needs \d+ rows"):
        point.evaluate(prices, refit=1)


def test_a_model_of_the_published_lab_cannot_be_refitted(tmp_path: Path) -> None:
    settings = tiny_settings(split={"method": "shuffled"})
    with pytest.raises(
        UsageError, match=r"cannot be refitted \(lab\): its split.method is shuffled"
    ):
        check_refittable({"lab": untrained(settings)})


def test_refit_dates_are_counted_over_all_symbols_together() -> None:
    one, other = series_of(random_walk(30)), series_of(random_walk(30), symbol="BBB")
    rows = [np.array([1, 3, 5, 9]), np.array([2, 3, 7])]
    dates = refit_dates([one, other], rows, 2)
    assert dates == [one.dates[3], one.dates[7]]
    assert refit_dates([one, other], rows, None) == []
