"""`lstmcli predict`."""

from datetime import UTC, datetime
from typing import Annotated

from lstmcli.cli import journal, options
from lstmcli.cli.messages import BatchOptions, report_failures
from lstmcli.cli.options import spread


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
    device: options.DeviceOptions,
    prices: options.PriceOptions,
    out: BatchOptions,
) -> None:
    """Forecast the sessions after the last bar, in prices, with their dates.

    Without symbols or --csv the data that the model was trained on are used.

    Example: lstmcli predict --model lab-corrected --format csv --output forecast.csv

    Parameters:
        --as-of YYYY-MM-DD: Forecast from the last bar up to that day. [the last bar]
        --all-steps: Show every step, not only 1, 5, 20, 50 and the last.
        --max-data-age SESSIONS: Warn if the last bar is older.
        --plot FILE: Draw the fans to a .png or .svg file (`-`: in the terminal). [none]
        --report FILE: Write the forecast, its chart and its steps as one .html file. [none]
        --record: First append the forecasts to the ledger that evaluate --issued grades.
        --explain: Show the gates and how masking each bar changes the forecast.
    """
    from lstmcli.report import fans, output, page, terminal_plot
    from lstmcli.report.predict import check_explain, predict_view
    from lstmcli.workflows import predict as workflow
    from lstmcli.workflows.record import check_issuable, recorded

    journal.begin("predict", prices.data_dir)
    check_issuable(record, as_of)
    out.check()
    output.check_plot(plot, out.form)
    output.check_page(report)
    check_explain(explain, out.form)
    with out.failures_listed():
        made = workflow.predict(
            prices.chosen(),
            model=model,
            horizon=horizon,
            as_of=as_of,
            max_data_age=max_data_age,
            stream=plot is None and report is None,
            explained=explain,
            **device.chosen,
        )
    issued = recorded(made, prices.data_dir, datetime.now(UTC)) if record else made
    shown = workflow.before_end(issued, lambda: out.show_notes(made))
    out.emit(predict_view(shown, all_steps=all_steps))
    page.write_forecast_page(made, report)
    terminal_plot.draw_plot(fans.forecast_fans(made), plot)
    report_failures(made.failures, len(made.symbols))
