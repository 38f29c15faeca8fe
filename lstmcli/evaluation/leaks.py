"""The leak audit: replace later bars, and check that no earlier number changes.

The audit compares, bit by bit, the figures of whole runs on true prices and on prices that differ
only after a given day. It does not depend on how the figures are computed, so it also finds unknown
kinds of leaks. As a control, figures after that day must change.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.arrays import Days, Floats
from lstmcli.errors import LeakError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.market.prices import Prices

_MEMORY = 16  # bars over which a deviation from the level fades
_DEVIATION = 0.1  # of each summed move: 40 % for the sum, 14 % from bar to bar
_RANGE = 0.02


def rewritten(
    prices: Prices, after: np.datetime64, generator: np.random.Generator, shift: float = 0.0
) -> Prices:
    """Return the prices with every value of every bar later than `after` replaced by noise.

    The noise is independent of the replaced values. Its level is the last positive value kept in
    the column, or 1 if there is none; prices are also multiplied by exp(`shift`). Missing values
    are filled too; dates stay the same; dividends and splits become 0.
    """
    frame = prices.frame.copy()
    later = frame.index.to_numpy() > after
    known, rows = frame[~later], int(later.sum())

    def level(name: str) -> float:
        positive = known[name][known[name] > 0].tolist() if name in known else []
        return float(positive[-1]) if positive else 1.0

    moves = generator.normal(0.0, _DEVIATION, rows + _MEMORY - 1)
    summed = np.cumsum(np.append(0.0, moves))
    closed = level("Close") * np.exp(shift + summed[_MEMORY:] - summed[:-_MEMORY])
    opened = closed * np.exp(generator.normal(0.0, _RANGE, rows))
    above, below = np.exp(np.abs(generator.normal(0.0, _RANGE, (2, rows))))
    adjustment = level("Adj Close") / level("Close") * np.exp(generator.normal(0.0, 0.1))
    noise = {
        "Open": opened,
        "High": np.maximum(opened, closed) * above,
        "Low": np.minimum(opened, closed) / below,
        "Close": closed,
        "Adj Close": closed * adjustment,
        "Volume": level("Volume") * np.exp(generator.normal(0.0, 0.5, rows)),
        "Dividends": np.zeros(rows),
        "Stock Splits": np.zeros(rows),
    }
    for name in map(str, frame):
        if name not in noise:  # an own input
            noise[name] = _noise_like(known[name].to_numpy(np.float64), rows, generator)
    frame.loc[later] = np.column_stack([noise[str(name)] for name in frame])
    return replace(prices, frame=frame)


def _noise_like(known: Floats, rows: int, generator: np.random.Generator) -> Floats:
    """Return noise with the level and spread of known values, positive if all of them are."""
    known = known[np.isfinite(known)]
    if known.size and (known > 0.0).all():
        return np.asarray(known[-1] * np.exp(generator.normal(0.0, 0.5, rows)))
    center, spread = (known.mean(), known.std()) if known.size else (0.0, 0.0)
    return generator.normal(center, spread or 1.0, rows)


def without(prices: Prices, after: np.datetime64, bars: int | None = None) -> Prices:
    """Remove the bars later than `after`, or only the first `bars` of them."""
    later = prices.frame.index[prices.frame.index.to_numpy() > after]
    return replace(prices, frame=prices.frame.drop(later[:bars]))


Stage = Literal[
    "control", "reader", "forecast", "score", "as-of", "refit", "training", "fit", "kept", "repeat",
    "lineage",
]  # fmt: skip

EVEN_DAYS, RANDOM_DAYS = 5, 3
_CHANGED = 0.5  # minimum share of rows after a day that must change; a dead unit may hide a few


@dataclass(frozen=True)
class Figures:
    """Some of the numbers of a run.

    model, kind, name : the model, the kind of figures ("forecasts", "weights"), and their name.
    values : any shape; for forecasts (N, H), one row for each of the N pairs of symbol and cutoff.
    windows : symbol and cutoff of each row, (N,) each; rows with a cutoff after a day may depend on
        bars after it.
    labels : names along the last axis if it is not the horizon.
    """

    model: str
    kind: str
    name: str
    values: NDArray[Any]
    windows: tuple[NDArray[np.str_], Days] | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """The first number that changed (in a control: that did not), and the last true day.

    name : e.g. "median", "q0.05", "0.lstm.weight_ih_l0[3, 4]".
    symbol, cutoff, step : of a forecast; None for fitted values.
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
    """The comparison of all numbers of one kind of one model in one stage.

    after : the last days with true bars, one per replacement. difference : None if all are equal
    or, in the control stage, enough changed.
    """

    stage: Stage
    model: str
    kind: str
    after: tuple[np.datetime64, ...]
    numbers: int
    difference: Difference | None


def sample_days(cutoffs: Days, generator: np.random.Generator) -> Days:
    """Return some of the days, ascending: evenly spaced days, and a few random others."""
    days = np.unique(cutoffs)
    even = np.unique(np.linspace(0, len(days) - 1, EVEN_DAYS).round().astype(int))
    rest = np.setdiff1d(np.arange(len(days)), even)
    drawn = generator.choice(rest, min(RANDOM_DAYS, len(rest)), replace=False)
    return np.asarray(days[np.sort(np.append(even, drawn))])


def window_figures(result: Backtest) -> Iterator[Figures]:
    """Yield the windows of a backtest, and the forecasts from each."""
    values: list[tuple[str, str, str, NDArray[Any]]] = [
        ("all", "windows", "cutoff", result.cutoff[:, None]),
        ("all", "dates", "date", result.dates),
        ("all", "contexts", "last_close", result.last_close[:, None]),
        ("all", "contexts", "sigma", result.sigma[:, None]),
    ]
    for model, made in result.forecasts.items():
        values.append((model, "forecasts", "median", made.median))
        if made.quantiles is not None:
            for index, level in enumerate(made.levels):
                values.append((model, "forecasts", f"q{level}", made.quantiles[..., index]))
        if made.spread is not None:
            values.append((model, "forecasts", "spread", made.spread))
    for each in values:
        yield Figures(*each, windows=(result.symbol, result.cutoff))


def numbers_of(model: str, kind: str, tree: Any) -> Figures:
    """Return every number in nested dicts and lists, in order; None becomes NaN."""
    found = dict(_leaves(tree, ""))
    return Figures(model, kind, kind, np.array([*found.values()], np.float64), labels=tuple(found))


def compare(
    stage: Stage, after: np.datetime64, expected: Iterable[Figures], found: Iterable[Figures]
) -> list[Comparison]:
    """Compare figures to the last bit; for windows, only cutoffs up to a day.

    Figures present in only one run count as a difference, except in fits, whose numbers of epochs
    may differ, and in the control stage. In the control stage at least half the rows of later
    cutoffs must change, for each symbol and column. Otherwise a cache or a network with constant
    output may hide leaks.
    """
    ours, theirs = (_by_key(each, after, stage == "control") for each in (expected, found))
    keys = list(dict.fromkeys([*ours, *theirs]))
    if stage in ("control", "training", "fit", "kept", "repeat"):
        keys = [key for key in keys if key in ours and key in theirs]
    results = []
    for key in keys:
        a = ours.get(key) or replace(theirs[key], values=np.empty(0))
        b = theirs.get(key) or replace(a, values=np.empty(0))
        difference = _difference(after, a, b, stage == "control")
        results.append(Comparison(stage, a.model, a.kind, (after,), a.values.size, difference))
    return results


def merged(found: Iterable[Comparison]) -> list[Comparison]:
    """Merge comparisons of the same stage, model and kind; drop those without numbers."""
    together: dict[tuple[Stage, str, str], list[Comparison]] = {}
    for each in found:
        together.setdefault((each.stage, each.model, each.kind), []).append(each)
    return [
        Comparison(
            *key,
            after=tuple(dict.fromkeys(day for each in group for day in each.after)),
            numbers=sum(each.numbers for each in group),
            difference=next((each.difference for each in group if each.difference), None),
        )
        for key, group in together.items()
        if any(each.numbers or each.difference for each in group)
    ]


def is_clean(found: Iterable[Comparison]) -> bool:
    """Return whether no comparison found a difference."""
    return all(each.difference is None for each in found)


_NOTHING = "the audit proves nothing here"
_MESSAGES = {
    "control": (
        _NOTHING,
        "noise in every bar after {after} left most values unchanged, e.g. {found!r}",
        "A cache, or a network whose output is constant, hides leaks.",
    ),
    "repeat": (
        _NOTHING,
        "the same prices gave {expected!r} and then {found!r}",
        "Pass --device cpu.",
    ),
    "kept": (
        "the saved model differs from a refit on its training rows",
        "found {expected!r}, a refit on the rows up to {after} gives {found!r}",
        "It may have learned from later rows. Train it again.",
    ),
    "lineage": (
        "days that the model has seen count as unseen",
        "it records training up to {expected!r}, but its starting model up to {found!r}",
        "Train it again.",
    ),
}
_LEAK = (
    "data after a cutoff was used",
    "{expected!r} became {found!r} when the bars after {after} were replaced",
    "",
)


def leak_error(leak: Comparison, next_step: str = "") -> LeakError:
    """Return the error that names the first difference of a comparison."""
    found = leak.difference
    assert found is not None
    what, why, advice = _MESSAGES.get(leak.stage, _LEAK)
    where = [
        f"{leak.stage} stage",
        found.symbol,
        f"cutoff {found.after if found.cutoff is None else found.cutoff}",
        found.step and f"step {found.step}",
        f"{leak.kind} of {leak.model}, {found.name}",
    ]
    return LeakError(
        what,
        where=", ".join(str(part) for part in where if part),
        why=why.format(after=found.after, expected=found.expected, found=found.found),
        next_step=next_step or advice,
    )


def _leaves(tree: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(tree, dict):
        for key, each in tree.items():
            yield from _leaves(each, f"{path}.{key}".lstrip("."))
    elif isinstance(tree, list | tuple | np.ndarray):
        for index, each in enumerate(tree):
            yield from _leaves(each, f"{path}[{index}]")
    elif not isinstance(tree, str):
        yield path, np.nan if tree is None else float(tree)


def _by_key(
    figures: Iterable[Figures], after: np.datetime64, later: bool
) -> dict[tuple[str, str, str], Figures]:
    """Return the figures by model, kind and name, with rows of cutoffs up to the day or later."""
    found = {}
    for each in figures:
        if each.windows is not None:
            symbol, cutoff = each.windows
            rows = (cutoff > after) == later
            each = replace(each, values=each.values[rows], windows=(symbol[rows], cutoff[rows]))
        found[each.model, each.kind, each.name] = each
    return found


def _difference(after: np.datetime64, a: Figures, b: Figures, control: bool) -> Difference | None:
    """Return the first number that differs in any bit; in a control, the first unchanged one."""
    if a.values.shape != b.values.shape:
        return Difference(after, f"{a.name}: how many", a.values.size, b.values.size)
    wrong = _bits(a.values) != _bits(b.values)
    if control:
        assert a.windows is not None
        same, wrong = ~wrong, np.zeros_like(wrong)
        for symbol in np.unique(a.windows[0]):
            own = a.windows[0] == symbol
            wrong[own] = same[own] & (same[own].mean(axis=0) > 1.0 - _CHANGED)
    if not wrong.any():
        return None
    index = tuple(np.argwhere(wrong)[0].tolist())
    expected, found = (
        str(value) if isinstance(value, np.datetime64) else value.item()
        for value in (a.values[index], b.values[index])
    )
    if a.windows is None:
        name = a.labels[index[-1]] if a.labels else f"{a.name}{list(index) if index else ''}"
        return Difference(after, name, expected, found)
    (symbol, cutoff), (row, column) = a.windows, index
    name, step = (a.labels[column], None) if a.labels else (a.name, column + 1)
    return Difference(after, name, expected, found, str(symbol[row]), cutoff[row], step)


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    """View the memory as integers, so that NaN equals itself and 0.0 differs from -0.0."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}").reshape(values.shape)
