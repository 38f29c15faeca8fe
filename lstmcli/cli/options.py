"""Options that several commands share, each declared once.

A group is a frozen dataclass. A command takes the whole group as one parameter, `spread` declares
its fields as options of their own. Names, help and defaults stand in the docstrings:

    Parameters:
        --output -o FILE: Write the result to a file. [-, standard output]

is the help of the parameter `output`; in brackets is the default in words, where the value itself
says too little. Without dashes (`symbols SYMBOL: ...`) it is an argument. A Python keyword as a
name has an underscore at the end.
"""

import functools
import inspect
import operator
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin, get_type_hints

import typer

from lstmcli.errors import FileError, UsageError

if TYPE_CHECKING:
    from lstmcli.config import Settings
    from lstmcli.workflows.prices import Source

_MOST_CHARACTERS = 1_000_000
# An option of such a name can be set by LSTMCLI_CONFIG and so on.
_IN_ENVIRONMENT = ("config", "data-dir", "device", "format", "log-file", "model", "seed", "threads")


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Declare a command's options from its docstring, and those of each group of them."""
    hints = get_type_hints(command).items()
    groups: dict[str, Any] = {name: hint for name, hint in hints if is_dataclass(hint)}
    text, own = _declared(command, inspect.signature(command).parameters.values())
    flat: list[inspect.Parameter] = []
    for each in own:
        flat += _members(groups[each.name]) if each.name in groups else [each]

    @functools.wraps(command)
    def call(**values: Any) -> None:
        for name, group in groups.items():
            members: list[str] = [each.name for each in fields(group)]
            values[name] = group(**{member: values.pop(member) for member in members})
        command(**values)

    call.__doc__ = text
    call.__annotations__ = {each.name: each.annotation for each in flat}
    vars(call)["__signature__"] = inspect.Signature(flat)
    return call


@functools.cache
def _members(group: Any) -> list[inspect.Parameter]:
    """Return the options of a group, its own before inherited ones."""
    own = [each for each in fields(group) if each.name in inspect.get_annotations(group)]
    inherited = [each for base in group.__bases__ if base is not object for each in _members(base)]
    return [*_declared(group, own)[1], *inherited]


def _declared(source: Any, parameters: Iterable[Any]) -> tuple[str, list[inspect.Parameter]]:
    """Return the docstring without its options, and the parameters with the options' types.

    A parameter has a name and a default. Its type may be annotated with further arguments of
    `option`, in a dict.
    """
    if source.__doc__ is None:
        sys.exit("lstmcli: error: its options are described in docstrings: run without python -OO")
    hints = get_type_hints(source, include_extras=True)
    text, _, listed = inspect.cleandoc(source.__doc__).partition("\n\nParameters:\n")
    described = {}
    for entry in re.split(r"\n(?! )", textwrap.dedent(listed)):
        usage, _, words = " ".join(entry.split()).partition(": ")
        words, _, default = words.removesuffix("]").partition(" [")
        described[usage.split(" ")[0].lstrip("-").replace("-", "_")] = usage, words, default or True
    found = []
    for each in parameters:
        hint = hints[each.name]
        if known := described.get(each.name.removesuffix("_")):
            base, more = get_args(hint) if get_origin(hint) is Annotated else (hint, {})
            hint = operator.getitem(Annotated, (base, option(*known, **more)))
        kind = inspect.Parameter.KEYWORD_ONLY
        found.append(inspect.Parameter(each.name, kind, default=each.default, annotation=hint))
    return text, found


def option(usage: str, text: str, default: str | bool = True, **more: Any) -> Any:
    """Declare an option, or an argument.

    usage : its names, and for one with a value the metavar, as in `--output -o FILE`. The name of
        an argument has no dashes.
    default : the description of the default; True shows the value itself.
    """
    *names, last = usage.split()
    if not usage.startswith("-"):
        shown = default is not True and default
        return typer.Argument(metavar=last, help=text, show_default=shown, **more)
    metavar = None if last.startswith("-") else last
    names += [] if metavar else [last]
    name = names[0].removeprefix("--")
    if name in _IN_ENVIRONMENT:
        more["envvar"] = f"LSTMCLI_{name.replace('-', '_').upper()}"
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
Day = Annotated[date | None, dict(parser=parse_day)]
DataDir = Annotated[Path, option("--data-dir FOLDER", "Folder of prices and models.")]
_LISTED = "More symbols, one per line, # for comments (`-`: stdin)."
SymbolsFile = Annotated[str | None, option("--symbols-file FILE", _LISTED, "none")]
Wait = Annotated[float, option("--wait SECONDS", "Wait for another run's lock.", min=0)]
_MODEL = "--model -m NAME[/VERSION]|PATH", "The model. A name alone means its champion."
_ONLY = "the only model in the data folder; without one base, which ships"
Models = Annotated[list[str] | None, option(_MODEL[0], f"{_MODEL[1]} Repeatable.", _ONLY)]
Model = Annotated[str | None, option(*_MODEL, _ONLY)]
_LEVEL = "Level of the test against the champion."
PromoteLevel = Annotated[float, option("--promote-level P", _LEVEL, min=1e-6, max=0.2)]
_AHEAD = "Steps ahead: sessions, or months for a series of months."
Horizon = Annotated[int | None, option("--horizon N", _AHEAD, "as trained", min=1, max=1000)]
_WHERE = "--device auto|cpu|cuda|cuda:N", "Where to compute; auto is CUDA if available."
Device = Annotated[str | None, option(*_WHERE, "auto", callback=_check_device)]
_STOP = "Stop after this time and keep what is done."
Timeout = Annotated[float | None, option("--timeout SECONDS", _STOP, "no limit", min=0.1)]
_FIRST = "--start YYYY-MM-DD", "First day used, as 2018-08-31."
Start = Annotated[date | None, option(*_FIRST, "the first row", parser=parse_day)]


@dataclass(frozen=True)
class FileOptions:
    """How CSV files are read, and the data folder.

    Parameters:
        --sep CHARACTER: Field separator of the CSV files, or `tab`.
        --decimal CHARACTER: Decimal mark of the CSV files: `.` or `,`.
        --strict: Refuse prices with missing or unexpected sessions.
    """

    sep: str = ","
    decimal: str = "."
    strict: bool = False
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
    """The prices that a command works on.

    Parameters:
        symbols SYMBOL: Symbols in the store, or columns of the --csv files.
        --csv [NAME=]FILE: Read a CSV file (`-`: stdin). Repeatable. [data of the recipe or model]
    """

    symbols: list[str] | None = None
    csv: list[str] | None = None
    symbols_file: SymbolsFile = None

    def chosen(self, start: date | None = None) -> "Source":
        """Return the chosen prices from a first day on."""
        symbols = all_symbols(self.symbols, self.symbols_file, split=not self.csv)
        return self.source(self.csv, symbols, start)

    def typed(self, model: str | None = None, *, symbols: bool = True) -> str:
        """Return the options that name the prices, and a model, for a command to type next.

        symbols : whether the prices are named; if not, the data folder alone.
        """
        words = list(self.symbols or ()) if symbols else []
        options = [("--csv", each) for each in (self.csv or ()) if symbols]
        options += [("--symbols-file", self.symbols_file)] if symbols and self.symbols_file else []
        options += [("--model", model)] if model else []
        if str(self.data_dir) not in (str(DEFAULT_DATA_DIR), os.environ.get("LSTMCLI_DATA_DIR")):
            options.append(("--data-dir", str(self.data_dir)))
        return shlex.join([*words, *(word for pair in options for word in pair)])


@dataclass(frozen=True)
class DeviceOptions:
    """Where and on how many threads to compute.

    Parameters:
        --threads N: CPU threads, 0 for all cores. Results are reproducible for a given number. [1]
    """

    device: Device = None
    threads: Annotated[int | None, dict(min=0, max=1024)] = None

    @property
    def chosen(self) -> dict[str, Any]:
        """The arguments of a workflow that computes without a recipe."""
        threads = 1 if self.threads is None else self.threads
        return {"device": self.device or "auto", "number_of_threads": threads}


@dataclass(frozen=True)
class RecipeOptions(DeviceOptions):
    """The settings of a training.

    Parameters:
        --config -c NAME|FILE: The recipe: a TOML file or a shipped one (default, lab,
            lab-corrected, wine). [default]
        --set KEY=VALUE: Change a setting, as in train.epochs=30. Repeatable. [none]
        --seed N: Random seed. [train.seed]
    """

    config: str | None = None
    set_: list[str] | None = None
    seed: Annotated[int | None, dict(min=0)] = None

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
        settings = load_settings(recipe, [*named, *(self.set_ or ())], own_data=source.names_data)
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
