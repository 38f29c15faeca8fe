"""Several symbols tested one by one, with what it costs to have asked so often."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.backtest import Backtest, Rows
from lstmcli.evaluation.comparisons import whole_windows
from lstmcli.evaluation.losses import Losses
from lstmcli.evaluation.pooling import by_symbol, independent
from lstmcli.evaluation.significance import SignificanceTest, diebold_mariano, holm

POINT_RIVAL, FAN_RIVAL = "drift", "scaled_climatology"


@dataclass(frozen=True)
class SymbolTest:
    """Diebold-Mariano on the windows of one symbol that do not overlap.

    drift : squared error of the path against drift. climatology : its CRPS against
    scaled_climatology. The p-values ending in `_holm` are adjusted over the symbols. None where
    there is nothing to compare with, or no p-value.
    """

    drift: SignificanceTest | None
    drift_holm: float | None
    climatology: SignificanceTest | None
    climatology_holm: float | None


def symbol_tests(
    symbols: Sequence[str], reduced: Mapping[str, Losses], rows: Sequence[Rows]
) -> dict[str, dict[str, SymbolTest]]:
    """Test every model symbol by symbol; nothing for a single symbol.

    rows : of each symbol, those of its windows in the losses that do not overlap. Returns by model,
    then by symbol.
    """
    if len(symbols) < 2:
        return {name: {} for name in reduced}
    return {name: dict(zip(symbols, _tests(reduced, name, rows), strict=True)) for name in reduced}


def rows_apart(backtest: Backtest) -> list[Rows]:
    """Return the complete windows of each symbol that do not overlap, in the order of time."""
    symbols, group = by_symbol(backtest.symbol)
    order = np.lexsort((backtest.cutoff, group))
    ends = np.searchsorted(group[order], np.arange(1, len(symbols)))
    whole = whole_windows(backtest)
    found = []
    for rows in np.split(order, ends):
        rows = rows[whole[rows]]
        found.append(rows[independent(backtest.cutoff[rows], backtest.dates[rows, -1])])
    return found


def _tests(reduced: Mapping[str, Losses], name: str, rows: Sequence[Rows]) -> list[SymbolTest]:
    found = [_test(reduced, name, each) for each in rows]
    drift = holm([_p(each.drift) for each in found])
    climatology = holm([_p(each.climatology) for each in found])
    return [
        replace(each, drift_holm=p, climatology_holm=q)
        for each, p, q in zip(found, drift, climatology, strict=True)
    ]


def _test(reduced: Mapping[str, Losses], name: str, rows: Rows) -> SymbolTest:
    def test(ours: NDArray[np.float64] | None, rival: str) -> SignificanceTest | None:
        if rival == name or rival not in reduced or ours is None:
            return None
        theirs = reduced[rival].squared if rival == POINT_RIVAL else reduced[rival].crps
        return None if theirs is None else diebold_mariano(ours[rows], theirs[rows])

    own = reduced[name]
    return SymbolTest(test(own.squared, POINT_RIVAL), None, test(own.crps, FAN_RIVAL), None)


def _p(test: SignificanceTest | None) -> float | None:
    return None if test is None else test.p
