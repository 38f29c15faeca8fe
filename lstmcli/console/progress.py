"""Progress of long work: a bar on stderr if it is a terminal, or lines with --verbose."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from lstmcli.console import journal
from lstmcli.printable import raw_stream

if TYPE_CHECKING:
    from lstmcli.learning.refit import Refit
    from lstmcli.training.loop import Epoch
    from lstmcli.workflows.tune import Trial

_WITH_TEXT, _NARROW = 100, 60  # columns; narrower terminals omit the text, then the time left
_BAR = 40
_SETS = 6  # sets of windows in a backtest: the one shown, and those at other phases

OnEvent = AbstractContextManager[Callable[..., None]]
"""Yields the callback that is called with each event."""
_Described = tuple[str, dict[str, Any]]
"""An event as a line of text, and as updates of the progress bar."""


def show_work(quiet: bool) -> OnEvent:
    """Show that work without events is in progress."""
    return _show("", lambda: ("", {}), quiet, False)


def show_symbols(total: int, quiet: bool) -> OnEvent:
    """Show the number of finished symbols."""
    return _show("symbol", lambda: ("", {"advance": 1, "total": total}), quiet, False)


def show_epochs(quiet: bool, verbose: bool) -> OnEvent:
    """Show each epoch of a training, called with (epoch, total)."""

    def describe(epoch: Epoch, total: int) -> _Described:
        layers = ", ".join(f"{name} {norm:.3g}" for name, norm in epoch.gradient_norms.items())
        part, loss = epoch.gradient_kept, epoch.validation_loss
        kept = (
            ""
            if part is None
            else f"{part:.2g} times as much at the window's start as at its end, "
        )
        line = (
            f"epoch {epoch.epoch}: loss {epoch.loss:.6g}, "
            f"validation {'-' if loss is None else f'{loss:.6g}'}, "
            f"gradient norm {epoch.gradient_norm:.3g} ({layers}), {epoch.clipped} steps clipped, "
            f"{kept}{epoch.seconds:.2f} s" + (", the best so far" if epoch.best else "")
        )
        text = f"loss {epoch.loss:.3g}  validation {'-' if loss is None else f'{loss:.3g}'}"
        # Set `completed` rather than advance it, because a resumed run starts at a later epoch.
        return line, {"completed": epoch.epoch, "total": total, "text": text}

    return _show("epoch", describe, quiet, verbose)


def show_backtest(quiet: bool, verbose: bool) -> OnEvent:
    """Show each refit of a backtest; a call without arguments marks a finished set of windows."""

    def describe(refit: Refit | None = None, number: int = 0, total: int = 0) -> _Described:
        if refit is None:
            return "", {"advance": 1}
        line = (
            f"refit {number} of {total}: {refit.model} from {refit.since}, fitted on {refit.rows} "
            f"rows of {refit.first} to {refit.last}, best epoch {refit.epoch}"
        )
        text = f"refit {number} of {total}"
        return line, {"completed": number, "total": total + _SETS, "text": text}

    return _show("part", describe, quiet, verbose, total=_SETS)


def show_trials(quiet: bool, verbose: bool) -> OnEvent:
    """Show each trial of a study, and the best so far."""

    def describe(trial: Trial, best: Trial | None, count: int, wanted: int) -> _Described:
        known = "none"
        if best is not None and best.score is not None:
            known = f"{100 * best.score:.4f} % (trial {best.number})"
        values = ", ".join(f"{key} {json.dumps(value)}" for key, value in trial.values.items())
        score = trial.reason if trial.score is None else f"{100 * trial.score:.4f} %"
        line = (
            f"trial {trial.number} ({count} of {wanted}): {f'{trial.state} {score}'.rstrip()}, "
            f"{values}; {trial.epochs} epochs, {trial.seconds:.1f} s; best so far {known}"
        )
        return line, {"completed": count, "total": wanted, "text": f"best so far {known}"}

    return _show("trial", describe, quiet, verbose)


@contextmanager
def _show(
    noun: str,
    describe: Callable[..., _Described],
    quiet: bool,
    verbose: bool,
    *,
    total: int | None = None,
) -> Iterator[Callable[..., None]]:
    """Yield a callback that prints a line per event, updates a bar, or does nothing.

    The bar appears at once, without a count until the first event, since imports take seconds.
    """
    if verbose and not quiet:

        def say(*event: Any, **more: Any) -> None:
            if line := describe(*event, **more)[0]:
                journal.say(line)

        yield say
    elif quiet or not sys.stderr.isatty():
        yield lambda *event, **more: None
    else:
        from rich import progress as bars
        from rich.console import Console

        console = Console(file=raw_stream(sys.stderr))
        wide = console.width
        columns = [
            bars.TextColumn("{task.description}"),
            bars.BarColumn(bar_width=max(4, min(_BAR, wide - 2 * len(noun) - 20))),
            *([bars.TextColumn("{task.fields[text]}")] if wide >= _WITH_TEXT else []),
            *([bars.TimeRemainingColumn()] if wide >= _NARROW else []),
        ]
        with bars.Progress(*columns, console=console, transient=True) as progress:
            task = progress.add_task("working", total=total, text="")

            def show(*event: Any, **more: Any) -> None:
                changed = describe(*event, **more)[1]
                progress.update(task, **changed)
                done, wanted = progress.tasks[0].completed, progress.tasks[0].total
                progress.update(task, description=f"{noun} {done:.0f}/{wanted or 0:.0f}")

            yield show
