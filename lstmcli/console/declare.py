"""Declare the options of a command from its docstring, with their parsing and shell completion.

A group of options is a frozen dataclass. A command takes the whole group as one parameter, and
`spread` declares each field as a separate option. The docstrings hold names, help and panels:

    Output:
        --output -o FILE: Write the result to a file. [standard output]

describes the parameter `output` in the panel Output of the help page. The brackets hold the default
in words, if the value alone is unclear. Without dashes (`symbols SYMBOL: ...`) it is an argument.
If the name is a Python keyword, the parameter ends with an underscore.
"""

import copy
import functools
import inspect
import math
import operator
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from enum import EnumType
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from lstmcli.console.clashes import refuse_clashes
from lstmcli.errors import LstmcliError

# The environment can set these options, by LSTMCLI_CONFIG and so on.
_IN_ENVIRONMENT = (
    *("config", "data-dir", "device", "format", "log-file", "model", "ray", "seed", "threads"),
)
DEFAULT_DATA_DIR = Path("data")


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """Return the command with the options of its own docstring and of its groups declared."""
    hints = get_type_hints(command).items()
    groups: dict[str, Any] = {name: hint for name, hint in hints if is_dataclass(hint)}
    text, own = _declared(command, inspect.signature(command).parameters.values())
    flat: list[inspect.Parameter] = []
    for each in own:
        flat += _members(groups[each.name]) if each.name in groups else [each]

    @functools.wraps(command)
    def call(**values: Any) -> None:
        refuse_clashes(values)
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
    """Return the options of a group, its own before the inherited ones."""
    own = [each for each in fields(group) if each.name in inspect.get_annotations(group)]
    inherited = [each for base in group.__bases__ if base is not object for each in _members(base)]
    return [*_declared(group, own)[1], *inherited]


def _declared(source: Any, parameters: Iterable[Any]) -> tuple[str, list[inspect.Parameter]]:
    """Return the docstring without its options, and the parameters typed as options.

    Each parameter has a name and a default. A dict in its annotation holds further arguments of
    `option`.
    """
    if source.__doc__ is None:
        sys.exit("lstmcli: error: cannot run with python -OO: it removes the docstrings. Omit -OO.")
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

    usage : the names, followed by the metavar if it takes a value, e.g. `--output -o FILE`. The
        name of an argument has no dashes.
    text : the help, with the default in brackets at the end if the value alone is unclear.
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
    """Return the type of an option, annotated with its parser, completion and help."""
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
    raise typer.BadParameter(f"found {quoted(text)}, expected {expected}")


def _parse_number(kind: type, least: float | None, most: float | None, text: object) -> float:
    """Return the number; `text` may also be the default, which is not a string."""
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
    raise typer.BadParameter(f"found {quoted(text)}, expected {words}")


def quoted(text: object) -> str:
    """Return a value quoted for an error message, shortened if it is long."""
    shown = repr(str(text))
    return shown if len(shown) <= 80 else f"{shown[:80]}..."


def _completion(
    names: Callable[[Path], Iterable[str]],
) -> Callable[[typer.Context, str], list[str]]:
    """Return a callback that completes a word from the names in a data folder."""

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
