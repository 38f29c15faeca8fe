"""`lstmcli fetch`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from lstmcli.cli import options
from lstmcli.console import journal, messages
from lstmcli.console.declare import DEFAULT_DATA_DIR
from lstmcli.console.messages import BatchOptions
from lstmcli.console.progress import show_symbols


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
    max_wait: options.Seconds = 600.0,
    timeout: options.Timeout = None,
    dry_run: bool = False,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    wait: options.Wait = 0.0,
    out: BatchOptions,
) -> None:
    """Download prices from Yahoo Finance.

    Requests only missing bars and never damages stored ones. Run the same command again to
    continue after a stop. Yahoo's data are for personal use only.

    Examples:
        lstmcli fetch AAPL
        lstmcli fetch ^GSPC AAPL MSFT --start 2010-01-01
        lstmcli fetch --symbols-file symbols.txt --timeout 15m

    Data:
        symbols SYMBOL: Yahoo's symbols: AAPL, ^GSPC, BTC-USD, 0700.HK.
        --interval: Length of the bars.
        --start DATE: First day, e.g. 2010-01-01. [the earliest]
        --end DATE: Last day, inclusive. [today]
        --full: Download the whole history again.
        --include-partial: Keep the bar of a session that is still open.
        --dry-run: Show what would be requested; request nothing.

    Advanced:
        --rate N: Maximum requests per second.
        --max-wait TIME: Maximum total pause while Yahoo refuses requests. [10m]
    """
    from lstmcli.report.data import fetch_view, format_pause
    from lstmcli.workflows.fetch import fetch as run

    if not dry_run:
        journal.begin("fetch", data_dir)
    out.check()
    wanted = options.all_symbols(symbols, symbols_file)
    also = _read_by_models(data_dir, wanted, interval)
    out.note([f"also {other}, which {model} reads" for other, model in also.items()])
    with show_symbols(len(wanted) + len(also), out.quiet) as advance:
        report = run(
            (*wanted, *also),
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
    view = fetch_view(report, next_steps=not dry_run and interval == "1d")
    out.emit(view, unless_quiet=True)
    out.list_failures(report.failures)
    journal.count(error="", **report.counts)
    messages.count_failures(report.failures, len(report.results) - len(report.failures))
    messages.print_failures(report.failures)
    raise typer.Exit(report.exit_code)


def _read_by_models(data_dir: Path, symbols: Sequence[str], interval: str) -> dict[str, str]:
    """Return the further series that the symbols' models read, each with its model's name."""
    if not (data_dir / "models").is_dir():
        return {}  # avoids a slow import
    from lstmcli.runs.choice import symbols_read

    return symbols_read(data_dir, symbols, interval=interval)
