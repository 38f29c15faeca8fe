"""The training loop: a generator that yields one record an epoch and keeps the best one.

It prints nothing and stops by itself; however it ends, the network then holds the weights of the
best epoch on validation.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lstmcli.errors import TrainingError
from lstmcli.training.gradients import clip_gradients, members_of
from lstmcli.training.objective import Lanes, Objective

NO_LAYERS: Mapping[str, nn.Module] = {}


@dataclass(frozen=True)
class Epoch:
    """What one pass over the training windows came to. Losses are means over windows.

    member : which network of an ensemble, counted from 1.
    gradient_norm, gradient_norms : of all weights and by layer, means over the steps, before
    clipping. clipped : steps whose gradient was. gradient_kept : what of it comes back to the first
    quarter of a window, after the epoch; None for a network without memory.
    """

    epoch: int
    loss: float
    validation_loss: float
    learning_rate: float
    gradient_norm: float
    seconds: float
    best: bool
    member: int = 1
    gradient_norms: Mapping[str, float] = field(default_factory=dict)
    clipped: int = 0
    gradient_kept: float | None = None

    def columns(self) -> dict[str, Any]:
        """Return the record flat: a column for the norm of each layer."""
        row = asdict(self)
        norms = {f"gradient_norm_{name}": norm for name, norm in self.gradient_norms.items()}
        del row["gradient_norms"]
        return row | norms


def train_epochs(
    network: nn.Module,
    objective: Objective,
    train: Tensor | Sequence[Lanes],
    validation: Tensor,
    *,
    epochs: int,
    batch_size: int,
    optimizer: str,
    learning_rate: float,
    weight_decay: float,
    schedule: str,
    clip_norm: float,
    patience: int,
    generator: torch.Generator,
    labels_per_sample: int = 1,
    layers: Mapping[str, nn.Module] = NO_LAYERS,
    kept: Callable[[nn.Module], float] | None = None,
) -> Iterator[Epoch]:
    """Fit `network` on the flat cutoff rows `train`, choosing the epoch on `validation`.

    `generator` (on the CPU) shuffles the windows; lanes are batches already, taken in their order.
    `clip_norm` 0 clips nothing. Where each sample holds several labels, an epoch draws as many
    fewer of them. The gradients of `layers` are told apart, and `kept` measures `gradient_kept`.
    Raises TrainingError when a loss or gradient is not finite, or the device's memory too small.
    However it ends, also when it is closed or an error comes through, the best epoch so far is
    restored.
    """
    weights = list(network.parameters())
    steps = _optimizer(optimizer, weights, learning_rate, weight_decay)
    rates = _schedule(schedule, steps, epochs)
    best, best_state, waited = math.inf, None, 0
    try:
        for number in range(1, epochs + 1):
            began = time.perf_counter()
            loss, health = _one_pass(
                network,
                objective,
                _batches(train, labels_per_sample, batch_size, generator),
                steps,
                weights,
                clip_norm,
                layers,
            )
            validation_loss = _mean_loss(network, objective, validation, batch_size)
            _check_finite(number, loss, validation_loss, health["gradient_norm"])
            is_best = validation_loss < best
            waited = 0 if is_best else waited + 1
            if is_best:
                best = validation_loss
                best_state = {name: value.clone() for name, value in network.state_dict().items()}
            yield Epoch(
                epoch=number,
                loss=loss,
                validation_loss=validation_loss,
                learning_rate=steps.param_groups[0]["lr"],
                gradient_kept=kept(network) if kept else None,
                seconds=time.perf_counter() - began,
                best=is_best,
                **health,
            )
            if waited >= patience:
                return
            _advance(rates, validation_loss)
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            "out of device memory",
            where=f"epoch {number}",
            why=f"batches of train.batch_size {batch_size} do not fit",
            next_step="Lower train.batch_size.",
        ) from error
    finally:
        if best_state is not None:
            network.load_state_dict(best_state)


def _one_pass(
    network: nn.Module,
    objective: Objective,
    batches: Sequence[Tensor | Lanes],
    optimizer: torch.optim.Optimizer,
    weights: list[nn.Parameter],
    clip_norm: float,
    layers: Mapping[str, nn.Module],
) -> tuple[float, dict[str, Any]]:
    """One pass in the given order; returns the mean loss, and what Epoch says of the gradients.

    Sums stay on the device until the end: nothing inside the loop waits for them.
    """
    network.train()
    total = torch.zeros((), device=weights[0].device)
    members = members_of(layers.values(), weights)
    sums = torch.zeros(len(layers) + 2, dtype=torch.float64, device=weights[0].device)
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = objective(network, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        sums += clip_gradients(weights, members, clip_norm)
        optimizer.step()
        total += loss.detach() * len(batch)
    *norms, norm, clipped = sums.tolist()
    return total.item() / sum(map(len, batches)), {
        "gradient_norm": norm / len(batches),
        "gradient_norms": {
            name: each / len(batches) for name, each in zip(layers, norms, strict=True)
        },
        "clipped": int(clipped),
    }


def _batches(
    train: Tensor | Sequence[Lanes],
    labels_per_sample: int,
    batch_size: int,
    generator: torch.Generator,
) -> Sequence[Tensor | Lanes]:
    if not isinstance(train, Tensor):
        return train
    number = max(1, len(train) // labels_per_sample)
    drawn = torch.randperm(len(train), generator=generator)[:number].to(train.device)
    return torch.split(train[drawn], batch_size)


def _mean_loss(network: nn.Module, objective: Objective, cutoffs: Tensor, batch_size: int) -> float:
    network.eval()
    with torch.inference_mode():
        losses = [objective(network, part) * len(part) for part in torch.split(cutoffs, batch_size)]
    return torch.stack(losses).sum().item() / len(cutoffs)


def _check_finite(number: int, loss: float, validation_loss: float, norm: float) -> None:
    if not all(map(math.isfinite, (loss, norm, validation_loss))):
        raise TrainingError(
            "training diverged",
            where=f"epoch {number}",
            why=f"loss {loss:g}, validation loss {validation_loss:g}, gradient norm {norm:g}",
            next_step="Lower train.learning_rate or set train.clip_norm.",
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


def _advance(rates: torch.optim.lr_scheduler.LRScheduler | None, validation_loss: float) -> None:
    if isinstance(rates, torch.optim.lr_scheduler.ReduceLROnPlateau):
        rates.step(validation_loss)
    elif rates is not None:
        rates.step()
