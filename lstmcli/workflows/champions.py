"""Which version a model's name means, changed by hand, and old versions removed.

A version becomes champion only after it was read whole, and neither the champion nor the one that a
rollback leads to is ever removed.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lstmcli.errors import Failure, ModelError, UsageError, raise_if_all_failed
from lstmcli.files.locks import hold
from lstmcli.learning.evidence import counting
from lstmcli.learning.promotion import LEVEL, Decision, decide
from lstmcli.market.prices import Prices
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.registry import (
    champion,
    champions,
    clear_strays,
    find_version,
    model_folder,
    promote,
    remove_version,
    rollback,
    unknown_model,
    version_of,
    versions,
)
from lstmcli.workflows.models import size_of
from lstmcli.workflows.prices import Source, load_prices

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class PointerReport:
    """Which version a name meant before and means now, and why.

    judged_by : how many symbols it was judged by; `failures` are those that could not be read.
    """

    name: str
    before: str | None
    now: str | None
    decision: Decision
    judged_by: int = 0
    notes: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True)
class PruneReport:
    """The versions that were removed, or would be, and those that are kept."""

    name: str
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    size: int
    dry_run: bool


def promote_model(
    source: Source,
    reference: str,
    *,
    if_better: bool = False,
    level: float = LEVEL,
    wait: float = 0.0,
) -> PointerReport:
    """Make a version the champion of its name, always or only where `decide` finds it better.

    The source's prices, or those that the version was trained on, are what it is judged by. Raises
    ModelError where it is damaged: a champion can always be read.
    """
    data_dir = source.data_dir
    model = find_version(data_dir, reference)
    loaded: list[Prices] = []
    failures: list[Failure] = []
    looked: list[str] = []
    with hold(model.folder.parent / ".lock", wait=wait):
        bundle, metadata = load_bundle(model.folder, _CPU)
        before = _present(data_dir, model.name)
        if before == model.version:
            return PointerReport(model.name, before, before, Decision(False, "it was already"))
        decision = Decision(True, "promoted by hand", before)
        if if_better:
            interval = metadata.get("interval")
            loaded, failures = load_prices(source, bundle.settings.data, interval)
            raise_if_all_failed(len(loaded), failures)
            start = np.datetime64(metadata["split"]["test_start"])
            decision = decide(
                "if-better",
                bundle,
                start,
                loaded,
                data_dir=data_dir,
                name=model.name,
                level=level,
                on_scored=counting(data_dir, "models promote", bundle, model, looked),
            )
        if decision.promoted:
            promote(data_dir, model)
    now = model.version if decision.promoted else before
    notes = (*looked, *(note for each in loaded for note in each.named_notes()))
    return PointerReport(model.name, before, now, decision, len(loaded), notes, tuple(failures))


def rollback_model(data_dir: Path, name: str, *, wait: float = 0.0) -> PointerReport:
    """Make the champion before the present one champion again.

    Raises ModelError where there is none, or where it is damaged.
    """
    if not versions(data_dir, name):
        raise unknown_model(data_dir, name)
    with hold(model_folder(data_dir, name) / ".lock", wait=wait):
        before = _present(data_dir, name)
        now = rollback(data_dir, name, lambda target: load_bundle(target.folder, _CPU))
    why = f"rolled back from {before}" if before else "rolled back"
    return PointerReport(name, before, now.version, Decision(True, why, before))


def prune_models(
    data_dir: Path, name: str, *, keep: int, dry_run: bool = False, wait: float = 0.0
) -> PruneReport:
    """Remove all versions but the newest `keep`, the champion and the one a rollback leads to.

    Raises ModelError where the champion cannot be told: nothing is removed then.
    """
    if keep < 1:
        raise UsageError("nothing would be kept", where="--keep", next_step="Keep 1 or more.")
    if not versions(data_dir, name):
        raise unknown_model(data_dir, name)
    if dry_run:
        return _prune(data_dir, name, keep, dry_run=True)
    with hold(model_folder(data_dir, name) / ".lock", wait=wait):
        clear_strays(model_folder(data_dir, name))
        return _prune(data_dir, name, keep, dry_run=False)


def _prune(data_dir: Path, name: str, keep: int, *, dry_run: bool) -> PruneReport:
    known = versions(data_dir, name)
    needed = [each.version for each in champions(data_dir, name)[:2]]
    kept = [version for version in known if version in (*known[-keep:], *needed)]
    going = [version_of(data_dir, name, version) for version in known if version not in kept]
    size = sum(size_of(model.folder) for model in going)
    if not dry_run:
        for model in going:
            remove_version(model)
    removed = tuple(model.version for model in going)
    return PruneReport(name, removed, tuple(kept), size, dry_run)


def _present(data_dir: Path, name: str) -> str | None:
    """The champion's version, None where there is none or nobody can tell."""
    try:
        leader = champion(data_dir, name)
    except ModelError:
        return None
    return None if leader is None else leader.version
