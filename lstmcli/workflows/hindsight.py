"""Forecasts in hindsight: from a cutoff before the last row that the model has learned from.

They know what came after, whichever symbol they are of, since markets move together.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstmcli.workflows.plan import Plan

_DAY = np.timedelta64(1, "D")


def trained_until(metadata: Mapping[str, Any]) -> np.datetime64:
    """Return the last day that a model, or one that it started from, was fitted on or chosen by."""
    split = metadata["split"]
    if "trained_until" in split:
        return np.datetime64(split["trained_until"])
    start: np.datetime64 = np.datetime64(split["test_start"])
    return start - _DAY  # of a version from before the key


def last_fitted_day(plan: Plan, donor: Mapping[str, Any] | None) -> np.datetime64:
    """Return what the metadata of a new model keep as that day. donor : the metadata of another."""
    days: list[np.datetime64] = [] if donor is None else [trained_until(donor)]
    for each, part in zip(plan.series, plan.splits, strict=True):
        days += [each.dates[part.fit_rows - 1]] if part.fit_rows else []
    return max(days)


def hindsight(metadata: Mapping[str, Any], cutoff: np.datetime64) -> str | None:
    """Return what to say of a forecast from a cutoff; None where the model knows nothing later."""
    until, chosen = trained_until(metadata), metadata["split"].get("validation_start")
    if cutoff >= until:
        return None
    those = f" (those from {chosen} on chose its epoch and calibration)" if chosen else ""
    return f"hindsight: the model was fitted on rows up to {until}, after this cutoff{those}"


def tell_hindsight(in_training: NDArray[np.bool_], until: np.datetime64) -> tuple[str, ...]:
    """Return one sentence on windows that start before that day, none where there is no such."""
    count = int(np.count_nonzero(in_training))
    if not count:
        return ()
    return (
        f"Hindsight: {count} of {in_training.size} windows start before {until}, the last day that "
        "the model was fitted on or chosen by, and prove nothing.",
    )
