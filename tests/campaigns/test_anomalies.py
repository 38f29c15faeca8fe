"""Are moves called anomalies as rarely as promised, and are planted ones found?

Run with `pytest -m slow -s -n 0 tests/campaigns/test_anomalies.py`. Each series has a model of its
own, trained as `train` does it (`har`, the linear fan, which takes a fraction of a second), and is
judged by the whole workflow on days after the training; then one of these days moves by six of its
true deviations instead.
"""

from datetime import date
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from lstmcli.recipes import load_settings
from lstmcli.sources.source import Source
from lstmcli.workflows.anomalies import anomalies
from lstmcli.workflows.train import train
from tests.rows import for_each

SERIES, FITTED, JUDGED, PLANTED = 1000, 2500, 1000, 6.0
TODAY = date(2026, 1, 1)
Floats = NDArray[np.float64]


class Process(NamedTuple):
    """One-step log returns (T,), and the true deviation of each (T,)."""

    moves: Floats
    deviation: Floats


def gaussian(rows: int, generator: np.random.Generator) -> Process:
    deviation = np.full(rows, 0.01)
    return Process(deviation * generator.normal(size=rows), deviation)


def garch(rows: int, generator: np.random.Generator) -> Process:
    """GARCH(1,1) with normal innovations, alpha 0.08 and beta 0.9, of 1 % a day in the long run."""
    noise, variance = generator.normal(size=rows), np.full(rows, 1e-4)
    for t in range(1, rows):
        past = variance[t - 1]
        variance[t] = 2e-6 + (0.08 * noise[t - 1] ** 2 + 0.9) * past
    deviation = np.sqrt(variance)
    return Process(deviation * noise, deviation)


MAKERS = {"gaussian": gaussian, "garch": garch}


def judged(made: Process, folder: Path, generator: np.random.Generator) -> tuple[int, int, bool]:
    """Return false alarms, sessions judged, and whether a planted move is found."""
    rows = len(made.moves)
    days = pd.bdate_range(end="2025-12-31", periods=rows + 1)
    row = int(generator.integers(FITTED + 100, rows))
    moved = made.moves.copy()
    moved[row] = generator.choice((-1, 1)) * PLANTED * made.deviation[row]
    for name, moves in (("A", made.moves), ("B", moved)):
        closes = 100 * np.exp(np.concatenate([[0.0], np.cumsum(moves)]))
        table = pd.DataFrame({"Date": days, "Close": closes})
        (folder / name).mkdir(exist_ok=True)
        table.to_csv(folder / name / "S.csv", index=False)
    last = days[FITTED - 1].date()
    changes = ["model.network=har", f"split.train_end={last}", "train.device=cpu"]
    settings = load_settings("default", changes)
    of = partial(Source, folder, TODAY)
    train(
        settings, of(csv=(str(folder / "A/S.csv"),)), name="own", scratch=True, promotion="always"
    )
    calm, wild = (
        anomalies(of(csv=(str(folder / name / "S.csv"),)), model="own", since=date(1990, 1, 1))
        for name in ("A", "B")
    )
    assert calm.judged == rows + 1 - FITTED
    return len(calm.found), calm.judged, str(days[row + 1])[:10] in {x.date for x in wild.found}


def campaign(kind: str, folder: Path, series: int, rows: int) -> tuple[float, float, float]:
    """Return false alarms over nominal, their standard error, and the share of planted found."""
    generator = np.random.default_rng([len(kind), 1])
    done = [judged(MAKERS[kind](rows, generator), folder, generator) for _ in range(series)]
    alarms, sessions, hits = np.array(done, dtype=np.float64).T
    ratios = alarms / sessions / 0.001
    return ratios.mean(), ratios.std(ddof=1) / np.sqrt(series), hits.mean()


@pytest.mark.slow
@for_each("kind", list(MAKERS))
def test_false_alarms_are_as_many_as_promised_and_planted_moves_are_found(
    kind: str, tmp_path: Path
) -> None:
    ratio, error, share = campaign(kind, tmp_path, SERIES, FITTED + JUDGED)
    print(f"{kind}: false alarms {ratio:.2f} +- {error:.2f} of nominal, found {share:.1%}")
    assert 0.67 <= ratio <= 1.5, kind
    assert share >= 0.99
