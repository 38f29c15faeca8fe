"""Models whose prices are no longer what they were: marked when these change, told when used.

A mark is set before the prices change, so that a run that dies in between leaves a mark too many
rather than one too few. It goes to every model name, since a training may be under way of which
nothing can be read yet; whether a version is stale is found when it is looked at.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lstmcli.runs.registry import ModelRef, all_names, model_folder
from lstmcli.runs.state import StaleMark, mark_stale, stale_marks

PRICES = ("Close", "Adj Close")
_SHOWN = 3


def mark_restated(
    data_dir: Path, symbol: str, interval: str, prices: Sequence[str], reason: str
) -> None:
    """Mark what was trained on these price columns of a stored symbol up to now.

    Raises LockedError or FileError where a mark cannot be set.
    """
    if not prices:
        return
    now = datetime.now(UTC).isoformat()
    marks = [StaleMark(symbol, interval, price, now, reason) for price in prices]
    for name in all_names(data_dir):
        mark_stale(model_folder(data_dir, name), marks)


def stale_because(model: ModelRef, metadata: Mapping[str, Any]) -> tuple[StaleMark, ...]:
    """The marks that make a version stale: of what it read from the store before they were set."""
    source = metadata.get("source")
    if not isinstance(source, Mapping) or not source.get("store"):
        return ()
    trained, read_at = trained_prices(metadata), str(source.get("read_at"))
    return tuple(
        mark
        for mark in stale_marks(model.folder.parent)
        if mark.interval == metadata.get("interval")
        and mark.price == trained.get(mark.symbol)
        and mark.restated >= read_at
    )


def tell_stale(model: ModelRef, marks: Sequence[StaleMark]) -> tuple[str, ...]:
    """Return one note on a stale model, none on another."""
    if not marks:
        return ()
    latest = sorted(marks, key=lambda mark: mark.restated, reverse=True)
    shown = ", ".join(
        f"{mark.symbol} ({mark.restated[:10]}: {mark.reason})" for mark in latest[:_SHOWN]
    )
    more = f" and {len(marks) - _SHOWN} more" if len(marks) > _SHOWN else ""
    return (f"{model} was trained before the history of {shown}{more} was replaced: train again",)


def tell_adjustment(metadata: Mapping[str, Any], prices: Mapping[str, str]) -> tuple[str, ...]:
    """Return one note on symbols of which another column is forecast than was trained on.

    prices : by symbol, that column.
    """
    if not prices:
        return ()
    more = f" and {len(prices) - _SHOWN} more" if len(prices) > _SHOWN else ""
    return (
        f"the model was trained on {' and '.join(all_trained_prices(metadata))}, and forecasts "
        f"{' and '.join(sorted(set(prices.values())))} of {', '.join(list(prices)[:_SHOWN])}{more}",
    )


def is_as_trained(trained: Mapping[str, str], symbol: str, price: str) -> bool:
    """Whether training saw this column; of a symbol that it did not see, any that it saw will do.

    trained : by symbol, the column; nothing is said against a model that does not tell.
    """
    return not trained or price in (
        {trained[symbol]} if symbol in trained else set(trained.values())
    )


def all_trained_prices(metadata: Mapping[str, Any]) -> tuple[str, ...]:
    """The price columns that a version was trained on, none where it does not say."""
    return tuple(sorted(set(trained_prices(metadata).values())))


def trained_prices(metadata: Mapping[str, Any]) -> dict[str, str]:
    """By symbol, the column that a version was trained on."""
    data = metadata.get("data")
    symbols = data.get("symbols") if isinstance(data, Mapping) else None
    return {
        str(each.get("symbol")): str(each["price"])
        for each in (symbols if isinstance(symbols, list) else ())
        if isinstance(each, Mapping) and "price" in each
    }
