"""`lstmcli predict`."""

from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from lstmcli.cli import options
from lstmcli.console import journal
from lstmcli.console.messages import BatchOptions, before_end, report_failures
from lstmcli.console.progress import show_work


@dataclass(frozen=True)
class WatchOptions:
    """Options for the order of the symbols.

    Output:
        --sort KEY: Sort by symbol, range, downside or age. [as given]
        --top N: Show only the first N of the sorted symbols. [all]
    """

    sort: str | None = None
    top: Annotated[int | None, dict(min=1)] = None


def predict(
    *,
    model: options.Model = None,
    horizon: options.Horizon = None,
    as_of: options.Day = None,
    all_steps: bool = False,
    max_data_age: Annotated[int, dict(min=0)] = 3,
    pictures: options.PictureOptions,
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
    """Forecast the prices of the next sessions, with their dates.

    Without symbols or --csv, uses the data that the model was trained on.

    Examples:
        lstmcli predict AAPL
        lstmcli predict --csv prices.csv --plot fan.png
        lstmcli predict --symbols-file symbols.txt --sort downside --top 20

    Forecast:
        --as-of DATE: Forecast from this day on, e.g. 2025-12-31.
        --record: Keep the forecasts for `evaluate --issued`.
        --explain: Show the bars and gates behind the forecast.
        --price PRICE: Chance of a close below or above this price (180 or -10%); repeatable.
        --risk: Show the loss exceeded with a probability of 5 %.

    Output:
        --all-steps: Show every step.

    Advanced:
        --max-data-age N: Warn if the last bar is older than N sessions. [3]
    """
    with ExitStack() as at_work, out.failures_listed():
        at_work.enter_context(show_work(out.quiet))
        from lstmcli.evaluation.risk import asked_prices
        from lstmcli.report.explain import check_explain
        from lstmcli.report.predict import predict_view
        from lstmcli.report.risk import check_sort, ranked
        from lstmcli.workflows import predict as workflow
        from lstmcli.workflows.predict import check_issuable, recorded

        journal.begin("predict", prices.data_dir)
        check_issuable(record, as_of)
        out.check()
        pictures.check(out.form)
        check_explain(explain, out.form)
        sort = check_sort(watch.sort, watch.top)
        made = workflow.predict(
            prices.chosen(),
            model=model,
            horizon=horizon,
            as_of=as_of,
            max_data_age=max_data_age,
            stream=not pictures.asked,
            explained=explain,
            asked=asked_prices(price or ()),
            risk=risk,
            ray=ray,
            **device.chosen,
        )
        issued = recorded(made, prices.data_dir, datetime.now(UTC)) if record else made
        first = ranked(issued, sort, watch.top)
        shown = before_end(first, at_work.close, lambda: out.show_notes(made))
        typed = None if pictures.plot else prices.typed(model)
        out.emit(predict_view(shown, all_steps=all_steps, typed=typed, sort=sort))
    if pictures.asked:
        from lstmcli.pictures.page import draw_forecasts

        draw_forecasts(ranked(made, sort, watch.top), pictures.report, pictures.plot)
    report_failures(made.failures, len(made.symbols))
