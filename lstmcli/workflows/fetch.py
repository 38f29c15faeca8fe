"""Fetch: bring new bars into the store, a few symbols at a time, and never harm what is there.

The store is the list of what is left: what has arrived needs no request in the next run, and what
has not is asked for first.
"""

import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from concurrent.futures import wait as wait_for
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from random import Random

from lstmcli import errors
from lstmcli.errors import DataError, Failure, LstmcliError, NetworkError
from lstmcli.market.refresh import FetchResult, RefusedAnswer, Task, refresh
from lstmcli.market.symbols import check_symbol, hold_store, price_path
from lstmcli.market.throttle import Gate, Outcome, OutOfTime, RateLimited, Transient
from lstmcli.market.yahoo import Interval, NotFound, NothingInRange, quiet_yfinance

__all__ = ["FetchReport", "FetchResult", "Interval", "Outcome", "fetch"]

WORKERS = 4  # they share one rate; more than one, so that a slow answer does not hold up the others
_LAST_WRITES = 0.5  # seconds after a signal, for files that take milliseconds

_KINDS: tuple[tuple[type[LstmcliError], str], ...] = (
    (NotFound, "not found"),
    (NothingInRange, "no prices"),
    (RateLimited, "rate limited"),
    (Transient, "no answer"),
    (OutOfTime, "out of time"),
    (RefusedAnswer, "refused"),
    (DataError, "bad data"),
    (LstmcliError, "not stored"),
)


@dataclass(frozen=True)
class FetchReport:
    """The results, in the order in which the symbols were given, and what they took.

    requests : sent to the feed, in total. waited : seconds of pauses for a feed that refused.
    """

    results: tuple[FetchResult, ...]
    requests: int = 0
    waited: float = 0.0

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The symbols that failed, and why."""
        failed = [each for each in self.results if each.status == "failed"]
        return tuple(Failure(each.symbol, each.reason, each.exit_code) for each in failed)

    @property
    def counts(self) -> dict[str, float]:
        """What to keep of the run for `status`, with how the symbols without new bars failed."""
        return {
            "requests": self.requests,
            "seconds_waited": self.waited,
            "unanswered": sum(each.exit_code == NetworkError.exit_code for each in self.failures),
            "refused": sum(each.failure == "refused" for each in self.results),
            "stale": sum(each.behind > 0 for each in self.results),
        }

    @property
    def exit_code(self) -> int:
        """0, or 3 when some failed, the common code when all failed alike, 4 when differently.

        6 where the run ended before the turn of all: how the rest would have failed is not known.
        """
        codes = [failure.exit_code for failure in self.failures]
        if not codes:
            return 0
        if len(codes) < len(self.results):
            return errors.PartialError.exit_code
        ended = any(each.failure in ("rate limited", "out of time") for each in self.results)
        return NetworkError.exit_code if ended else errors.common_exit_code(codes)


def fetch(
    symbols: Sequence[str],
    *,
    data_dir: Path,
    interval: Interval = "1d",
    start: date | None = None,
    end: date | None = None,
    full: bool = False,
    include_partial: bool = False,
    rate: float = 2.0,
    max_wait: float = 600.0,
    timeout: float | None = None,
    wait: float = 0.0,
    dry_run: bool = False,
    now: datetime,
    on_result: Callable[[FetchResult], None] | None = None,
    on_pause: Callable[[Outcome, float], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] | None = None,
    random: Random | None = None,
) -> FetchReport:
    """Bring the bars of every symbol up to `now` (zone-aware); one that fails keeps what it had.

    start, end : both included. A stored history grows back to an earlier start and is never cut.
    full : ask for the whole history again and replace what differs; mends a damaged file.
    include_partial : keep the bar of a session that is still open; the next run replaces it.
    rate : most requests a second, of all symbols together.
    max_wait : seconds to pause, in all, for a feed that refuses or fails; then the run ends.
    timeout : seconds that the run may last; None for as long as it takes.
    wait : seconds to wait for another run.
    dry_run : report what would be asked for; ask and write nothing.
    on_result, on_pause : called with each result as it comes, and with the cause ("refused" or
        "failed") and the seconds of each pause as it begins.
    clock, sleep, random : for pauses and their jitter; the real ones where they are not given.
    Raises UsageError before anything is asked, LockedError while another run fetches.
    """
    wanted = dict.fromkeys(check_symbol(symbol) for symbol in symbols)
    if not wanted:
        raise errors.UsageError("no symbols", next_step="Name some, or pass --symbols-file FILE.")
    latest = end or now.date()
    if start and start > latest:
        raise errors.UsageError(
            "empty range",
            where="--start",
            why=f"found {start}, expected a date up to {latest}",
            next_step="Give an earlier --start.",
        )
    gate = Gate(
        rate=rate,
        max_wait=max_wait,
        timeout=timeout,
        clock=clock,
        random=random or Random(),
        sleep=sleep,
        on_pause=on_pause,
    )
    task = Task(data_dir, interval, start, end, full, include_partial, dry_run, now, gate)
    if dry_run:
        return FetchReport(tuple(_attempt(symbol, task) for symbol in wanted))
    with hold_store(data_dir, wait=wait), quiet_yfinance():
        results = _in_threads(wanted, task, on_result)
    return FetchReport(results, gate.requests, gate.waited)


def _in_threads(
    symbols: Collection[str], task: Task, on_result: Callable[[FetchResult], None] | None
) -> tuple[FetchResult, ...]:
    """Refresh the symbols a few at a time; results in the order given, reported as they come."""

    def written(symbol: str) -> float:
        try:
            return price_path(task.data_dir, symbol, task.interval).stat().st_mtime
        except OSError:
            return 0.0

    pool, futures = ThreadPoolExecutor(WORKERS), dict[str, Future[FetchResult]]()
    try:
        for symbol in sorted(symbols, key=written):  # those not stored, then the oldest files
            futures[symbol] = pool.submit(_attempt, symbol, task)
        for future in as_completed(futures.values()):
            if on_result:
                on_result(future.result())
        return tuple(futures[symbol].result() for symbol in symbols)
    finally:
        # After a signal some are still at work: those that write are given the time for it, and
        # those that wait for an answer will not write it.
        task.gate.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        wait_for([each for each in futures.values() if each.running()], timeout=_LAST_WRITES)


def _attempt(symbol: str, task: Task) -> FetchResult:
    """Return the result of one symbol, failed or not, so that the others go on."""
    try:
        return refresh(symbol, task)
    except LstmcliError as error:
        kind = next(kind for type_, kind in _KINDS if isinstance(error, type_))
        return FetchResult(
            symbol, "failed", reason=str(error), exit_code=error.exit_code, failure=kind
        )
