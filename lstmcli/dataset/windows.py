"""Windows as index gathers: many cutoffs over one flat tensor, never a copy of every window.

The series of all symbols lie behind one another in `values`; a window is named by the flat row of
its cutoff. Memory grows with rows, not with windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmcli.dataset.series import Series


@dataclass(frozen=True)
class Windows:
    """All rows of S series behind one another.

    values : (R, C) float64, R the sum of the series' lengths.
    offsets : (S,) flat row at which each series begins.
    """

    values: Tensor
    offsets: tuple[int, ...]

    def to(self, device: torch.device) -> "Windows":
        """Return the same windows with their rows on `device`."""
        return Windows(self.values.to(device), self.offsets)


def join(series: Sequence[Series]) -> Windows:
    """Lay the series behind one another."""
    offsets, start = [], 0
    for each in series:
        offsets.append(start)
        start += len(each)
    return Windows(torch.cat([each.values for each in series]), tuple(offsets))


def flat_cutoffs(windows: Windows, cutoffs: Sequence[NDArray[np.int64]]) -> Tensor:
    """Turn each series' cutoff rows into flat rows, symbol by symbol: (N,) int64."""
    return torch.cat(
        [
            torch.from_numpy(rows) + offset
            for offset, rows in zip(windows.offsets, cutoffs, strict=True)
        ]
    )


def contexts(windows: Windows, cutoffs: Tensor, length: int) -> Tensor:
    """Return the rows cutoff - length + 1 .. cutoff of each cutoff: (N, L, C)."""
    steps = torch.arange(1 - length, 1, device=cutoffs.device)
    return windows.values[cutoffs[:, None] + steps]


def futures(windows: Windows, cutoffs: Tensor, horizon: int) -> Tensor:
    """Return the rows cutoff + 1 .. cutoff + horizon of each cutoff: (N, H, C)."""
    steps = torch.arange(1, horizon + 1, device=cutoffs.device)
    return windows.values[cutoffs[:, None] + steps]
