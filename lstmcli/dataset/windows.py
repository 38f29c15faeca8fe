"""Windows as index gathers: many cutoffs over one flat tensor, never a copy of every window.

The series of all symbols are concatenated in `values`; a window is identified by the flat row of
its cutoff. Memory grows with rows, not with windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstmcli.dataset.scaling import months_of
from lstmcli.dataset.series import Series


@dataclass(frozen=True)
class Windows:
    """All rows of S series, concatenated.

    values : (R, C) float64, R the sum of the series' lengths.
    offsets : (S,) flat row at which each series begins.
    months : (R,) month of the year of every row; None where the network does not read it.
    """

    values: Tensor
    offsets: tuple[int, ...]
    months: Tensor | None = None

    def to(self, device: torch.device) -> "Windows":
        """Return the same windows with their rows on `device`."""
        months = None if self.months is None else self.months.to(device)
        return Windows(self.values.to(device), self.offsets, months)


def join(series: Sequence[Series], *, season: bool = False) -> Windows:
    """Concatenate the series, with the months of their rows if `season` is read."""
    offsets, start = [], 0
    for each in series:
        offsets.append(start)
        start += len(each)
    values = torch.from_numpy(np.concatenate([each.values for each in series]))
    months = torch.from_numpy(np.concatenate([months_of(each.dates) for each in series]))
    return Windows(values, tuple(offsets), months if season else None)


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


def context_months(windows: Windows, cutoffs: Tensor, length: int) -> Tensor | None:
    """Return the months of those rows, (N, L); None where they are not read."""
    if windows.months is None:
        return None
    steps = torch.arange(1 - length, 1, device=cutoffs.device)
    return windows.months[cutoffs[:, None] + steps]


def futures(windows: Windows, cutoffs: Tensor, horizon: int) -> Tensor:
    """Return the rows cutoff + 1 .. cutoff + horizon of each cutoff: (N, H, C)."""
    steps = torch.arange(1, horizon + 1, device=cutoffs.device)
    return windows.values[cutoffs[:, None] + steps]
