"""Windows gathered by index from one flat tensor, without copying every window in advance.

The series of all symbols are concatenated in `values`; the flat row of its cutoff identifies a
window. Memory grows with the number of rows, not of windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lstmcli.arrays import Ints
from lstmcli.dataset.inputs import scale_inputs
from lstmcli.dataset.scaling import Scale, months_of
from lstmcli.dataset.series import Series
from lstmcli.features import OwnInput


@dataclass(frozen=True)
class Extras:
    """The own inputs of every flat row, each lagged by `lags` bars.

    values : (P, E) float32, scaled. Rows of zeros (the neutral value) pad the start of each series,
        so that no lag reaches into the previous series. row : (R,) the row in `values` of each flat
        row. lags : (E,).
    """

    values: Tensor
    row: Tensor
    lags: Tensor

    def at(self, rows: Tensor) -> Tensor:
        """Return the inputs of flat rows (...): (..., E)."""
        return self._take(self.row[rows][..., None] - self.lags)

    def ahead(self, cutoffs: Tensor, steps: int) -> Tensor:
        """Return the inputs of the bars after each cutoff: (N, steps, E).

        Values that are not known at the cutoff are replaced by the last known value.
        """
        now = self.row[cutoffs][:, None, None]
        moved = torch.arange(1, steps + 1, device=cutoffs.device)[:, None]
        return self._take((now + moved - self.lags).minimum(now))

    def _take(self, rows: Tensor) -> Tensor:
        return self.values[rows, torch.arange(len(self.lags), device=rows.device)]


@dataclass(frozen=True)
class Windows:
    """All rows of S series, concatenated.

    values : (R, C) float64, R the sum of the series' lengths.
    offsets : (S,) flat row at which each series begins.
    months : (R,) month of the year of every row; None if the network does not read it.
    extras : the own inputs; None if the network reads none.
    """

    values: Tensor
    offsets: tuple[int, ...]
    months: Tensor | None = None
    extras: Extras | None = None

    def to(self, device: torch.device) -> "Windows":
        """Return the same windows with their rows on `device`."""
        months = None if self.months is None else self.months.to(device)
        extras = self.extras
        if extras is not None:
            extras = Extras(*(each.to(device) for each in vars(extras).values()))
        return Windows(self.values.to(device), self.offsets, months, extras)


def join(
    series: Sequence[Series],
    *,
    season: bool = False,
    inputs: Sequence[OwnInput] = (),
    fitted: Scale | None = None,
) -> Windows:
    """Concatenate the series, with the months of their rows if `season` is set.

    inputs, fitted : the own inputs of each series, and their scale.
    """
    offsets, start = [], 0
    for each in series:
        offsets.append(start)
        start += len(each)
    values = torch.from_numpy(np.concatenate([each.values for each in series]))
    months = torch.from_numpy(np.concatenate([months_of(each.dates) for each in series]))
    extras = _join_extras(series, inputs, fitted) if fitted is not None else None
    return Windows(values, tuple(offsets), months if season else None, extras)


def _join_extras(series: Sequence[Series], inputs: Sequence[OwnInput], fitted: Scale) -> Extras:
    most = max(each.lag for each in inputs)
    before = np.zeros((most, len(inputs)))
    parts, rows, start = [], [], 0
    for each in series:
        assert each.extras is not None, "the series was made without own inputs"
        parts += [before, scale_inputs(each.extras, fitted)]
        rows.append(np.arange(len(each)) + start + most)
        start += len(each) + most
    return Extras(
        torch.from_numpy(np.concatenate(parts)).float(),
        torch.from_numpy(np.concatenate(rows)),
        torch.tensor([each.lag for each in inputs]),
    )


def flat_cutoffs(windows: Windows, cutoffs: Sequence[Ints]) -> Tensor:
    """Convert each series' cutoff rows to flat rows, symbol by symbol: (N,) int64."""
    pairs = zip(windows.offsets, cutoffs, strict=True)
    return torch.cat([torch.from_numpy(rows) + offset for offset, rows in pairs])


def contexts(windows: Windows, cutoffs: Tensor, length: int) -> Tensor:
    """Return the rows cutoff - length + 1 .. cutoff for each cutoff: (N, L, C)."""
    return windows.values[_rows(cutoffs, length)]


def _rows(cutoffs: Tensor, length: int) -> Tensor:
    return cutoffs[:, None] + torch.arange(1 - length, 1, device=cutoffs.device)


def context_months(windows: Windows, cutoffs: Tensor, length: int) -> Tensor | None:
    """Return the months of the context rows, (N, L); None if the network does not read them."""
    return None if windows.months is None else windows.months[_rows(cutoffs, length)]


def context_extras(windows: Windows, cutoffs: Tensor, length: int, ahead: int = 0) -> Tensor | None:
    """Return the own inputs of the context rows and the next `ahead` bars: (N, L + ahead, E).

    Returns None if the network reads no own inputs.
    """
    if windows.extras is None:
        return None
    known = windows.extras.at(_rows(cutoffs, length))
    return torch.cat([known, windows.extras.ahead(cutoffs, ahead)], dim=1) if ahead else known


def with_extras(x: Tensor, extras: Tensor | None) -> Tensor:
    """Append own inputs to the scaled rows that a network reads: (N, M, F) -> (N, M, F + E).

    extras : (N, L, E), L >= M; the last M rows belong to x. None appends nothing.
    """
    return x if extras is None else torch.cat([x, extras[:, -x.shape[1] :].to(x.dtype)], dim=-1)


def futures(windows: Windows, cutoffs: Tensor, horizon: int) -> Tensor:
    """Return the rows cutoff + 1 .. cutoff + horizon for each cutoff: (N, H, C)."""
    steps = torch.arange(1, horizon + 1, device=cutoffs.device)
    return windows.values[cutoffs[:, None] + steps]
