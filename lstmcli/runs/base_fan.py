"""The linear fan of the ready-made model, from which the baseline `har` starts if it may.

It is read without PyTorch, so that grading forecasts need not import it.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import safetensors.numpy

from lstmcli.dataset.series import Series
from lstmcli.evaluation.forecasters import Fitted
from lstmcli.forecasting.har import Har, har_of
from lstmcli.runs.metadata import (
    WEIGHTS,
    Metadata,
    naming_file,
    read_hashed,
    read_metadata,
    read_settings,
)
from lstmcli.runs.registry import ready_made

HAR = "har."  # prefix of its arrays' names in a file of weights
_MAX_BYTES = 1024**2


def drawn_to_ready_made(
    fits: Sequence[Fitted], series: Sequence[Series], horizon: int, interval: str
) -> list[Fitted]:
    """Let the baseline `har` start from the ready-made model, for cutoffs that it has not seen.

    fits : successive fits; those whose rows end before its last training day stay unchanged.
    """
    har, metadata = _read()
    if interval != metadata.interval or horizon != len(har.table):
        return list(fits)

    def has_not_seen(fit: Fitted) -> bool:
        last = (each.dates[fit.rows[each.symbol].stop - 1] for each in series)
        return all(day >= metadata.trained_until for day in last)

    return [replace(fit, start=har) if has_not_seen(fit) else fit for fit in fits]


def _read() -> tuple[Har, Metadata]:
    folder = ready_made().folder
    metadata = read_metadata(folder)
    settings = read_settings(folder, metadata)
    with naming_file(folder / WEIGHTS) as path:
        tensors = safetensors.numpy.load(read_hashed(path, _MAX_BYTES, metadata.weights_sha256))
        arrays = {
            name.removeprefix(HAR): np.array(values)
            for name, values in tensors.items()
            if name.startswith(HAR)
        }
        return har_of(arrays, settings.forecast.quantile_levels), metadata
