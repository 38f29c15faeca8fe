"""What did it remember? The gates over the window, and what masking each bar does to a forecast.

The latest bars have a row each and older ones share rows, so that a table fits on a screen; the
JSON has every bar. Bars are counted back from the cutoff, whose own bar is 1.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.console import RenderableType

from lstmcli.errors import UsageError
from lstmcli.forecasting.explain import Effect, Explanation, Floats
from lstmcli.report.console import make_table
from lstmcli.report.numbers import count, number, percent
from lstmcli.report.view import Format

_SINGLE = 10
_BLOCKS = ((50, 10), (250, 50), (1000, 250), (5000, 1000))  # up to so many bars back, so many a row
_MAIN_STEP = 20
_NOTHING = 1e-6
_SMALL = 0.1


def check_explain(asked: bool, form: Format) -> None:
    """Raise before any work is done for a format that has no place for an explanation."""
    if asked and form not in ("table", "json"):
        raise UsageError(
            "an explanation is no table of rows",
            where=f"--explain --format {form}",
            next_step="Pass --format table or json.",
        )


def explain_tables(explained: Sequence[Explanation], unit: str) -> list[RenderableType]:
    """Show the gates and the effects of each forecast, with a line that reads them.

    unit : the word for the distance of two bars.
    """
    shown: list[RenderableType] = []
    for found in explained:
        shown.append(_gate_table(found, unit))
        shown += [
            _effect_table(found, *each) for each in _effects(found) if _moves(each[1], slice(None))
        ]
        shown += readings(found, unit)
    return [*shown, _legend(explained[0])] if shown else []


def explain_document(found: Explanation, unit: str) -> dict[str, Any]:
    """Return every number: by bar from the oldest, and for effects by step within it."""
    return {
        "dates": [str(day) for day in found.dates],
        "steps": list(found.steps),
        "median": _lists(found.median),
        "width_80": None if found.width is None else _lists(found.width),
        "gates": [
            {"layer": gate.layer, "gate": gate.name, "openness": gate.openness.tolist()}
            for gate in found.gates
        ],
        "readings": readings(found, unit),
    }


def readings(found: Explanation, unit: str) -> list[str]:
    """Read each effect at the main step in one line, in numbers that stand in the document."""
    step = _main_step(found)
    at = found.steps.index(step)
    lines = []
    for name, effect in _effects(found):
        what = f"the {name} at step {step}"
        if not _moves(effect, at):
            lines.append(f"{found.symbol}: no bar moves {what}, nor do all together.")
            continue
        alone, older = effect.alone[:, at], effect.with_older[:, at]
        most = int(np.abs(alone).argmax())
        bar = f"the bar of {found.dates[most]} ({len(alone) - most} back)"
        lines.append(
            f"{found.symbol}: {bar} moves {what} most, by {_share(alone[most])}. "
            f"{_reach(older, unit)}"
        )
    return lines


def _reach(with_older: Floats, unit: str) -> str:
    """Say what is left of the effect where only the latest bars are read.

    They are as few as can be such that with them, and with any more of them, less than a tenth of
    the largest effect is left.
    """
    bars = len(with_older)
    counts = int((np.abs(with_older) >= _SMALL * np.abs(with_older).max()).argmax())
    whole = f"all {bars} by {_share(with_older[-1])}."
    if counts == 0:
        return (
            f"Even the oldest counts: masked alone it moves it by {_share(with_older[0])}, {whole}"
        )
    latest = count(bars - counts, unit)
    left = _share(with_older[counts - 1])
    return f"Masking all but the latest {latest} moves it by {left}, {whole}"


def _effects(found: Explanation) -> Iterator[tuple[str, Effect]]:
    yield "median", found.median
    if found.width is not None:
        yield "width of the 80 % band", found.width


def _moves(effect: Effect, steps: int | slice) -> bool:
    """Whether masking does anything at some of the steps, beyond the rounding of float32."""
    both = np.stack([effect.alone, effect.with_older])[..., steps]
    return bool(np.abs(both).max() > _NOTHING)


def _lists(effect: Effect) -> dict[str, Any]:
    return {"alone": effect.alone.tolist(), "with_older": effect.with_older.tolist()}


def _gate_table(found: Explanation, unit: str) -> RenderableType:
    bars = len(found.dates)
    if not found.gates:
        return f"{found.symbol}: this network has no gates; it read {count(bars, unit)}."
    table = make_table(
        f"{found.symbol}: how open the gates were, 0 to 1, mean of the cells, {count(bars, unit)}",
        ["Layer", "Gate", "Oldest third", "Middle third", "Latest third", "At the cutoff"],
        left=2,
    )
    for gate in found.gates:
        thirds = [float(part.mean()) for part in np.array_split(gate.openness, 3)]
        cells = map(number, [*thirds, float(gate.openness[-1])])
        table.add_row(str(gate.layer), gate.name, *cells)
    return table


def _effect_table(found: Explanation, name: str, effect: Effect) -> RenderableType:
    main = found.steps.index(_main_step(found))
    table = make_table(
        f"{found.symbol}: how the {name} moves when a bar is masked",
        ["Back", "Bar of", *(f"Step {each}" for each in found.steps), "With older"],
        left=2,
    )
    for newest, oldest in _groups(len(found.dates)):
        rows = slice(len(found.dates) - oldest, len(found.dates) - newest + 1)
        alone = effect.alone[rows]
        strongest = np.take_along_axis(alone, np.abs(alone).argmax(axis=0)[None], axis=0)[0]
        back = str(newest) if newest == oldest else f"{newest}-{oldest}"
        together = effect.with_older[rows][-1, main]
        table.add_row(back, str(found.dates[rows][-1]), *map(_share, [*strongest, together]))
    return table


def _groups(bars: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the last bar of each row of a table, counted back from 1."""
    start = 1
    for up_to, size in ((_SINGLE, 1), *_BLOCKS):
        while start <= min(up_to, bars):
            yield start, min(start + size - 1, bars)
            start += size


def _legend(found: Explanation) -> str:
    return (
        "Back: bars counted from the cutoff, whose own is 1. A masked bar is read as the mean of "
        "its window; where several share a row, it shows the one that moves most. With older: the "
        f"latest of the row and all before it, at step {_main_step(found)}. What is outside the "
        "network stays: the price, the volatility or the year before that its answer is scaled "
        "by, and what other bars carry of a masked one in their averages."
    )


def _main_step(found: Explanation) -> int:
    return _MAIN_STEP if _MAIN_STEP in found.steps else found.steps[-1]


def _share(value: float) -> str:
    return percent(float(value), sign=True)
