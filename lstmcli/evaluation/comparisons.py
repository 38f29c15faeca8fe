"""Tests and intervals of the difference in loss between models.

Tests use the loss of whole paths on windows from five phases of the grid, although a report shows
only one phase, so that no claim depends on the start of the first window. For phases that are not
shown, only the losses of whole paths and the forecasts at the reported steps are kept.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations, product
from typing import Literal

import numpy as np

from lstmcli.arrays import Floats
from lstmcli.evaluation import significance
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.losses import PathScores, check_forecast, window_crps
from lstmcli.evaluation.metrics import skill, squared_error
from lstmcli.evaluation.pooling import phases

SIGNIFICANT = 0.05
Loss = Literal["squared", "crps"]
LOSSES: tuple[Loss, Loss] = ("squared", "crps")
SkillIntervals = dict[tuple[Loss, str, str], significance.Interval]
"""By loss, model and the other model."""


@dataclass(frozen=True)
class LossTest:
    """Test of whether one model has less expected loss than another.

    skill : on RMSE or CRPS over the evidence. skills : the same in each of its phases. test :
    Diebold-Mariano over all phases, negative in favour of the model; its p-value counts independent
    windows. level : a claim requires a p-value below it.
    """

    skill: float | None
    skills: tuple[float | None, ...]
    test: significance.SignificanceTest
    level: float = SIGNIFICANT

    @property
    def claim(self) -> Literal["better", "worse"] | None:
        """The claim that the test supports; None unless all phases have the same sign."""
        if self.test.p is None or self.test.p >= self.level:
            return None
        signs = {each and math.copysign(1.0, each) for each in self.skills}
        statistic = self.test.statistic or 0.0
        if signs == {1.0} and statistic < 0.0:
            return "better"
        return "worse" if signs == {-1.0} and statistic > 0.0 else None


class Evidence:
    """The complete windows used in the tests between models, and their pool.

    Losses are added model by model. `windows`, (N,) each, holds the losses that the tests by symbol
    need; entries may be dropped afterwards. level : two-sided level of each chain of claims, 5 %
    divided by the number of models that a screen judges.
    """

    def __init__(self, windows: Backtest, level: float = SIGNIFICANT) -> None:
        self._level = level
        self.symbols, self.pool = windows.symbols[0], windows.pool()
        chain = phases(windows.cutoff, windows.dates[:, -1], windows.calendar)
        self._phases = [
            np.flatnonzero(chain == each).astype(np.int32)
            for each in range(int(chain.max(initial=-1)) + 1)
        ]
        self.windows: dict[tuple[Loss, str], Floats] = {}
        self._means: dict[tuple[Loss, str], tuple[Floats, list[float]]] = {}

    def add(self, loss: Loss, name: str, values: Floats) -> None:
        """Add the losses of a model, (N,), of one of the two kinds."""
        self.windows[loss, name] = values
        # Keep the mean of each observation and of each phase.
        by_phase = [self.pool.keep(each).mean(values[each]) for each in self._phases]
        self._means[loss, name] = self.pool.series(values), by_phase

    @cached_property
    def own_windows(self) -> list[int]:
        """Number of independent windows of each symbol."""
        assert self.pool.symbol is not None, "evidence has symbols"
        counted = np.flatnonzero(self.pool.unit >= 0)
        rows = counted[np.argsort(self.pool.symbol[counted], kind="stable")]
        ends = np.bincount(self.pool.symbol[counted], minlength=len(self.symbols)).cumsum()
        return [self.pool.keep(own).n_independent for own in np.split(rows, ends[:-1])]

    def knows(self, loss: Loss, *names: str) -> bool:
        """Return whether the loss of all these models is known."""
        return all((loss, name) in self._means for name in names)

    def test(self, loss: Loss, name: str, other: str) -> LossTest:
        """Test whether the expected losses of `name` and `other` differ."""
        (ours, ours_by_phase), (theirs, theirs_by_phase) = (
            self._means[loss, each] for each in (name, other)
        )
        pool = self.pool
        return LossTest(
            _skill(loss, float(ours.mean()), float(theirs.mean())) if ours.size else None,
            tuple(
                _skill(loss, *means) for means in zip(ours_by_phase, theirs_by_phase, strict=True)
            ),
            significance.diebold_mariano(ours, theirs, pool.reach, pool.n_independent),
            self._level,
        )

    def tests(self, loss: Loss, name: str, others: Iterable[str]) -> dict[str, LossTest]:
        """Test one model against others; empty if it has no such loss."""
        return {
            other: self.test(loss, name, other)
            for other in others
            if other != name and self.knows(loss, name, other)
        }


@dataclass(frozen=True)
class Pair:
    """A comparison of two models.

    loss : squared error or CRPS of the path. skill : of `model` against `other` on the shown
    windows, on RMSE or CRPS, with its 95 % block-bootstrap interval. test : on the evidence.
    """

    model: str
    other: str
    loss: Loss
    skill: float | None
    interval: significance.Interval
    test: LossTest


@dataclass(frozen=True)
class OffGrid:
    """Complete windows that are used in the tests but not shown.

    losses : by loss and model, (N,) means over whole paths. windows : at the reported steps only.
    """

    losses: dict[tuple[Loss, str], Floats]
    windows: Backtest


def grid_offsets(horizon: int) -> range:
    """Return the offsets of the five grids of windows used in the tests."""
    return range(0, horizon, -(-horizon // 5))


def reduce_grid(backtest: Backtest, steps: Sequence[int]) -> OffGrid:
    """Reduce a backtest to the figures that its tests need; the last step is always kept.

    Raises DataError if a forecast is not a usable number.
    """
    losses: dict[tuple[Loss, str], Floats] = {}
    for name, forecast in backtest.forecasts.items():
        check_forecast(name, forecast, backtest.actual)
        losses["squared", name] = squared_error(forecast.median, backtest.actual).mean(axis=1)
        if forecast.quantiles is not None:
            losses["crps", name] = window_crps(forecast.quantiles, forecast.levels, backtest.actual)
    return OffGrid(losses, backtest.at(reported_steps(backtest.steps, steps)))


def reported_steps(steps: Sequence[int], asked: Sequence[int]) -> tuple[int, ...]:
    """Return the requested steps among `steps`, and the last step."""
    *before, last = steps
    return (*(step for step in before if step in asked), last)


def _skill(loss: Loss, ours: float, theirs: float) -> float | None:
    return skill(math.sqrt(ours), math.sqrt(theirs)) if loss == "squared" else skill(ours, theirs)


def skill_intervals(losses: Mapping[Loss, Mapping[str, Floats]], reach: int) -> SkillIntervals:
    """Return 95 % block-bootstrap intervals of the skill of each model against each other.

    losses : by model, (U,) by observation in time. reach : observations that one window spans.
    """
    # A fixed seed: the same forecasts give the same intervals.
    generator, found = np.random.default_rng(0), SkillIntervals()
    for loss, series in losses.items():
        intervals = significance.bootstrap_skills(
            series,
            permutations(series, 2),
            block=1 if reach == 1 else 2 * reach,
            generator=generator,
            root=loss == "squared",
        )
        found |= {(loss, *pair): interval for pair, interval in intervals.items()}
    return found


def pairwise(
    networks: Sequence[str],
    paths: Mapping[str, PathScores],
    evidence: Evidence,
    intervals: SkillIntervals,
) -> tuple[Pair, ...]:
    """Compare every network with every other and every baseline; on CRPS too if both are fans.

    paths : scores by model, from which skills are computed.
    """
    rivals, found = [name for name in paths if name not in networks], []
    for name, other in [*combinations(networks, 2), *product(networks, rivals)]:
        for loss in LOSSES:
            if evidence.knows(loss, name, other):
                ours, theirs = (
                    paths[each].rmse if loss == "squared" else paths[each].crps
                    for each in (name, other)
                )
                interval = intervals[loss, name, other]
                test = evidence.test(loss, name, other)
                found.append(Pair(name, other, loss, skill(ours, theirs), interval, test))
    return tuple(found)


@dataclass(frozen=True)
class SymbolTest:
    """Test of one symbol's loss against that of a rival model.

    gain : mean of the rival's loss minus the model's, in units of the last price, squared for the
    squared error. p : one-sided, small if the model is better, adjusted for the number of symbols.
    None if there is no test; `why` gives the reason. n : independent windows of the symbol.
    """

    gain: float | None
    p: float | None
    n: int
    why: str | None = None


def symbol_tests(evidence: Evidence, loss: Loss, name: str, rival: str) -> dict[str, SymbolTest]:
    """Test all symbols jointly; empty for a single symbol, or without both losses."""
    if len(evidence.symbols) < 2 or name == rival or not evidence.knows(loss, name, rival):
        return {}
    pool, counts, least = evidence.pool, evidence.own_windows, significance.MIN_WINDOWS
    # The few windows of a new listing do not determine its error; it would win by chance.
    enough = np.array(counts) >= least
    gain = evidence.windows[loss, rival] - evidence.windows[loss, name]
    gains, ps = significance.joint_test(pool.by_symbol(gain), pool.reach, enough)
    found = {}
    for symbol, n, each, p in zip(evidence.symbols, counts, gains, ps, strict=True):
        few = significance.too_few(n, least) if n < least else "no variation"
        found[symbol] = SymbolTest(each, p, n, few if p is None else None)
    return found
