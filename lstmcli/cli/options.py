"""Options that several commands share, and the parsers of their values."""

import math
import os
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lstmcli.console.declare import DEFAULT_DATA_DIR, option, quoted
from lstmcli.errors import UsageError

if TYPE_CHECKING:
    from lstmcli.report import Format
    from lstmcli.sources.source import Source

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_CENTURY = 36_525 * 86_400


def parse_day(text: str) -> date:
    """Parse the date given to an option."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError as error:
        why = f"found {quoted(text)}, expected a date such as 2025-12-31"
        raise typer.BadParameter(why) from error


def parse_duration(text: object) -> float:
    """Return a duration in seconds: `90s`, `15m`, `26h`, `8d`; a bare number means seconds."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd]?)", str(text))
    seconds = float(found[1]) * _SECONDS[found[2]] if found else math.inf
    if seconds > _CENTURY:
        why = f"found {quoted(text)}, expected a duration such as 90s, 15m, 26h or 8d"
        raise typer.BadParameter(why)
    return seconds


def _parse_limit(text: object) -> float:
    seconds = parse_duration(text)
    if seconds < 0.1:
        raise typer.BadParameter(f"found {quoted(text)}, expected at least 0.1s")
    return seconds


def _parse_folder(text: object) -> Path:
    folder = Path(str(text))
    if folder.is_file():
        raise typer.BadParameter(f"found the file {quoted(text)}, expected a folder")
    return folder


def _parse_device(name: str) -> str:
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        return name
    raise typer.BadParameter(f"found {quoted(name)}, expected auto, cpu, cuda or cuda:N")


Day = Annotated[date | None, dict(parser=parse_day)]
_FOLDER = "Folder of prices and models. [data]"
DataDir = Annotated[Path, option("--data-dir FOLDER", _FOLDER, "Data", parser=_parse_folder)]
_LISTED = "More symbols, one per line (-: stdin)."
SymbolsFile = Annotated[str | None, option("--symbols-file FILE", _LISTED, "Data")]
_LOCK = "Maximum wait for another run's lock. [none]"
Seconds = Annotated[float, dict(parser=parse_duration)]
Wait = Annotated[float, option("--wait TIME", _LOCK, "Advanced", parser=parse_duration)]
_MODEL = "--model -m MODEL"
_ONE = "NAME, NAME/VERSION or folder. [each symbol's]"
Model = Annotated[str | None, option(_MODEL, _ONE, "Forecast")]
_EACH = "NAME, NAME/VERSION or folder; repeatable."
Models = Annotated[list[str] | None, option(_MODEL, _EACH, "Forecast")]
_LEVEL = "Level of the if-better test."
PromoteLevel = Annotated[float, option("--promote-level P", _LEVEL, "Advanced", min=1e-6, max=0.2)]
_AHEAD = "Sessions (or months) ahead. [as trained]"
Horizon = Annotated[int | None, option("--horizon N", _AHEAD, "Forecast", min=1, max=1000)]
_WHERE = "auto, cpu, cuda or cuda:N. [auto]"
Device = Annotated[str | None, option("--device DEVICE", _WHERE, "Advanced", parser=_parse_device)]
_STOP = "Stop after this time (15m, 8h) and keep finished work."
Timeout = Annotated[float | None, option("--timeout TIME", _STOP, "Advanced", parser=_parse_limit)]
_CLUSTER = "Ray cluster: local, auto or HOST:PORT. [none]"
Ray = Annotated[str | None, option("--ray ADDRESS", _CLUSTER, "Advanced")]
_FIRST = "First day used, e.g. 2010-01-01."
Start = Annotated[date | None, option("--start DATE", _FIRST, "Data", parser=parse_day)]


@dataclass(frozen=True)
class FileOptions:
    """Options for reading CSV files, and the data folder.

    Advanced:
        --sep CHARACTER: Column separator: , ; | or tab. [detected]
        --decimal CHARACTER: Decimal mark, a point or a comma. [detected]
        --columns FIELD=NAME: Names of columns, e.g. close=Price,date=Datum.
        --date-format FORMAT: Format of the dates, e.g. %d/%m/%Y.
        --resample: Combine intraday bars into daily ones.
        --strict: Reject prices with missing or extra sessions.
    """

    sep: str = ""
    decimal: str = ""
    columns: str | None = None
    date_format: str = ""
    resample: Literal["1d"] | None = None
    strict: bool = False
    data_dir: DataDir = DEFAULT_DATA_DIR

    def source(
        self, csv: Sequence[str] | None, symbols: tuple[str, ...] = (), start: date | None = None
    ) -> "Source":
        """Return the source of prices, from files or stored symbols, beginning at `start`."""
        from lstmcli.market.columns import Reading, parse_columns
        from lstmcli.sources.source import Source

        columns = {} if self.columns is None else parse_columns(self.columns)
        form, resample = self.date_format, self.resample or ""
        return Source(
            data_dir=self.data_dir,
            today=datetime.now(UTC).date(),
            symbols=symbols,
            csv=tuple(csv or ()),
            reading=Reading(self.sep, self.decimal, columns, form, resample).checked(),
            strict=self.strict,
            start=start,
            stdin=None if sys.stdin is None or sys.stdin.closed else sys.stdin.buffer,
        )


@dataclass(frozen=True)
class PriceOptions(FileOptions):
    """Options that select the prices for a command.

    Data:
        symbols SYMBOL: Stored symbols, or series in the --csv files.
        --csv [NAME=]FILE: Read a file or folder (-: stdin); repeatable.
    """

    symbols: list[str] | None = None
    csv: list[str] | None = None
    symbols_file: SymbolsFile = None

    def chosen(self, start: date | None = None) -> "Source":
        """Return the selected prices from `start` on; UsageError if a symbol is a file name."""
        files = [each for each in self.symbols or () if each.lower().endswith((".csv", ".csv.gz"))]
        if files and not self.csv:
            raise UsageError("not a symbol", where=files[0], next_step="Pass a file with --csv.")
        symbols = all_symbols(self.symbols, self.symbols_file, split=not self.csv)
        return self.source(self.csv, symbols, start)

    def typed(self, model: str | None = None, symbols: bool = True) -> str:
        """Return the options that select these prices and a model, for a suggested command.

        symbols : whether to include the prices; if not, only the data folder and the model.
        """
        words = list(self.symbols or ()) if symbols else []
        options = [("--csv", each) for each in (self.csv or ()) if symbols]
        how = ("symbols_file", *("sep", "decimal", "columns", "date_format", "resample"))
        given = {name: getattr(self, name) for name in how if symbols} | {"model": model}
        options += [(f"--{name.replace('_', '-')}", text) for name, text in given.items() if text]
        if str(self.data_dir) not in (str(DEFAULT_DATA_DIR), os.environ.get("LSTMCLI_DATA_DIR")):
            options.append(("--data-dir", str(self.data_dir)))
        return shlex.join([*words, *(word for pair in options for word in pair)])


@dataclass(frozen=True)
class DeviceOptions:
    """Options for the device and the number of CPU threads.

    Advanced:
        --threads N: CPU threads, 0 for all cores. [1]
    """

    device: Device = None
    threads: Annotated[int | None, dict(min=0, max=1024)] = None

    @property
    def chosen(self) -> dict[str, Any]:
        """The given options, as arguments of a workflow that needs no recipe."""
        from lstmcli.config import given

        return given(device=self.device, number_of_threads=self.threads)

    @property
    def given(self) -> dict[str, Any]:
        """The given options, as settings of the section `train`."""
        from lstmcli.config import given

        return given(device=self.device, threads=self.threads)


@dataclass(frozen=True)
class RecipeOptions(DeviceOptions):
    """Options for the training settings.

    Training:
        --config -c RECIPE: A TOML file, default, lab, lab-corrected or wine.
        --set KEY=VALUE: Change a setting (see `config show`); repeatable.
        --seed N: Random seed. [0]
    """

    config: str | None = None
    set_: list[str] | None = None
    seed: Annotated[int | None, dict(min=0)] = None

    @property
    def changes(self) -> list[str]:
        """The settings changed by the options, as `KEY=VALUE`; --set comes last and wins."""
        from lstmcli.config import given

        options = given(**self.given, seed=self.seed)
        return [*(f"train.{key}={value}" for key, value in options.items()), *(self.set_ or ())]

    def typed(self, origin: str | None) -> str:
        """Return the options that select this recipe and its changes, for a suggested command.

        origin : the model whose weights training starts from.
        """
        options = [("--config", self.config), ("--from", origin)]
        options += [("--set", each) for each in self.set_ or ()]
        return shlex.join(word for name, value in options if value for word in (name, value))


@dataclass(frozen=True)
class PictureOptions:
    """Options for the HTML report and the plot of a result.

    Output:
        --report FILE: Write a report with charts to an .html file.
        --plot FILE: Plot to a .png or .svg file (-: the terminal).
    """

    report: str | None = None
    plot: str | None = None

    @property
    def asked(self) -> bool:
        """Whether a report or a plot is requested."""
        return self.report is not None or self.plot is not None

    def check(self, form: "Format") -> None:
        """Raise before the work starts if a file cannot be written; form: of the result."""
        from lstmcli.report.output import check_page, check_plot

        check_plot(self.plot, form)
        check_page(self.report)


def all_symbols(
    symbols: Sequence[str] | None, symbols_file: str | None = None, *, split: bool = True
) -> tuple[str, ...]:
    """Return the symbols from the command line and the symbols file, without duplicates.

    Raises UsageError if a file is the only source and is empty, rather than use the model's own
    symbols. split : read `AAPL,MSFT` as two symbols; names of series in a file may contain commas.
    """
    from lstmcli.market.symbols import read_lines, read_symbols, split_symbols

    named = split_symbols(symbols or ()) if split else symbols or ()
    listed = [] if symbols_file is None else read_symbols(read_lines(symbols_file, sys.stdin))
    found = tuple(dict.fromkeys([*named, *listed]))
    if symbols_file is not None and not found:
        step = "List one symbol per line, or pass symbols as arguments."
        raise UsageError("no symbols", where=f"--symbols-file {symbols_file}", next_step=step)
    return found
