"""`lstmcli status`."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

from lstmcli.cli import options
from lstmcli.console.declare import DEFAULT_DATA_DIR
from lstmcli.console.messages import OutputOptions

_Recorded = StrEnum("_Recorded", "fetch train predict forecast evaluate")


def status(
    *,
    commands: list[_Recorded] | None = None,
    max_age: Annotated[float | None, dict(parser=options.parse_duration)] = None,
    device: options.Device = None,
    data_dir: options.DataDir = DEFAULT_DATA_DIR,
    out: OutputOptions,
) -> None:
    """Check that prices, models and jobs are up to date, and what to do if not.

    A good run did its work for at least some of the symbols. Exits 4 if the last good run is older
    than --max-age, 0 otherwise, whatever is found.

    Examples:
        lstmcli status
        lstmcli status --max-age 26h
        lstmcli status forecast --max-age 26h

    Options:
        commands COMMAND: Whose last good run: fetch, train, predict, forecast or evaluate.
            [fetch and predict, if ever run here, else forecast]
        --max-age AGE: Exit 4 if the last good run is older, as 90m, 26h, 8d.
    """
    from lstmcli.report.data import status_view
    from lstmcli.workflows.status import status as run

    out.check()
    now, age = datetime.now(UTC), None if max_age is None else timedelta(seconds=max_age)
    report = run(data_dir, now=now, commands=commands or (), max_age=age, device=device or "auto")
    out.emit(status_view(report))
    report.raise_if_too_old()
