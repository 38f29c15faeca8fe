"""Download new bars into the store, a few symbols at a time, without harming stored ones.

An interrupted run needs no list of remaining work: symbols that are stored and up to date need no
request in the next run, and missing ones are requested first.
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

WORKERS = 4  # they share one rate limit; several, so that a slow response does not delay the others
_LAST_WRITES = 0.5  # seconds allowed after a signal; writing a file takes milliseconds

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
    """The results, in the order of the given symbols, and the cost of the run.

    requests : total number sent to the feed. waited : seconds paused after refused requests.
    """

    results: tuple[FetchResult, ...]
    requests: int = 0
    waited: float = 0.0

    @property
    def failures(self) -> tuple[Failure, ...]:
        """The symbols that failed, with the reasons."""
        failed = [each for each in self.results if each.status == "failed"]
        return tuple(Failure(each.symbol, each.reason, each.exit_code) for each in failed)

    @property
    def counts(self) -> dict[str, float]:
        """The counts that `status` shows, including those of each kind of failure."""
        return {
            "requests": self.requests,
            "seconds_waited": self.waited,
            "unanswered": sum(each.exit_code == NetworkError.exit_code for each in self.failures),
            "refused": sum(each.failure == "refused" for each in self.results),
            "stale": sum(each.behind > 0 for each in self.results),
        }

    @property
    def exit_code(self) -> int:
        """0; 3 if some symbols failed; if all failed, their common code, or 4 if codes differ.

        6 if the run ended before it reached all symbols, since the rest might have succeeded.
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
    """Update the bars of every symbol to `now` (zone-aware); failures leave bars unchanged.

    start, end : both inclusive. A stored history is extended to an earlier start, never shortened.
    full : request the whole history again and replace bars that differ; repairs a damaged file.
    include_partial : store the bar of a session that is still open; the next run replaces it.
    rate : maximum requests per second, over all symbols.
    max_wait : maximum total pause, in seconds, while the feed refuses or fails; then the run ends.
    timeout : maximum duration of the run, in seconds; None for no limit.
    wait : seconds to wait for another run.
    dry_run : report the requests that would be made; request and write nothing.
    on_result, on_pause : called with each result as it arrives; called at the start of each pause
        with the cause ("refused" or "failed") and the seconds.
    clock, sleep, random : for pauses and their jitter; tests replace them.
    Raises UsageError before any request, LockedError while another run fetches.
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
    """Refresh a few symbols at a time; return results in the given order."""

    def written(symbol: str) -> float:
        try:
            return price_path(task.data_dir, symbol, task.interval).stat().st_mtime
        except OSError:
            return 0.0

    pool, futures = ThreadPoolExecutor(WORKERS), dict[str, Future[FetchResult]]()
    try:
        for symbol in sorted(symbols, key=written):  # symbols without a file, then the oldest files
            futures[symbol] = pool.submit(_attempt, symbol, task)
        for future in as_completed(futures.values()):
            if on_result:
                on_result(future.result())
        return tuple(futures[symbol].result() for symbol in symbols)
    finally:
        # After a signal some threads are still running: let those that are writing finish; those
        # that wait for a response will not write it.
        task.gate.stop()
        pool.shutdown(wait=False, cancel_futures=True)
        wait_for([each for each in futures.values() if each.running()], timeout=_LAST_WRITES)


def _attempt(symbol: str, task: Task) -> FetchResult:
    """Return the result of one symbol; a failure is a result, so that the others continue."""
    try:
        return refresh(symbol, task)
    except LstmcliError as error:
        kind = next(kind for type_, kind in _KINDS if isinstance(error, type_))
        return FetchResult(
            symbol, "failed", reason=str(error), exit_code=error.exit_code, failure=kind
        )
