"""Help pages in panels, and one-line errors for mistyped commands and options.

This module formats the pages itself: typer's formatter needs rich's markdown, whose import takes as
long as all the rest of `--help`. Common wrong guesses are answered with the right command.
"""

import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from lstmcli.console.declare import spread
from lstmcli.errors import UsageError, did_you_mean
from lstmcli.printable import first_few

# typer exports only subclasses of its usage error; this is their common base.
TyperUsageError: type[Exception] = typer.BadParameter.__mro__[1]

_LAST_PANELS = ("Data", "Output", "Advanced")
_WIDEST_NAME = 22
_MOST_TEXT = 100  # columns of a paragraph
# Options allowed before the command, with the number of words each takes.
_GENERAL = dict.fromkeys(("--data-dir", "--format", "--log-file"), 2) | dict.fromkeys(
    ("--json", "--quiet", "-q", "--verbose", "-v", "--debug"), 1
)
# Maps the right command to the words that people type instead.
_COMMANDS = {
    "anomalies SYMBOL": "alert, alerts, anomaly, outliers, surprises",
    "config show": "config list, settings",
    "data import FILE": "data add, import",
    "data list, or lstmcli models list": "list, ls",
    "data remove SYMBOL": "data delete, data rm",
    "data remove SYMBOL, or lstmcli models prune NAME --keep N": "delete, remove, rm",
    "data show SYMBOL, or lstmcli models show NAME": "info, show",
    "evaluate SYMBOL": "backtest, score, test",
    "evaluate SYMBOL --model A --model B": "compare",
    "fetch SYMBOL": "add, data fetch, data update, download, get",
    "forecast AAPL": "init, quickstart, start",
    "forecast SYMBOL --quiet --output FILE": "cron, nightly",
    "forecast SYMBOL, or lstmcli fetch SYMBOL": "refresh, update",
    "models list": "model",
    "models promote NAME/VERSION": "promote",
    "models prune NAME --keep N": "models delete, models remove, models rm, prune",
    "models rollback NAME": "rollback",
    "predict SYMBOL --plot FILE.png": "chart, plot",
    "status": "check, doctor, health",
    "train --config lab-corrected, on data that ship": "demo",
    "train SYMBOL": "fit, learn, retrain",
    "tune": "optimize, search",
}
# Maps the options that people type to the right ones.
_OPTIONS = {
    "--cpu": "--device cpu",
    "--date": "--as-of",
    "--days": "--horizon",
    "--file": "--csv",
    "--gpu": "--device cuda",
    "--html": "--report",
    "--input": "--csv",
    "--json": "--format json",
    "--lookback": "--set window.context_length=N",
    "--lr": "--set train.learning_rate=RATE",
    "--path": "--csv",
    "--png": "--plot",
    "--recipe": "--config",
    "--steps": "--horizon",
    "--symbol": "the symbol without --symbol",
    "--ticker": "the symbol without --ticker",
    "--windows": "--n-windows",
}


class Command(TyperCommand):
    """A command with our help page."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; `--json` is short for `--format json`."""
        if "--format" in _options_of(self):
            args = ["--format=json" if each == "--json" else each for each in args]
        return _parse(super().parse_args, ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        formatter.write("\n".join(_page(ctx)))


class Group(TyperGroup):
    """A group of commands with our help page; accepts `help` and `version` as words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments; general options may precede the command."""
        given, rest = [], list(args)
        while rest and (length := _GENERAL.get(rest[0].partition("=")[0], 0)):
            length -= length == 2 and "=" in rest[0]
            given += rest[:length]
            rest = rest[length:]
        if rest[:1] == ["help"]:
            rest = [*rest[1:], "--help"]
        elif ctx.parent is None and (rest == ["version"] or (given, rest) == (["-v"], [])):
            given, rest = [], ["--version"]
        return _parse(super().parse_args, ctx, [*rest[:1], *given, *rest[1:]] if rest else [])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command named by the first word; raise UsageError if it is unknown."""
        word = args[0]
        if word not in self.commands and not word.startswith("-") and not ctx.resilient_parsing:
            path = ctx.command_path.partition(" ")[2]
            typed = f"{path} {word}".strip()
            uses = [use for use, words in _COMMANDS.items() if typed in words.split(", ")]
            advice = "".join(f"Use lstmcli {use}." for use in uses)
            advice = advice or did_you_mean(word, list(self.commands))
            raise UsageError("no such command", where=word, next_step=_see(ctx, advice))
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        formatter.write("\n".join(_page(ctx)))


class Program(typer.Typer):
    """A typer program that uses `Group` and `Command`."""

    def __init__(self, **more: Any) -> None:
        super().__init__(
            cls=Group,
            context_settings={"help_option_names": ["-h", "--help"]},
            pretty_exceptions_enable=False,
            rich_markup_mode=None,
            **more,
        )

    def command(self, *names: Any, **more: Any) -> Callable[[Callable[..., None]], Any]:
        """Declare a command, with the options that its docstring describes."""
        declare = super().command(*names, cls=Command, **more)
        return lambda command: declare(spread(command))


def explain_usage(error: Any) -> UsageError:
    """Convert a usage error of typer into ours."""
    ctx: Any = getattr(error, "ctx", None)
    param = getattr(error, "param", None)
    if getattr(error, "option_name", "") and hasattr(error, "possibilities"):
        advice = _option_advice(ctx, error.option_name)
        return UsageError("no such option", where=error.option_name, next_step=advice)
    if param is not None and hasattr(error, "param_type"):
        return UsageError(f"{_name_of(param)} is missing", next_step=_see(ctx))
    if param is not None:
        source = ctx.get_parameter_source(param.name)
        given = param.envvar if source and source.name == "ENVIRONMENT" else _name_of(param)
        return UsageError(f"cannot use {given}", why=error.message, next_step=_see(ctx))
    message = " ".join(error.format_message().split()).rstrip(".")
    return UsageError(f"{message[:1].lower()}{message[1:]}", next_step=_see(ctx))


def _parse(parse: Any, ctx: Any, args: list[str]) -> list[str]:
    """Parse the arguments; attach the context to a usage error that lacks it."""
    try:
        found: list[str] = parse(ctx, args)
    except TyperUsageError as error:
        error.ctx = getattr(error, "ctx", None) or ctx  # type: ignore[attr-defined]
        raise
    return found


def _option_advice(ctx: Any, name: str) -> str:
    """Return advice for an option that the command does not have."""
    from lstmcli.config import keys

    known = _options_of(ctx.command)
    setter = "--set" if "--set" in known else "lstmcli train --set"
    instead = {
        key.partition(".")[2].replace("_", "-"): f"{setter} {key}={_value_of(name)}"
        for key in reversed(keys())
        if not key.startswith("data.")
    }
    instead |= {
        word.strip("-"): use
        for word, use in _OPTIONS.items()
        if use.split(" ")[0] in known or not use.startswith("-")
    }
    instead |= {each.strip("-"): each for each in known}
    elsewhere = [path for path, each in _commands(ctx) if name in _options_of(each)]
    if elsewhere and name.strip("-") not in instead:
        return _see(ctx, f"It is an option of {first_few(elsewhere, 6)}.")
    return _see(ctx, did_you_mean(name.strip("-"), instead))


def _options_of(command: Any) -> list[str]:
    return [each for param in command.params for each in param.opts if each.startswith("--")]


def _commands(ctx: Any) -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name, e.g. `data list`."""
    for name, command in ctx.find_root().command.commands.items():
        verbs = getattr(command, "commands", None)
        yield from ((f"{name} {verb}", each) for verb, each in (verbs or {}).items())
        if verbs is None:
            yield name, command


def _value_of(name: str) -> str:
    """Return the value given to an option on the command line, or VALUE if there is none."""
    words = sys.argv[1:]
    for word, following in zip(words, [*words[1:], "-"], strict=True):
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
        if word == name and not following.startswith("-"):
            return following
    return "VALUE"


def _see(ctx: Any, advice: str = "") -> str:
    command = "lstmcli" if ctx is None else ctx.command_path
    return f"{advice} See {command} --help.".strip()


def _name_of(param: Any) -> str:
    """Return the long name of an option, or the name of an argument."""
    name: str = max(param.opts, key=len)
    return name if name.startswith("-") else param.metavar or name.upper()


def _page(ctx: Any) -> Iterator[str]:
    """Yield the parts of a help page, as wide as the terminal."""
    command, width = ctx.command, shutil.get_terminal_size().columns
    usage = " ".join(["Usage:", ctx.command_path, *command.collect_usage_pieces(ctx)])
    yield from textwrap.wrap(usage, width, subsequent_indent=" " * 7)
    yield ""
    for paragraph in (command.help or "").split("\n\n"):
        lines = [paragraph] if paragraph.startswith("Examples:\n") else _wrapped(paragraph, width)
        yield textwrap.indent("\n".join(lines), "  ")
        yield ""
    panels = _panels(ctx)
    longest = max(len(name) for rows in panels.values() for name, _ in rows)
    for title in sorted(panels, key=lambda each: " ".join(_LAST_PANELS).find(each)):
        yield from _panel(title, panels[title], min(longest, _WIDEST_NAME), width)
    for paragraph in (command.epilog or "").strip().split("\n\n"):
        yield "\n".join([*_wrapped(paragraph, width), ""])


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(" ".join(text.split()), min(width, _MOST_TEXT) - 2)


def _panels(ctx: Any) -> dict[str, list[tuple[str, str]]]:
    """Return the rows of each panel: pairs of a name and its help."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for name, command in getattr(ctx.command, "commands", {}).items():
        first = " ".join((command.help or "").partition("\n\n")[0].split())
        panels.setdefault("Commands", []).append((name, first))
    for param in ctx.command.get_params(ctx):
        if not getattr(param, "hidden", False):
            names = sorted(param.opts, key=len)
            argument = not names[0].startswith("-")
            shown = (param.metavar or names[0].upper()) if argument else ", ".join(names)
            if not argument and param.metavar and not param.is_flag:
                shown += f" {param.metavar}"
            last = "Advanced" if "Advanced" in panels else "Options"
            panel = param.rich_help_panel or last
            panels.setdefault(panel, []).append((shown, param.help or ""))
    return panels


def _panel(title: str, rows: list[tuple[str, str]], left: int, width: int) -> Iterator[str]:
    """Yield the lines of a panel: boxed if the terminal can draw a box, else below a title."""
    boxed = sys.stdout.isatty() and (sys.stdout.encoding or "").lower().startswith("utf")
    lines = []
    for name, text in rows:
        if len(name) > left:
            lines.append(name)
            name = ""
        for line in textwrap.wrap(text, width - left - 6) or [""]:
            lines.append(f"{name:<{left}}  {line}")
            name = ""
    if not boxed:
        yield "\n".join([f"{title}:", *(f"  {line}".rstrip() for line in lines), ""])
        return
    yield f"╭─ {title} {'─' * (width - len(title) - 5)}╮"
    yield from (f"│ {line:<{width - 4}} │" for line in lines)
    yield f"╰{'─' * (width - 2)}╯"
