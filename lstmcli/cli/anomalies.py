"""`lstmcli anomalies`."""

from typing import Annotated

from lstmcli.cli import options
from lstmcli.console import journal, messages
from lstmcli.console.messages import BatchOptions, report_failures
from lstmcli.console.progress import show_work


def anomalies(
    *,
    model: options.Model = None,
    since: options.Day = None,
    steps: Annotated[int, dict(min=1, max=1000)] = 1,
    probability: Annotated[float, dict(min=1e-6, max=0.01)] = 0.001,
    fail: bool = False,
    plot: str | None = None,
    device: options.DeviceOptions,
    prices: options.PriceOptions,
    out: BatchOptions,
) -> None:
    """List moves that the previous day's forecast considered nearly impossible.

    Checks the last session of each symbol, or all sessions since a date. Sessions that the model
    was fitted on are left out.

    Examples:
        lstmcli anomalies AAPL
        lstmcli anomalies --symbols-file symbols.txt --fail --quiet
        lstmcli anomalies AAPL --since 2025-01-01 --output anomalies.csv

    Forecast:
        --since DATE: First day checked, e.g. 2025-12-31. [the last session]
        --steps N: Check moves over N sessions.
        --probability P: List moves with a two-sided probability below P.

    Output:
        --fail: Exit with code 7 if a move is found.
        --plot FILE: Plot to a .png or .svg file (-: the terminal).
    """
    with show_work(out.quiet), out.failures_listed():
        from lstmcli.report.anomalies import anomalies_view, describe_found
        from lstmcli.report.output import check_plot
        from lstmcli.workflows import anomalies as workflow

        journal.begin("anomalies", prices.data_dir)
        out.check()
        check_plot(plot, out.form)
        made = workflow.anomalies(
            prices.chosen(),
            model=model,
            since=since,
            steps=steps,
            probability=probability,
            pictured=plot is not None,
            **device.chosen,
        )
    out.show_notes(made)
    out.emit(anomalies_view(made, typed=prices.typed(model)))
    if plot is not None:
        from lstmcli.pictures.surprises import surprises
        from lstmcli.pictures.terminal_plot import draw_plot

        draw_plot(surprises(made), plot)
    messages.fail_if_found(fail, describe_found(made), made.failures, len(made.symbols))
    report_failures(made.failures, len(made.symbols))
