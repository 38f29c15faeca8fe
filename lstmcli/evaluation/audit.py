"""The leak audit: noise takes the place of what comes after a day, and nothing before may change.

A run is any function from price tables to numbers. It is made on the true prices and on rewritten
ones, and whatever may not depend on the rewritten rows must come out the same to the last bit. How
the numbers are made is not looked at, so no kind of leak has to be thought of beforehand.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lstmcli.errors import LeakError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.noise import rewritten
from lstmcli.market.prices import Prices

Stage = Literal["forecast", "training", "fit"]
Table = Sequence[Prices]

EVEN_DAYS, RANDOM_DAYS = 5, 3


@dataclass(frozen=True)
class Figures:
    """Some of the numbers that a run came to.

    model, kind : whose they are, and what ("forecasts", "weights"). name : which of them.
    values : any shape; for forecasts (N, H), one row for each of the N pairs of symbol and cutoff.
    """

    model: str
    kind: str
    name: str
    values: NDArray[Any]
    symbol: NDArray[np.str_] | None = None
    cutoff: NDArray[np.datetime64] | None = None


@dataclass(frozen=True)
class Difference:
    """The first number that changed, and the last day whose bars had not.

    name : "median", "q0.05", "0.lstm.weight_ih_l0[3, 4]".
    symbol, cutoff, step : of a forecast; None for what is fitted.
    """

    after: np.datetime64
    name: str
    expected: float
    found: float
    symbol: str | None = None
    cutoff: np.datetime64 | None = None
    step: int | None = None


@dataclass(frozen=True)
class Comparison:
    """All numbers of one kind of one model, compared in one stage.

    after : the last days whose bars stayed, one a rewriting. difference : None where all agree.
    """

    stage: Stage
    model: str
    kind: str
    after: tuple[np.datetime64, ...]
    numbers: int
    difference: Difference | None


def audit_forecasts(
    walk: Callable[[Table], Backtest],
    prices: Table,
    true: Backtest,
    generator: np.random.Generator,
) -> list[Comparison]:
    """Compare `true`, the backtest of `prices`, with those where the bars after a cutoff are noise.

    All that is said from the cutoffs up to that one is compared. They are five spread evenly over
    the backtest, first and last among them, and three drawn by `generator`. Each time the whole
    backtest is repeated, so that its batches have the same shape. Raises LeakError where the same
    prices do not give the same forecasts twice.
    """
    found: list[Comparison] = []
    for day in sample_days(true.cutoff, generator):
        other = walk([rewritten(each, day, generator) for each in prices])
        found += compare("forecast", day, _until(true, day), _until(other, day))
    if any(each.difference for each in found):
        last = true.cutoff.max()
        _check_repeats(compare("forecast", last, _until(true, last), _until(walk(prices), last)))
    return _merged(found)


def audit_fit(
    stage: Stage,
    fit: Callable[[Table], Sequence[Figures]],
    prices: Table,
    true: Sequence[Figures],
    after: np.datetime64,
    generator: np.random.Generator,
) -> list[Comparison]:
    """Compare `true`, what a fit on `prices` came to, with a fit where later bars are noise.

    What only one of the two has is left out. Raises LeakError where the same prices do not
    give the same fit twice.
    """
    other = fit([rewritten(each, after, generator) for each in prices])
    found = compare(stage, after, *_in_both(true, other))
    if any(each.difference for each in found):
        _check_repeats(compare(stage, after, *_in_both(true, fit(prices))))
    return found


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


def compare(
    stage: Stage, after: np.datetime64, expected: Sequence[Figures], found: Sequence[Figures]
) -> list[Comparison]:
    """Compare figures pairwise to the last bit."""
    return _merged(
        Comparison(stage, a.model, a.kind, (after,), a.values.size, _first(after, a, b))
        for a, b in zip(expected, found, strict=True)
    )


def leak_error(leak: Comparison, next_step: str = "") -> LeakError:
    """Say where a comparison first differs."""
    found = leak.difference
    assert found is not None
    return LeakError(
        "what comes after a cutoff was used",
        where=_place(leak),
        why=f"{found.expected!r} with the true bars after {found.after}, {found.found!r} with "
        "noise in their place",
        next_step=next_step,
    )


def _until(result: Backtest, day: np.datetime64) -> list[Figures]:
    """Return all that is said from the cutoffs up to a day."""
    rows = result.cutoff <= day
    symbol, cutoff = result.symbol[rows], result.cutoff[rows]

    def figures(model: str, kind: str, name: str, values: NDArray[np.float64]) -> Figures:
        return Figures(model, kind, name, values[rows], symbol, cutoff)

    found = [
        figures("all", "contexts", "last_close", result.last_close[:, None]),
        figures("all", "contexts", "sigma", result.sigma[:, None]),
    ]
    for model, forecast in result.forecasts.items():
        found.append(figures(model, "forecasts", "median", forecast.median))
        if forecast.quantiles is not None:
            found += [
                figures(model, "forecasts", f"q{level}", forecast.quantiles[..., index])
                for index, level in enumerate(forecast.levels)
            ]
        if forecast.spread is not None:
            found.append(figures(model, "forecasts", "spread", forecast.spread))
    return found


def _first(after: np.datetime64, expected: Figures, found: Figures) -> Difference | None:
    """Return the first number that is not the same bit for bit."""
    ours, theirs = expected.values, found.values
    if ours.shape != theirs.shape:
        return Difference(after, f"{expected.name}: how many", ours.size, theirs.size)
    changed = np.argwhere(_bits(ours) != _bits(theirs))
    if not len(changed):
        return None
    index = tuple(changed[0].tolist())
    values = ours[index].item(), theirs[index].item()
    if expected.symbol is None or expected.cutoff is None:
        return Difference(after, f"{expected.name}{list(index) if index else ''}", *values)
    row, step = index
    return Difference(
        after,
        expected.name,
        *values,
        symbol=str(expected.symbol[row]),
        cutoff=expected.cutoff[row],
        step=step + 1,
    )


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    """The same memory as integers: NaN equals itself, 0.0 is not -0.0."""
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}").reshape(values.shape)


def _merged(found: Iterable[Comparison]) -> list[Comparison]:
    """Put comparisons of the same kind of the same model together."""
    merged: dict[tuple[str, str], Comparison] = {}
    for each in found:
        key = (each.model, each.kind)
        before = merged.get(key)
        merged[key] = (
            each
            if before is None
            else replace(
                before,
                after=tuple(dict.fromkeys(before.after + each.after)),
                numbers=before.numbers + each.numbers,
                difference=before.difference or each.difference,
            )
        )
    return list(merged.values())


def _in_both(
    expected: Sequence[Figures], found: Sequence[Figures]
) -> tuple[list[Figures], list[Figures]]:
    ours = {(each.model, each.kind, each.name): each for each in expected}
    theirs = {(each.model, each.kind, each.name): each for each in found}
    both = [key for key in ours if key in theirs]
    return [ours[key] for key in both], [theirs[key] for key in both]


def _check_repeats(control: Sequence[Comparison]) -> None:
    for each in control:
        if each.difference is not None:
            raise LeakError(
                "the audit proves nothing here",
                where=_place(each),
                why=f"the same prices gave {each.difference.expected!r} and then "
                f"{each.difference.found!r}",
                next_step="Pass --device cpu.",
            )


def _place(leak: Comparison) -> str:
    found = leak.difference
    assert found is not None
    what = f"{leak.kind} of {leak.model}, {found.name}"
    if found.symbol is None:
        return f"{leak.stage} stage, cutoff {found.after}, {what}"
    return f"{leak.stage} stage, {found.symbol}, cutoff {found.cutoff}, step {found.step}, {what}"
