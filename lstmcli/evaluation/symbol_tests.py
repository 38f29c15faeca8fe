"""Several symbols tested one by one, with what it costs to have asked so often."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.comparisons import whole_windows
from lstmcli.evaluation.losses import Losses
from lstmcli.evaluation.pooling import by_date, independent
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
    backtest: Backtest, reduced: Mapping[str, Losses], name: str
) -> dict[str, SymbolTest]:
    """Test one model symbol by symbol, in the order given; empty for a single symbol."""
    symbols = list(dict.fromkeys(backtest.symbol.tolist()))
    if len(symbols) < 2:
        return {}
    found = {each: _test(backtest, reduced, name, each) for each in symbols}
    drift = holm([_p(each.drift) for each in found.values()])
    climatology = holm([_p(each.climatology) for each in found.values()])
    return {
        symbol: replace(each, drift_holm=p, climatology_holm=q)
        for (symbol, each), p, q in zip(found.items(), drift, climatology, strict=True)
    }


def _test(backtest: Backtest, reduced: Mapping[str, Losses], name: str, symbol: str) -> SymbolTest:
    rows = np.flatnonzero((backtest.symbol == symbol) & whole_windows(backtest))
    rows = rows[independent(backtest.cutoff[rows], backtest.dates[rows, -1])]

    def test(ours: NDArray[np.float64] | None, rival: str) -> SignificanceTest | None:
        if rival == name or rival not in reduced or ours is None:
            return None
        theirs = reduced[rival].squared if rival == POINT_RIVAL else reduced[rival].crps
        if theirs is None:
            return None
        dates = backtest.cutoff[rows]
        return diebold_mariano(by_date(ours[rows], dates)[1], by_date(theirs[rows], dates)[1])

    own = reduced[name]
    return SymbolTest(test(own.squared, POINT_RIVAL), None, test(own.crps, FAN_RIVAL), None)


def _p(test: SignificanceTest | None) -> float | None:
    return None if test is None else test.p
