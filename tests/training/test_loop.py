"""The training loop on a network of one weight, where every number can be computed by hand."""

import itertools
import math
from collections.abc import Callable, Generator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lstmcli.errors import TrainingError
from lstmcli.training.loop import Epoch, train_epochs
from lstmcli.training.trainee import new_trainee
from tests.rows import for_each

TRAIN, VALIDATION = torch.arange(10), torch.arange(10, 14)


class OneWeight(nn.Module):
    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(start))


def pull(network: nn.Module, cutoffs: Tensor) -> Tensor:
    """Draw the weight to 1 on every window."""
    return (network.get_parameter("w") - 1) ** 2 + 0.0 * cutoffs.sum()


def scripted(losses: list[float]) -> Callable[[nn.Module, Tensor], Tensor]:
    """Train as `pull` does, and score validation by a list."""
    answers = iter(losses)

    def objective(network: nn.Module, cutoffs: Tensor) -> Tensor:
        return pull(network, cutoffs) if network.training else torch.tensor(next(answers))

    return objective


def begin(
    network: nn.Module, objective: Callable[[nn.Module, Tensor], Tensor] = pull, **changes: Any
) -> Generator[Epoch, None, None]:
    options: dict[str, Any] = {
        "epochs": 3,
        "batch_size": 4,
        "optimizer": "adam",
        "learning_rate": 0.01,
        "weight_decay": 0.0,
        "schedule": "constant",
        "clip_norm": 0.0,
        "patience": 100,
        "generators": {"shuffle": torch.Generator().manual_seed(0)},
    }
    options |= changes
    of_the_loop = {
        name: options.pop(name)
        for name in ("batch_size", "clip_norm", "layers", "kept")
        if name in options
    }
    trainee = new_trainee(network, **options)
    return train_epochs(trainee, objective, TRAIN, VALIDATION, **of_the_loop)


def run(*arguments: Any, **changes: Any) -> list[Epoch]:
    return list(begin(*arguments, **changes))


def test_every_window_is_used_once_per_epoch_in_batches_of_the_requested_size() -> None:
    seen: list[list[int]] = []
    grad: list[bool] = []

    def objective(network: nn.Module, cutoffs: Tensor) -> Tensor:
        seen.append(cutoffs.tolist())
        grad.append(torch.is_grad_enabled())
        return pull(network, cutoffs)

    run(OneWeight(), objective, epochs=2)
    assert [len(batch) for batch in seen] == [4, 4, 2, 4] * 2
    for epoch in (seen[:4], seen[4:]):
        assert sorted(itertools.chain(*epoch[:3])) == TRAIN.tolist()
        assert epoch[3] == VALIDATION.tolist()
    assert seen[:3] != seen[4:7]
    assert seen[0] != TRAIN[:4].tolist()
    assert grad == [True, True, True, False] * 2


def test_losses_are_means_over_windows_not_over_batches() -> None:
    def objective(network: nn.Module, cutoffs: Tensor) -> Tensor:
        return cutoffs.float().mean() + 0.0 * network.get_parameter("w")

    (epoch,) = run(OneWeight(), objective, epochs=1)
    assert epoch.loss == pytest.approx(4.5)
    assert epoch.validation_loss == pytest.approx(11.5)


def test_the_best_epoch_on_validation_is_kept_and_marked() -> None:
    network = OneWeight()
    after: list[float] = []

    def objective(net: nn.Module, cutoffs: Tensor) -> Tensor:
        if net.training:
            return pull(net, cutoffs)
        after.append(net.get_parameter("w").item())
        return torch.tensor([5.0, 3.0, 4.0, 3.0, 6.0][len(after) - 1])

    history = run(network, objective, epochs=5)
    assert [epoch.best for epoch in history] == [True, True, False, False, False]
    assert [epoch.epoch for epoch in history] == [1, 2, 3, 4, 5]
    assert network.w.item() == after[1]
    assert len(set(after)) == 5


@for_each(("patience", "epochs"), [(1, 3), (2, 4), (3, 8), (9, 8)])
def test_training_stops_after_patience_epochs_without_a_better_one(
    patience: int, epochs: int
) -> None:
    losses = [5.0, 4.0, 4.5, 4.6, 3.0, 3.0, 3.1, 3.2]
    assert len(run(OneWeight(), scripted(losses), epochs=8, patience=patience)) == epochs


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_non_finite_loss_ends_training_and_restores_the_best_epoch(bad: float) -> None:
    network = OneWeight()
    weights: list[float] = []

    def objective(net: nn.Module, cutoffs: Tensor) -> Tensor:
        if not net.training:
            weights.append(net.get_parameter("w").item())
        return pull(net, cutoffs) * (bad if len(weights) == 2 and net.training else 1.0)

    with pytest.raises(TrainingError, match=r"training diverged \(epoch 3\).*learning_rate"):
        run(network, objective)
    assert network.w.item() == weights[1]


def test_a_non_finite_gradient_or_validation_loss_ends_training_too() -> None:
    def objective(network: nn.Module, cutoffs: Tensor) -> Tensor:
        return (network.get_parameter("w") * 0).sqrt()  # finite, with an infinite slope

    with pytest.raises(TrainingError, match="gradient norm nan"):
        run(OneWeight(), objective)
    with pytest.raises(TrainingError, match=r"epoch 1\).*validation loss nan"):
        run(OneWeight(), scripted([math.nan]))


def test_the_best_epoch_is_restored_when_the_caller_stops_early() -> None:
    network = OneWeight()
    epochs = begin(network, scripted([1.0, 2.0, 3.0]))
    next(epochs)
    best = network.w.item()
    next(epochs)
    assert network.w.item() != best
    epochs.close()
    assert network.w.item() == best


def test_too_little_memory_is_an_error_that_names_the_batch_size() -> None:
    def objective(network: nn.Module, cutoffs: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(TrainingError, match=r"train.batch_size 4 .*Lower train.batch_size"):
        run(OneWeight(), objective)


@for_each(
    ("schedule", "expected"),
    [
        ("constant", [0.01] * 8),
        ("cosine", [0.01 * (1 + math.cos(math.pi * number / 8)) / 2 for number in range(8)]),
        ("plateau", [0.01] * 4 + [0.005] * 3 + [0.0025]),  # halved after three without progress
    ],
)
def test_a_schedule_sets_the_rate_of_each_epoch(schedule: str, expected: list[float]) -> None:
    history = run(OneWeight(), scripted([1.0] * 8), schedule=schedule, epochs=8)
    assert [epoch.learning_rate for epoch in history] == pytest.approx(expected)


def steep(network: nn.Module, cutoffs: Tensor) -> Tensor:
    return 1000 * network.get_parameter("w") + 0.0 * cutoffs.sum()


def test_clipped_steps_are_counted() -> None:
    """The gradient of (w - 1)^2 at 0 is 2, and falls as w comes nearer."""
    clipped = [
        sum(epoch.clipped for epoch in run(OneWeight(), clip_norm=limit)) for limit in (0, 1.9, 3)
    ]
    assert clipped[0] == clipped[2] == 0
    assert 0 < clipped[1] < 9


def test_norms_are_reported_by_layer_in_separate_columns() -> None:
    network = OneWeight()
    (epoch,) = run(network, epochs=1, layers={"only": network})
    assert epoch.gradient_norms == {"only": pytest.approx(epoch.gradient_norm)}
    columns = epoch.columns()
    assert columns["gradient_norm_only"] == epoch.gradient_norms["only"]
    assert "gradient_norms" not in columns
    assert columns["gradient_kept"] is None


def test_the_kept_gradient_is_measured_after_each_epoch() -> None:
    def weight(network: nn.Module) -> float:
        return network.get_parameter("w").item()

    network = OneWeight()
    history = run(network, kept=weight)
    found = [epoch.gradient_kept for epoch in history]
    assert found[-1] == weight(network)
    assert found == sorted(set(found))


def test_the_gradient_norm_is_reported_before_clipping() -> None:
    (epoch,) = run(OneWeight(), steep, epochs=1, clip_norm=1.0)
    assert epoch.gradient_norm == pytest.approx(1000.0)
