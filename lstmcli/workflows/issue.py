"""Issue: forecasts written into the ledger before anyone sees them, to be graded one day.

Kept are the steps and levels that a grade needs. What could have been known by hindsight is no
forecast: one whose first session was over is left out, and says so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lstmcli import __version__
from lstmcli.errors import UsageError
from lstmcli.evaluation.losses import LARGEST_MOVE
from lstmcli.evaluation.scores import HEADLINE_STEPS
from lstmcli.printable import first_few
from lstmcli.runs.ledger import Entry, append
from lstmcli.workflows.predict import PredictReport
from lstmcli.workflows.symbol_forecast import SymbolForecast

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
_HEX_DIGITS = 16


def check_issuable(as_of: object) -> None:
    """Raise UsageError for a forecast from an earlier day, which anyone could make afterwards."""
    if as_of is not None:
        raise UsageError(
            "nothing to record",
            where="--record --as-of",
            why="a forecast from an earlier day is made by hindsight",
            next_step="Leave one of the two out; evaluate grades past cutoffs.",
        )


def recorded(report: PredictReport, data_dir: Path, now: datetime) -> PredictReport:
    """Return the report as a stream that writes the ledger when all is made: before it is shown.

    now : the time of issue. The report's warnings say what was left out, or cut from the ledger.
    Raises FileError where the forecasts cannot be written: none of them is then.
    """
    issued = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def forecasts() -> Iterator[SymbolForecast]:
        entries: list[Entry] = []
        left_out: dict[str, str] = {}
        for each in report.forecasts:
            why = _unfit(each, now)
            if why is None:
                entries.append(_entry(each, report, issued))
            else:
                left_out[each.symbol] = why
            yield each
        report.warnings.extend(append(data_dir, entries))
        report.warnings.extend(_told(why, left_out) for why in dict.fromkeys(left_out.values()))

    return replace(report, forecasts=forecasts())


def _told(why: str, left_out: Mapping[str, str]) -> str:
    symbols = [symbol for symbol, own in left_out.items() if own == why]
    return f"not recorded, since {why}: {first_few(symbols, 5)}"


def _unfit(each: SymbolForecast, now: datetime) -> str | None:
    """Why a forecast cannot be recorded, or None."""
    if _is_late(each, now):
        return "the first session was over already"
    fan = each.forecast.quantiles
    moves = each.forecast.median if fan is None else np.asarray(fan)
    if not (np.abs(moves) <= LARGEST_MOVE).all():  # False for NaN
        return "the forecast is no usable number"
    return None


def _is_late(each: SymbolForecast, now: datetime) -> bool:
    """Whether the first session forecast was over: by its date, and by complete bars missing.

    Of either alone neither is sure: a week is dated by its first day, and a series of the user's
    own name may keep holidays that are unknown.
    """
    return each.behind > 0 and bool(each.dates[0] < np.datetime64(now.astimezone(UTC).date()))


def _entry(each: SymbolForecast, report: PredictReport, issued: str) -> Entry:
    last = each.forecast.steps[-1]
    steps = [step for step in HEADLINE_STEPS if step < last] + [last]
    kept = each.forecast.at(steps)
    moves = kept.median[0][:, None]
    levels: tuple[float, ...] = ()
    if kept.quantiles is not None:
        columns = _nearest_columns(kept.levels)
        moves = kept.quantiles[0][:, columns]
        levels = tuple(kept.levels[k] for k in columns)
    return Entry(
        issued=issued,
        model=report.model.name,
        version=report.model.version,
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
        weights=str(report.metadata["weights_sha256"])[:_HEX_DIGITS],
        lstmcli=__version__,
    )


def _nearest_columns(levels: tuple[float, ...]) -> list[int]:
    """Return where the levels lie that come nearest to those wanted, each once."""
    at: NDArray[np.float64] = np.asarray(levels)
    return sorted({int(np.argmin(np.abs(at - level))) for level in LEVELS})
