"""Each evaluation on a test span counted as a look at it, by the model's name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lstmcli.errors import FileError, LockedError
from lstmcli.evaluation.backtest import Backtest
from lstmcli.runs.registry import ModelRef
from lstmcli.runs.state import Look, count_look


@dataclass(frozen=True)
class Looks:
    """How often the test span of a model name was looked at, this time included."""

    name: str
    test_start: str
    count: int


def count_looks(
    data_dir: Path,
    test_starts: Mapping[ModelRef, np.datetime64],
    result: Backtest,
    price: str,
) -> tuple[tuple[Looks, ...], tuple[str, ...]]:
    """Count a backtest for each model name whose test span holds any of its cutoffs.

    Returns the counts, and a note for each name where a look could not be counted.
    """
    counts: list[Looks] = []
    notes: list[str] = []
    for name in dict.fromkeys(each.name for each in test_starts):
        versions = [each for each in test_starts if each.name == name]
        start = min(test_starts[each] for each in versions)
        inside = result.cutoff >= start
        if not inside.any():
            continue
        folder = data_dir / "models" / name
        if versions[0].folder.resolve().parent != folder.resolve():
            notes.append(f"{name} lies outside {data_dir}: this look at its test span is uncounted")
            continue
        look = Look(
            symbols=tuple(sorted(set(result.symbol[inside].tolist()))),
            price=price,
            first=str(result.cutoff[inside].min()),
            last=str(result.dates[inside, -1].max()),
        )
        try:
            count, note = count_look(folder, look, str(start))
        except (FileError, LockedError) as error:
            notes.append(f"this look at the test span of {name} was not counted: {error}")
            continue
        counts.append(Looks(name, str(start), count))
        notes += [note] if note else []
    return tuple(counts), tuple(notes)
