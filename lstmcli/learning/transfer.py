"""Transfer learning: start training from a model, the donor, and copy its weights.

The body is always copied, so its kind and sizes must match; inputs are matched by name. A head with
another horizon, other levels or of another kind is re-initialised.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from lstmcli.config import Settings
from lstmcli.errors import AllFailedError, Failure, UsageError
from lstmcli.forecasting.calibration import Calibration
from lstmcli.forecasting.har import Har
from lstmcli.forecasting.model import TrainedModel, network_inputs
from lstmcli.learning.plan import Plan, plan_prices, without_validation
from lstmcli.market.prices import Prices
from lstmcli.networks.build import body_and_head
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import ModelRef, find_model, ready_made

Freeze = Literal["body"]


class Phase(NamedTuple):
    """A phase of training: whether the body is frozen, and the initial learning rate."""

    frozen: bool
    learning_rate: float


@dataclass(frozen=True)
class Donor:
    """A trained model that another one starts from.

    linear_only : only shrink the new linear fan towards its linear fan, and do not use its weights.
    freeze : "body" trains only the head. fine_tune_lr : learning rate for all weights, after the
    head if the body is frozen first.
    """

    reference: ModelRef
    model: TrainedModel
    metadata: Metadata
    freeze: Freeze | None = None
    fine_tune_lr: float | None = None
    linear_only: bool = False

    @property
    def origin(self) -> dict[str, Any]:
        """Return what else, besides settings and data, determines the weights of a new model."""
        return {
            "from": self.metadata.weights_sha256,
            "freeze": self.freeze,
            "fine_tune_lr": self.fine_tune_lr,
            **({"linear_only": True} if self.linear_only else {}),
        }

    def linear(self, settings: Settings) -> Har | None:
        """Return the ready-made linear fan for the settings' horizon and levels, or None."""
        window, levels = self.model.settings.window, self.model.levels
        same = (window.horizon, levels) == (settings.window.horizon, settings.levels)
        return self.model.har if same and self.reference.is_shipped else None

    def phases(self, learning_rate: float) -> tuple[Phase, ...]:
        """Return the phases of training, given the learning rate of the settings."""
        if self.freeze is None:
            return (Phase(False, self.fine_tune_lr or learning_rate),)
        head = Phase(True, learning_rate)
        return (head,) if self.fine_tune_lr is None else (head, Phase(False, self.fine_tune_lr))

    def calibration(self, settings: Settings) -> Calibration | None:
        """Return the part of its calibration that fits the settings' fan, or None."""
        found, horizon = self.model.calibration, settings.window.horizon
        same = self.model.levels == settings.forecast.quantile_levels
        if found is None or not same or horizon > len(found.factors):
            return None
        return Calibration(found.factors[:horizon]) if settings.forecast.calibrate else None

    def trend(self, horizon: int) -> dict[str, list[float]] | None:
        """Return its trend thresholds up to a horizon; None if its own horizon is shorter."""
        trend = self.metadata.trend
        if any(len(steps) < horizon for steps in trend.values()):
            return None
        return {name: steps[:horizon] for name, steps in trend.items()}


def find_donor(
    data_dir: Path,
    reference: str | None,
    *,
    freeze: Freeze | None = None,
    fine_tune_lr: float | None = None,
) -> Donor | None:
    """Load the model that a reference names; None without a reference.

    Raises UsageError if the other options need a reference and there is none, and the errors of
    `load_bundle`.
    """
    if reference is None:
        if freeze is not None or fine_tune_lr is not None:
            raise UsageError(
                "nothing to fine-tune",
                where="--freeze" if freeze is not None else "--fine-tune-lr",
                next_step="Pass --from MODEL.",
            )
        return None
    found = find_model(data_dir, reference)
    model, metadata = load_bundle(found.folder, torch.device("cpu"))
    return Donor(found, model, metadata, freeze, fine_tune_lr)


@dataclass(frozen=True)
class Match:
    """The parts of a donor that a model with some settings copies.

    inputs : index of each input in the donor, None for a new one. head : whether the head is
    copied. notes : one sentence for each part that is not copied.
    """

    inputs: tuple[int | None, ...]
    head: bool
    notes: tuple[str, ...]


def match(donor: Donor, settings: Settings) -> Match:
    """Match the settings of a new model with the donor's.

    Raises UsageError if the bodies differ, or if nothing would be copied.
    """
    theirs, model = donor.model.settings, settings.model
    body, head = ["model.network"], ["model.head", "model.dense_sizes"]
    if model.network != "linear":
        body.append("model.hidden_sizes")
    if model.network in ("mlp", "cnn"):
        body.append("model.activation")
    if model.network == "cnn":
        body.append("model.kernel_size")
    if not model.keeps_state:
        body.append("reach")
    if model.dense_sizes:
        head.append("model.activation")
    if model.head == "direct":
        head += ["window.horizon", "forecast.quantile_levels", "model.basis_size"]
    if model.head == "recursive" or model.network == "linear":
        head += ["window.features", "window.scaling"]
    new_head = ["--freeze body"] * (donor.freeze is not None) + _differences(settings, theirs, head)
    refused = _differences(settings, theirs, body)
    if model.network == "linear":  # it has only a head
        refused = refused or new_head
    if refused:
        raise UsageError(
            "nothing to take over",
            where=f"--from {donor.reference}",
            why="; ".join(refused),
            next_step="Give the new model the same network, or train without --from.",
        )
    inputs, notes = _inputs(donor, settings)
    if new_head:
        notes.append(f"the head is new: {'; '.join(new_head)}")
    return Match(inputs, not new_head, tuple(notes))


def _differences(settings: Settings, theirs: Settings, keys: Sequence[str]) -> list[str]:
    def short(value: object) -> str:
        if isinstance(value, tuple):
            return f"{len(value)} values" if len(value) > 6 else str(list(value)).replace("'", "")
        return str(value)

    pairs = [(key, *map(attrgetter(key), (settings, theirs))) for key in keys]
    return [f"{key} {short(a)}, of the donor {short(b)}" for key, a, b in pairs if a != b]


def _inputs(donor: Donor, settings: Settings) -> tuple[tuple[int | None, ...], list[str]]:
    """Match the inputs by name; return their indices and notes on new and dropped ones."""
    theirs = donor.model.settings
    own, old = network_inputs(settings), network_inputs(theirs)
    other_scale = _differences(settings, theirs, ["window.scaling"])
    if other_scale:
        return (None,) * len(own), [f"the input weights are new: {other_scale[0]}"]
    new = ", ".join(name for name in own if name not in old)
    lost = ", ".join(name for name in old if name not in own)
    notes = []
    if new:
        notes.append(f"the input weights of {new} are new: the donor does not read them")
    if lost:
        notes.append(f"{donor.reference} also reads {lost}, which is left out")
    return tuple(old.index(name) if name in old else None for name in own), notes


def plan_transfer(
    donor: Donor, loaded: Sequence[Prices], settings: Settings, failures: Sequence[Failure]
) -> tuple[Settings, Plan, list[Failure]]:
    """Return the settings with the number of epochs, the plan, and the unsuitable series.

    The test span contains no day that the donor was fitted on. Raises UsageError if the donor's
    body does not match, AllFailedError if no series is long enough.
    """
    match(donor, settings)
    try:
        plan, failed = plan_prices(loaded, settings, failures)
    except AllFailedError:
        if settings.split.method == "shuffled":
            raise
        plan, failed = plan_prices(loaded, without_validation(settings), failures)
    plan = held_back(donor, plan)
    if not plan.validates and settings.split.validation_fraction:
        epochs, own = settings.train.epochs, donor.model.settings.train.epochs
        if epochs == own:  # without validation for early stopping, use the donor's best epoch
            epochs = max(1, donor.metadata.best_epoch)
        settings = settings.changed(train={"epochs": epochs})
    return settings, plan, failed


_ENOUGH = 20  # independent windows needed for a meaningful test


def ready_made_donor(plan: Plan, settings: Settings, interval: str) -> tuple[Donor | None, str]:
    """Return the ready-made model if a plan of one series has few validation windows.

    Also returns a note on how it helps, or why it cannot; empty if it is not needed.
    """
    validating = sum(map(len, plan.validation))
    if settings.model.head != "direct" or len(plan.series) > 1:
        return None, ""
    if -(-validating // settings.window.horizon) >= _ENOUGH:
        return None, ""
    found = ready_made()
    model, metadata = load_bundle(found.folder, torch.device("cpu"))
    donor, seen = Donor(found, model, metadata), metadata.ready_made
    without = f"few windows validate, and {found.name}, the ready-made model, cannot help: "
    if interval != metadata.interval:
        return None, without + "it is of daily bars"
    if donor.linear(settings) is None:
        return None, without + "it has another horizon or other levels"
    if seen is None or plan.validation_start is None or plan.test_start <= seen.until:
        return None, without + f"it has seen the days up to {metadata.trained_until}"
    if not held_back(donor, plan).validates:
        return None, without + f"it has seen the days that would validate, up to {seen.until}"
    note = f"few windows validate: the linear fan is drawn towards {found}, which ships"
    with suppress(UsageError):  # the bodies differ
        if not match(donor, settings).notes:
            return donor, f"{note}, and the network starts there; --scratch trains without it"
    return replace(donor, linear_only=True), f"{note}; --scratch trains without it"


def held_back(donor: Donor, plan: Plan) -> Plan:
    """Return a plan without test cutoffs on days that the donor was fitted on.

    Validation cutoffs on days that the ready-made model has seen are dropped too.
    """
    plan, seen = plan.held_back_from(donor.metadata.test_start), donor.metadata.ready_made
    return plan if seen is None else plan.validated_after(seen.until)


def describe_transfer(donor: Donor, settings: Settings, plan: Plan) -> tuple[str, ...]:
    """Return notes on re-initialised parts, and on settings taken from the donor."""
    notes, until = _new(donor, settings), donor.metadata.test_start
    seen = donor.metadata.ready_made
    if seen is not None and plan.validation_start is not None:
        shown = f"{seen.model} has seen the days up to {seen.until}"
        if plan.validates and plan.validation_start <= seen.until:
            notes.append(f"{shown}: windows up to that day do not validate")
        elif not plan.validates:
            notes.append(f"{shown}: no later window validates, so nothing chooses the epoch")
    if not plan.validates:
        settled = " and ".join(_settled(donor, settings)) or "nothing"
        notes.append(f"no validation part of its own; taken from {donor.reference}: {settled}")
    elif plan.validation_start is not None and plan.validation_start < until:
        fitted = f"{donor.reference} was fitted on days before {until}"
        notes.append(f"{fitted}: validation before that day flatters")
    return tuple(notes)


def describe_donor(donor: Donor, settings: Settings, plan: Plan) -> dict[str, Any]:
    """Return the metadata on a version's donor.

    how : text for users. new : parts not copied. learning_rates : of each phase.
    """
    rates = [phase.learning_rate for phase in donor.phases(settings.train.learning_rate)]
    has_span = plan.validation_start is not None
    frozen = [] if donor.freeze is None else [f"{donor.freeze} frozen"]
    frozen += ["its linear fan alone"] * donor.linear_only
    how = [*frozen, f"learning rate {', then '.join(f'{rate:g}' for rate in rates)}"]
    return {
        "model": str(donor.reference),
        "weights_sha256": donor.metadata.weights_sha256,
        "how": ", ".join(how),
        "new": _new(donor, settings),
        "linear_only": donor.linear_only,
        "freeze": donor.freeze,
        "learning_rates": rates,
        # Validation rows that the ready-made model has seen are not used for training either.
        "validation": "own" if plan.validates else "seen" if has_span else "none",
        "of_the_donor": [] if plan.validates else _settled(donor, settings),
    }


def _new(donor: Donor, settings: Settings) -> list[str]:
    """Return a sentence for each part that is not copied."""
    return [] if donor.linear_only else list(match(donor, settings).notes)


def _settled(donor: Donor, settings: Settings) -> list[str]:
    """Return what a model without validation takes from the donor apart from weights."""
    passes = settings.train.epochs == max(1, donor.metadata.best_epoch)
    calibrated = donor.calibration(settings) is not None
    return ["the number of passes"] * passes + ["the calibration"] * calibrated


def take_over(
    network: nn.Module, donor: nn.Module, inputs: Sequence[int | None], *, head: bool
) -> None:
    """Copy the weights of the body and, with `head`, of the head.

    inputs : (F,) index of each input of the network in the donor, None for a new one.
    """
    body, own_head = body_and_head(network)
    old_body, old_head = body_and_head(donor)
    pairs = list(zip(body.parameters(), old_body.parameters(), strict=True))
    with torch.no_grad():
        for own, old in pairs[1:]:
            own.copy_(old)
        for own, old in pairs[:1]:  # reads the inputs: (D, F), (D, F K) or (D, F, K)
            by_input = own.view(len(own), len(inputs), -1)
            old_by_input = old.view(len(old), -1, by_input.shape[2])
            for number, source in enumerate(inputs):
                if source is not None:
                    by_input[:, number] = old_by_input[:, source]
    if head:
        own_head.load_state_dict(old_head.state_dict())
