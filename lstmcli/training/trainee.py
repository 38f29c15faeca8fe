"""A network in training: all that its next epoch depends on, besides the samples.

Between two epochs it can be taken down as tensors and plain numbers, and a new trainee of the same
settings goes on from them to the same bit.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

Stop = Literal["epochs", "patience"]


@dataclass(frozen=True)
class Snapshot:
    """A trainee between two epochs: copies on the CPU, and numbers that JSON can hold."""

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]


@dataclass
class Trainee:
    """A network with its optimizer, its schedule (None for a constant rate) and its luck.

    generators : all that its training draws from, by name; `shuffle` (on the CPU) orders samples.
    epochs, patience : where it stops. epoch : how many are done; waited : since the best of them.
    best_weights : of the best epoch on validation, empty before the first.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    rates: torch.optim.lr_scheduler.LRScheduler | None
    generators: Mapping[str, torch.Generator]
    epochs: int
    patience: int
    epoch: int = 0
    waited: int = 0
    best_loss: float = math.inf
    best_weights: dict[str, Tensor] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """The learning rate of the next epoch."""
        return float(self.optimizer.param_groups[0]["lr"])

    @property
    def stopped(self) -> Stop | None:
        """Why no epoch is left; None while there is one."""
        if self.epoch >= self.epochs:
            return "epochs"
        return "patience" if self.waited >= self.patience else None

    def end_epoch(self, validation_loss: float | None) -> bool:
        """Count an epoch, keep its weights if they are the best, and set the rate of the next.

        Without validation the last is the best, and a plateau is never seen.
        """
        self.epoch += 1
        is_best = validation_loss is None or validation_loss < self.best_loss
        self.waited = 0 if is_best else self.waited + 1
        if is_best:
            self.best_loss = math.inf if validation_loss is None else validation_loss
            state = self.network.state_dict()
            self.best_weights = {name: value.clone() for name, value in state.items()}
        if isinstance(self.rates, torch.optim.lr_scheduler.ReduceLROnPlateau):
            if validation_loss is not None:
                self.rates.step(validation_loss)
        elif self.rates is not None:
            self.rates.step()
        return is_best

    def take_best(self) -> None:
        """Give the network the weights of the best epoch, if there was one."""
        if self.best_weights:
            self.network.load_state_dict(self.best_weights)

    def snapshot(self) -> Snapshot:
        """Return what the next epoch depends on; `restore` is its inverse."""
        slots = self.optimizer.state_dict()["state"]
        tensors = {
            **_under("weights", self.network.state_dict()),
            **_under("best", self.best_weights),
            **{
                f"optimizer.{n}.{key}": value
                for n, slot in slots.items()
                for key, value in slot.items()
            },
            **{f"generator.{name}": each.get_state() for name, each in self.generators.items()},
        }
        numbers = {
            "epoch": self.epoch,
            "waited": self.waited,
            "best_loss": self.best_loss,
            "rate": self.rate,
            "rates": None if self.rates is None else self.rates.state_dict(),
        }
        copies = {name: value.detach().to("cpu", copy=True) for name, value in tensors.items()}
        return Snapshot(copies, numbers)

    def restore(self, snapshot: Snapshot) -> None:
        """Become what the trainee was of which the snapshot was taken.

        Raises ValueError where the snapshot is of another trainee.
        """
        try:
            self._restore(snapshot)
        except (RuntimeError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"it is of another network ({error})") from error

    def _restore(self, snapshot: Snapshot) -> None:
        numbers = snapshot.numbers
        self.network.load_state_dict(_below("weights", snapshot.tensors))
        self.best_weights = _below("best", snapshot.tensors)
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer", snapshot.tensors).items():
            number, _, key = name.partition(".")
            slots.setdefault(int(number), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        rated = [{**group, "lr": numbers["rate"]} for group in groups]
        self.optimizer.load_state_dict({"state": slots, "param_groups": rated})
        if self.rates is not None:
            own = {key: type(value) for key, value in self.rates.state_dict().items()}
            if own != {key: type(value) for key, value in numbers["rates"].items()}:
                raise ValueError("it is of another schedule")
            self.rates.load_state_dict(numbers["rates"])
        for name, each in self.generators.items():
            each.set_state(snapshot.tensors[f"generator.{name}"])
        self.epoch, self.waited = numbers["epoch"], numbers["waited"]
        self.best_loss = numbers["best_loss"]


def new_trainee(
    network: nn.Module,
    *,
    epochs: int,
    optimizer: str,
    learning_rate: float,
    weight_decay: float,
    schedule: str,
    patience: int,
    generators: Mapping[str, torch.Generator],
    done: int = 0,
) -> Trainee:
    """Return a network, on its device already, before its first epoch.

    Weights that need no gradient are left as they are. done : epochs of an earlier phase, which are
    counted on.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    steps = _optimizer(optimizer, weights, learning_rate, weight_decay)
    return Trainee(
        network=network,
        optimizer=steps,
        rates=_schedule(schedule, steps, epochs),
        generators=generators,
        epochs=done + epochs,
        patience=patience,
        epoch=done,
    )


def _optimizer(
    name: str, weights: list[nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer:
    kinds: dict[str, Any] = {
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
        "rmsprop": torch.optim.RMSprop,
    }
    made: torch.optim.Optimizer = kinds[name](
        weights, lr=learning_rate, weight_decay=weight_decay, foreach=True
    )
    return made


def _schedule(
    name: str, optimizer: torch.optim.Optimizer, epochs: int
) -> torch.optim.lr_scheduler.LRScheduler | None:
    if name == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    if name == "plateau":
        return torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2)
    return None


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}.{name}": value for name, value in tensors.items()}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    start = f"{prefix}."
    return {
        name.removeprefix(start): value.clone()
        for name, value in tensors.items()
        if name.startswith(start)
    }
