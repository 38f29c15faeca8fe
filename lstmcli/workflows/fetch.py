"""Fetch: bring new bars into the store, symbol by symbol, and never harm what is there."""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

from lstmcli.errors import LstmcliError, PartialError, UsageError, common_exit_code
from lstmcli.market.symbols import check_symbol
from lstmcli.market.yahoo import Interval
from lstmcli.runs.locks import hold_store
from lstmcli.workflows.refresh import FetchResult, Status, Task, preview, refresh

__all__ = ["FetchReport", "FetchResult", "Interval", "Status", "fetch"]


@dataclass(frozen=True)
class FetchReport:
    """The results, in the order in which the symbols were given."""

    results: tuple[FetchResult, ...]

    @property
    def exit_code(self) -> int:
        """0, or 3 when some failed, the common code when all failed alike, 4 when differently."""
        codes = [result.exit_code for result in self.results if result.status == "failed"]
        if not codes:
            return 0
        if len(codes) < len(self.results):
            return PartialError.exit_code
        return common_exit_code(codes)


def fetch(
    symbols: Sequence[str],
    *,
    data_dir: Path,
    interval: Interval = "1d",
    start: date | None = None,
    end: date | None = None,
    full: bool = False,
    include_partial: bool = False,
    timeout: float = 30.0,
    wait: float = 0.0,
    dry_run: bool = False,
    now: datetime,
    on_result: Callable[[FetchResult], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> FetchReport:
    """Bring the bars of every symbol up to `now` (zone-aware); one that fails keeps what it had.

    start, end : both included. A stored history grows back to an earlier start and is never cut.
    full : ask for the whole history again and replace what differs; mends a damaged file.
    include_partial : keep the bar of a session that is still open; the next run replaces it.
    timeout : seconds for one symbol's request with its tries.
    wait : seconds to wait for another run.
    dry_run : tell what would be asked for; ask and write nothing.
    on_result : called with each result as it comes.
    Raises UsageError before anything is asked, LockedError while another run fetches.
    """
    wanted = dict.fromkeys(check_symbol(symbol) for symbol in symbols)
    _check(wanted, start, end, now)
    task = Task(data_dir, interval, start, end, full, include_partial, timeout, now, sleep)
    results = []
    with nullcontext() if dry_run else hold_store(data_dir, wait=wait):
        for symbol in wanted:
            result = _attempt(symbol, task, preview if dry_run else refresh)
            results.append(result)
            if on_result:
                on_result(result)
    return FetchReport(tuple(results))


def _attempt(symbol: str, task: Task, work: Callable[[str, Task], FetchResult]) -> FetchResult:
    """The result of one symbol, failed or not, so that the others go on."""
    try:
        return work(symbol, task)
    except LstmcliError as error:
        return FetchResult(symbol, "failed", reason=str(error), exit_code=error.exit_code)


def _check(symbols: Collection[str], start: date | None, end: date | None, now: datetime) -> None:
    if not symbols:
        raise UsageError("no symbols", next_step="Name some, or pass --symbols-file FILE.")
    latest = end or now.date()
    if start and start > latest:
        raise UsageError(
            "empty range",
            where="--start",
            why=f"found {start}, expected a date up to {latest}",
            next_step="Give an earlier --start.",
        )
