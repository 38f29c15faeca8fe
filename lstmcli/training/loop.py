"""The training loop: a generator that yields one record per epoch and keeps the best weights.

It prints nothing. However it ends, the network has the weights of the best epoch on validation
afterwards.
"""

import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from lstmcli.errors import TrainingError
from lstmcli.networks.build import body_and_head
from lstmcli.training.group import ALONE, Group
from lstmcli.training.objective import Lanes, Objective
from lstmcli.training.trainee import Trainee


@dataclass(frozen=True)
class Epoch:
    """The record of one pass over the training windows. Losses are means over windows.

    validation_loss : None without validation windows. member : number of the network in an
    ensemble, phase : number of the training phase, both from 1.
    gradient_norm, gradient_norms : of all weights and by layer, means over the steps, before
    clipping. clipped : number of steps with a clipped gradient. gradient_kept : the share of the
    gradient that reaches the first quarter of a window, measured after the epoch; None for a
    network without memory.
    """

    epoch: int
    loss: float
    validation_loss: float | None
    learning_rate: float
    gradient_norm: float
    seconds: float
    best: bool
    member: int = 1
    gradient_norms: Mapping[str, float] = field(default_factory=dict)
    clipped: int = 0
    gradient_kept: float | None = None
    phase: int = 1

    def columns(self) -> dict[str, Any]:
        """Return the record as one flat row, with a column for the norm of each layer."""
        row = asdict(self)
        norms = {f"gradient_norm_{name}": norm for name, norm in self.gradient_norms.items()}
        del row["gradient_norms"]
        return row | norms


def train_epochs(
    trainee: Trainee,
    objective: Objective,
    train: Tensor | Sequence[Lanes],
    validation: Tensor,
    *,
    batch_size: int,
    clip_norm: float,
    labels_per_sample: int = 1,
    layers: Mapping[str, nn.Module] | None = None,
    kept: Callable[[nn.Module], float] | None = None,
    group: Group = ALONE,
) -> Generator[Epoch, None, None]:
    """Fit the trainee on the flat cutoff rows `train`, and choose the epoch on `validation`.

    Without validation rows the last epoch is chosen.

    Parameters
    ----------
    train : samples to shuffle, or lanes, which are ready-made batches in a fixed order.
    clip_norm : maximum gradient norm; 0 disables clipping.
    labels_per_sample : an epoch draws this many times fewer samples.
    layers : layers whose gradient norms are reported, by name.
    kept : function that measures `gradient_kept`.
    group : the processes that train together; the objective must have the same group.

    The caller may take a snapshot of the trainee between two epochs. Raises TrainingError if a loss
    or gradient is not finite, or if the device runs out of memory. The weights of the best epoch
    are restored however the loop ends, also after an error or a close.
    """
    network = trainee.network
    shuffle = trainee.generators["shuffle"]
    try:
        while trainee.stopped is None:
            number, rate, began = trainee.epoch + 1, trainee.rate, time.perf_counter()
            group.draw_apart(trainee.generators, number)
            batches = _batches(train, labels_per_sample, batch_size, shuffle)
            loss, health = _one_pass(
                network, objective, batches, trainee.optimizer, clip_norm, layers or {}, group
            )
            validation_loss = mean_loss(network, objective, validation, batch_size, group)
            _check_finite(number, loss, validation_loss, health["gradient_norm"])
            is_best = trainee.end_epoch(validation_loss)
            yield Epoch(
                epoch=number,
                loss=loss,
                validation_loss=validation_loss,
                learning_rate=rate,
                gradient_kept=kept(network) if kept else None,
                seconds=time.perf_counter() - began,
                best=is_best,
                **health,
            )
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            "out of device memory",
            where=f"epoch {number}",
            why=f"batches of train.batch_size {batch_size} do not fit",
            next_step="Lower train.batch_size.",
        ) from error
    finally:
        trainee.take_best()


def _one_pass(
    network: nn.Module,
    objective: Objective,
    batches: Sequence[Tensor | Lanes],
    optimizer: torch.optim.Optimizer,
    clip_norm: float,
    layers: Mapping[str, nn.Module],
    group: Group,
) -> tuple[float, dict[str, Any]]:
    """Train on the batches in order; return the mean loss and the gradient fields of an Epoch.

    Sums stay on the device until the end, so that the loop never waits for a GPU.
    """
    network.train()
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    total = torch.zeros((), device=weights[0].device)
    members = members_of(layers.values(), weights)
    sums = torch.zeros(len(layers) + 2, dtype=torch.float64, device=weights[0].device)
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = objective(network, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        group.add_gradients(weights)
        sums += clip_gradients(weights, members, clip_norm)
        optimizer.step()
        total += loss.detach() * len(batch)
    *norms, norm, clipped = sums.tolist()
    return group.add(total).item() / sum(map(len, batches)), {
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


def mean_loss(
    network: nn.Module,
    objective: Objective,
    cutoffs: Tensor,
    batch_size: int,
    group: Group = ALONE,
) -> float | None:
    """Return the mean loss of the network in evaluation mode, or None without cutoffs."""
    network.eval()
    if not len(cutoffs):
        return None
    with torch.inference_mode():
        losses = [objective(network, part) * len(part) for part in torch.split(cutoffs, batch_size)]
        return group.add(torch.stack(losses).sum()).item() / len(cutoffs)


def _check_finite(number: int, loss: float, validation_loss: float | None, norm: float) -> None:
    validated = 0.0 if validation_loss is None else validation_loss
    if not all(map(math.isfinite, (loss, norm, validated))):
        raise TrainingError(
            "training diverged",
            where=f"epoch {number}",
            why=f"loss {loss:g}, validation loss {validated:g}, gradient norm {norm:g}",
            next_step="Lower train.learning_rate or set train.clip_norm.",
        )


def members_of(layers: Iterable[nn.Module], weights: Sequence[nn.Parameter]) -> Tensor:
    """Return the membership of P weights in B layers: (B, P) of 0 and 1, on the weights' device."""
    owned = [{id(weight) for weight in layer.parameters()} for layer in layers]
    table = [[float(id(weight) in ids) for weight in weights] for ids in owned]
    return torch.tensor(table, dtype=torch.float64, device=weights[0].device).view(-1, len(weights))


def clip_gradients(weights: Sequence[nn.Parameter], members: Tensor, clip_norm: float) -> Tensor:
    """Clip the gradients to the norm `clip_norm`, 0 for no clipping, without waiting for a GPU.

    weights : all trained weights. members : from `members_of`. Returns (B + 2,): the norm of each
    layer and of all weights before clipping, and 1 if it was clipped.
    """
    limit = clip_norm or math.inf
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norms = torch.stack(torch._foreach_norm(gradients))
    whole = torch.linalg.vector_norm(norms)
    nn.utils.clip_grads_with_norm_(weights, limit, whole, foreach=True)
    by_layer = (members @ norms.double().square()).sqrt()
    return torch.cat([by_layer, torch.stack([whole.double(), (whole > limit).double()])])


def gradient_kept(network: nn.Module, objective: Objective, cutoffs: Tensor) -> float:
    """Return the share of the gradient that reaches the first quarter of a window.

    This is the norm of d loss / d input over the first quarter of the rows, divided by that over
    the last quarter, for windows with one label at their end. Near 0 the gradient vanishes on the
    way back, above 1 it grows. 0 if there is no gradient at all.
    """
    body, _ = body_and_head(network)
    seen: list[Tensor] = []

    def keep(layer: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        seen.append(given[0].detach().requires_grad_())  # (L, N, F)
        return (*seen, *given[1:])

    network.eval()
    body.layers.train()  # cuDNN has no backward pass in eval mode; the layers have no dropout
    with body.layers[0].register_forward_pre_hook(keep):
        (gradient,) = torch.autograd.grad(objective(network, cutoffs), seen)
    quarter = max(1, len(gradient) // 4)
    first, last = (part.double().norm() for part in (gradient[:quarter], gradient[-quarter:]))
    return float((first / last).nan_to_num(0.0))
