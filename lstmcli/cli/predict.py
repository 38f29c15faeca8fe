"""`lstmcli predict` and `lstmcli anomalies`: the sessions ahead, and past moves that surprise."""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

from lstmcli.cli import journal, messages, options
from lstmcli.cli.messages import BatchOptions, before_end, report_failures
from lstmcli.cli.options import spread
from lstmcli.cli.progress import show_work

if TYPE_CHECKING:
    from lstmcli.workflows.predict import PredictReport


@dataclass(frozen=True)
class WatchOptions:
    """Which symbols are shown first.

    Output:
        --sort KEY: Sort symbols by symbol, range, downside or age. [as given]
        --top N: Show the first N of the sorted symbols. [all]
    """

    sort: str | None = None
    top: Annotated[int | None, dict(min=1)] = None


@spread
def predict(
    *,
    model: options.Model = None,
    horizon: options.Horizon = None,
    as_of: options.Day = None,
    all_steps: bool = False,
    max_data_age: Annotated[int, dict(min=0)] = 3,
    plot: str | None = None,
    report: str | None = None,
    record: bool = False,
    explain: bool = False,
    price: list[str] | None = None,
    risk: bool = False,
    ray: options.Ray = None,
    watch: WatchOptions,
    device: options.DeviceOptions,
    prices: options.PriceOptions,
    out: BatchOptions,
) -> None:
    """Forecast the next sessions, in prices, with their dates.

    Without symbols or --csv the data that the model was trained on are used.

    Examples:
        lstmcli predict AAPL
        lstmcli predict --csv prices.csv --plot fan.png
        lstmcli predict --symbols-file symbols.txt --sort downside --top 20

    Forecast:
        --as-of DATE: Forecast from that day on, as 2025-12-31.
        --record: Keep the forecasts for `evaluate --issued`.
        --explain: Show which bars and gates made the forecast.
        --price PRICE: Chance of a close below and above it, 180 or -10%; repeatable.
        --risk: Show the loss that is exceeded with 5 %.

    Output:
        --all-steps: Show every step.
        --report FILE: Write a page with the chart and all steps to a .html file.
        --plot FILE: Draw to a .png or .svg file (-: the terminal).

    Advanced:
        --max-data-age N: Warn if the last bar is older. [3 sessions]
    """
    with ExitStack() as at_work, out.failures_listed():
        at_work.enter_context(show_work(out.quiet))
        from lstmcli.evaluation.risk import asked_prices
        from lstmcli.report.explain import check_explain
        from lstmcli.report.output import check_page, check_plot
        from lstmcli.report.predict import predict_view
        from lstmcli.report.risk import check_sort, ranked
        from lstmcli.workflows import predict as workflow
        from lstmcli.workflows.grade import check_issuable, recorded

        journal.begin("predict", prices.data_dir)
        check_issuable(record, as_of)
        out.check()
        check_plot(plot, out.form)
        check_page(report)
        check_explain(explain, out.form)
        sort = check_sort(watch.sort, watch.top)
        made = workflow.predict(
            prices.chosen(),
            model=model,
            horizon=horizon,
            as_of=as_of,
            max_data_age=max_data_age,
            stream=plot is None and report is None,
            explained=explain,
            asked=asked_prices(price or ()),
            risk=risk,
            ray=ray,
            **device.chosen,
        )
        issued = recorded(made, prices.data_dir, datetime.now(UTC)) if record else made

        def before_result() -> None:
            at_work.close()
            out.show_notes(made)

        shown = before_end(ranked(issued, sort, watch.top), before_result)
        typed = None if plot else prices.typed(model)
        out.emit(predict_view(shown, all_steps=all_steps, typed=typed, sort=sort))
    if plot is not None or report is not None:
        _draw(ranked(made, sort, watch.top), plot, report)
    report_failures(made.failures, len(made.symbols))


@spread
def anomalies(
    *,
    model: options.Model = None,
    since: options.Day = None,
    steps: Annotated[int, dict(min=1, max=1000)] = 1,
    probability: Annotated[float, dict(min=1e-6, max=0.01)] = 0.001,
    fail: bool = False,
    device: options.DeviceOptions,
    prices: options.PriceOptions,
    out: BatchOptions,
) -> None:
    """List moves that the forecast of the day before held nearly impossible.

    Judges the last session of each symbol, or all since a day. Days that the model was fitted on
    are left out.

    Examples:
        lstmcli anomalies AAPL
        lstmcli anomalies --symbols-file symbols.txt --fail --quiet
        lstmcli anomalies AAPL --since 2025-01-01 --output anomalies.csv

    Forecast:
        --since DATE: First day judged, as 2025-12-31. [the last session]
        --steps N: Judge moves over N sessions.
        --probability P: List moves with a smaller chance, both sides together.

    Output:
        --fail: Exit with 7 if a move is found.
    """
    with ExitStack() as at_work, out.failures_listed():
        at_work.enter_context(show_work(out.quiet))
        from lstmcli.report.grade import anomalies_view, describe_found
        from lstmcli.workflows import anomalies as workflow

        journal.begin("anomalies", prices.data_dir)
        out.check()
        made = workflow.anomalies(
            prices.chosen(),
            model=model,
            since=since,
            steps=steps,
            probability=probability,
            **device.chosen,
        )
    out.show_notes(made)
    out.emit(anomalies_view(made, typed=prices.typed(model)))
    messages.fail_if_found(fail, describe_found(made), made.failures, len(made.symbols))
    report_failures(made.failures, len(made.symbols))


def _draw(made: "PredictReport", plot: str | None, page: str | None) -> None:
    """Write the pictures that are asked for."""
    from lstmcli.report.fans import forecast_fans
    from lstmcli.report.page import write_forecast_page
    from lstmcli.report.terminal_plot import draw_plot

    write_forecast_page(made, page)
    draw_plot(forecast_fans(made), plot)
