"""Audit: repeat backtest, forecasts and training of a model with other bars after a day.

No scores are shown and nothing is saved. Where the system can fork, a separate process reads the
true prices, so that no value cached from them can hide a leak.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from lstmcli.config import Data, Settings
from lstmcli.errors import Failure, UsageError, raise_if_all_failed
from lstmcli.evaluation.audit import Comparison, is_clean, leak_error
from lstmcli.market.prices import Prices
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.registry import ModelRef, find_model
from lstmcli.training.device import choose_device, threads
from lstmcli.workflows.aside import aside, can_fork
from lstmcli.workflows.audit_fit import Basis, Kept, audit_fit, find_basis
from lstmcli.workflows.audit_walks import (
    Truth,
    Walks,
    audit_walks,
    begin,
    day_before,
    find_truth,
    limited,
)
from lstmcli.workflows.copies import Copies
from lstmcli.workflows.evaluate import settings_for
from lstmcli.workflows.prices import Source, chosen_data, load_prices

UNSEEN = (
    "prices that the maker of the file or feed adjusted for later splits and dividends",
    "a series that was chosen because it did well later",
    "settings that were chosen by looking at the test span",
)
"""Leaks that no rewriting of prices can show."""

SHUFFLED = (
    "split.method shuffled leaks by design: its windows overlap between training, "
    "validation and test, and the last labels that it is fitted on lie in the test span"
)


@dataclass(frozen=True)
class AuditReport:
    """The comparisons of an audit and their results.

    fitted_cutoffs : number of windows in rows that a model was fitted on.
    refits : by model, the settings of its short refits. comparisons : in the order of the stages.
    """

    models: tuple[ModelRef, ...]
    symbols: tuple[str, ...]
    n_windows: int
    fitted_cutoffs: int
    refits: dict[str, Settings]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]

    @property
    def epochs(self) -> dict[str, int]:
        """Maximum number of epochs of each model's short refits."""
        return {name: settings.train.epochs for name, settings in self.refits.items()}

    @property
    def shuffled(self) -> tuple[str, ...]:
        """Models whose recipe leaks by design."""
        return tuple(name for name, each in self.refits.items() if each.split.method == "shuffled")

    @property
    def is_clean(self) -> bool:
        """Whether no comparison found a difference."""
        return is_clean(self.comparisons)

    def raise_if_leaking(self) -> None:
        """Raise LeakError with the first difference, if there is one."""
        for each in self.comparisons:
            if each.difference is not None:
                why = f"{each.model}: {SHUFFLED}. Train it with --set split.method=chronological."
                by_design = each.stage in ("training", "fit") and each.model in self.shuffled
                raise leak_error(each, why if by_design else "")


def audit(
    source: Source,
    *,
    models: Sequence[str] = (),
    epochs: int = 2,
    device: str = "auto",
    number_of_threads: int = 1,
    **asked: Any,
) -> AuditReport:
    """Run on true prices and on prices that differ after a day, and compare bit by bit.

    `epochs` bounds those of a short refit, which has the recipe's own settings otherwise; the one
    that is compared with the kept model has all of them. `asked` are the options of `evaluate` that
    choose windows and baselines. A leak is in the report; LeakError is raised where the same prices
    do not give the same numbers twice.
    """
    asked |= dict(device=device, number_of_threads=number_of_threads)
    # Before the first tensor: a fork of a process with a thread pool would hang.
    with threads(number_of_threads), TemporaryDirectory(prefix="lstmcli-audit-") as folder:
        return _audit(source, models, epochs, choose_device(device), asked, Path(folder))


def _audit(
    source: Source,
    models: Sequence[str],
    epochs: int,
    device: torch.device,
    asked: dict[str, Any],
    folder: Path,
) -> AuditReport:
    references = [find_model(source.data_dir, model) for model in models or (None,)]
    bundles = {each: load_bundle(each.folder, device) for each in references}
    first_model, metadata = bundles[references[0]]
    settings = settings_for(source, first_model.settings)
    # Copies are given as named data, so the recipe's dates must be passed explicitly.
    for end in ("start", "end"):
        asked[end] = asked.get(end) or getattr(settings.evaluate, end)
    loaded, failures = load_prices(
        replace(source, around=asked["end"] or date.max), settings.data, metadata.interval
    )
    raise_if_all_failed(len(loaded), failures)
    folders, short = limited(folder / "models", bundles, epochs)
    walks = Walks(references, folders, settings, asked)
    kept = [
        Kept(each, model, metadata, short[str(each)], candidates, source.data_dir, device)
        for each, (model, metadata) in bundles.items()
        for candidates in [_candidates(source, model.settings.data, loaded, settings.data)]
    ]
    starts = [metadata.test_start for _, metadata in bundles.values()]
    first = day_before(asked["start"] or max(starts))

    def on_true_prices() -> tuple[Truth, list[Basis]]:
        truth = find_truth(walks, Copies(source, loaded, folder / "true"), first)
        return truth, [find_basis(each) for each in kept]

    forks = can_fork() and asked["number_of_threads"] == 1
    with aside(on_true_prices) if forks else nullcontext(on_true_prices) as wait:
        copies = Copies(source, loaded, folder / "rewritten")
        control_figures = begin(walks, copies, first)
        true, bases = wait()
    found = audit_walks(walks, copies, control_figures, true)
    notes = [*true.notes, *(note for each in loaded for note in each.named_notes())]
    notes += [f"not audited, {name}: {why}" for name, why in true.lacking.items()]
    for one, basis in zip(kept, bases, strict=True):
        some, more = audit_fit(one, basis, source, folder / "fitted", forks=forks)
        found, notes = [*found, *some], [*notes, *more]
    failed = [*failures, *true.failures, *(each for basis in bases for each in basis.failures)]
    return AuditReport(
        models=tuple(references),
        symbols=true.symbols,
        n_windows=true.n_windows,
        fitted_cutoffs=true.fitted_cutoffs,
        refits=short,
        comparisons=tuple(found),
        notes=tuple(dict.fromkeys(notes)),
        failures=tuple(
            replace(each, reason=each.reason.replace(f"{folder / 'true'}/", ""))
            for each in {each.symbol: each for each in reversed(failed)}.values()
        )[::-1],
    )


def _candidates(
    source: Source, data: Data, loaded: Sequence[Prices], main: Data
) -> list[Sequence[Prices]]:
    """Return the prices that a model may have been trained on: those given, those of its recipe."""
    if chosen_data(source, main) == data:
        return [loaded]
    own = replace(source, csv=(), symbols=(), sep=",", decimal=".", stdin=None)
    try:
        return [loaded, load_prices(own, data)[0]]
    except UsageError:  # its recipe names no data
        return [loaded]
