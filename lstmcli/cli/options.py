"""Options that several commands share, each declared once.

A group is a frozen dataclass. A command takes the whole group as one parameter, `spread` declares
its fields as options of their own.
"""

import functools
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from lstmcli.errors import FileError, UsageError

if TYPE_CHECKING:
    from lstmcli.config import Settings
    from lstmcli.workflows.prices import Source

_MOST_CHARACTERS = 1_000_000


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Declare the fields of each group among a command's parameters as options of their own."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    flat = []
    for name, parameter in inspect.signature(command).parameters.items():
        if group := groups.get(name):
            members = _members(group)
        else:
            members = [(name, hints[name], parameter.default)]
        flat += [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
            for key, hint, default in members
        ]

    @functools.wraps(command)
    def call(**values: Any) -> None:
        for name, group in groups.items():
            members = [each.name for each in fields(group)]
            values[name] = group(**{member: values.pop(member) for member in members})
        command(**values)

    call.__annotations__ = {each.name: each.annotation for each in flat}
    vars(call)["__signature__"] = inspect.Signature(flat)
    return call


@functools.cache
def _members(group: Any) -> list[tuple[str, Any, Any]]:
    """Return (name, type, default) of a group's fields, its own before inherited ones."""
    types = get_type_hints(group, include_extras=True)
    owner = {
        name: kind for kind in reversed(group.__mro__) for name in inspect.get_annotations(kind)
    }
    found = sorted(fields(group), key=lambda each: group.__mro__.index(owner[each.name]))
    return [(each.name, types[each.name], each.default) for each in found]


def option(usage: str, text: str, default: str | bool = True, **more: Any) -> Any:
    """Declare an option.

    usage : its names, and for one with a value the metavar, as in `--output -o FILE`.
    default : the description of the default; True shows the value itself.
    """
    *names, last = usage.split()
    metavar = None if last.startswith("-") else last
    names += [] if metavar else [last]
    return typer.Option(*names, metavar=metavar, help=text, show_default=default, **more)


def parse_day(text: str) -> date:
    """Return the day that an option names."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError as error:
        raise typer.BadParameter(f"found {text!r}, expected YYYY-MM-DD") from error


def _check_device(name: str | None) -> str | None:
    if name is None or re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        return name
    raise typer.BadParameter(f"found {name!r}, expected auto, cpu, cuda or cuda:N")


DEFAULT_DATA_DIR = Path("data")
DataDir = Annotated[
    Path, option("--data-dir FOLDER", "Folder of prices and models.", envvar="LSTMCLI_DATA_DIR")
]
SymbolsFile = Annotated[
    str | None,
    option(
        "--symbols-file FILE", "More symbols, one per line, # for comments (`-`: stdin).", "none"
    ),
]
Wait = Annotated[float, option("--wait SECONDS", "Wait for another run's lock.", min=0)]
_MODEL = "The model. A name alone means its champion."
_ONLY = "the only model in the data folder"
Models = Annotated[
    list[str] | None,
    option(
        "--model -m NAME[/VERSION]|PATH", f"{_MODEL} Repeatable.", _ONLY, envvar="LSTMCLI_MODEL"
    ),
]
Model = Annotated[
    str | None, option("--model -m NAME[/VERSION]|PATH", _MODEL, _ONLY, envvar="LSTMCLI_MODEL")
]
PromoteLevel = Annotated[
    float, option("--promote-level P", "Level of the test against the champion.", min=1e-6, max=0.2)
]
Horizon = Annotated[
    int | None, option("--horizon N", "Sessions (or months) ahead.", "as trained", min=1, max=1000)
]
Device = Annotated[
    str | None,
    option(
        "--device auto|cpu|cuda|cuda:N",
        "Where to compute; auto is CUDA if available.",
        "auto",
        envvar="LSTMCLI_DEVICE",
        callback=_check_device,
    ),
]
Timeout = Annotated[
    float | None,
    option("--timeout SECONDS", "Stop after this time and keep what is done.", "no limit", min=0.1),
]
Start = Annotated[
    date | None, option("--start YYYY-MM-DD", "First day used.", "the first row", parser=parse_day)
]


@dataclass(frozen=True)
class FileOptions:
    """How CSV files are read, and the data folder."""

    sep: Annotated[
        str, option("--sep CHARACTER", "Field separator of the CSV files, or `tab`.")
    ] = ","
    decimal: Annotated[
        str, option("--decimal CHARACTER", "Decimal mark of the CSV files: `.` or `,`.")
    ] = "."
    strict: Annotated[
        bool, option("--strict", "Refuse prices with missing or unexpected sessions.")
    ] = False
    data_dir: DataDir = DEFAULT_DATA_DIR

    def source(
        self, csv: Sequence[str] | None, symbols: tuple[str, ...] = (), start: date | None = None
    ) -> "Source":
        """Return the prices of files, or of symbols, from a first day on."""
        from lstmcli.workflows.prices import Source

        return Source(
            data_dir=self.data_dir,
            today=datetime.now(UTC).date(),
            symbols=symbols,
            csv=tuple(csv or ()),
            sep=self.sep,
            decimal=self.decimal,
            strict=self.strict,
            start=start,
            stdin=None if sys.stdin is None or sys.stdin.closed else sys.stdin.buffer,
        )


@dataclass(frozen=True)
class PriceOptions(FileOptions):
    """The prices that a command works on."""

    symbols: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SYMBOL",
            help="Symbols in the store, or columns of the --csv files.",
            show_default=False,
        ),
    ] = None
    csv: Annotated[
        list[str] | None,
        option(
            "--csv [NAME=]FILE",
            "Read a CSV file (`-`: stdin). Repeatable.",
            "data of the recipe or model",
        ),
    ] = None
    symbols_file: SymbolsFile = None

    def chosen(self, start: date | None = None) -> "Source":
        """Return the chosen prices from a first day on."""
        symbols = all_symbols(self.symbols, self.symbols_file, split=not self.csv)
        return self.source(self.csv, symbols, start)


@dataclass(frozen=True)
class DeviceOptions:
    """Where and on how many threads to compute."""

    device: Device = None
    threads: Annotated[
        int | None,
        option(
            "--threads N",
            "CPU threads, 0 for all cores. Results are reproducible for a given number.",
            "1",
            envvar="LSTMCLI_THREADS",
            min=0,
            max=1024,
        ),
    ] = None

    @property
    def chosen(self) -> dict[str, Any]:
        """The arguments of a workflow that computes without a recipe."""
        threads = 1 if self.threads is None else self.threads
        return {"device": self.device or "auto", "number_of_threads": threads}


@dataclass(frozen=True)
class RecipeOptions(DeviceOptions):
    """The settings of a training."""

    config: Annotated[
        str | None,
        option(
            "--config -c NAME|FILE",
            "The recipe: a TOML file or a shipped one (default, lab, lab-corrected, wine).",
            "default",
            envvar="LSTMCLI_CONFIG",
        ),
    ] = None
    overrides: Annotated[
        list[str] | None,
        option("--set KEY=VALUE", "Change a setting, as in train.epochs=30. Repeatable.", "none"),
    ] = None
    seed: Annotated[
        int | None, option("--seed N", "Random seed.", "train.seed", envvar="LSTMCLI_SEED", min=0)
    ] = None

    def settings(self, recipe: str, source: "Source") -> "tuple[Settings, Source]":
        """Return a recipe's settings with the options, --set last, and the source with its dates.

        Dates given with --set apply to data that the command names too; the recipe's do not.
        """
        from lstmcli.recipes import load_settings

        options = {
            "data.start": source.start,
            "train.seed": self.seed,
            "train.device": self.device,
            "train.threads": self.threads,
        }
        named = [f"{key}={value}" for key, value in options.items() if value is not None]
        settings = load_settings(
            recipe, [*named, *(self.overrides or ())], own_data=source.names_data
        )
        return settings, replace(source, start=settings.data.start, end=settings.data.end)


def all_symbols(
    symbols: Sequence[str] | None, symbols_file: str | None = None, *, split: bool = True
) -> tuple[str, ...]:
    """Return the symbols of the command line and of the file, without repetition.

    split : read `AAPL,MSFT` as two symbols; the names of series in a file may hold commas.
    """
    from lstmcli.market.symbols import read_symbols, split_symbols

    named = split_symbols(symbols or ()) if split else symbols or ()
    listed = [] if symbols_file is None else read_symbols(_read_lines(symbols_file))
    return tuple(dict.fromkeys([*named, *listed]))


def _read_lines(symbols_file: str) -> list[str]:
    try:
        if symbols_file == "-":
            # sys.stdin is None if the caller closed it.
            text = "" if sys.stdin is None else sys.stdin.read(_MOST_CHARACTERS + 1)
        else:
            with open(symbols_file, encoding="utf-8-sig") as file:
                text = file.read(_MOST_CHARACTERS + 1)
    except OSError as error:
        raise FileError(
            "cannot read the symbols", where=symbols_file, why=error.strerror or str(error)
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError("not a list of symbols", where=symbols_file, why=str(error)) from error
    if len(text) > _MOST_CHARACTERS:
        why = f"it has more than {_MOST_CHARACTERS} characters"
        raise UsageError("not a list of symbols", where=symbols_file, why=why)
    return text.splitlines()
