"""Tuning from end to end: what it sees, what it keeps, and that a search can be repeated."""

import json
import math
import tomllib
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from lstmcli.config import Settings
from lstmcli.errors import DataError, TrainingError, UsageError
from lstmcli.files.locks import hold
from lstmcli.learning import search as search_module
from lstmcli.learning.fit import fit
from lstmcli.learning.folds import Fold
from lstmcli.learning.search import Search, Space, end_trial, holds
from lstmcli.recipes import load_settings
from lstmcli.runs.study import DATABASE
from lstmcli.sources.source import Source
from lstmcli.training.loop import Epoch
from lstmcli.workflows import tune as tune_module
from lstmcli.workflows.train import train
from lstmcli.workflows.tune import Trial, TuneReport, tune
from tests.command_line import csv_text, walk

TODAY = date(2020, 1, 1)
ROWS, FITTED = 300, 255
POINT = ("window.context_length=10", "window.scaling=log_return", "model.head=recursive")
FAN = ("window.context_length=45", "train.burn_in=30", "train.chunk_length=60")
KINDS = {"point": POINT, "fan": FAN}
SPACE: Space = {
    "train.learning_rate": FloatDistribution(1e-3, 1e-2, log=True),
    "model.hidden_sizes": CategoricalDistribution(["[3]", "[2, 2]"]),
}
RATES: Space = {"train.learning_rate": FloatDistribution(1e-6, 1e-2, log=True)}


class World:
    """One series of daily closes, and a recipe small enough to be tried in a moment."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        self.prices = walk(ROWS)
        self.settings = load_settings(
            "default",
            [
                "window.horizon=5", 'window.features=["close"]', "model.hidden_sizes=[3]",
                "train.epochs=2", "train.device=cpu", "data.csv=[]", *KINDS[kind],
            ],
        )  # fmt: skip

    def tune(
        self,
        *,
        name: str = "s",
        prices: Any = None,
        settings: Settings | None = None,
        options: dict[str, Any] | None = None,
        **search: Any,
    ) -> TuneReport:
        path = self.folder / "prices.csv"
        path.write_text(csv_text(self.prices if prices is None else prices))
        return tune(
            self.settings if settings is None else settings,
            Source(self.folder / "data", TODAY, csv=(str(path),)),
            Search(**{"space": SPACE, "trials": 3, **search}),
            name=name,
            **(options or {}),
        )

    def with_set(self, *overrides: str) -> Settings:
        tree = self.settings
        for text in overrides:
            key, _, value = text.partition("=")
            section, field = key.split(".")
            part = getattr(tree, section).model_copy(update={field: json.loads(value)})
            tree = tree.model_copy(update={section: part})
        return tree


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return World(request.param, tmp_path)


@pytest.fixture
def point(tmp_path: Path) -> World:
    return World("point", tmp_path)


def facts(report: TuneReport) -> list[Trial]:
    """The trials by number, without the time that they took."""
    trials = sorted(report.trials, key=lambda trial: trial.number)
    return [replace(trial, seconds=0.0) for trial in trials]


@pytest.fixture(scope="module")
def unpruned(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    """What a search without pruner comes to."""
    return facts(World("point", tmp_path_factory.mktemp("unpruned")).tune(pruner="none"))


def test_trial_0_is_the_recipe_and_the_best_leads(world: World) -> None:
    report = world.tune()
    assert {trial.state for trial in report.trials} <= {"complete", "pruned"}
    own = facts(report)[0]
    assert own.values == {"train.learning_rate": 3e-3, "model.hidden_sizes": [3]}
    scores = [trial.score for trial in report.trials if trial.score is not None]
    assert scores == sorted(scores)
    for trial in report.trials:
        assert trial.score == pytest.approx(np.mean(trial.scores))
        assert len(trial.scores) == len(report.folds) == 3
        assert trial.epochs == 6
    assert report.objective == ("crps" if world.settings.model.head == "direct" else "rmse")
    assert report.gain is not None
    assert own.score is not None
    assert report.gain.mean == pytest.approx(own.score - scores[0])


def test_an_automatic_batch_that_is_searched_is_a_number_in_trial_0(point: World) -> None:
    space: Space = {"train.batch_size": CategoricalDistribution(["32", "64"])}
    assert point.settings.train.batch_size == "auto"
    report = point.tune(space=space, trials=2)
    assert facts(report)[0].values == {"train.batch_size": 64}
    assert load_settings(report.recipe).train.batch_size in (32, 64)


def test_noise_in_the_test_span_changes_no_trial(tmp_path: Path) -> None:
    world = World("fan", tmp_path)
    first = world.tune()
    noise = world.prices.copy()
    noise[FITTED:] *= np.random.default_rng(9).uniform(0.5, 2.0, ROWS - FITTED)
    kept = (first.folder / DATABASE).read_bytes()
    assert facts(world.tune(prices=noise, name="noise")) == facts(first)
    assert facts(world.tune(prices=noise)) == facts(first), "its data are those of the study"
    assert (first.folder / DATABASE).read_bytes() == kept
    assert first.folds[-1].days[1] < str(date(2018, 8, 31))


def test_noise_after_a_fold_changes_no_score_of_it_and_noise_before_it_does(
    point: World, unpruned: list[Trial]
) -> None:
    scores = [trial.scores for trial in unpruned]
    later, earlier = point.prices.copy(), point.prices.copy()
    later[FITTED - 38 :] *= 1.5
    earlier[FITTED - 60] *= 1.1
    after = [trial.scores for trial in facts(point.tune(prices=later, pruner="none", name="l"))]
    assert [each[:2] for each in after] == [each[:2] for each in scores]
    assert all(each[2] != other[2] for each, other in zip(after, scores, strict=True))
    before = [trial.scores for trial in facts(point.tune(prices=earlier, pruner="none", name="e"))]
    assert all(each[2] != other[2] for each, other in zip(before, scores, strict=True))


def test_another_seed_tries_other_values(point: World) -> None:
    other = point.with_set("train.seed=1")
    first, second = (
        facts(point.tune(trials=2, name=name, settings=settings))
        for name, settings in (("a", None), ("b", other))
    )
    assert first[1].values != second[1].values


def test_a_grid_ends_with_its_last_point(point: World) -> None:
    report = point.tune(
        sampler="grid", trials=40, space={"model.hidden_sizes": CategoricalDistribution(["[2]"])}
    )
    assert [trial.values["model.hidden_sizes"] for trial in facts(report)] == [[3], [2]]
    assert report.search.trials == 2
    assert report.notes == ()


class Stop:
    """Stands in for a signal: an exception after so many epochs, or a clock that has run out."""

    def __init__(self, epochs: int) -> None:
        self.left = epochs

    def raises(self, epoch: Epoch) -> None:
        self.left -= 1
        if not self.left:
            raise SystemExit(143)

    def passes(self, epoch: Epoch) -> None:
        self.left -= 1

    def clock(self) -> float:
        return 0.0 if self.left > 0 else 100.0


@pytest.mark.parametrize("epochs", [1, 8, 17])
def test_a_search_that_was_stopped_goes_on_to_the_same_end(
    point: World, unpruned: list[Trial], epochs: int
) -> None:
    with pytest.raises(SystemExit) as stop:
        point.tune(pruner="none", options={"on_epoch": Stop(epochs).raises})
    kept = (epochs - 1) // 6
    (note,) = stop.value.__notes__
    assert note == f"stopped: {kept} of 3 trials of s are kept; run the same command to continue"
    told: list[int] = []
    options = {"on_trial": lambda trial, best, count, wanted: told.append(trial.number)}
    assert facts(point.tune(pruner="none", options=options)) == unpruned
    assert told == list(range(kept, 3))


class Instant:
    """Stands in for the fits: a score follows from the values, and one trial is stopped."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stop_at = -1
        self.params: list[dict[str, Any]] = []
        monkeypatch.setattr(tune_module, "run_trial", self.run)

    def run(self, bench: Any, trial: optuna.Trial, values: Any) -> FrozenTrial:
        if trial.number == self.stop_at:
            raise SystemExit(143)
        self.params.append(trial.params)
        score = abs(math.log(values["train.learning_rate"] / 4e-3)) + len(values) / 10
        kept = {"values": values, "scores": [score] * 3, "epochs": 1}
        return end_trial(trial, TrialState.COMPLETE, score, **kept)


WIDE: Space = {
    **SPACE,
    "train.epochs": IntDistribution(2, 8, step=3),
    "model.dropout": FloatDistribution(0.0, 0.4, step=0.1),
    "train.patience": IntDistribution(1, 64, log=True),
}


@pytest.mark.parametrize(("sampler", "trials"), [("tpe", 16), ("random", 7)])
def test_a_search_proposes_the_same_however_often_and_where_it_was_stopped(
    sampler: str, trials: int, point: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    instant = Instant(monkeypatch)
    search: dict[str, Any] = {"sampler": sampler, "space": WIDE, "trials": trials}
    whole = facts(point.tune(**search, name="whole"))
    for trial in whole[1:]:
        assert all(holds(WIDE[key], value) for key, value in trial.values.items())
    assert len({repr(trial.values) for trial in whole}) > trials - 6
    for instant.stop_at in (3, trials - 3):
        with pytest.raises(SystemExit):
            point.tune(**search)
    instant.stop_at = -1
    with hold(point.folder / f"data/tuning/s/trial-{trials - 3}.lock"):
        assert len(point.tune(**search).trials) == trials
    assert facts(point.tune(**search))[: trials - 2] == whole[: trials - 2], (
        "it knows those before it alone"
    )
    if sampler == "random":
        assert facts(point.tune(**search)) == whole


def test_values_of_the_recipe_outside_the_space_are_none_to_learn_from(
    point: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    instant = Instant(monkeypatch)
    space = {**SPACE, "model.hidden_sizes": CategoricalDistribution(["[2]", "[5]"])}
    own, other = facts(point.tune(space=space, trials=2))
    assert own.values == {"train.learning_rate": 3e-3, "model.hidden_sizes": [3]}
    assert other.values["model.hidden_sizes"] in ([2], [5])
    assert [set(params) for params in instant.params] == [{"train.learning_rate"}, set(space)]


def test_a_timeout_keeps_what_is_finished_and_the_same_command_goes_on(point: World) -> None:
    stop = Stop(8)
    options = {"on_epoch": stop.passes, "clock": stop.clock, "timeout": 50.0}
    report = point.tune(options=options)
    assert [trial.number for trial in facts(report)] == [0]
    assert report.notes == ("1 of 3 trials are finished; run the same command to continue",)
    assert len(point.tune().trials) == 3


def test_a_timeout_before_the_first_trial_is_done_is_an_error(point: World) -> None:
    stop = Stop(2)
    options = {"on_epoch": stop.passes, "clock": stop.clock, "timeout": 50.0}
    with pytest.raises(TrainingError, match=r"no trial was completed.*no time for one.*--timeout"):
        point.tune(options=options)


def test_more_trials_are_added_to_those_that_there_are(point: World) -> None:
    first = facts(point.tune(trials=2))
    assert facts(point.tune(trials=1)) == first
    assert facts(point.tune(trials=4))[:2] == first


def test_a_trial_that_diverges_has_failed_and_the_others_go_on(
    point: World, monkeypatch: pytest.MonkeyPatch
) -> None:

    def broken(plan: Any, settings: Settings, *rest: Any) -> Any:
        if settings.model.hidden_sizes == (2, 2):
            raise TrainingError("training diverged", where="epoch 1")
        return fit(plan, settings, *rest)

    monkeypatch.setattr(search_module, "fit", broken)
    report = point.tune(trials=5)
    failed = [trial for trial in report.trials if trial.state == "failed"]
    assert failed
    assert {trial.reason for trial in failed} == {"training diverged (epoch 1)"}
    assert {trial.state for trial in report.trials} == {"complete", "failed"}
    assert report.trials[-1].state == "failed"
    assert len(report.trials) == 5
    assert "best of 5" in report.verdict or "None of 5" in report.verdict


def test_where_nothing_works_the_first_reason_is_told(
    point: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: Any) -> Any:
        raise TrainingError("training diverged", where="epoch 1")

    monkeypatch.setattr(search_module, "fit", broken)
    with pytest.raises(TrainingError, match=r"no trial was completed.*trial 0: training diverged"):
        point.tune()


def test_settings_that_do_not_go_together_are_a_failed_trial(tmp_path: Path) -> None:
    world = World("fan", tmp_path)
    space: Space = {
        "train.burn_in": IntDistribution(30, 44, step=7),
        "train.chunk_length": CategoricalDistribution(["40", "60"]),
    }
    report = world.tune(space=space, trials=7, sampler="grid", folds=1)
    failed = [trial for trial in report.trials if trial.state == "failed"]
    assert failed
    for trial in failed:
        assert "train.burn_in must be less than" in trial.reason
        assert trial.values["train.burn_in"] >= trial.values["train.chunk_length"]


def test_a_trial_worse_than_the_median_is_pruned_by_the_epoch(point: World) -> None:
    settings = point.with_set("train.epochs=4", "train.patience=4")
    search: dict[str, Any] = {
        "space": RATES,
        "settings": settings,
        "sampler": "random",
        "trials": 8,
    }
    found = facts(point.tune(**search))
    whole = facts(point.tune(**search, pruner="none", name="whole"))
    assert {trial.state for trial in whole} == {"complete"}
    assert "pruned" in {trial.state for trial in found}
    for trial, unpruned in zip(found, whole, strict=True):
        if trial.state == "complete":
            assert trial == unpruned
            continue
        assert (trial.state, trial.score) == ("pruned", None)
        assert trial.number >= 5, "five are complete first"
        assert 2 < trial.epochs < 12
        assert trial.scores == unpruned.scores[: len(trial.scores)]


def test_losses_of_other_kinds_are_compared_by_fold_alone(point: World) -> None:
    space: Space = {**RATES, "train.loss": CategoricalDistribution(['"mse"', '"mae"'])}
    report = point.tune(space=space, sampler="random", trials=12)
    pruned = [trial for trial in report.trials if trial.state == "pruned"]
    assert pruned
    assert all(trial.epochs == 2 * len(trial.scores) for trial in pruned)


def test_a_study_is_bound_to_its_data_recipe_space_and_sampler(point: World) -> None:
    point.tune(trials=1)
    other = {**SPACE, "train.learning_rate": FloatDistribution(1e-3, 2e-2, log=True)}
    for changes, words in (
        ({"prices": walk(ROWS, seed=5)}, "other data"),
        ({"settings": point.with_set("train.epochs=3")}, "recipe train.epochs 2, not 3"),
        ({"space": other}, "space train.learning_rate .*0.01.*not .*0.02"),
        ({"sampler": "random"}, 'sampler "tpe", not "random"'),
        ({"folds": 2}, "folds 3, not 2"),
    ):
        with pytest.raises(UsageError, match=f"another study has this name.*{words}.*--fresh"):
            point.tune(trials=1, **changes)
    assert len(point.tune(trials=1, sampler="random", options={"fresh": True}).trials) == 1


def test_where_and_how_long_it_runs_may_change(point: World) -> None:
    first = point.tune(trials=1)
    report = point.tune(
        trials=2, settings=point.with_set('train.device="auto"', "evaluate.flat_band=1")
    )
    assert facts(report)[0] == facts(first)[0]


def test_the_best_is_a_recipe_that_trains_and_tells_how_many_were_tried(point: World) -> None:
    report = point.tune()
    best = report.trials[0]
    assert report.recipe == point.folder / "data/tuning/s/s-tuned.toml"
    settings = load_settings(report.recipe)
    assert settings.train.learning_rate == best.values["train.learning_rate"]
    assert list(settings.model.hidden_sizes) == best.values["model.hidden_sizes"]
    assert settings.tuning.trials == 3
    assert settings.data.csv == (str(point.folder / "prices.csv"),)
    unsearched = {"train.learning_rate", "model.hidden_sizes", "tuning.trials", "data.csv"}
    for section, table in settings.model_dump().items():
        for key, value in table.items():
            if f"{section}.{key}" not in unsearched:
                assert value == getattr(getattr(point.settings, section), key)
    kept = train(settings, Source(point.folder / "data", TODAY), name="m")
    assert kept.metadata.record["tuning"] == {"trials": 3}
    config = tomllib.loads((kept.model.folder / "config.toml").read_text())
    assert config["tuning"] == {"trials": 3}
    again = point.tune(settings=settings.model_copy(update={"data": point.settings.data}), name="t")
    assert load_settings(again.recipe).tuning.trials == 6, "the first search counts as well"


def test_the_longest_context_searched_settles_the_folds(point: World) -> None:
    space: Space = {"window.context_length": CategoricalDistribution(["10", "150"])}
    with pytest.raises(DataError, match=r"too few rows for the folds.*fold 1 of 3"):
        point.tune(space=space)
    report = point.tune(space=space, folds=1, sampler="grid")
    assert {trial.values["window.context_length"] for trial in report.trials} == {10, 150}
    assert isinstance(report.folds[0], Fold)
