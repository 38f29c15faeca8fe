"""The leak audit: replace later bars, and check that no earlier number changes.

Figures of whole runs on true prices, and on prices that differ only after a day, are compared bit
by bit. How they are computed does not matter, so kinds of leaks need not be known in advance. As a
control, figures after the day must change.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lstmcli.errors import LeakError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.market.prices import Prices

_MEMORY = 16  # bars over which a deviation from the level fades
_DEVIATION = 0.1  # of each of the moves that add up to it: 40 % in all, 14 % from bar to bar
_RANGE = 0.02


def rewritten(
    prices: Prices, after: np.datetime64, generator: np.random.Generator, shift: float = 0.0
) -> Prices:
    """Return the prices with every value of every bar later than `after` replaced by noise.

    The noise is independent of the replaced values: about the last positive value of its column
    that stays, 1 where there is none, times exp(`shift`). Missing values are filled too; dates
    stay; there are no dividends and no splits.
    """
    frame = prices.frame.copy()
    kept = _kept(frame, after)
    if kept < len(frame):
        noise = _noise(frame.iloc[:kept], len(frame) - kept, generator, shift)
        frame.iloc[kept:] = np.column_stack([noise[str(name)] for name in frame])
    return replace(prices, frame=frame)


def cut(prices: Prices, after: np.datetime64) -> Prices:
    """Return the prices without the bars later than `after`."""
    return replace(prices, frame=prices.frame.iloc[: _kept(prices.frame, after)])


def thinned(prices: Prices, after: np.datetime64, bars: int) -> Prices:
    """Return the prices without the first bars later than `after`: the next date is another."""
    kept = _kept(prices.frame, after)
    return replace(prices, frame=prices.frame.drop(prices.frame.index[kept : kept + bars]))


def _kept(frame: pd.DataFrame, after: np.datetime64) -> int:
    return int((frame.index.to_numpy() <= after).sum())


def _noise(
    known: pd.DataFrame, rows: int, generator: np.random.Generator, shift: float
) -> dict[str, NDArray[np.float64]]:
    """Draw bars, column by column."""

    def level(name: str, default: float) -> float:
        values = known[name].to_numpy(np.float64) if name in known else np.empty(0)
        positive = values[values > 0]
        return float(positive[-1]) if len(positive) else default

    moves = generator.normal(0.0, _DEVIATION, rows + _MEMORY - 1)
    deviations = np.convolve(moves, np.ones(_MEMORY), mode="valid")
    closed = level("Close", 1.0) * np.exp(shift + deviations)
    opened = closed * np.exp(generator.normal(0.0, _RANGE, rows))
    above, below = np.exp(np.abs(generator.normal(0.0, _RANGE, (2, rows))))
    adjustment = level("Adj Close", 1.0) / level("Close", 1.0) * np.exp(generator.normal(0.0, 0.1))
    return {
        "Open": opened,
        "High": np.maximum(opened, closed) * above,
        "Low": np.minimum(opened, closed) / below,
        "Close": closed,
        "Adj Close": closed * adjustment,
        "Volume": level("Volume", 1.0) * np.exp(generator.normal(0.0, 0.5, rows)),
        "Dividends": np.zeros(rows),
        "Stock Splits": np.zeros(rows),
    }


Stage = Literal[
    "control", "reader", "forecast", "score", "as-of", "refit", "training", "fit", "kept"
]

EVEN_DAYS, RANDOM_DAYS = 5, 3
_CHANGED = 0.5  # of the rows after a day, at least: a dead unit may hide a few


@dataclass(frozen=True)
class Figures:
    """Some of the numbers of a run.

    model, kind, name : the model, what they are ("forecasts", "weights"), and which of them.
    values : any shape; for forecasts (N, H), one row for each of the N pairs of symbol and cutoff.
    symbol, cutoff : (N,) of each row; rows after a day may depend on what comes after it.
    labels : names along the last axis where it is no horizon.
    """

    model: str
    kind: str
    name: str
    values: NDArray[Any]
    symbol: NDArray[np.str_] | None = None
    cutoff: NDArray[np.datetime64] | None = None
    labels: tuple[str, ...] = ()

    def rows(self, chosen: NDArray[np.bool_]) -> "Figures":
        """Return some of the rows; only where each has a symbol and a cutoff."""
        assert self.symbol is not None
        assert self.cutoff is not None
        return replace(
            self,
            values=self.values[chosen],
            symbol=self.symbol[chosen],
            cutoff=self.cutoff[chosen],
        )


@dataclass(frozen=True)
class Difference:
    """The first number that changed (in a control: that did not), and the last true day.

    name : "median", "q0.05", "0.lstm.weight_ih_l0[3, 4]".
    symbol, cutoff, step : of a forecast; None for what is fitted.
    """

    after: np.datetime64
    name: str
    expected: float | str
    found: float | str
    symbol: str | None = None
    cutoff: np.datetime64 | None = None
    step: int | None = None


@dataclass(frozen=True)
class Comparison:
    """All numbers of one kind of one model, compared in one stage.

    after : the last days with true bars, one for each rewriting. difference : None where all are
    equal, or in the control stage all changed.
    """

    stage: Stage
    model: str
    kind: str
    after: tuple[np.datetime64, ...]
    numbers: int
    difference: Difference | None


def sample_days(
    cutoffs: NDArray[np.datetime64], generator: np.random.Generator
) -> NDArray[np.datetime64]:
    """Return some of the days, ascending: evenly spread ones, and a few random ones of the rest."""
    days = np.unique(cutoffs)
    even = np.unique(np.linspace(0, len(days) - 1, EVEN_DAYS).round().astype(int))
    rest = np.setdiff1d(np.arange(len(days)), even)
    drawn = generator.choice(rest, min(RANDOM_DAYS, len(rest)), replace=False)
    chosen: NDArray[np.datetime64] = days[np.sort(np.append(even, drawn))]
    return chosen


def backtest_figures(result: Backtest) -> Iterator[Figures]:
    """Yield the windows of a backtest, and what is forecast from each."""

    def figures(model: str, kind: str, name: str, values: NDArray[Any]) -> Figures:
        return Figures(model, kind, name, values, result.symbol, result.cutoff)

    yield figures("all", "windows", "cutoff", result.cutoff[:, None])
    yield figures("all", "dates", "date", result.dates)
    yield figures("all", "contexts", "last_close", result.last_close[:, None])
    yield figures("all", "contexts", "sigma", result.sigma[:, None])
    for model, forecast in result.forecasts.items():
        yield figures(model, "forecasts", "median", forecast.median)
        if forecast.quantiles is not None:
            for index, level in enumerate(forecast.levels):
                yield figures(model, "forecasts", f"q{level}", forecast.quantiles[..., index])
        if forecast.spread is not None:
            yield figures(model, "forecasts", "spread", forecast.spread)


def numbers_of(model: str, kind: str, tree: Any) -> Figures:
    """Return every number in nested tables and lists, in order; None becomes NaN."""
    found = list(_leaves(tree, ""))
    return Figures(
        model,
        kind,
        kind,
        np.array([value for _, value in found], dtype=np.float64),
        labels=tuple(label for label, _ in found),
    )


def up_to(figures: Iterable[Figures], day: np.datetime64) -> list[Figures]:
    """Leave out the rows of later cutoffs."""
    return [each if each.cutoff is None else each.rows(each.cutoff <= day) for each in figures]


def compare(
    stage: Stage, after: np.datetime64, expected: Sequence[Figures], found: Sequence[Figures]
) -> list[Comparison]:
    """Compare figures to the last bit; those that only one run has differ too."""
    return merged(
        Comparison(stage, a.model, a.kind, (after,), a.values.size, _first(after, a, b))
        for a, b in _pairs(expected, found)
    )


def control(
    after: np.datetime64,
    expected: Sequence[Figures],
    found: Sequence[Figures],
    kinds: Mapping[str, Sequence[str]],
) -> list[Comparison]:
    """Check that most rows of later cutoffs changed, symbol by symbol and column by column.

    kinds : the models of which each kind must change. Otherwise the audit could not find a leak:
    a cache may answer, or the output of a network may be constant.
    """
    return merged(
        _changed(after, a, b)
        for a, b in _pairs(expected, found)
        if a.model in kinds.get(a.kind, ())
    )


def in_both(
    expected: Sequence[Figures], found: Sequence[Figures]
) -> tuple[list[Figures], list[Figures]]:
    """Return the figures that both runs have."""
    ours, theirs = _by_key(expected), _by_key(found)
    both = [key for key in ours if key in theirs]
    return [ours[key] for key in both], [theirs[key] for key in both]


def merged(found: Iterable[Comparison]) -> list[Comparison]:
    """Merge comparisons of the same stage, model and kind."""
    together: dict[tuple[str, str, str], Comparison] = {}
    for each in found:
        key = (each.stage, each.model, each.kind)
        before = together.get(key)
        together[key] = (
            each
            if before is None
            else replace(
                before,
                after=tuple(dict.fromkeys(before.after + each.after)),
                numbers=before.numbers + each.numbers,
                difference=before.difference or each.difference,
            )
        )
    return [each for each in together.values() if each.numbers or each.difference]


def leak_error(leak: Comparison, next_step: str = "") -> LeakError:
    """Return the error that names the first difference of a comparison."""
    found = leak.difference
    assert found is not None
    if leak.stage == "control":
        return _proves_nothing(
            leak,
            f"noise in every bar after {found.after} left most values as they were, such as "
            f"{found.found!r}",
            next_step or "A cache, or a network whose output is constant, hides leaks.",
        )
    if leak.stage == "kept":
        return LeakError(
            "the kept model is not the one that its training rows give",
            where=_place(leak),
            why=f"found {found.expected!r}, a refit on the rows up to {found.after} gives "
            f"{found.found!r}",
            next_step=next_step or "It may have learned from later rows. Train it again.",
        )
    return LeakError(
        "what comes after a cutoff was used",
        where=_place(leak),
        why=f"{found.expected!r} became {found.found!r} when other bars took the place of those "
        f"after {found.after}",
        next_step=next_step,
    )


def check_repeats(again: Sequence[Comparison]) -> None:
    """Raise LeakError where the same prices do not give the same numbers twice."""
    for each in again:
        if each.difference is not None:
            twice = f"{each.difference.expected!r} and then {each.difference.found!r}"
            raise _proves_nothing(each, f"the same prices gave {twice}", "Pass --device cpu.")


def is_clean(found: Iterable[Comparison]) -> bool:
    """Return whether no comparison found a difference."""
    return all(each.difference is None for each in found)


def _proves_nothing(failed: Comparison, why: str, next_step: str) -> LeakError:
    what = "the audit proves nothing here"
    return LeakError(what, where=_place(failed), why=why, next_step=next_step)


def _by_key(figures: Iterable[Figures]) -> dict[tuple[str, str, str], Figures]:
    return {(each.model, each.kind, each.name): each for each in figures}


def _pairs(
    expected: Iterable[Figures], found: Iterable[Figures]
) -> Iterator[tuple[Figures, Figures]]:
    ours, theirs = _by_key(expected), _by_key(found)
    for key in dict.fromkeys([*ours, *theirs]):
        one, other = ours.get(key), theirs.get(key)
        yield one or _none(other), other or _none(one)


def _none(like: Figures | None) -> Figures:
    assert like is not None
    return replace(like, values=np.empty(0, like.values.dtype))


def _leaves(tree: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(tree, dict):
        for key, each in tree.items():
            yield from _leaves(each, f"{path}.{key}".lstrip("."))
    elif isinstance(tree, list | tuple | np.ndarray):
        for index, each in enumerate(tree):
            yield from _leaves(each, f"{path}[{index}]")
    elif not isinstance(tree, str):
        yield path, np.nan if tree is None else float(tree)


def _first(after: np.datetime64, expected: Figures, found: Figures) -> Difference | None:
    """Return the first number that is not the same bit for bit."""
    ours, theirs = expected.values, found.values
    if ours.shape != theirs.shape:
        return Difference(after, f"{expected.name}: how many", ours.size, theirs.size)
    changed = np.argwhere(_bits(ours) != _bits(theirs))
    return _at(after, expected, found, tuple(changed[0].tolist())) if len(changed) else None


def _changed(after: np.datetime64, expected: Figures, found: Figures) -> Comparison:
    assert expected.cutoff is not None
    if len(expected.values) != len(found.values):
        difference = _first(after, expected, found)
        return Comparison("control", expected.model, expected.kind, (after,), 0, difference)
    later = expected.cutoff > after
    a, b = expected.rows(later), found.rows(later)
    result = Comparison("control", a.model, a.kind, (after,), a.values.size, None)
    same = _bits(a.values) == _bits(b.values)
    if not a.labels:  # a row changes if any of its steps does
        same = np.broadcast_to(same.all(axis=1, keepdims=True), same.shape)
    assert a.symbol is not None
    for symbol in np.unique(a.symbol):
        rows = np.flatnonzero(a.symbol == symbol)
        stuck = np.flatnonzero(same[rows].mean(axis=0) > 1.0 - _CHANGED)
        if len(stuck):
            column = int(stuck[0])
            row = int(rows[same[rows, column]][0])
            return replace(result, difference=_at(after, a, b, (row, column)))
    return result


def _at(
    after: np.datetime64, expected: Figures, found: Figures, index: tuple[int, ...]
) -> Difference:
    values = _value(expected.values[index]), _value(found.values[index])
    label = expected.labels[index[-1]] if expected.labels else None
    if expected.symbol is None or expected.cutoff is None:
        name = label or f"{expected.name}{list(index) if index else ''}"
        return Difference(after, name, *values)
    row, column = index
    return Difference(
        after,
        label or expected.name,
        *values,
        symbol=str(expected.symbol[row]),
        cutoff=expected.cutoff[row],
        step=None if label else column + 1,
    )


def _value(value: Any) -> float | str:
    return str(value) if isinstance(value, np.datetime64) else value.item()


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    """View the memory as integers: NaN equals itself, 0.0 is not -0.0."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}").reshape(values.shape)


def _place(leak: Comparison) -> str:
    found = leak.difference
    assert found is not None
    what = f"{leak.kind} of {leak.model}, {found.name}"
    if found.symbol is None:
        return f"{leak.stage} stage, cutoff {found.after}, {what}"
    step = "" if found.step is None else f"step {found.step}, "
    return f"{leak.stage} stage, {found.symbol}, cutoff {found.cutoff}, {step}{what}"
