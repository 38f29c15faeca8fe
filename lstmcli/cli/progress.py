"""The progress of long work: a bar on a terminal's stderr, lines with --verbose."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lstmcli.cli import journal
from lstmcli.printable import raw_stream

if TYPE_CHECKING:
    from rich.progress import Progress

    from lstmcli.learning.refit import OnRefit, Refit
    from lstmcli.training.loop import Epoch
    from lstmcli.workflows.tune import OnTrial, Trial

_FULL_WIDTH = 100


@contextlib.contextmanager
def epochs_shown(total: int, *, quiet: bool, verbose: bool) -> Iterator[Callable[[Epoch], None]]:
    """Yield what to call with each epoch."""
    if verbose and not quiet:
        yield _print_epoch
    elif quiet or not sys.stderr.isatty():
        yield lambda epoch: None
    else:
        with _bar(total) as advance:
            yield advance


@contextlib.contextmanager
def refits_shown(*, quiet: bool, verbose: bool) -> Iterator[OnRefit]:
    """Yield what to call with each refit of a backtest."""
    if verbose and not quiet:
        yield _print_refit
    elif quiet or not sys.stderr.isatty():
        yield lambda refit, number, total: None
    else:
        with _counter("refit") as progress:
            task = progress.add_task("refit", total=None, visible=False)
            yield lambda refit, number, total: progress.update(
                task, completed=number, total=total, visible=True
            )


@contextlib.contextmanager
def trials_shown(total: int, *, quiet: bool, verbose: bool) -> Iterator[OnTrial]:
    """Yield what to call with each trial of a study."""
    if verbose and not quiet:
        yield _print_trial
    elif quiet or not sys.stderr.isatty():
        yield lambda trial, best, count, wanted: None
    else:
        with _counter("trial", "best so far {task.fields[best]}") as progress:
            task = progress.add_task("trial", total=total, best="-")
            yield lambda trial, best, count, wanted: progress.update(
                task, completed=count, total=wanted, best=_best(best)
            )


@contextlib.contextmanager
def symbols_shown(total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Yield what to call with each symbol that is done."""
    if quiet or not sys.stderr.isatty():
        yield lambda: None
    else:
        with _counter("symbol") as progress:
            task = progress.add_task("symbol", total=total)
            yield lambda: progress.advance(task)


def _counter(noun: str, *more: str) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(noun), MofNCompleteColumn(), BarColumn(), *map(TextColumn, more))
    return Progress(*columns, console=Console(file=raw_stream(sys.stderr)), transient=True)


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Callable[[Epoch], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(file=raw_stream(sys.stderr))
    counter = (TextColumn("epoch"), MofNCompleteColumn())
    rest = (
        BarColumn(),
        TextColumn("loss {task.fields[loss]}  validation {task.fields[validation]}"),
        TimeRemainingColumn(),
    )
    # Where there is no room for all of it, rich would cut the numbers.
    columns = (*counter, *rest) if console.width >= _FULL_WIDTH else counter
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("train", total=total, loss="-", validation="-")

        def advance(epoch: Epoch) -> None:
            progress.update(
                task,
                completed=epoch.epoch,  # a run that is resumed begins with a later one
                loss=f"{epoch.loss:.3g}",
                validation=_loss(epoch.validation_loss, 3),
            )

        yield advance


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
