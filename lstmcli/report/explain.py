"""Explain a forecast: its gates, and the effects of masking bars and inputs."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from rich.console import RenderableType

from lstmcli.errors import UsageError
from lstmcli.forecasting.explain import Effect, Explanation, InputEffect
from lstmcli.printable import count_of
from lstmcli.report import Format
from lstmcli.report.tables import Prose, make_table, number, percent

# Bars, counted back from 1, at which a row of a table begins.
_ROWS = (
    *(*range(1, 11), *range(11, 51, 10), *range(51, 251, 50)),
    *(*range(251, 1001, 250), *range(1001, 5001, 1000)),
)
_MAIN_STEP = 20
_NOTHING = 1e-6  # smaller effects may be float32 rounding
_SMALL = 0.1


def check_explain(asked: bool, form: Format) -> None:
    """Raise UsageError before the work starts if the format cannot hold an explanation."""
    if asked and form not in ("table", "json"):
        raise UsageError(
            "an explanation is not a table of rows",
            where=f"--explain --format {form}",
            next_step="Pass --format table or json.",
        )


def explain_tables(explained: Sequence[Explanation], unit: str) -> list[RenderableType]:
    """Show the gates and effects of each forecast, and describe them in words.

    unit : the word for the distance between two bars, e.g. "session".
    """
    shown: list[RenderableType] = []
    effects = 0
    for found in explained:
        moved = {
            name: effect
            for name, effect in _effects(found).items()
            if max(np.abs(effect.alone).max(), np.abs(effect.with_older).max()) > _NOTHING
        }
        shown += ["", _gate_table(found, unit)]
        shown += (_effect_table(found, name, effect) for name, effect in moved.items())
        shown += [_input_table(found)] if found.inputs and moved else []
        shown += map(Prose, readings(found, unit))
        effects += len(moved)
    if effects:
        text = (
            "Back: bars counted back from the cutoff, which is 1. A masked bar is replaced by the "
            "mean of its window; a row of several bars shows the largest effect. With older: the "
            f"row's latest bar and all before it are masked, at step {_main_step(explained[0])}. "
            "Masking changes only the network's inputs, not the price, volatility or year before "
            "that scale its output, nor the averages in other bars that include a masked one."
        )
        shown.append(Prose(text))
    return shown


def explain_document(found: Explanation, unit: str) -> dict[str, Any]:
    """Return all numbers, by bar from the oldest, and for effects also by step."""
    median, width = (
        each and {key: values.tolist() for key, values in vars(each).items()}
        for each in (found.median, found.width)
    )
    return {
        "dates": [str(day) for day in found.dates],
        "steps": list(found.steps),
        "median": median,
        "width_80": width,
        "gates": [
            {"layer": gate.layer, "gate": gate.name, "openness": gate.openness.tolist()}
            for gate in found.gates
        ],
        **({"inputs": [_input_document(each) for each in found.inputs]} if found.inputs else {}),
        "readings": readings(found, unit),
    }


def _input_document(each: InputEffect) -> dict[str, Any]:
    width = None if each.width is None else each.width.tolist()
    return {"name": each.name, "median": each.median.tolist(), "width_80": width}


def readings(found: Explanation, unit: str) -> list[str]:
    """Describe each effect at the main step in one line, with numbers from the document.

    The line names the smallest number of latest bars such that masking all older bars has less than
    a tenth of the largest effect, for this and every larger number.
    """
    step = _main_step(found)
    at, bars = found.steps.index(step), len(found.dates)
    lines = []
    for name, effect in _effects(found).items():
        alone, older = effect.alone[:, at], effect.with_older[:, at]
        most, largest = int(np.abs(alone).argmax()), np.abs(older).max()
        if max(abs(alone[most]), largest) <= _NOTHING:
            lines.append(
                f"{found.symbol}: no bar moves the {name} at step {step}, nor do all together."
            )
            continue
        counts = int((np.abs(older) >= _SMALL * largest).argmax())
        if counts:
            latest, left = count_of(bars - counts, unit), _share(older[counts - 1])
            reach = f"Masking all but the latest {latest} moves it by {left}"
        else:
            reach = f"Even the oldest counts: masked alone it moves it by {_share(older[0])}"
        lines.append(
            f"{found.symbol}: the bar of {found.dates[most]} ({bars - most} back) moves the {name} "
            f"at step {step} most, by {_share(alone[most])}. {reach}, all {bars} by "
            f"{_share(older[-1])}."
        )
    return lines


def _effects(found: Explanation) -> dict[str, Effect]:
    width = {} if found.width is None else {"width of the 80 % band": found.width}
    return {"median": found.median} | width


def _gate_table(found: Explanation, unit: str) -> RenderableType:
    bars = count_of(len(found.dates), unit)
    if not found.gates:
        return f"{found.symbol}: this network has no gates; it reads {bars}."
    rows = []
    for gate in found.gates:
        thirds = [float(part.mean()) for part in np.array_split(gate.openness, 3)]
        rows.append([gate.layer, gate.name, *map(number, [*thirds, float(gate.openness[-1])])])
    return make_table(
        f"{found.symbol}: how open the gates were, 0 to 1, mean of the cells, {bars}",
        ["Layer", "Gate", "Oldest third", "Middle third", "Latest third", "At the cutoff"],
        rows,
        left=2,
    )


def _effect_table(found: Explanation, name: str, effect: Effect) -> RenderableType:
    main, bars, cells = found.steps.index(_main_step(found)), len(found.dates), []
    for newest, older in pairwise([*(start for start in _ROWS if start <= bars), bars + 1]):
        rows = slice(bars + 1 - older, bars - newest + 1)
        alone = effect.alone[rows]
        strongest = np.take_along_axis(alone, np.abs(alone).argmax(axis=0)[None], axis=0)[0]
        back = str(newest) if older == newest + 1 else f"{newest}-{older - 1}"
        together = effect.with_older[rows][-1, main]
        cells.append([back, found.dates[rows][-1], *map(_share, [*strongest, together])])
    return make_table(
        f"{found.symbol}: how the {name} moves when a bar is masked",
        ["Back", "Bar of", *(f"Step {each}" for each in found.steps), "With older"],
        cells,
        left=2,
    )


def _input_table(found: Explanation) -> RenderableType:
    step = _main_step(found)
    at = found.steps.index(step)
    rows = [
        [each.name, *(_share(part[at]) for part in (each.median, each.width) if part is not None)]
        for each in found.inputs
    ]
    return make_table(
        f"{found.symbol}: how step {step} moves when an input is replaced by its average",
        ["Input", *(name.capitalize() for name in _effects(found))],
        rows,
        left=1,
    )


def _main_step(found: Explanation) -> int:
    return _MAIN_STEP if _MAIN_STEP in found.steps else found.steps[-1]


def _share(value: float) -> str:
    return percent(float(value), sign=True)
