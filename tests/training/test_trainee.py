"""A trainee saved between two epochs and continued by another one."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn, optim

from lstmcli.training.device import drawn_from, seeded
from lstmcli.training.loop import Epoch, train_epochs
from lstmcli.training.trainee import Snapshot, Trainee, new_trainee
from tests.rows import for_each

CPU = torch.device("cpu")
TRAIN, VALIDATION = torch.arange(20), torch.arange(20, 30)
ROWS = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))


def objective(network: nn.Module, rows: Tensor) -> Tensor:
    loss: Tensor = (network(ROWS[rows]) - ROWS[rows].sum(dim=1, keepdim=True)).square().mean()
    return loss


def begin(**changes: Any) -> Trainee:
    """A network that draws: its weights, the order of its samples, its dropout."""
    options: dict[str, Any] = {
        "epochs": 8,
        "optimizer": "adamw",
        "learning_rate": 0.3,  # so high that the best epoch is not the last
        "weight_decay": 0.1,
        "schedule": "cosine",
        "patience": 3,
    }
    network = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 1))
    generators = {"shuffle": torch.Generator().manual_seed(1), **drawn_from(CPU)}
    return new_trainee(network, generators=generators, **{**options, **changes})


def run(trainee: Trainee) -> tuple[list[tuple[object, ...]], list[Snapshot]]:
    """Train to the end; what each epoch came to, and the snapshots between them."""
    history, snapshots = [], []
    for epoch in train_epochs(trainee, objective, TRAIN, VALIDATION, batch_size=4, clip_norm=1.0):
        history.append(figures(epoch))
        snapshots.append(trainee.snapshot())
    return history, snapshots


def figures(epoch: Epoch) -> tuple[object, ...]:
    return (
        epoch.epoch, epoch.loss, epoch.validation_loss, epoch.learning_rate, epoch.gradient_norm,
        epoch.best,
    )  # fmt: skip


@for_each("optimizer", ["adam", "adamw", "rmsprop"])
@for_each("schedule", ["constant", "cosine", "plateau"])
def test_training_resumed_after_any_epoch_is_bit_identical(optimizer: str, schedule: str) -> None:
    with seeded(0, CPU):
        unbroken = begin(optimizer=optimizer, schedule=schedule)
        history, snapshots = run(unbroken)
    assert len(history) >= 4
    for done, snapshot in enumerate(snapshots, 1):
        with seeded(99, CPU):
            again = begin(optimizer=optimizer, schedule=schedule)
            again.restore(snapshot)
            rest, _ = run(again)
        assert rest == history[done:]
        for one, other in zip(
            unbroken.network.parameters(), again.network.parameters(), strict=True
        ):
            assert torch.equal(one, other)


def test_a_snapshot_of_another_schedule_is_refused() -> None:
    for saved, resumed in (("cosine", "plateau"), ("plateau", "cosine")):
        with pytest.raises(ValueError, match="another schedule"):
            begin(schedule=resumed).restore(begin(schedule=saved).snapshot())


@for_each("name, kind", [("adam", optim.Adam), ("adamw", optim.AdamW), ("rmsprop", optim.RMSprop)])
def test_steps_are_bit_identical_to_those_of_pytorchs_optimizer(name: str, kind: Any) -> None:
    with seeded(0, CPU):
        ours = begin(optimizer=name, schedule="constant")
    with seeded(0, CPU):
        theirs = begin(optimizer=name, schedule="constant").network
    steps = kind(theirs.parameters(), lr=0.3, weight_decay=0.1, foreach=True)
    for _ in range(3):
        for network, optimizer in ((ours.network, ours.optimizer), (theirs, steps)):
            optimizer.zero_grad()
            with seeded(1, CPU):
                objective(network, TRAIN).backward()
            optimizer.step()
    for one, other in zip(ours.network.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_training_does_not_import_the_compiler() -> None:
    script = (
        "import sys; from tests.training.test_trainee import begin, run; run(begin());"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", script], cwd=root, timeout=60).returncode == 0


def test_training_stops_after_its_epochs_or_its_patience() -> None:
    trainee = begin(epochs=4, patience=2, schedule="constant")
    said = []
    for loss in (2.0, 1.0, 1.0, 1.5):
        said.append((trainee.stopped, trainee.end_epoch(loss)))
    assert said == [(None, True), (None, True), (None, False), (None, False)]
    assert trainee.stopped == "epochs"
    patient = begin(epochs=9, patience=2, schedule="constant")
    for loss in (1.0, 2.0, 3.0):
        patient.end_epoch(loss)
    assert patient.stopped == "patience"
