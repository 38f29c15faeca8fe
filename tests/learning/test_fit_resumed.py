"""A fit broken off and taken up again: the same bytes in every mode, and what time allows."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from lstmcli.config import Settings
from lstmcli.errors import TrainingError
from lstmcli.learning import samples as samples_module
from lstmcli.learning.fit import Course, fit
from lstmcli.learning.plan import Plan
from lstmcli.learning.samples import choose_batch_size
from lstmcli.runs.checkpoint import Checkpoint, read_checkpoint, save_checkpoint
from lstmcli.training.loop import Epoch
from lstmcli.training.objective import fan_objective
from tests.synthetic import CPU, make_plan, random_walk, series_of, tiny_settings, weights_of

FAN = {
    "window": {"context_length": 60, "horizon": 6, "scaling": "volatility"},
    "model": {"head": "direct", "hidden_sizes": [4], "dropout": 0.2},
    "forecast": {"quantile_levels": [0.1, 0.5, 0.9]},
}
FAN_TRAIN = {"epochs": 4, "chunk_length": 50, "burn_in": 40, "learning_rate": 0.05}
MODES: dict[str, dict[str, Any]] = {
    "point": {"model": {"dropout": 0.3}},
    "point, batch scale": {"window": {"scaling": "batch"}},
    "constant rate": {"train": {"schedule": "constant", "epochs": 4, "optimizer": "rmsprop"}},
    "plateau": {"train": {"schedule": "plateau", "epochs": 9, "learning_rate": 0.3}},
    "patience": {"train": {"patience": 1, "epochs": 9, "learning_rate": 0.5}},
    "fan": {**FAN, "train": FAN_TRAIN},
    "fan, a label a window": {**FAN, "train": {**FAN_TRAIN, "labels": "window", "epochs": 2}},
    "fan, bf16": {**FAN, "train": {**FAN_TRAIN, "precision": "bf16"}},
    "ensemble": {**FAN, "train": {**FAN_TRAIN, "members": 3, "patience": 2}},
    "automatic batches": {**FAN, "train": {**FAN_TRAIN, "batch_size": "auto", "epochs": 2}},
    "stateful": {**FAN, "train": {**FAN_TRAIN, "stateful": True, "batch_size": 1}},
}


def prepared(mode: str) -> tuple[Plan, Settings]:
    settings = tiny_settings(**MODES[mode])
    if settings.model.head == "recursive":
        return make_plan([series_of(random_walk(150))], settings), settings
    series = [
        series_of(random_walk(rows, seed=rows), symbol=f"S{rows}", first=first)
        for rows, first in ((400, "2000-01-03"), (330, "2000-04-10"))
    ]
    return make_plan(series, settings), settings


def untimed(history: list[Epoch]) -> list[Epoch]:
    return [replace(epoch, seconds=0.0) for epoch in history]


@pytest.mark.parametrize("mode", MODES)
def test_a_fit_taken_up_after_any_epoch_gives_the_same_bytes_and_history(
    mode: str, tmp_path: Path
) -> None:
    plan, settings = prepared(mode)
    kept: list[Path] = []

    def keep(checkpoint: Checkpoint) -> None:
        kept.append(tmp_path / str(len(kept)))
        save_checkpoint(kept[-1], {}, checkpoint)

    unbroken = fit(plan, settings, CPU, Course(keep=keep))
    assert len(kept) == len(unbroken.history)
    for done, folder in enumerate(kept, 1):
        found = read_checkpoint(folder)
        assert found is not None
        new: list[Epoch] = []
        torch.manual_seed(done)
        again = fit(plan, settings, CPU, Course(on_epoch=new.append, start=found[1]))
        assert weights_of(again.model) == weights_of(unbroken.model)
        assert untimed(again.history) == untimed(unbroken.history)
        assert len(new) == len(unbroken.history) - done
        assert again.stopped == unbroken.stopped
    if mode == "patience":
        assert unbroken.stopped == "patience"


def test_a_checkpoint_is_kept_before_an_epoch_is_told() -> None:
    plan, settings = prepared("point")
    heard: list[str] = []
    fit(
        plan,
        settings,
        CPU,
        Course(
            on_epoch=lambda epoch: heard.append(f"told {epoch.epoch}"),
            keep=lambda checkpoint: heard.append(f"kept {checkpoint}"),
        ),
    )
    assert heard == ["kept epoch 1", "told 1", "kept epoch 2", "told 2"]


def test_a_member_that_broke_down_is_remembered_when_the_next_one_is_taken_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan, settings = prepared("ensemble")
    kept: list[Checkpoint] = []
    unbroken = fit(plan, settings, CPU, Course(keep=kept.append))
    first = sum(epoch.member == 1 for epoch in unbroken.history)
    make, passes = fan_objective, itertools.count()

    def breaking(*arguments: Any, **options: Any) -> Any:
        inner = make(*arguments, **options)

        def objective(network: torch.nn.Module, batch: Any) -> torch.Tensor:
            broken = network.training and next(passes) == 2  # of the first member alone
            return inner(network, batch) * (float("nan") if broken else 1.0)

        return objective

    monkeypatch.setattr(samples_module, "fan_objective", breaking)
    kept.clear()
    broken = fit(plan, settings, CPU, Course(keep=kept.append))
    monkeypatch.undo()
    assert broken.stopped == "error"
    assert len(broken.history) < len(unbroken.history) + first
    later = next(each for each in kept if len(each.members) == 1)
    again = fit(plan, settings, CPU, Course(start=later))
    assert str(again.error) == str(broken.error)
    assert weights_of(again.model) == weights_of(broken.model)


def seconds_left(*answers: bool) -> Callable[[float], bool]:
    """Answer the question between two epochs in turn, and say yes within them."""
    between = iter(answers)
    return lambda seconds: next(between) if seconds else True


def test_time_that_is_over_between_epochs_keeps_the_best_one_so_far() -> None:
    plan, settings = prepared("plateau")
    shorter = settings.changed(train={"epochs": 3})
    cut = fit(plan, settings, CPU, Course(has_time=seconds_left(True, True, False)))
    assert cut.stopped == "timeout"
    assert len(cut.history) == 3
    assert weights_of(cut.model) == weights_of(fit(plan, shorter, CPU).model)


def test_time_that_is_over_within_an_epoch_drops_that_one() -> None:
    plan, settings = prepared("plateau")
    batches = -(-len(plan.train[0]) // choose_batch_size(plan, settings))
    steps = itertools.count()
    kept: list[Checkpoint] = []

    def has_time(seconds: float) -> bool:
        # Two epochs with one batch of validation each, and one batch of the third.
        return seconds > 0 or next(steps) < 2 * (batches + 1) + 1

    cut = fit(plan, settings, CPU, Course(has_time=has_time, keep=kept.append))
    assert (cut.stopped, len(cut.history)) == ("timeout", 2)
    unbroken = fit(plan, settings, CPU)
    again = fit(plan, settings, CPU, Course(start=kept[-1]))
    assert weights_of(again.model) == weights_of(unbroken.model)


def test_the_last_epoch_needs_no_time_after_it() -> None:
    plan, settings = prepared("point")
    done = fit(plan, settings, CPU, Course(has_time=seconds_left(True)))
    assert (done.stopped, len(done.history)) == ("epochs", 2)


def test_no_time_for_anything_new_is_an_error() -> None:
    plan, settings = prepared("point")
    with pytest.raises(
        TrainingError, match=r"out of time: 1 of 1 networks have no epoch. .*longer --timeout"
    ):
        fit(plan, settings, CPU, Course(has_time=lambda seconds: False))
    kept: list[Checkpoint] = []
    fit(plan, settings, CPU, Course(keep=kept.append))
    with pytest.raises(
        TrainingError, match=r"out of time: no epoch after epoch 1 was done.*longer"
    ):
        fit(plan, settings, CPU, Course(has_time=lambda seconds: False, start=kept[0]))


def test_an_ensemble_that_lacks_a_member_is_no_model() -> None:
    plan, settings = prepared("ensemble")
    with pytest.raises(TrainingError, match=r"2 of 3 networks have no epoch.*--resume"):
        fit(plan, settings, CPU, Course(has_time=seconds_left(False)))
