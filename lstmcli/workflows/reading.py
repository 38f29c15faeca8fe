"""The forecasts asked for, read from the ledger: a long one by a process of its own.

PyTorch and pandas are not imported here: that takes as long as the reading, which goes on beside.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from lstmcli.runs.ledger import Damage, ledger_bytes, read_ledger
from lstmcli.runs.ledger_line import Entry
from lstmcli.workflows.aside import aside
from lstmcli.workflows.issued import Issued, collect
from lstmcli.workflows.source import Source

_WORTH_A_PROCESS = 16 * 1024**2  # bytes, read in half a second


@dataclass(frozen=True)
class Reading:
    """What was issued, and the lines that are damaged and left out."""

    issued: tuple[Issued, ...]
    damages: tuple[Damage, ...]


def begin_reading(
    source: Source,
    *,
    models: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
) -> AbstractContextManager[Callable[[], Reading]]:
    """Begin to read what was issued by the models from `start` to `end`; entered, wait for it.

    Raises FileError for a ledger that cannot be read, then or later.
    """
    # A stream cannot be copied to another process, nor is it read here.
    read = partial(read_issued, replace(source, stdin=None), models=models, start=start, end=end)
    return aside(read) if ledger_bytes(source.data_dir) > _WORTH_A_PROCESS else nullcontext(read)


def read_issued(
    source: Source,
    *,
    models: Sequence[str] = (),
    start: date | None = None,
    end: date | None = None,
) -> Reading:
    """Read the same without more ado."""
    damages: list[Damage] = []
    issued = collect(_wanted(source, models, start, end, damages))
    return Reading(tuple(issued), tuple(damages))


def reference(entry: Entry) -> str:
    """Return the name and version of the model that forecast."""
    return f"{entry.model}/{entry.version}"


def _wanted(
    source: Source,
    models: Sequence[str],
    start: date | None,
    end: date | None,
    damages: list[Damage],
) -> Iterator[Entry]:
    """Yield the entries asked for; put aside what is damaged."""
    symbols, names = {symbol.upper() for symbol in source.symbols}, set(models)
    first, last = str(start or "0001-01-01"), str(end or "9999-12-31")
    for found in read_ledger(source.data_dir):
        if isinstance(found, Damage):
            damages.append(found)
        elif (
            (not symbols or found.symbol.upper() in symbols)
            and (not names or not names.isdisjoint((found.model, reference(found))))
            and first <= found.cutoff <= last
        ):
            yield found
