"""Which of two forecasts costs less, and is it more than luck? Tests and intervals between models.

The loss of whole paths decides, on the evidence: windows that start at five phases of the grid, so
that no claim depends on where the first one starts.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.error_scores import PathScores
from lstmcli.evaluation.intervals import Interval, bootstrap_skills
from lstmcli.evaluation.levels import window_crps
from lstmcli.evaluation.losses import Losses, check_forecast
from lstmcli.evaluation.metrics import skill, squared_error
from lstmcli.evaluation.pooling import Pool, blocks, by_symbol, phases
from lstmcli.evaluation.significance import SignificanceTest, diebold_mariano

SIGNIFICANT = 0.05
Loss = Literal["squared", "crps"]
LOSSES: tuple[Loss, Loss] = ("squared", "crps")
Floats = NDArray[np.float64]
SkillIntervals = dict[tuple[Loss, str, str], Interval]
"""By loss, model and the other model; empty where none were drawn."""


@dataclass(frozen=True)
class LossTest:
    """Whether one model has less expected loss than another.

    skill : on RMSE or CRPS over the evidence, and `skills` in each of its phases. test :
    Diebold-Mariano over all phases, negative in favour of the model; its p counts independent
    windows. level : what p must stay below for a claim.
    """

    skill: float | None
    skills: tuple[float | None, ...]
    test: SignificanceTest
    level: float = SIGNIFICANT

    @property
    def claim(self) -> Literal["better", "worse"] | None:
        """What the test allows to be said: nothing unless every phase has the same sign."""
        if self.test.p is None or self.test.p >= self.level:
            return None
        if all(each is not None and each > 0.0 for each in self.skills):
            return "better" if (self.test.statistic or 0.0) < 0.0 else None
        if all(each is not None and each < 0.0 for each in self.skills):
            return "worse" if (self.test.statistic or 0.0) > 0.0 else None
        return None


@dataclass(frozen=True)
class PathLosses:
    """The mean losses over whole paths of N complete windows, by model.

    squared, crps : (N,) in units of the last price (squared); `crps` holds the fans alone.
    symbol, cutoff, end, calendar : (N,) of each window, as in a `Backtest`.
    """

    squared: dict[str, Floats]
    crps: dict[str, Floats]
    symbol: NDArray[np.str_]
    cutoff: NDArray[np.datetime64]
    end: NDArray[np.datetime64]
    calendar: NDArray[np.intp]

    def join(self, others: Sequence["PathLosses"]) -> "PathLosses":
        """Return these windows and others, of the same models, in one."""
        parts = [self, *others]

        def joined(label: str) -> NDArray[Any]:
            return np.concatenate([getattr(each, label) for each in parts])

        def by_model(loss: Literal["squared", "crps"]) -> dict[str, Floats]:
            names = list(getattr(self, loss))
            return {
                name: np.concatenate([getattr(each, loss)[name] for each in parts])
                for name in names
            }

        return PathLosses(
            by_model("squared"),
            by_model("crps"),
            symbol=joined("symbol"),
            cutoff=joined("cutoff"),
            end=joined("end"),
            calendar=joined("calendar"),
        )


class Evidence:
    """Windows that decide which model is better, and how they pool.

    level : two-sided, of each chain of claims; 5 % over the number of models that a screen judges.
    """

    def __init__(self, losses: PathLosses, level: float = SIGNIFICANT) -> None:
        self._losses, self._level = losses, level
        labels = losses.cutoff, losses.end, losses.calendar
        self.symbols, symbol = by_symbol(losses.symbol)
        self.pool = Pool(losses.cutoff, losses.end, symbol, blocks(*labels))
        chain = phases(*labels)
        rows = [chain == each for each in range(int(chain.max(initial=-1)) + 1)]
        self._phases = [(each, self.pool.keep(each)) for each in rows]

    def losses(self, loss: Loss) -> dict[str, Floats]:
        """Return one of the two losses, by model."""
        return self._losses.squared if loss == "squared" else self._losses.crps

    @cached_property
    def _means(self) -> dict[tuple[Loss, str], tuple[Floats, list[float]]]:
        """By loss and model: the loss of each observation, and the mean of each phase."""
        return {
            (loss, name): (
                self.pool.series(each),
                [float(pool.mean(each[rows])) for rows, pool in self._phases],
            )
            for loss in LOSSES
            for name, each in self.losses(loss).items()
        }

    def test(self, loss: Loss, name: str, other: str) -> LossTest:
        """Test whether `name` has another expected loss than `other`."""
        (ours, ours_by_phase), (theirs, theirs_by_phase) = (
            self._means[loss, each] for each in (name, other)
        )
        pool = self.pool
        return LossTest(
            _skill(loss, float(ours.mean()), float(theirs.mean())) if ours.size else None,
            tuple(
                _skill(loss, *means) for means in zip(ours_by_phase, theirs_by_phase, strict=True)
            ),
            diebold_mariano(ours, theirs, pool.reach, pool.n_independent),
            self._level,
        )

    def tests(self, loss: Loss, name: str, others: Iterable[str]) -> dict[str, LossTest]:
        """Test one model against others; empty where it has no such loss."""
        known = self.losses(loss)
        return {
            other: self.test(loss, name, other)
            for other in others
            if other != name and name in known and other in known
        }


@dataclass(frozen=True)
class Pair:
    """Two models side by side.

    loss : squared error or CRPS of the path. skill : of `model` against `other` on the windows
    shown, on RMSE or CRPS, with its 95 % block-bootstrap interval. test : on the evidence.
    """

    model: str
    other: str
    loss: Loss
    skill: float | None
    interval: Interval | None
    test: LossTest


def whole_windows(backtest: Backtest) -> NDArray[np.bool_]:
    """Rows whose windows are complete, (N,)."""
    whole: NDArray[np.bool_] = np.all(~np.isnan(backtest.actual), axis=1)
    return whole


def path_losses(backtest: Backtest) -> PathLosses:
    """Reduce a backtest to the path losses of its whole windows.

    Raises DataError when a forecast of something that happened is no usable number.
    """
    squared, crps, whole = {}, {}, whole_windows(backtest)
    actual = backtest.actual[whole]
    for name, forecast in backtest.forecasts.items():
        check_forecast(name, forecast, backtest.actual)
        squared[name] = squared_error(forecast.median[whole], actual).mean(axis=1)
        if forecast.quantiles is not None:
            crps[name] = window_crps(forecast.quantiles[whole], forecast.levels, actual)
    return _of_windows(backtest, whole, squared, crps)


def reduced_losses(
    backtest: Backtest, reduced: Mapping[str, Losses], decides: NDArray[np.bool_] | None
) -> PathLosses:
    """Return the same from losses that were reduced before, of the windows that decide."""
    rows = whole_windows(backtest)
    if decides is not None:
        rows &= decides
    squared = {name: each.squared[rows] for name, each in reduced.items()}
    crps = {name: each.crps[rows] for name, each in reduced.items() if each.crps is not None}
    return _of_windows(backtest, rows, squared, crps)


def _of_windows(
    backtest: Backtest, rows: NDArray[np.bool_], squared: dict[str, Floats], crps: dict[str, Floats]
) -> PathLosses:
    calendar = backtest.calendar
    return PathLosses(
        squared,
        crps,
        symbol=backtest.symbol[rows],
        cutoff=backtest.cutoff[rows],
        end=backtest.dates[rows, -1],
        calendar=np.zeros(rows.sum(), np.intp) if calendar is None else calendar[rows],
    )


def _skill(loss: Loss, ours: float, theirs: float) -> float | None:
    return skill(math.sqrt(ours), math.sqrt(theirs)) if loss == "squared" else skill(ours, theirs)


def skill_intervals(
    backtest: Backtest, reduced: Mapping[str, Losses], generator: np.random.Generator
) -> SkillIntervals:
    """The 95 % block-bootstrap interval of the skill of every model against every other."""
    pool = backtest.pool()
    some = np.any(~np.isnan(backtest.actual), axis=1)
    pool = pool.keep(some)
    block = 1 if pool.reach == 1 else 2 * pool.reach
    found: SkillIntervals = {}
    for loss in LOSSES:
        own = {
            name: each.squared if loss == "squared" else each.crps for name, each in reduced.items()
        }
        losses = {name: pool.series(each[some]) for name, each in own.items() if each is not None}
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
    evidence: Evidence,
    intervals: SkillIntervals,
) -> tuple[Pair, ...]:
    """Compare every network with every other and every baseline; on CRPS where both are fans.

    paths : scores by model, to compute the skills from.
    """
    rivals = [name for name in paths if name not in networks]
    pairs = [*combinations(networks, 2), *((name, other) for name in networks for other in rivals)]
    return tuple(
        _pair(name, other, loss, paths, evidence, intervals.get((loss, name, other)))
        for name, other in pairs
        for loss in LOSSES
        if loss == "squared" or {name, other} <= set(evidence.losses("crps"))
    )


def _pair(
    name: str,
    other: str,
    loss: Loss,
    paths: Mapping[str, PathScores],
    evidence: Evidence,
    interval: Interval | None,
) -> Pair:
    ours, theirs = (
        paths[each].rmse if loss == "squared" else paths[each].crps for each in (name, other)
    )
    return Pair(name, other, loss, skill(ours, theirs), interval, evidence.test(loss, name, other))
