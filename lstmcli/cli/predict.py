"""`lstmcli predict`."""

from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Annotated

from lstmcli.cli import journal, options
from lstmcli.cli.messages import BatchOptions, report_failures
from lstmcli.cli.options import spread
from lstmcli.cli.progress import show_work


@spread
def predict(
    *,
    model: options.Model = None,
    horizon: options.Horizon = None,
    as_of: options.Day = None,
    all_steps: bool = False,
    max_data_age: Annotated[int, dict(min=0)] = 3,
    plot: str | None = None,
    record: bool = False,
    explain: bool = False,
    device: options.DeviceOptions,
    prices: options.PriceOptions,
    out: BatchOptions,
) -> None:
    """Forecast the next sessions, in prices, with their dates.

    Without symbols or --csv the data that the model was trained on are used.

    Examples:
        lstmcli predict AAPL
        lstmcli predict --csv prices.csv --plot fan.png
        lstmcli predict --symbols-file symbols.txt --output forecasts.csv

    Forecast:
        --as-of DATE: Forecast from that day on, as 2025-12-31.
        --record: Keep the forecasts for `evaluate --issued`.
        --explain: Show which bars and gates made the forecast.

    Output:
        --all-steps: Show every step.
        --plot FILE: Draw to a .png or .svg file (-: the terminal).

    Advanced:
        --max-data-age N: Warn if the last bar is older. [3 sessions]
    """
    with ExitStack() as at_work, out.failures_listed():
        at_work.enter_context(show_work(out.quiet))
        from lstmcli.report import fans, picture, terminal_plot
        from lstmcli.report.predict import check_explain, predict_view
        from lstmcli.workflows import predict as workflow
        from lstmcli.workflows.record import check_issuable, recorded

        journal.begin("predict", prices.data_dir)
        check_issuable(record, as_of)
        out.check()
        picture.check_plot(plot, out.form)
        check_explain(explain, out.form)
        report = workflow.predict(
            prices.chosen(),
            model=model,
            horizon=horizon,
            as_of=as_of,
            max_data_age=max_data_age,
            stream=plot is None,
            explained=explain,
            **device.chosen,
        )
        issued = recorded(report, prices.data_dir, datetime.now(UTC)) if record else report

        def before_result() -> None:
            at_work.close()
            out.show_notes(report)

        shown = workflow.before_end(issued, before_result)
        out.emit(
            predict_view(shown, all_steps=all_steps, typed=None if plot else prices.typed(model))
        )
    terminal_plot.draw_plot(fans.forecast_fans(report), plot)
    report_failures(report.failures, len(report.symbols))
