"""Which of two forecasts costs less, and is it more than luck? Tests and intervals between models.

Everything here runs on the losses of whole paths, averaged over the symbols of each cutoff date.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.error_scores import PathScores
from lstmcli.evaluation.intervals import Interval, bootstrap_skills
from lstmcli.evaluation.losses import Losses
from lstmcli.evaluation.metrics import skill
from lstmcli.evaluation.pooling import by_date, independent, overlap
from lstmcli.evaluation.significance import SignificanceTest, diebold_mariano

Loss = Literal["squared", "crps"]
LOSSES: tuple[Loss, Loss] = ("squared", "crps")
Floats = NDArray[np.float64]
SkillIntervals = dict[tuple[Loss, str, str], Interval]
"""By loss, model and the other model; empty where none were drawn."""


@dataclass(frozen=True)
class DatedLosses:
    """Path losses by cutoff date, (D,) each, by model; `crps` holds the fans alone.

    rows : (N,) the windows that they are of. h : cutoffs that one window reaches across; 1 where no
    windows overlap.
    """

    rows: NDArray[np.bool_]
    h: int
    squared: dict[str, Floats] = field(default_factory=dict)
    crps: dict[str, Floats] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """Two models side by side on the same windows.

    loss : squared error or CRPS of the path. skill : of `model` against `other`, on RMSE or CRPS,
    with its 95 % block-bootstrap interval.
    test : Diebold-Mariano where no windows overlap; `test_all` on all cutoffs, their overlap in the
    variance. A negative statistic is in favour of `model`.
    """

    model: str
    other: str
    loss: Loss
    skill: float | None
    interval: Interval | None
    test: SignificanceTest
    test_all: SignificanceTest


@dataclass(frozen=True)
class Comparable:
    """The path losses of three choices of windows.

    some : windows of which anything has happened. whole : complete windows. apart : complete
    windows that do not overlap.
    """

    some: DatedLosses
    whole: DatedLosses
    apart: DatedLosses

    def add(self, name: str, losses: Losses, cutoff: NDArray[np.datetime64]) -> None:
        """Average the path losses of a model over the symbols of each cutoff date."""
        for each in (self.some, self.whole, self.apart):
            dates = cutoff[each.rows]
            each.squared[name] = by_date(losses.squared[each.rows], dates)[1]
            if losses.crps is not None:
                each.crps[name] = by_date(losses.crps[each.rows], dates)[1]


def whole_windows(backtest: Backtest) -> NDArray[np.bool_]:
    """Rows whose windows are complete, (N,)."""
    whole: NDArray[np.bool_] = np.all(~np.isnan(backtest.actual), axis=1)
    return whole


def windows_apart(backtest: Backtest) -> NDArray[np.bool_]:
    """Rows whose windows are complete and do not overlap, (N,)."""
    whole = whole_windows(backtest)
    apart = np.zeros(whole.shape, dtype=np.bool_)
    apart[whole] = independent(backtest.cutoff[whole], backtest.dates[whole, -1])
    return apart


def comparable(backtest: Backtest) -> Comparable:
    """Choose the windows that models are compared on, for losses to be added."""

    def dated(rows: NDArray[np.bool_]) -> DatedLosses:
        return DatedLosses(rows, overlap(backtest.cutoff[rows], backtest.dates[rows, -1]))

    some: NDArray[np.bool_] = np.any(~np.isnan(backtest.actual), axis=1)
    return Comparable(dated(some), dated(whole_windows(backtest)), dated(windows_apart(backtest)))


def loss_tests(
    losses: Mapping[str, Floats], name: str, others: Iterable[str], h: int = 1
) -> dict[str, SignificanceTest]:
    """Test one model against others; empty where it has no such loss."""
    if name not in losses:
        return {}
    return {
        other: diebold_mariano(losses[name], losses[other], h)
        for other in others
        if other != name and other in losses
    }


def skill_intervals(dated: DatedLosses, generator: np.random.Generator) -> SkillIntervals:
    """The 95 % block-bootstrap interval of the skill of every model against every other."""
    block = 1 if dated.h == 1 else 2 * dated.h
    found: SkillIntervals = {}
    for loss in LOSSES:
        losses = dated.squared if loss == "squared" else dated.crps
        intervals = bootstrap_skills(
            losses,
            permutations(losses, 2),
            block=block,
            generator=generator,
            root=loss == "squared",
        )
        found |= {(loss, *pair): interval for pair, interval in intervals.items()}
    return found


def pairwise(
    networks: Sequence[str],
    paths: Mapping[str, PathScores],
    dated: Comparable,
    intervals: SkillIntervals,
) -> tuple[Pair, ...]:
    """Every network beside every other and every baseline; CRPS where both are fans.

    paths : scores by model, to compute the skills from.
    """
    rivals = [name for name in paths if name not in networks]
    pairs = [*combinations(networks, 2), *((name, other) for name in networks for other in rivals)]
    return tuple(
        _pair(name, other, loss, paths, dated, intervals.get((loss, name, other)))
        for name, other in pairs
        for loss in LOSSES
        if loss == "squared" or {name, other} <= set(dated.whole.crps)
    )


def _pair(
    name: str,
    other: str,
    loss: Loss,
    paths: Mapping[str, PathScores],
    dated: Comparable,
    interval: Interval | None,
) -> Pair:
    near, far = (
        each.squared if loss == "squared" else each.crps for each in (dated.apart, dated.whole)
    )
    ours, theirs = (
        paths[each].rmse if loss == "squared" else paths[each].crps for each in (name, other)
    )
    return Pair(
        model=name,
        other=other,
        loss=loss,
        skill=skill(ours, theirs),
        interval=interval,
        test=diebold_mariano(near[name], near[other]),
        test_all=diebold_mariano(far[name], far[other], dated.whole.h),
    )
