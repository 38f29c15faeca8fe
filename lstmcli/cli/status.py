"""`lstmcli status`."""

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from lstmcli.cli import options


class Recorded(StrEnum):
    """The commands whose last runs are kept."""

    FETCH = "fetch"
    TRAIN = "train"
    PREDICT = "predict"
    EVALUATE = "evaluate"


_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)([mhd])", text)
    if found is None:
        raise typer.BadParameter(f"found {text!r}, expected minutes, hours or days as 90m, 26h, 8d")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


def status(
    commands: Annotated[
        list[Recorded] | None,
        typer.Argument(
            metavar="[COMMAND]...",
            help="fetch, train, predict, evaluate: whose last good run --max-age is about.",
            show_default="fetch and predict, as far as they were ever run here",
        ),
    ] = None,
    max_age: Annotated[
        timedelta | None,
        typer.Option(
            "--max-age",
            parser=_duration,
            metavar="AGE",
            help="Exit 4 where the last good run is older: 90m, 26h, 8d.",
            show_default="no limit",
        ),
    ] = None,
    device: options.Device = None,
    data_dir: options.DataDir = options.DEFAULT_DATA_DIR,
    form: options.FormatOption = "table",
    output: options.Output = None,
    debug: options.Debug = False,
) -> None:
    """Say whether store, models, calendars, device and feed are well, how old each is, what to do.

    A good run did its work, for some of the symbols at least. What is found does not change the
    exit code: 4 says that a run asked about with --max-age is too old, and 0 that none is.

    Example: lstmcli status --max-age 26h
    """
    from lstmcli.report.data import status_view
    from lstmcli.report.output import check_output, emit
    from lstmcli.workflows.status import status as run

    check_output(output, form)
    report = run(
        data_dir,
        now=datetime.now(UTC),
        commands=commands or (),
        max_age=max_age,
        device=device or "auto",
    )
    emit(status_view(report), form, output)
    report.raise_if_too_old()
