"""How a model that starts from another one is planned, and what is told and kept of that.

A new listing is too short for the splits of a recipe. Where that is so of every series, all that is
labelled trains, and what validation settles comes from the donor: passes, calibration, trends.
"""

from collections.abc import Sequence
from typing import Any

from lstmcli.config import Settings
from lstmcli.market.prices import Prices
from lstmcli.workflows.donor import Donor, match
from lstmcli.workflows.failures import AllFailedError, Failure
from lstmcli.workflows.learn import plan_prices
from lstmcli.workflows.plan import Plan


def plan_transfer(
    donor: Donor, loaded: Sequence[Prices], settings: Settings, failures: Sequence[Failure]
) -> tuple[Settings, Plan, list[Failure]]:
    """Return the settings with the passes to make, the plan, and what is not suitable.

    No day that the donor was fitted on belongs to the test span. Raises UsageError where the
    donor's body does not fit, AllFailedError where no series is long enough for anything.
    """
    match(donor, settings)
    try:
        plan, failed = plan_prices(loaded, settings, failures)
    except AllFailedError:
        if settings.split.method == "shuffled":
            raise
        plan, failed = plan_prices(loaded, settings, failures, validates=False)
        train = settings.train.model_copy(update={"epochs": donor.passes(settings)})
        settings = settings.model_copy(update={"train": train})
    return settings, plan.held_back_from(donor.test_start), failed


def tell_transfer(donor: Donor, settings: Settings, plan: Plan) -> tuple[str, ...]:
    """Return one note for each thing that is new, or that the donor settles."""
    notes = list(match(donor, settings).notes)
    if not plan.validates:
        settled = " and ".join(_settled(donor, settings)) or "nothing"
        notes.append(f"no validation part of its own; taken from {donor.reference}: {settled}")
    elif plan.validation_start is not None and plan.validation_start < donor.test_start:
        notes.append(
            f"{donor.reference} was fitted on days before {donor.test_start}: validation before "
            "that day flatters"
        )
    return tuple(notes)


def describe_donor(donor: Donor, settings: Settings, plan: Plan) -> dict[str, Any]:
    """Say what a version keeps of where it started.

    how : for people. new : what was not taken over. learning_rates : of each phase.
    """
    rates = [phase.learning_rate for phase in donor.phases(settings.train.learning_rate)]
    frozen = [] if donor.freeze is None else [f"{donor.freeze} frozen"]
    told = [*frozen, f"learning rate {', then '.join(f'{rate:g}' for rate in rates)}"]
    return {
        "model": str(donor.reference),
        "weights_sha256": donor.metadata["weights_sha256"],
        "how": ", ".join(told),
        "new": list(match(donor, settings).notes),
        "freeze": donor.freeze,
        "learning_rates": rates,
        "validation": "own" if plan.validates else "none",
        "of_the_donor": [] if plan.validates else _settled(donor, settings),
    }


def _settled(donor: Donor, settings: Settings) -> list[str]:
    """Return what a model without validation takes of the donor besides weights."""
    passes = settings.train.epochs == donor.metadata["epochs"]["best"]
    calibrated = donor.calibration(settings) is not None
    return ["the number of passes"] * passes + ["the calibration"] * calibrated
