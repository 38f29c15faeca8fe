"""Options that several commands share, each declared once, and the values that they take.

A group is a frozen dataclass. A command takes the whole group as one parameter, `spread` declares
its fields as options of their own. Names, help and panels stand in the docstrings:

    Output:
        --output -o FILE: Write the result to a file. [standard output]

is the help of the parameter `output`, in the panel Output of the help page; in brackets is the
default in words, where the value itself says too little. Without dashes (`symbols SYMBOL: ...`) it
is an argument. A Python keyword as a name has an underscore at the end.
"""

import copy
import functools
import inspect
import math
import operator
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, date, datetime
from enum import EnumType
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from lstmcli.errors import LstmcliError, UsageError

if TYPE_CHECKING:
    from lstmcli.config import Settings
    from lstmcli.workflows.prices import Source

# An option of such a name can be set by LSTMCLI_CONFIG and so on.
_IN_ENVIRONMENT = (
    "config",
    "data-dir",
    "device",
    "format",
    "log-file",
    "model",
    "ray",
    "seed",
    "threads",
)
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_CENTURY = 36_525 * 86_400
DEFAULT_DATA_DIR = Path("data")


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
    text, *parts = re.split(r"\n\n([A-Z][a-z]+):\n(?=    )", inspect.cleandoc(source.__doc__))
    described = {}
    for panel, body in zip(parts[::2], parts[1::2], strict=True):
        if panel == "Examples":
            text += f"\n\nExamples:\n{body}"
            continue
        for entry in re.split(r"\n(?! )", textwrap.dedent(body)):
            usage, _, words = " ".join(entry.split()).partition(": ")
            name = usage.split(" ")[0].lstrip("-").replace("-", "_")
            described[name] = usage, words, panel
    found = []
    for each in parameters:
        hint = hints[each.name]
        if known := described.get(each.name.removesuffix("_")):
            base, more = get_args(hint) if get_origin(hint) is Annotated else (hint, {})
            hint = operator.getitem(Annotated, (base, option(*known, **more)))
        if get_origin(hint) is Annotated:
            base, declared = get_args(hint)
            hint = _typed(each.name, base, declared, each.default)
        kind = inspect.Parameter.KEYWORD_ONLY
        found.append(inspect.Parameter(each.name, kind, default=each.default, annotation=hint))
    return text, found


def option(usage: str, text: str, panel: str = "Options", **more: Any) -> Any:
    """Declare an option, or an argument.

    usage : its names, and for one with a value the metavar, as in `--output -o FILE`. The name of
        an argument has no dashes.
    text : its help, with the default in brackets at the end if the value says too little.
    """
    *names, last = usage.split()
    more |= {"help": text, "rich_help_panel": panel, "show_default": False}
    if not usage.startswith("-"):
        return typer.Argument(metavar=last, **more)
    metavar = None if last.startswith("-") else last
    names += [] if metavar else [last]
    name = names[0].removeprefix("--")
    if name in _IN_ENVIRONMENT:
        more |= {"envvar": f"LSTMCLI_{name.replace('-', '_').upper()}", "show_envvar": False}
    return typer.Option(*names, metavar=metavar, **more)


def _typed(name: str, hint: Any, declared: Any, default: Any) -> Any:
    """Return the type of an option, with what reads its values, completes them and shows them."""
    info, kind = copy.copy(declared), _kind_of(hint)
    words, _, shown = info.help.removesuffix("]").partition(" [")
    if not shown and isinstance(default, str | int | float) and not isinstance(default, bool):
        shown = str(default)
    info.help = f"{words} (default: {shown})" if shown else words
    if choices := tuple(kind) if isinstance(kind, EnumType) else get_args(kind):
        info.metavar = info.metavar or "|".join(choices)
        info.autocompletion = _completion(lambda data_dir: choices)
        info.parser = functools.partial(_parse_choice, choices)
    elif kind in (int, float) and info.parser is None:
        info.parser = functools.partial(_parse_number, kind, info.min, info.max)
    if name in _COMPLETED:
        info.autocompletion = _completion(_COMPLETED[name])
    return operator.getitem(Annotated, (hint, info))


def _kind_of(hint: Any) -> Any:
    """Return the type of one value: `int` of `int | None`, `str` of `list[str]`."""
    inner = [each for each in get_args(hint) if each is not NoneType]
    return hint if get_origin(hint) is Literal or not inner else _kind_of(inner[0])


def _parse_choice(choices: tuple[str, ...], text: str) -> str:
    if text in choices:
        return text
    expected = " or ".join([", ".join(choices[:-1]), choices[-1]]).removeprefix(" or ")
    raise typer.BadParameter(f"found {_shown(text)}, expected {expected}")


def _parse_number(kind: type, least: float | None, most: float | None, text: object) -> float:
    """Return the number; `text` may be the default itself."""
    try:
        number: float = kind(text)
    except ValueError:
        number = math.nan
    lowest, highest = -math.inf if least is None else least, math.inf if most is None else most
    if lowest <= number <= highest and math.isfinite(number):
        return number
    bounds = [f"of at least {least}"] * (most is None and least is not None)
    bounds += [f"from {least} to {most}"] * (most is not None)
    words = " ".join(["a whole number" if kind is int else "a number", *bounds])
    raise typer.BadParameter(f"found {_shown(text)}, expected {words}")


def parse_day(text: str) -> date:
    """Return the day that an option names."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError as error:
        why = f"found {_shown(text)}, expected a day as 2025-12-31"
        raise typer.BadParameter(why) from error


def parse_duration(text: object) -> float:
    """Return the seconds of a duration: `90s`, `15m`, `26h`, `8d`; a bare number is of seconds."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhd]?)", str(text))
    seconds = float(found[1]) * _SECONDS[found[2]] if found else math.inf
    if seconds > _CENTURY:
        raise typer.BadParameter(f"found {_shown(text)}, expected a time as 90s, 15m, 26h or 8d")
    return seconds


def _parse_limit(text: object) -> float:
    seconds = parse_duration(text)
    if seconds < 0.1:
        raise typer.BadParameter(f"found {_shown(text)}, expected at least 0.1s")
    return seconds


def _parse_folder(text: object) -> Path:
    folder = Path(str(text))
    if folder.is_file():
        raise typer.BadParameter(f"found the file {_shown(text)}, expected a folder")
    return folder


def _parse_device(name: str) -> str:
    if re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        return name
    raise typer.BadParameter(f"found {_shown(name)}, expected auto, cpu, cuda or cuda:N")


def _shown(text: object) -> str:
    shown = repr(str(text))
    return shown if len(shown) <= 80 else f"{shown[:80]}..."


def _completion(
    names: Callable[[Path], Iterable[str]],
) -> Callable[[typer.Context, str], list[str]]:
    """Return what completes a word from the names in a data folder."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        try:
            found = names(Path(ctx.params.get("data_dir") or DEFAULT_DATA_DIR))
            return [name for name in found if name.startswith(incomplete)]
        except (LstmcliError, OSError):
            return []

    return complete


def _models(data_dir: Path) -> Iterator[str]:
    from lstmcli.runs import registry

    yield registry.BASE
    for name in registry.all_names(data_dir):
        yield name
        yield from (f"{name}/{version}" for version in registry.versions(data_dir, name))


def _symbols(data_dir: Path) -> list[str]:
    from lstmcli.market.symbols import stored_symbols

    return stored_symbols(data_dir)


def _recipes(data_dir: Path) -> list[str]:
    from lstmcli.recipes import shipped_names

    return shipped_names("configs")


def _keys(data_dir: Path) -> list[str]:
    from lstmcli.config import keys

    return list(keys())


def _settings(data_dir: Path) -> list[str]:
    return [f"{key}=" for key in _keys(data_dir)]


_COMPLETED = {
    **dict.fromkeys(("model", "models", "from_", "name", "names", "version"), _models),
    **dict.fromkeys(("symbol", "symbols"), _symbols),
    **{"config": _recipes, "set_": _settings, "key": _keys},
}
Day = Annotated[date | None, dict(parser=parse_day)]
_FOLDER = "Folder of prices and models. [data]"
DataDir = Annotated[Path, option("--data-dir FOLDER", _FOLDER, "Data", parser=_parse_folder)]
_LISTED = "More symbols, one per line (-: stdin)."
SymbolsFile = Annotated[str | None, option("--symbols-file FILE", _LISTED, "Data")]
_LOCK = "Longest wait for another run's lock. [none]"
Seconds = Annotated[float, dict(parser=parse_duration)]
Wait = Annotated[float, option("--wait TIME", _LOCK, "Advanced", parser=parse_duration)]
_MODEL = "--model -m MODEL"
_ONE = "NAME, NAME/VERSION or folder. [each symbol's]"
Model = Annotated[str | None, option(_MODEL, _ONE, "Forecast")]
_EACH = "NAME, NAME/VERSION or folder; repeatable."
Models = Annotated[list[str] | None, option(_MODEL, _EACH, "Forecast")]
_LEVEL = "Level of the test for if-better."
PromoteLevel = Annotated[float, option("--promote-level P", _LEVEL, "Advanced", min=1e-6, max=0.2)]
_AHEAD = "Sessions (or months) ahead. [as trained]"
Horizon = Annotated[int | None, option("--horizon N", _AHEAD, "Forecast", min=1, max=1000)]
_WHERE = "auto, cpu, cuda or cuda:N. [auto]"
Device = Annotated[str | None, option("--device DEVICE", _WHERE, "Advanced", parser=_parse_device)]
_STOP = "Stop after this time (15m, 8h); keep what is done."
Timeout = Annotated[float | None, option("--timeout TIME", _STOP, "Advanced", parser=_parse_limit)]
_CLUSTER = "Ray cluster: local, auto or HOST:PORT. [none]"
Ray = Annotated[str | None, option("--ray ADDRESS", _CLUSTER, "Advanced")]
_FIRST = "First day used, as 2010-01-01."
Start = Annotated[date | None, option("--start DATE", _FIRST, "Data", parser=parse_day)]


@dataclass(frozen=True)
class FileOptions:
    """How CSV files are read, and the data folder.

    Advanced:
        --sep CHARACTER: Column separator: , ; | or tab. [found out]
        --decimal CHARACTER: Decimal mark, a point or a comma. [found out]
        --columns FIELD=NAME: Columns of other names, as close=Price,date=Datum.
        --date-format FORMAT: Format of the dates, as %d/%m/%Y.
        --resample: Make daily bars of intraday ones.
        --strict: Refuse prices with missing or extra sessions.
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
        """Return the prices of files, or of symbols, from a first day on."""
        from lstmcli.market.columns import Reading, parse_columns
        from lstmcli.workflows.prices import Source

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
    """The prices that a command works on.

    Data:
        symbols SYMBOL: Stored symbols, or series in the --csv files.
        --csv [NAME=]FILE: Read a file or folder (-: stdin); repeatable.
    """

    symbols: list[str] | None = None
    csv: list[str] | None = None
    symbols_file: SymbolsFile = None

    def chosen(self, start: date | None = None) -> "Source":
        """Return the chosen prices from a first day on; UsageError for a file among the symbols."""
        files = [each for each in self.symbols or () if each.lower().endswith((".csv", ".csv.gz"))]
        if files and not self.csv:
            raise UsageError("not a symbol", where=files[0], next_step="Pass a file with --csv.")
        symbols = all_symbols(self.symbols, self.symbols_file, split=not self.csv)
        return self.source(self.csv, symbols, start)

    def typed(self, model: str | None = None, symbols: bool = True) -> str:
        """Return the options that name the prices, and a model, for a command to type next.

        symbols : whether the prices are named; if not, the data folder alone.
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
    """Where and on how many threads to compute.

    Advanced:
        --threads N: CPU threads, 0 for all cores. [1]
    """

    device: Device = None
    threads: Annotated[int | None, dict(min=0, max=1024)] = None

    @property
    def chosen(self) -> dict[str, Any]:
        """The arguments of a workflow that computes without a recipe."""
        threads = 1 if self.threads is None else self.threads
        return {"device": self.device or "auto", "number_of_threads": threads}

    @property
    def given(self) -> dict[str, Any]:
        """The settings of `train` that are given."""
        found = {"device": self.device, "threads": self.threads}
        return {key: value for key, value in found.items() if value is not None}


@dataclass(frozen=True)
class RecipeOptions(DeviceOptions):
    """The settings of a training.

    Training:
        --config -c RECIPE: A TOML file, default, lab, lab-corrected or wine.
        --set KEY=VALUE: Change a setting of `config show`; repeatable.
        --seed N: Random seed. [0]
    """

    config: str | None = None
    set_: list[str] | None = None
    seed: Annotated[int | None, dict(min=0)] = None

    def settings(self, recipe: str, source: "Source") -> "tuple[Settings, Source]":
        """Return a recipe's settings with the options, --set last, and the source with its dates.

        Dates given with --set apply to data that the command names too; the recipe's do not.
        """
        from lstmcli.workflows.prices import chosen_settings

        options = {
            "train.seed": self.seed,
            "train.device": self.device,
            "train.threads": self.threads,
        }
        named = [f"{key}={value}" for key, value in options.items() if value is not None]
        return chosen_settings(recipe, source, [*named, *(self.set_ or ())])

    def typed(self, origin: str | None) -> str:
        """Return the options that name the recipe and its changes, for a command to type next.

        origin : the model that training starts from.
        """
        options = [("--config", self.config), ("--from", origin)]
        options += [("--set", each) for each in self.set_ or ()]
        return shlex.join(word for name, value in options if value for word in (name, value))


def all_symbols(
    symbols: Sequence[str] | None, symbols_file: str | None = None, *, split: bool = True
) -> tuple[str, ...]:
    """Return the symbols of the command line and of the file, without repetition.

    split : read `AAPL,MSFT` as two symbols; the names of series in a file may hold commas.
    """
    from lstmcli.market.symbols import read_lines, read_symbols, split_symbols

    named = split_symbols(symbols or ()) if split else symbols or ()
    listed = [] if symbols_file is None else read_symbols(read_lines(symbols_file, sys.stdin))
    return tuple(dict.fromkeys([*named, *listed]))
