"""Recursion: predict the next row, feed it back, `horizon` times, for all windows at once.

The window slides over its own predictions, so every column is predicted and fed back. With
`rebase` the frame is fitted anew at each step, as the training windows were; without it the first
frame is kept, which is the published lab's flaw.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from lstmcli.dataset.scaling import Scale, last_known, make_frame
from lstmcli.dataset.season import next_month, with_season
from lstmcli.forecasting.forecast import Forecast

_FURTHEST_MOVE = 1e6


def recurse(
    network: nn.Module,
    contexts: Tensor,
    *,
    horizon: int,
    inputs: Sequence[int],
    scaling: str,
    fitted: Scale | None,
    rebase: bool,
    months: Tensor | None = None,
) -> Forecast:
    """Forecast from contexts (N, L, C) of raw values, on the network's device.

    A path moves at most a million-fold either way from the value at the cutoff, so that a log move
    always exists and every scaled value is a float32, however badly the network was trained.
    """
    network.eval()
    with torch.inference_mode():
        moves = _paths(network, contexts, horizon, list(inputs), scaling, fitted, rebase, months)
    return Forecast(median=np.asarray(moves.cpu().numpy(), dtype=np.float64))


def _paths(
    network: nn.Module,
    window: Tensor,
    horizon: int,
    inputs: list[int],
    scaling: str,
    fitted: Scale | None,
    rebase: bool,
    months: Tensor | None,
) -> Tensor:
    """(n, L, C) raw windows -> (n, H) log moves of column 0 from the cutoff."""
    last = last_known(window)
    low, high = last / _FURTHEST_MOVE, last * _FURTHEST_MOVE
    first = make_frame(window, scaling, fitted)
    precision = next(network.parameters()).dtype
    predicted = []
    for _ in range(horizon):
        if rebase:
            frame = make_frame(window, scaling, fitted)
            x = frame.x
        else:
            frame = first
            x = first.apply(window).nan_to_num(0.0)
        answer = network(with_season(x[:, :, inputs], months).to(precision)).double()
        row = torch.minimum(torch.maximum(frame.invert(answer), low), high)
        predicted.append(row[:, 0])
        window = torch.cat([window[:, 1:], row[:, None]], dim=1)
        if months is not None:
            months = torch.cat([months[:, 1:], next_month(months[:, -1:])], dim=1)
    return (torch.stack(predicted, dim=1) / last[:, :1]).log()
