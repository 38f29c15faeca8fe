"""The options that commands share, each written once."""

import re
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from lstmcli.cli import journal
from lstmcli.report.view import Format

Symbols = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SYMBOL",
        help="Symbols in the store, or columns of the --csv files.",
        show_default=False,
    ),
]
DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        envvar="LSTMCLI_DATA_DIR",
        metavar="FOLDER",
        help="Folder of everything that is kept: prices and models.",
    ),
]
Csv = Annotated[
    list[str] | None,
    typer.Option(
        "--csv",
        metavar="[NAME=]FILE",
        help="Read prices from a CSV file (`-`: standard input). Repeatable.",
        show_default="the data of the recipe or model",
    ),
]
SymbolsFile = Annotated[
    str | None,
    typer.Option(
        "--symbols-file",
        metavar="FILE",
        help="More symbols, one a line, `#` starts a comment (`-`: standard input).",
        show_default="none",
    ),
]
Sep = Annotated[
    str,
    typer.Option(
        "--sep", metavar="CHARACTER", help="Field separator of the CSV files; `tab` is one too."
    ),
]
Decimal = Annotated[
    str,
    typer.Option(
        "--decimal", metavar="CHARACTER", help="Decimal mark of the CSV files: `.` or `,`."
    ),
]
Strict = Annotated[
    bool,
    typer.Option(
        "--strict",
        help="Refuse prices with missing sessions or bars on days without one, not just note them.",
    ),
]

Start = Annotated[
    datetime | None,
    typer.Option(
        "--start",
        formats=["%Y-%m-%d"],
        metavar="DATE",
        help="Leave out the rows before that day, 2018-08-31.",
        show_default="the first row",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting of the recipe, as in train.epochs=30. Repeatable.",
        show_default="none",
    ),
]


def _check_device(name: str | None) -> str | None:
    if name is None or re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        return name
    raise typer.BadParameter(f"found {name!r}, expected auto, cpu, cuda or cuda:N")


Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        envvar="LSTMCLI_DEVICE",
        metavar="auto|cpu|cuda|cuda:N",
        callback=_check_device,
        help="Where to compute: CUDA where there is one (auto), or as named.",
        show_default="auto",
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        envvar="LSTMCLI_THREADS",
        metavar="N",
        min=0,
        max=1024,
        help="CPU threads, 0 for all cores. The same number gives the same bytes.",
        show_default="1",
    ),
]
Wait = Annotated[
    float, typer.Option("--wait", min=0, metavar="SECONDS", help="Wait for another run's lock.")
]
FormatOption = Annotated[
    Format,
    typer.Option("--format", envvar="LSTMCLI_FORMAT", help="How the result is written."),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write the result to a file, replacing it whole.",
        show_default="-, standard output",
    ),
]
Errors = Annotated[
    str | None,
    typer.Option(
        "--errors",
        metavar="FILE",
        help="List the symbols that failed, with reasons, as CSV.",
        show_default="none",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No notes, warnings or progress on standard error.")
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="One line an epoch, and every note on the prices.")
]
LogFile = Annotated[
    str | None,
    typer.Option(
        "--log-file",
        envvar="LSTMCLI_LOG_FILE",
        metavar="FILE",
        is_eager=True,
        callback=journal.open_log,
        help="Append one line of JSON for every event, from start to end.",
        show_default="none",
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        envvar="LSTMCLI_MODEL",
        metavar="NAME[/VERSION]|PATH",
        help="The model: a name means its champion. Repeatable.",
        show_default="the only one there is",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        envvar="LSTMCLI_MODEL",
        metavar="NAME[/VERSION]|PATH",
        help="The model: a name means its champion.",
        show_default="the only one there is",
    ),
]
PromoteLevel = Annotated[
    float,
    typer.Option(
        "--promote-level",
        metavar="P",
        min=1e-6,
        max=0.2,
        help="Level of the one-sided test by which a version is better than the champion.",
    ),
]
Horizon = Annotated[
    int | None,
    typer.Option(
        "--horizon",
        metavar="N",
        min=1,
        max=1000,
        help="Steps ahead, in sessions (months for monthly data).",
        show_default="as trained",
    ),
]
DEFAULT_DATA_DIR = Path("data")
