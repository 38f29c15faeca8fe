"""`lstmcli fetch`."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from lstmcli.cli import journal, messages, options
from lstmcli.cli.messages import BatchOptions
from lstmcli.cli.options import spread
from lstmcli.cli.progress import show_symbols


@spread
def fetch(
    *,
    symbols: list[str] | None = None,
    symbols_file: options.SymbolsFile = None,
    interval: Literal["1d", "1wk", "1mo"] = "1d",
    start: options.Day = None,
    end: options.Day = None,
    full: bool = False,
    include_partial: bool = False,
    rate: Annotated[float, dict(min=0.01, max=100)] = 2.0,
    max_wait: Annotated[float, dict(min=0)] = 600.0,
    timeout: Annotated[float | None, dict(min=0.1)] = None,
    dry_run: bool = False,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    out: BatchOptions,
) -> None:
    """Bring daily (or weekly, monthly) bars from Yahoo into the store, only what is missing.

    A failure never harms stored bars. After a stopped run the same command continues with what is
    left. Yahoo's data are for personal use.

    Example: lstmcli fetch ^GSPC AAPL MSFT

    Parameters:
        symbols [SYMBOL]...: Yahoo's symbols: AAPL, ^GSPC, BTC-USD, 0700.HK.
        --interval: Daily, weekly or monthly bars.
        --start YYYY-MM-DD: First day. [all there is]
        --end YYYY-MM-DD: Last day, included. [today]
        --full: Download the whole history again.
        --include-partial: Keep the bar of a session that is still open.
        --rate N: Most requests per second, in total.
        --max-wait SECONDS: Longest pause in total while Yahoo refuses or fails.
        --timeout SECONDS: Stop after this time, list what is left. [no limit]
        --dry-run: Show what would be requested, without requests or changes.
    """
    from lstmcli.report.data import fetch_view, format_pause
    from lstmcli.workflows.fetch import fetch as run

    if not dry_run:
        journal.begin("fetch", data_dir)
    out.check()
    wanted = options.all_symbols(symbols, symbols_file)
    with show_symbols(len(wanted), out.quiet) as advance:
        report = run(
            wanted,
            data_dir=data_dir,
            interval=interval,
            start=start,
            end=end,
            full=full,
            include_partial=include_partial,
            rate=rate,
            max_wait=max_wait,
            timeout=timeout,
            wait=wait,
            dry_run=dry_run,
            now=datetime.now(UTC),
            on_result=journal.logged("symbol", lambda result: advance()),
            on_pause=lambda *pause: out.note([format_pause(*pause)]),
        )
    steps = not dry_run and interval == "1d"
    out.emit(fetch_view(report, next_steps=steps), is_change=not dry_run)
    out.list_failures(report.failures)
    journal.count(error="", **report.counts)
    messages.count_failures(report.failures, len(report.results) - len(report.failures))
    messages.print_failures(report.failures)
    raise typer.Exit(report.exit_code)
