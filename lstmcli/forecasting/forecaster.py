"""The forecasts of a trained model from cutoffs of any number of series, a batch at a time."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.dataset.windows import contexts, flat_cutoffs, join
from lstmcli.errors import DataError
from lstmcli.forecasting.forecast import Forecast
from lstmcli.forecasting.model import TrainedModel
from lstmcli.forecasting.recursive import recurse

_BATCH = 2048


def forecast(
    model: TrainedModel,
    series: Sequence[Series],
    cutoffs: Sequence[NDArray[np.int64]],
    *,
    horizon: int | None = None,
) -> Forecast:
    """Forecast `horizon` steps (the trained number unless given) from each series' cutoff rows.

    The N forecasts stand in the order of the series, then of their cutoffs. Each is a function of
    the `context_length` rows up to and including its cutoff, and of nothing else. Raises DataError
    where a cutoff has too few rows behind it.
    """
    window = model.settings.window
    for each, rows in zip(series, cutoffs, strict=True):
        if rows.min(initial=window.context_length) < window.context_length - 1:
            raise DataError(
                f"needs {window.context_length} rows up to a cutoff, has {rows.min() + 1}",
                where=each.symbol,
                next_step="Give a longer series.",
            )
    windows = join(series).to(model.device)
    index = flat_cutoffs(windows, cutoffs).to(model.device)
    parts = [
        recurse(
            model.network,
            contexts(windows, batch, window.context_length),
            horizon=horizon or window.horizon,
            inputs=series[0].inputs,
            scaling=window.scaling,
            fitted=model.fitted,
            rebase=window.rebase,
        )
        for batch in torch.split(index, _BATCH)
    ]
    return Forecast(median=np.concatenate([part.median for part in parts]))
