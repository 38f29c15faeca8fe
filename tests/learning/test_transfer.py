"""Training that starts from another model: what is taken over, frozen, told, kept, and refused."""

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lstmcli.config import Settings
from lstmcli.errors import AllFailedError, UsageError
from lstmcli.forecasting.model import TrainedModel
from lstmcli.learning.fit import Fit, fit
from lstmcli.learning.transfer import Donor, Phase, find_donor, match
from lstmcli.runs.bundle import load_bundle
from lstmcli.sources.source import Source
from lstmcli.workflows.train import TrainReport, train
from tests.command_line import csv_text, walk
from tests.synthetic import CPU, make_plan, random_walk, series_of, stop_after, tiny_settings

FAN: dict[str, dict[str, Any]] = {
    "window": {"context_length": 60, "horizon": 6, "features": ["close"], "scaling": "volatility"},
    "model": {"head": "direct", "hidden_sizes": [4]},
    "train": {"epochs": 3, "chunk_length": 50, "burn_in": 40, "learning_rate": 0.02},
    "forecast": {"quantile_levels": [0.1, 0.5, 0.9], "calibrate": True},
}


def fan(**changes: dict[str, Any]) -> Settings:
    return tiny_settings(
        **{name: {**FAN.get(name, {}), **changes.get(name, {})} for name in {**FAN, **changes}}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prices of two symbols and of a new listing, and a donor; not to be changed but by names."""
    home = tmp_path_factory.mktemp("transfer")
    for name, rows in (("one", 400), ("two", 380), ("new", 80)):
        (home / f"{name}.csv").write_text(csv_text(walk(rows, seed=rows)))
    train(fan(), source(home, "one", "two"), name="donor")
    return home


def source(home: Path, *names: str) -> Source:
    return Source(
        home / "data", date(2020, 1, 1), csv=tuple(str(home / f"{name}.csv") for name in names)
    )


def donor_of(home: Path, **options: Any) -> Donor:
    found = find_donor(home / "data", "donor", **options)
    assert found is not None
    return found


def parts(model: TrainedModel) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    weights = model.network.state_dict()
    body = {name: value for name, value in weights.items() if name.startswith("0.")}
    return body, {name: value for name, value in weights.items() if name not in body}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def losses(done: Fit) -> list[float]:
    return [epoch.loss for epoch in done.history]


def kept(report: TrainReport) -> TrainedModel:
    return load_bundle(report.model.folder, CPU)[0]


def test_training_starts_with_the_weights_of_the_donor(folder: Path) -> None:
    """At a rate that changes nothing they are still there at the end."""
    donor = donor_of(folder, fine_tune_lr=1e-30)
    plan = make_plan([series_of(random_walk(400))], fan())
    done = fit(plan, fan(), CPU, donor=donor)
    assert same(done.model.network.state_dict(), donor.model.network.state_dict())
    moved = fit(plan, fan(), CPU, donor=replace(donor, fine_tune_lr=None))
    assert losses(moved) != losses(done)


def test_a_frozen_body_stays_to_the_bit_and_its_head_is_new(folder: Path) -> None:
    donor = donor_of(folder, freeze="body")
    report = train(fan(), source(folder, "one"), name="frozen", donor=donor)
    (body, head), (old_body, old_head) = parts(kept(report)), parts(donor.model)
    assert same(body, old_body)
    assert not any(torch.equal(head[name], old_head[name]) for name in head)
    assert report.notes[0] == "the head is new: --freeze body"
    assert [epoch.phase for epoch in report.history] == [1, 1, 1]
    assert [epoch.gradient_norms["layer1"] for epoch in report.history] == [0, 0, 0]


def test_all_weights_are_trained_at_their_own_rate_after_the_head(folder: Path) -> None:
    donor = donor_of(folder, freeze="body", fine_tune_lr=1e-3)
    settings = fan(train={"schedule": "constant", "patience": 9})
    assert donor.phases(0.02) == (Phase(True, 0.02), Phase(False, 1e-3))
    report = train(settings, source(folder, "one"), name="phases", donor=donor)
    found = [(epoch.epoch, epoch.phase, epoch.learning_rate) for epoch in report.history]
    assert found == [
        *((number, 1, 0.02) for number in (1, 2, 3)),
        *((number, 2, 1e-3) for number in (4, 5, 6)),
    ]
    assert report.metadata.record["from"]["learning_rates"] == [0.02, 1e-3]
    best = min(report.history, key=lambda epoch: epoch.validation_loss or np.inf)
    assert report.metadata.record["validation_loss"] == best.validation_loss
    assert all(weight.requires_grad for weight in kept(report).network.parameters())


@pytest.mark.parametrize("broken_off", [2, 3, 4])
def test_a_run_of_two_phases_is_resumed_to_the_same_bytes(folder: Path, broken_off: int) -> None:
    donor = donor_of(folder, freeze="body", fine_tune_lr=1e-3)
    settings = fan(model={"dropout": 0.2}, train={"patience": 9})
    prices, name = source(folder, "one"), f"resumed{broken_off}"
    with pytest.raises(KeyboardInterrupt):
        train(settings, prices, name=name, donor=donor, on_epoch=stop_after(broken_off))
    again = train(settings, prices, name=name, donor=donor, resume=True)
    assert f"resumed after epoch {broken_off}" in again.notes
    whole = train(settings, prices, name=f"whole{broken_off}", donor=donor)
    assert same(kept(again).network.state_dict(), kept(whole).network.state_dict())


def test_a_run_of_another_donor_or_rate_is_not_resumed_nor_called_unchanged(folder: Path) -> None:
    prices, name = source(folder, "one"), "origin"
    with pytest.raises(KeyboardInterrupt):
        train(fan(), prices, name=name, donor=donor_of(folder), on_epoch=stop_after(1))
    other = donor_of(folder, fine_tune_lr=1e-3)
    report = train(fan(), prices, name=name, donor=other, resume=True)
    told = "the checkpoint of epoch 1 has fine_tune_lr null, not 0.001; training started again"
    assert told in report.notes
    assert train(fan(), prices, name=name, donor=other).unchanged
    assert not train(fan(), prices, name=name).unchanged


def test_a_head_that_does_not_fit_is_new_and_said_to_be(folder: Path) -> None:
    donor = donor_of(folder)
    cases = {
        "window.horizon 4, of the donor 6": fan(window={"horizon": 4}),
        "forecast.quantile_levels [0.2, 0.5, 0.8], of the donor [0.1, 0.5, 0.9]": fan(
            forecast={"quantile_levels": [0.2, 0.5, 0.8]}
        ),
        "model.dense_sizes [3], of the donor []": fan(model={"dense_sizes": [3]}),
    }
    for told, settings in cases.items():
        found = match(donor, settings)
        assert (found.head, found.notes) == (False, (f"the head is new: {told}",))
    report = train(fan(window={"horizon": 4}), source(folder, "one"), name="shorter", donor=donor)
    assert report.metadata.record["from"]["new"] == [
        "the head is new: window.horizon 4, of the donor 6"
    ]


def test_features_are_matched_by_name(folder: Path) -> None:
    donor = donor_of(folder)
    found = match(donor, fan(window={"features": ["volume", "close"]}))
    assert (found.inputs, found.head) == ((0, 1, 2, 3, None), True)
    assert found.notes == ("the input weights of volume are new: the donor does not read them",)
    wider = replace(donor.model, settings=fan(window={"features": ["open", "close", "volume"]}))
    found = match(replace(donor, model=wider), fan(window={"features": ["close", "volume"]}))
    assert found.inputs == (0, 1, 2, 3, 5)
    assert found.notes == ("donor/v0001 also reads open, which is left out",)


def test_another_kind_of_head_takes_the_body_without_its_inputs(folder: Path) -> None:
    found = match(donor_of(folder), tiny_settings(model={"hidden_sizes": [4]}))
    assert (found.inputs, found.head) == ((None,), False)
    assert found.notes[0] == (
        "the input weights are new: window.scaling log_return, of the donor volatility"
    )
    assert found.notes[1].startswith("the head is new: model.head recursive, of the donor direct")


def test_automatic_batches_follow_the_data_of_the_new_model(folder: Path) -> None:
    settings = fan(train={"batch_size": "auto"})
    own = train(settings, source(folder, "one"), name="automatic")
    assert kept(own).settings.train.batch_size == "auto"
    assert own.metadata.record["batch_size"] == 64
    donor = find_donor(folder / "data", "automatic")
    assert donor is not None
    again = train(donor.model.settings, source(folder, "two"), name="of-it", donor=donor)
    assert again.metadata.record["batch_size"] == 64
    number = train(fan(train={"batch_size": 16}), source(folder, "two"), name="n", donor=donor)
    assert number.metadata.record["batch_size"] == 16


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"network": "gru"}, "model.network gru, of the donor lstm"),
        ({"hidden_sizes": [5]}, "model.hidden_sizes [5], of the donor [4]"),
        ({"network": "linear"}, "model.network linear, of the donor lstm"),
    ],
)
def test_another_body_is_refused(folder: Path, model: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match="nothing to take over") as error:
        train(fan(model=model), source(folder, "one"), name="refused", donor=donor_of(folder))
    assert told in str(error.value)
    assert not (folder / "data/models/refused").exists()


def test_a_short_series_takes_passes_calibration_and_trends_of_the_donor(folder: Path) -> None:
    donor = donor_of(folder)
    report = train(fan(), source(folder, "new"), name="listing", donor=donor)
    assert report.notes == (
        "no validation part of its own; taken from donor/v0001: the number of passes and "
        "the calibration",
    )
    model = kept(report)
    assert model.calibration is not None
    assert donor.model.calibration is not None
    np.testing.assert_array_equal(model.calibration.factors, donor.model.calibration.factors)
    assert report.metadata.trend == donor.metadata.trend
    assert len(report.history) == max(1, donor.metadata.best_epoch)
    assert {epoch.validation_loss for epoch in report.history} == {None}
    assert report.metadata.windows["train"] == 80 - 59 - 6
    assert (report.scores, report.metadata.record["validation"]) == (None, None)
    assert report.metadata.record["from"]["validation"].startswith("none")
    assert report.decision.promoted
    asked = train(
        fan(train={"epochs": 5}), source(folder, "new"), name="asked", donor=donor_of(folder)
    )
    assert len(asked.history) == 5


def test_a_short_series_with_another_horizon_says_that_it_is_not_calibrated(folder: Path) -> None:
    longer = train(
        fan(window={"horizon": 8}), source(folder, "new"), name="longer", donor=donor_of(folder)
    )
    assert longer.notes[1] == (
        "no validation part of its own; taken from donor/v0001: the number of passes"
    )
    assert kept(longer).calibration is None
    donor = donor_of(folder)
    calibration = donor.calibration(fan(window={"horizon": 4}))
    assert calibration is not None
    assert donor.model.calibration is not None
    np.testing.assert_array_equal(calibration.factors, donor.model.calibration.factors[:4])


def test_a_series_without_a_whole_window_is_refused_even_so(folder: Path) -> None:
    (folder / "few.csv").write_text(csv_text(walk(65)))
    with pytest.raises(AllFailedError, match="needs 66 rows, has 65"):
        train(fan(), source(folder, "few"), name="few", donor=donor_of(folder))


def test_no_day_of_the_donor_is_a_test_day(folder: Path) -> None:
    """A donor that was fitted on later days than its heir leaves it a later test span."""
    donor = donor_of(folder)
    early = fan(split={"train_end": "2018-01-31"})
    report = train(early, source(folder, "one"), name="early", donor=donor)
    assert report.metadata.test_start == donor.metadata.test_start
    alone = train(early, source(folder, "one"), name="alone")
    assert str(alone.metadata.test_start) == "2018-02-01"
    assert report.metadata.windows["test"] < alone.metadata.windows["test"]
    assert any("validation before that day flatters" in note for note in report.notes)


def test_an_ensemble_starts_with_the_members_of_the_donor_in_turn(folder: Path) -> None:
    donor = donor_of(folder, fine_tune_lr=1e-30)
    plan = make_plan([series_of(random_walk(400))], fan())
    done = fit(plan, fan(train={"members": 2}), CPU, donor=donor)
    for member in done.model.members:
        assert same(member.state_dict(), donor.model.network.state_dict())


@pytest.mark.parametrize("options", [{"freeze": "body"}, {"fine_tune_lr": 1e-5}])
def test_fine_tuning_needs_a_donor(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="nothing to fine-tune"):
        find_donor(tmp_path, None, **options)
