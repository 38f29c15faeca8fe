"""The progress of long work: a bar on a terminal's stderr, lines with --verbose."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from lstmcli.cli import journal
from lstmcli.printable import raw_stream

if TYPE_CHECKING:
    from lstmcli.learning.refit import Refit
    from lstmcli.training.loop import Epoch
    from lstmcli.workflows.tune import Trial

_FULL_WIDTH, _TEXT_WIDTH = 100, 60  # columns; in fewer, rich would cut the numbers

OnEvent = AbstractContextManager[Callable[..., None]]
"""Yields the callback that is called with each event."""


def show_symbols(total: int, quiet: bool) -> OnEvent:
    """Show how many symbols are done."""
    return _show("symbol", lambda: {"advance": 1}, None, total, quiet, False)


def show_epochs(total: int, quiet: bool, verbose: bool) -> OnEvent:
    """Show each epoch of a training."""

    def state(epoch: Epoch) -> dict[str, Any]:
        losses = f"loss {epoch.loss:.3g}  validation {_loss(epoch.validation_loss, 3)}"
        return {"completed": epoch.epoch, "text": losses}  # a resumed run starts with a later one

    return _show("epoch", state, _print_epoch, total, quiet, verbose)


def show_refits(quiet: bool, verbose: bool) -> OnEvent:
    """Show each refit of a backtest."""

    def state(refit: Refit, number: int, total: int) -> dict[str, Any]:
        return {"completed": number, "total": total, "visible": True}

    return _show("refit", state, _print_refit, None, quiet, verbose)


def show_trials(total: int, quiet: bool, verbose: bool) -> OnEvent:
    """Show each trial of a study, and the best so far."""

    def state(trial: Trial, best: Trial | None, count: int, wanted: int) -> dict[str, Any]:
        return {"completed": count, "total": wanted, "text": f"best so far {_best(best)}"}

    return _show("trial", state, _print_trial, total, quiet, verbose)


@contextmanager
def _show(
    noun: str,
    state: Callable[..., dict[str, Any]],
    print_line: Callable[..., None] | None,
    total: int | None,
    quiet: bool,
    verbose: bool,
) -> Iterator[Callable[..., None]]:
    """Print a line per event, or update a bar by what `state` returns for it, or do nothing.

    A bar without a total is hidden until its first event.
    """
    if print_line is not None and verbose and not quiet:
        yield print_line
        return
    if quiet or not sys.stderr.isatty():
        yield lambda *event: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(file=raw_stream(sys.stderr))
    counter = (TextColumn(noun), MofNCompleteColumn())
    rest = (BarColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn())
    shown = rest if console.width >= _FULL_WIDTH else rest[1:2] * (console.width >= _TEXT_WIDTH)
    with Progress(*counter, *shown, console=console, transient=True) as progress:
        task = progress.add_task(noun, total=total, visible=total is not None, text="")
        yield lambda *event: progress.update(task, **state(*event))


def _print_refit(refit: Refit, number: int, total: int) -> None:
    journal.say(
        f"refit {number} of {total}: {refit.model} from {refit.since}, fitted on {refit.rows} rows "
        f"of {refit.first} to {refit.last}, best epoch {refit.epoch}",
    )


def _print_trial(trial: Trial, best: Trial | None, count: int, wanted: int) -> None:
    values = ", ".join(f"{key} {json.dumps(value)}" for key, value in trial.values.items())
    score = trial.reason if trial.score is None else f"{100 * trial.score:.4f} %"
    journal.say(
        f"trial {trial.number} ({count} of {wanted}): {' '.join([trial.state, score]).rstrip()}, "
        f"{values}; {trial.epochs} epochs, {trial.seconds:.1f} s; best so far {_best(best)}",
    )


def _best(best: Trial | None) -> str:
    if best is None or best.score is None:
        return "none"
    return f"{100 * best.score:.4f} % (trial {best.number})"


def _print_epoch(epoch: Epoch) -> None:
    layers = ", ".join(f"{name} {norm:.3g}" for name, norm in epoch.gradient_norms.items())
    part = epoch.gradient_kept
    kept = "" if part is None else f"{part:.2g} times as much at the window's start as at its end, "
    validation = _loss(epoch.validation_loss, 6)
    journal.say(
        f"epoch {epoch.epoch}: loss {epoch.loss:.6g}, validation {validation}, "
        f"gradient norm {epoch.gradient_norm:.3g} ({layers}), {epoch.clipped} steps clipped, {kept}"
        f"{epoch.seconds:.2f} s" + (", the best so far" if epoch.best else ""),
    )


def _loss(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}g}"
