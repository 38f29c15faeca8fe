"""Tests and intervals of the difference in loss between models.

Tests use the loss of whole paths on windows that start at five phases of the grid, whichever phase
a report shows, so that no claim depends on where the first window starts. Of phases that are not
shown only the losses of whole paths and the forecasts of the reported steps are kept.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, permutations, product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.dataset.series import Series
from lstmcli.evaluation.backtest import OF_WINDOWS, Backtest, Rows
from lstmcli.evaluation.losses import Losses, PathScores, check_forecast, window_crps
from lstmcli.evaluation.metrics import skill, squared_error
from lstmcli.evaluation.pooling import Codes, Pool, blocks, by_symbol, phases
from lstmcli.evaluation.significance import (
    MIN_WINDOWS,
    Interval,
    SignificanceTest,
    bootstrap_skills,
    diebold_mariano,
    joint_test,
    too_few,
)
from lstmcli.forecasting.forecast import join_forecasts

SIGNIFICANT = 0.05
Loss = Literal["squared", "crps"]
LOSSES: tuple[Loss, Loss] = ("squared", "crps")
Floats = NDArray[np.float64]
SkillIntervals = dict[tuple[Loss, str, str], Interval]
"""By loss, model and the other model; empty where none were drawn."""


@dataclass(frozen=True)
class LossTest:
    """Test of whether one model has less expected loss than another.

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
        """Claim that the test supports; None unless every phase has the same sign."""
        if self.test.p is None or self.test.p >= self.level:
            return None
        if all(each is not None and each > 0.0 for each in self.skills):
            return "better" if (self.test.statistic or 0.0) < 0.0 else None
        if all(each is not None and each < 0.0 for each in self.skills):
            return "worse" if (self.test.statistic or 0.0) > 0.0 else None
        return None


@dataclass(frozen=True)
class PathLosses:
    """Mean losses over whole paths of N complete windows, by model.

    squared, crps : (N,) in units of the last price (squared); `crps` holds the fans alone.
    symbol, cutoff, end, calendar : (N,) of each window, as in a `Backtest`.
    """

    squared: dict[str, Floats]
    crps: dict[str, Floats]
    symbol: NDArray[np.str_]
    cutoff: NDArray[np.datetime64]
    end: NDArray[np.datetime64]
    calendar: Codes

    def join(self, others: Sequence["PathLosses"]) -> "PathLosses":
        """Return these windows and others, of the same models, in one."""
        if not others:
            return self
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
    """Windows that tests between models rest on, and how they pool.

    Losses can be added model by model, and dropped when no longer needed. level : two-sided level
    of each chain of claims, 5 % over the number of models that a screen judges.
    """

    def __init__(self, losses: PathLosses, level: float = SIGNIFICANT) -> None:
        self._level = level
        labels = losses.cutoff, losses.end, losses.calendar
        self.symbols, symbol = by_symbol(losses.symbol)
        self.pool = Pool(losses.cutoff, losses.end, symbol, blocks(*labels))
        chain = phases(*labels)
        self._phases = [
            np.flatnonzero(chain == each).astype(np.int32)
            for each in range(int(chain.max(initial=-1)) + 1)
        ]
        self._windows: dict[tuple[Loss, str], Floats] = {}
        self._means: dict[tuple[Loss, str], tuple[Floats, list[float]]] = {}
        for loss, each in zip(LOSSES, (losses.squared, losses.crps), strict=True):
            for name, values in each.items():
                self.add(loss, name, values)

    def add(self, loss: Loss, name: str, values: Floats) -> None:
        """Add one of the two losses of a model, (N,)."""
        self._windows[loss, name] = values
        # Of each observation, and the mean of each phase.
        by_phase = [self.pool.keep(each).mean(values[each]) for each in self._phases]
        self._means[loss, name] = self.pool.series(values), by_phase

    def drop(self, name: str) -> None:
        """Drop the losses of a model's windows, which tests between models do not need."""
        for loss in LOSSES:
            self._windows.pop((loss, name), None)

    @cached_property
    def own_windows(self) -> list[int]:
        """Number of independent windows of each symbol."""
        assert self.pool.symbol is not None, "evidence knows its symbols"
        counted = np.flatnonzero(self.pool.unit >= 0)
        rows = counted[np.argsort(self.pool.symbol[counted], kind="stable")]
        ends = np.bincount(self.pool.symbol[counted], minlength=len(self.symbols)).cumsum()
        return [self.pool.keep(own).n_independent for own in np.split(rows, ends[:-1])]

    def losses(self, loss: Loss) -> dict[str, Floats]:
        """Return one of the two losses of the models whose windows are kept, (N,)."""
        return {name: values for (own, name), values in self._windows.items() if own == loss}

    def knows(self, loss: Loss, *names: str) -> bool:
        """Return whether all of the models have the loss."""
        return all((loss, name) in self._means for name in names)

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
        return {
            other: self.test(loss, name, other)
            for other in others
            if other != name and self.knows(loss, name, other)
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
    """Return which windows are complete, (N,)."""
    whole: NDArray[np.bool_] = np.all(~np.isnan(backtest.actual), axis=1)
    return whole


def path_losses(backtest: Backtest) -> PathLosses:
    """Reduce a backtest to the path losses of its whole windows.

    Raises DataError when a forecast with a known outcome is not a usable number.
    """
    squared, crps, whole = {}, {}, whole_windows(backtest)
    actual = backtest.actual[whole]
    for name, forecast in backtest.forecasts.items():
        check_forecast(name, forecast, backtest.actual)
        squared[name] = squared_error(forecast.median[whole], actual).mean(axis=1)
        if forecast.quantiles is not None:
            crps[name] = window_crps(forecast.quantiles[whole], forecast.levels, actual)
    return of_windows(backtest, whole, squared, crps)


def of_windows(
    backtest: Backtest, rows: NDArray[np.bool_], squared: dict[str, Floats], crps: dict[str, Floats]
) -> PathLosses:
    """Return the losses of the chosen windows with their symbols and dates."""
    calendar = backtest.calendar
    return PathLosses(
        squared,
        crps,
        symbol=backtest.symbol[rows],
        cutoff=backtest.cutoff[rows],
        end=backtest.dates[rows, -1],
        calendar=np.zeros(rows.sum(), np.int8) if calendar is None else calendar[rows],
    )


@dataclass(frozen=True)
class Phase:
    """Windows that decide but are not shown: their path losses, and the reported steps alone."""

    losses: PathLosses
    steps: Backtest


def phase_offsets(horizon: int) -> range:
    """Return the offsets of the five grids of windows whose errors decide."""
    return range(0, horizon, -(-horizon // 5))


def reduce_phase(backtest: Backtest, steps: Sequence[int]) -> Phase:
    """Reduce a backtest to what its tests need; its last step is always reported.

    Raises DataError when a forecast with a known outcome is not a usable number.
    """
    return Phase(path_losses(backtest), backtest.at(reported_steps(backtest.steps, steps)))


def reported_steps(steps: Sequence[int], asked: Sequence[int]) -> tuple[int, ...]:
    """Return those of the steps that are requested, and the last."""
    *before, last = steps
    return (*(step for step in before if step in asked), last)


def with_phases(backtest: Backtest, phases: Sequence[Phase]) -> Backtest:
    """Append the windows of further phases to a backtest of the reported steps."""
    parts = [each for each in (backtest, *(one.steps for one in phases)) if len(each.cutoff)]
    count = sum(len(each.cutoff) for each in parts)
    return replace(
        backtest,
        **{name: np.concatenate([getattr(each, name) for each in parts]) for name in OF_WINDOWS},
        forecasts={
            name: join_forecasts((each.forecasts[name] for each in parts), count)
            for name in backtest.forecasts  # which may hold one model alone
        },
        calendar=None
        if backtest.calendar is None
        else np.concatenate([each.calendar for each in parts if each.calendar is not None]),
    )


def _skill(loss: Loss, ours: float, theirs: float) -> float | None:
    return skill(math.sqrt(ours), math.sqrt(theirs)) if loss == "squared" else skill(ours, theirs)


class Shown:
    """Mean losses of the windows shown, by observation in time."""

    def __init__(self, backtest: Backtest) -> None:
        self.some: NDArray[np.bool_] = np.any(~np.isnan(backtest.actual), axis=1)
        self._pool = backtest.pool().keep(self.some)
        self._series: dict[Loss, dict[str, Floats]] = {loss: {} for loss in LOSSES}

    def add(self, name: str, reduced: Losses) -> None:
        """Add the losses of a model."""
        for loss, values in zip(LOSSES, (reduced.squared, reduced.crps), strict=True):
            if values is not None:
                self._series[loss][name] = self._pool.series(values[self.some])

    def skill_intervals(self, generator: np.random.Generator) -> SkillIntervals:
        """Return 95 % block-bootstrap intervals of the skill of each model against each other."""
        block = 1 if self._pool.reach == 1 else 2 * self._pool.reach
        found: SkillIntervals = {}
        for loss, series in self._series.items():
            intervals = bootstrap_skills(
                series,
                permutations(series, 2),
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
    rivals, found = [name for name in paths if name not in networks], []
    for name, other in [*combinations(networks, 2), *product(networks, rivals)]:
        for loss in LOSSES:
            if evidence.knows(loss, name, other):
                ours, theirs = (
                    paths[each].rmse if loss == "squared" else paths[each].crps
                    for each in (name, other)
                )
                interval = intervals.get((loss, name, other))
                test = evidence.test(loss, name, other)
                found.append(Pair(name, other, loss, skill(ours, theirs), interval, test))
    return tuple(found)


@dataclass(frozen=True)
class SymbolTest:
    """Test of one symbol's loss against a rival model's.

    gain : mean of the rival's loss less the model's; in units of the last price, squared for the
    squared error. p : one-sided, small where the model is better, adjusted for the number of
    symbols. None where there is no test; `why` gives the reason. n : the symbol's own windows
    that are independent.
    """

    gain: float | None
    p: float | None
    n: int
    why: str | None = None


def symbol_tests(evidence: Evidence, loss: Loss, name: str, rival: str) -> dict[str, SymbolTest]:
    """Test all symbols jointly; empty for a single symbol, or without both losses."""
    known = evidence.losses(loss)
    if len(evidence.symbols) < 2 or name == rival or not {name, rival} <= set(known):
        return {}
    pool, counts = evidence.pool, evidence.own_windows
    # The error of a new listing's few windows is known too poorly: it would win by chance.
    enough = np.array(counts) >= MIN_WINDOWS
    gains, ps = joint_test(pool.by_symbol(known[rival] - known[name]), pool.reach, enough)
    found = {}
    for symbol, n, gain, p in zip(evidence.symbols, counts, gains, ps, strict=True):
        few = too_few(n, MIN_WINDOWS) if n < MIN_WINDOWS else "no variation"
        found[symbol] = SymbolTest(gain, p, n, few if p is None else None)
    return found


def forecast_phases(
    series: Sequence[Series],
    shown: Sequence[Rows],
    choose: Callable[..., list[Rows]],
    forecast_from: Callable[[list[Rows]], Backtest],
    *,
    offsets: Sequence[int],
    steps: Sequence[int],
    since: np.datetime64,
) -> tuple[NDArray[np.bool_], list[Phase]]:
    """Forecast from the phases of the grid that are not shown, from a day on; keep what decides.

    Returns which of the windows shown are of a phase, (N,), and the others.
    """
    decides = [np.zeros(len(rows), dtype=np.bool_) for rows in shown]
    further = []
    for offset in offsets:
        phase = choose(offsets=(offset,))
        for known, rows, own in zip(decides, shown, phase, strict=True):
            known |= np.isin(rows, own)
        # Baselines of a symbol are fitted on the rows up to its first window shown.
        rest = [
            np.setdiff1d(own[(own >= rows[0]) & (each.dates[own] >= since)], rows)
            for each, own, rows in zip(series, phase, shown, strict=True)
        ]
        if any(len(rows) for rows in rest):
            further.append(reduce_phase(forecast_from(rest), steps))
    return np.concatenate(decides), further
