"""Write the forecasts of a run into the ledger, at the steps that a grade needs."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lstmcli import __version__
from lstmcli.errors import UsageError
from lstmcli.evaluation.losses import LARGEST_MOVE
from lstmcli.evaluation.scores import HEADLINE_STEPS
from lstmcli.printable import first_few
from lstmcli.runs.ledger import Entry, append, nearest_columns

if TYPE_CHECKING:
    from lstmcli.workflows.batches import SymbolForecast
    from lstmcli.workflows.predict import PredictReport


def check_issuable(record: bool, as_of: object) -> None:
    """Raise UsageError to record a forecast from an earlier day, which anyone could make later."""
    if record and as_of is not None:
        raise UsageError(
            "nothing to record",
            where="--record --as-of",
            why="a forecast from an earlier day is made by hindsight",
            next_step="Leave one of the two out; evaluate grades past cutoffs.",
        )


def recorded(report: "PredictReport", data_dir: Path, now: datetime) -> "PredictReport":
    """Return the report as a stream that writes the ledger when all is made: before it is shown.

    now : the time of issue. The report's warnings say what was left out, or cut from the ledger.
    Raises FileError where the forecasts cannot be written: none of them is then.
    """
    issued = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def forecasts() -> Iterator["SymbolForecast"]:
        entries: list[Entry] = []
        left_out: dict[str, list[str]] = {}
        for each in report.forecasts:
            if why := _unfit(each, now):
                left_out.setdefault(why, []).append(each.symbol)
            else:
                entries.append(_ledger_entry(each, issued))
            yield each
        report.warnings.extend(append(data_dir, entries))
        for why, symbols in left_out.items():
            report.warnings.append(f"not recorded, since {why}: {first_few(symbols, 5)}")

    return replace(report, forecasts=forecasts())


def _unfit(each: "SymbolForecast", now: datetime) -> str | None:
    """Why a forecast cannot be recorded, or None."""
    # A week is dated by its first day, and a series of the user's own name may keep holidays that
    # are unknown: neither its date nor the bars missing alone say that a session is over.
    if each.behind > 0 and each.dates[0] < np.datetime64(now.astimezone(UTC).date()):
        return "the first session was over already"
    median, fan = each.forecast.median, each.forecast.quantiles
    moves = np.abs(median if fan is None else np.asarray(fan))
    if not (moves <= LARGEST_MOVE).all():  # False for NaN
        return "the forecast is no usable number"
    return None


def _ledger_entry(each: "SymbolForecast", issued: str) -> Entry:
    last = each.forecast.steps[-1]
    steps = [step for step in HEADLINE_STEPS if step < last] + [last]
    kept = each.forecast.at(steps)
    moves = kept.median[0][:, None]
    levels: tuple[float, ...] = ()
    if kept.quantiles is not None:
        columns = nearest_columns(kept.levels)
        moves = kept.quantiles[0][:, columns]
        levels = tuple(kept.levels[k] for k in columns)
    return Entry(
        issued=issued,
        model=each.by.reference.name,
        version=each.by.reference.version,
        symbol=each.symbol,
        interval=each.interval,
        price=each.price,
        cutoff=str(each.cutoff),
        last_close=each.last_close,
        context_length=each.context_length,
        steps=steps,
        dates=[str(each.dates[step - 1]) for step in steps],
        levels=levels,
        moves=moves.tolist(),
        data=each.fingerprint,
        weights=each.by.metadata.weights_sha256[:16],
        lstmcli=__version__,
    )
