"""A network in training, with everything that its next epoch depends on except the samples.

Between two epochs a snapshot saves this state as tensors and plain numbers. A new trainee with the
same settings that restores the snapshot continues bit-identically.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import unwrap
from typing import Any, Literal

import torch
from torch import Tensor, nn, optim
from torch.optim import lr_scheduler

Stop = Literal["epochs", "patience"]


@dataclass(frozen=True)
class Snapshot:
    """The state of a trainee between two epochs: tensors on the CPU, and numbers for JSON."""

    tensors: dict[str, Tensor]
    numbers: dict[str, Any]


@dataclass
class Trainee:
    """A network with its optimizer, its schedule (None for a constant rate) and random state.

    generators : all random generators of its training, by name; `shuffle` (on the CPU) orders the
    samples. epochs, patience : when to stop. epoch : epochs done. waited : epochs since the best
    one. best_weights : of the best epoch on validation, empty before the first.
    """

    network: nn.Module
    optimizer: optim.Optimizer
    rates: lr_scheduler.LRScheduler | None
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
        """Why training has stopped; None if it goes on."""
        if self.epoch >= self.epochs:
            return "epochs"
        return "patience" if self.waited >= self.patience else None

    def end_epoch(self, validation_loss: float | None) -> bool:
        """Count an epoch, keep its weights if they are the best, and set the rate of the next.

        Without validation the last epoch is the best, and `plateau` never lowers the rate.
        """
        self.epoch += 1
        is_best = validation_loss is None or validation_loss < self.best_loss
        self.waited = 0 if is_best else self.waited + 1
        if is_best:
            self.keep_weights(math.inf if validation_loss is None else validation_loss)
        if isinstance(self.rates, lr_scheduler.ReduceLROnPlateau):
            if validation_loss is not None:
                self.rates.step(validation_loss)
        elif self.rates is not None:
            self.rates.step()
        return is_best

    def keep_weights(self, validation_loss: float) -> None:
        """Keep the current weights as the best so far, also before the first epoch."""
        self.best_loss = validation_loss
        state = self.network.state_dict()
        self.best_weights = {name: value.clone() for name, value in state.items()}

    def take_best(self) -> None:
        """Load the weights of the best epoch into the network, if there is one."""
        if self.best_weights:
            self.network.load_state_dict(self.best_weights)

    def snapshot(self) -> Snapshot:
        """Return the state that the next epoch depends on; `restore` is the inverse."""
        groups: dict[str, Mapping[str, Tensor]] = {
            "weights": self.network.state_dict(),
            "best": self.best_weights,
            "generator": {name: each.get_state() for name, each in self.generators.items()},
        }
        for number, slot in self.optimizer.state_dict()["state"].items():
            groups[f"optimizer.{number}"] = slot
        copies = {
            f"{group}.{name}": value.detach().to("cpu", copy=True)
            for group, tensors in groups.items()
            for name, value in tensors.items()
        }
        numbers = {
            "epoch": self.epoch,
            "waited": self.waited,
            "best_loss": self.best_loss,
            "rate": self.rate,
            "rates": None if self.rates is None else self.rates.state_dict(),
        }
        return Snapshot(copies, numbers)

    def restore(self, snapshot: Snapshot) -> None:
        """Restore the state of a snapshot.

        Raises ValueError for a snapshot of a trainee with other settings.
        """
        try:
            self._restore(snapshot)
        except (RuntimeError, LookupError, TypeError, ArithmeticError, AttributeError) as error:
            raise ValueError(f"it is of another network ({error})") from error

    def _restore(self, snapshot: Snapshot) -> None:
        numbers = snapshot.numbers

        def group(prefix: str) -> dict[str, Tensor]:
            found = [name for name in snapshot.tensors if name.startswith(prefix)]
            return {name.removeprefix(prefix): snapshot.tensors[name].clone() for name in found}

        self.network.load_state_dict(group("weights."))
        self.best_weights, generators = group("best."), group("generator.")
        slots: dict[int, dict[str, Tensor]] = {}
        for name, value in group("optimizer.").items():
            number, _, key = name.partition(".")
            slots.setdefault(int(number), {})[key] = value
        parameters = self.optimizer.state_dict()["param_groups"]
        rated = [{**each, "lr": float(numbers["rate"])} for each in parameters]
        self.optimizer.load_state_dict({"state": slots, "param_groups": rated})
        if self.rates is not None:
            own = {key: type(value) for key, value in self.rates.state_dict().items()}
            if own != {key: type(value) for key, value in numbers["rates"].items()}:
                raise ValueError("it is of another schedule")
            self.rates.load_state_dict(numbers["rates"])
        for name, each in self.generators.items():
            each.set_state(generators[name])
        self.epoch, self.waited = int(numbers["epoch"]), int(numbers["waited"])
        self.best_loss = float(numbers["best_loss"])


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
    """Prepare a network, already on its device, for its first epoch.

    Weights that need no gradient stay as they are. done : number of epochs of earlier phases, from
    which the count continues.
    """
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    kinds: dict[str, Any] = {"adam": optim.Adam, "adamw": optim.AdamW, "rmsprop": optim.RMSprop}
    kind = _uncompiled(kinds[optimizer])
    steps = kind(weights, lr=learning_rate, weight_decay=weight_decay, foreach=True)
    rates: lr_scheduler.LRScheduler | None = None
    if schedule == "cosine":
        rates = lr_scheduler.CosineAnnealingLR(steps, epochs)
    elif schedule == "plateau":
        rates = lr_scheduler.ReduceLROnPlateau(steps, factor=0.5, patience=2)
    return Trainee(
        network=network,
        optimizer=steps,
        rates=rates,
        generators=generators,
        epochs=done + epochs,
        patience=patience,
        epoch=done,
    )


def _uncompiled(kind: type[optim.Optimizer]) -> Any:
    """Return an optimizer class without the wrappers that exclude its methods from torch.compile.

    These import torch._dynamo at the first call, which takes 0.8 s and 70 MB, and nothing here is
    compiled.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods: dict[str, Any] = {name: unwrap(getattr(kind, name)) for name in names}
    return type(kind.__name__, (kind,), {**methods, "step": torch.no_grad()(unwrap(kind.step))})
