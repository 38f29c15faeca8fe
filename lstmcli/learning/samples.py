"""Training samples of a network: their rows, and the loss of a batch of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lstmcli.config import Settings
from lstmcli.dataset.scaling import Scale
from lstmcli.dataset.windows import Windows, flat_cutoffs
from lstmcli.forecasting.har import Har, har_inputs
from lstmcli.forecasting.model import location_of, log_ranges
from lstmcli.learning.plan import Plan
from lstmcli.training.group import ALONE, Group
from lstmcli.training.loop import gradient_kept
from lstmcli.training.objective import (
    Floor,
    Lanes,
    Objective,
    fan_objective,
    next_step_objective,
)

_TRAIN, _VALIDATE = 1, 2
_PROBED = 16  # number of windows for `gradient_probe`


@dataclass(frozen=True)
class Samples:
    """Flat rows of the last bar of each sample, and the number of labels per sample.

    train : samples to shuffle, or the batches of an epoch in order.
    """

    objective: Objective
    train: Tensor | Sequence[Lanes]
    validation: Tensor
    batch_size: int
    labels_per_sample: int = 1


_BATCH_SIZES = tuple(2**power for power in range(12, 5, -1))  # from 4,096 down to 64
_FEWEST_STEPS = 300  # per epoch


def choose_batch_size(plan: Plan, settings: Settings) -> int:
    """Return `train.batch_size`, resolving "auto".

    "auto" is the largest power of two from 64 to 4,096 with at least 300 steps per epoch, else 64.
    It depends only on the data, so that the device does not change a result.
    """
    size = settings.train.batch_size
    if size != "auto":
        return size
    if settings.model.head == "direct":
        length, burn_in = _chunk(plan, settings)
        ends = sum(split.train.stop - (length - 1) for split in plan.splits)
        samples = ends // (length - burn_in)
    else:
        samples = sum(map(len, plan.train))
    return next((each for each in _BATCH_SIZES if samples // each >= _FEWEST_STEPS), 64)


def make_samples(
    rows: Windows,
    plan: Plan,
    settings: Settings,
    fitted: Scale | Floor | None,
    generator: torch.Generator,
    group: Group = ALONE,
) -> Samples:
    """Return samples with one label each, or with a label at every bar after a burn-in.

    For a direct head the latter are long chunks: training chunks may end at any bar, validation
    chunks do not overlap. A recursive head uses its windows, since each has its own scale, and an
    epoch takes all of them; validation uses only the bar after the window, where a forecast starts.

    fitted : on the training rows: the scale of a recursive head, or the result of `make_floor` for
    a direct head.
    generator : on the device of the rows; draws the steps of the horizon for each batch of a fan.
    group : the processes that share each batch.
    """
    device, window, train = rows.values.device, settings.window, settings.train
    batch_size = choose_batch_size(plan, settings)
    if not isinstance(fitted, Floor):
        next_step = next_step_objective(
            rows,
            context_length=window.context_length,
            inputs=plan.series[0].inputs,
            scaling=window.scaling,
            fitted=fitted,
            loss=train.loss,
            group=group,
            burn_in=train.burn_in if settings.labels_all_bars else None,
        )
        train_rows, validation_rows = (
            flat_cutoffs(rows, part).to(device) for part in (plan.train, plan.validation)
        )
        return Samples(next_step, train_rows, validation_rows, batch_size)
    length, burn_in = _chunk(plan, settings)
    labels = length - burn_in
    fan = fan_objective(
        rows,
        fitted,
        *(each.to(device) for each in _parts_and_typical(rows, plan)),
        features=window.bars,
        levels=settings.forecast.quantile_levels,
        chunk_length=length,
        burn_in=burn_in,
        steps_per_batch=train.steps_per_batch,
        volatility_weight=train.volatility_weight,
        precision=train.precision,
        generator=generator,
        group=group,
    )
    ends = [np.arange(length - 1, split.train.stop) for split in plan.splits]
    validation = [
        np.unique(np.append(np.arange(part[0] + labels - 1, part[-1], labels), part[-1]))
        if len(part)
        else part
        for part in plan.validation
    ]
    return Samples(
        fan,
        _in_order(rows, plan, settings, labels, batch_size)
        if train.stateful
        else flat_cutoffs(rows, ends).to(device),
        flat_cutoffs(rows, validation).to(device),
        batch_size,
        labels_per_sample=labels,
    )


def _chunk(plan: Plan, settings: Settings) -> tuple[int, int]:
    """Return the length of a direct head's sample, and the number of bars before a label.

    A window is a chunk with a label only at its last bar. Even the shortest series gives a chunk,
    since its training part contains a whole context.
    """
    length = settings.window.context_length
    if settings.train.labels == "window":
        return length, length - 1
    shortest = min(split.train.stop for split in plan.splits)
    return min(settings.train.chunk_length, shortest), settings.train.burn_in


def make_floor(rows: Windows, plan: Plan, settings: Settings, har: Har) -> Floor:
    """Return the linear fan of every flat row, on the same device as the rows."""
    # Filled series by series, since joining parts would need the memory twice.
    count, device = len(rows.values), rows.values.device
    coefficients = har.at_steps(settings.window.horizon)
    design = np.empty((count, coefficients.shape[1]), np.float32)
    sigma, location = np.empty(count), np.empty(count, np.float32)
    for offset, each in zip(rows.offsets, plan.series, strict=True):
        at = slice(offset, offset + len(each))
        inputs, sigma[at] = har_inputs(each.log_prices, log_ranges(each, settings))
        design[at] = har.design(inputs)
        location[at] = location_of(har, each.symbol, settings)

    def tensor(values: NDArray[Any], kind: torch.dtype = torch.float32) -> Tensor:
        return torch.from_numpy(values).to(device, kind)

    return Floor(
        tensor(design),
        tensor(coefficients),
        tensor(sigma, torch.float64),
        tensor(location),
        tensor(har.table),
    )


def gradient_probe(
    rows: Windows, plan: Plan, settings: Settings, fitted: Scale | Floor | None
) -> Callable[[nn.Module], float] | None:
    """Return a function for `gradient_kept` on a few windows; None without a state."""
    if not settings.model.keeps_state:
        return None
    by_window = settings.changed(train={"labels": "window", "stateful": False})
    # A generator of its own, so that the probe does not change the random numbers of training.
    steps = torch.Generator(rows.values.device).manual_seed(0)
    samples = make_samples(rows, plan, by_window, fitted, steps)
    assert isinstance(samples.train, Tensor)
    few = samples.train[:: -(-len(samples.train) // _PROBED)]
    return partial(gradient_kept, objective=samples.objective, cutoffs=few)


def _in_order(
    rows: Windows, plan: Plan, settings: Settings, labels: int, batch_size: int
) -> list[Lanes]:
    """Return batches that read training parts in order, `batch_size` series in parallel.

    The longest series come first, so that finished ones are dropped from the end of the batch.
    """
    device = rows.values.device
    firsts = np.array(rows.offsets) + settings.train.burn_in
    lasts = np.array(
        [offset + part[-1] for offset, part in zip(rows.offsets, plan.train, strict=True)]
    )
    counts = 1 + (lasts - firsts) // labels
    order = np.argsort(-counts, kind="stable")
    batches = []
    for start in range(0, len(order), batch_size):
        group = order[start : start + batch_size]
        for number in range(counts[group[0]]):
            lanes = group[counts[group] > number]
            ends = firsts[lanes] + (number + 1) * labels - 1
            batches.append(
                Lanes(
                    torch.from_numpy(ends).to(device),
                    torch.from_numpy(lasts[lanes]).to(device),
                    first=number == 0,
                )
            )
    return batches


def _parts_and_typical(rows: Windows, plan: Plan) -> tuple[Tensor, Tensor]:
    """Return the part and the typical volatility of each flat row, (R,) each.

    The part is that of the row as a cutoff; rows in the purge have none. The volatility is the
    standard deviation of the series' one-step log returns in the training rows.
    """
    parts = torch.zeros(len(rows.values), dtype=torch.int8)
    typical = torch.ones(len(rows.values), dtype=rows.values.dtype)
    each_of = zip(rows.offsets, plan.series, plan.splits, plan.validation, strict=True)
    for offset, each, split, validation in each_of:
        parts[offset : offset + split.train.stop] = _TRAIN
        parts[torch.from_numpy(validation) + offset] = _VALIDATE
        returns = np.diff(each.log_prices[: split.train_rows])
        typical[offset : offset + len(each)] = max(float(returns.std()), 1e-8)
    return parts, typical
