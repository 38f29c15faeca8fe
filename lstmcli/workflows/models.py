"""List, show, promote, prefer and remove model versions.

Listing and showing change nothing and take no lock. An unreadable version is listed with the
reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmcli.config import Settings
from lstmcli.errors import Failure, FileError, ModelError, UsageError, raise_if_all_failed
from lstmcli.files.locks import hold
from lstmcli.runs import registry
from lstmcli.runs.choice import find_or_only, names_in_use, prefer
from lstmcli.runs.metadata import Metadata, check_bundle, read_metadata
from lstmcli.runs.registry import ModelRef
from lstmcli.runs.stale import StaleMark, stale_because

if TYPE_CHECKING:  # imported only for promotions, since it loads PyTorch
    from lstmcli.learning.promotion import Decision
    from lstmcli.market.prices import Prices
    from lstmcli.sources.source import Source


@dataclass(frozen=True)
class PointerReport:
    """The champion of a name before and after a change, and the reason.

    judged_by : number of symbols used to judge it; `failures` are those that could not be read.
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
    """The versions removed, or to be removed in a dry run, and those kept."""

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
    level: float,
    wait: float = 0.0,
) -> PointerReport:
    """Promote a version to champion of its name, always or only if `decide` finds it better.

    It is judged by the source's prices, by default those that it was trained on. Raises ModelError
    if it is damaged, so that a champion can always be read.
    """
    import torch

    from lstmcli.learning.promotion import Decision, decide
    from lstmcli.runs.bundle import load_bundle
    from lstmcli.sources.loading import load_for_both, load_prices

    data_dir = source.data_dir
    model = registry.find_version(data_dir, reference)
    loaded: list[Prices] = []
    failures: list[Failure] = []
    looked: tuple[str, ...] = ()
    with hold(model.folder.parent / ".lock", wait=wait):
        bundle, metadata = load_bundle(model.folder, torch.device("cpu"))
        before = _present(data_dir, model.name)
        if before == model.version:
            return PointerReport(model.name, before, before, Decision(False, "it was already"))
        decision = Decision(True, "promoted by hand", before)
        if if_better:
            interval = metadata.interval
            loaded, failures = load_prices(
                source, bundle.settings.data, interval, bundle.settings.window.inputs
            )
            raise_if_all_failed(len(loaded), failures)
            judged = load_for_both(source, bundle.settings, model.name, loaded)
            start = metadata.test_start
            decision, looked = decide(
                "if-better",
                bundle,
                model,
                start,
                judged,
                data_dir=data_dir,
                level=level,
                by="models promote",
            )
        if decision.promoted:
            registry.promote(data_dir, model)
    now = model.version if decision.promoted else before
    notes = (*looked, *(note for each in loaded for note in each.named_notes()))
    return PointerReport(model.name, before, now, decision, len(loaded), notes, tuple(failures))


def rollback_model(data_dir: Path, name: str, *, wait: float = 0.0) -> PointerReport:
    """Restore the previous champion of a name.

    Raises ModelError if there is none, or if it is damaged.
    """
    import torch

    from lstmcli.learning.promotion import Decision
    from lstmcli.runs.bundle import load_bundle

    def check(target: ModelRef) -> None:
        load_bundle(target.folder, torch.device("cpu"))

    if not registry.versions(data_dir, name):
        raise registry.unknown_model(data_dir, name)
    with hold(registry.model_folder(data_dir, name) / ".lock", wait=wait):
        before = _present(data_dir, name)
        now = registry.rollback(data_dir, name, check)
    why = f"rolled back from {before}" if before else "rolled back"
    return PointerReport(name, before, now.version, Decision(True, why, before))


def prune_models(
    data_dir: Path, name: str, *, keep: int, dry_run: bool = False, wait: float = 0.0
) -> PruneReport:
    """Remove all versions except the newest `keep`, the champion and the rollback target.

    Raises ModelError, and removes nothing, if the champion is unknown.
    """
    if keep < 1:
        raise UsageError("nothing would be kept", where="--keep", next_step="Keep 1 or more.")
    if not registry.versions(data_dir, name):
        raise registry.unknown_model(data_dir, name)
    folder = registry.model_folder(data_dir, name)
    with nullcontext() if dry_run else hold(folder / ".lock", wait=wait):
        if not dry_run:
            registry.clear_strays(folder)
        known = registry.versions(data_dir, name)
        needed = [each.version for each in registry.champions(data_dir, name)[:2]]
        kept = [version for version in known if version in (*known[-keep:], *needed)]
        going = [registry.version_of(data_dir, name, each) for each in known if each not in kept]
        size = sum(size_of(model.folder) for model in going)
        for model in () if dry_run else going:
            registry.remove_version(model)
    removed = tuple(model.version for model in going)
    return PruneReport(name, removed, tuple(kept), size, dry_run)


def _present(data_dir: Path, name: str) -> str | None:
    """Return the champion's version; None if there is none or it is unknown."""
    try:
        leader = registry.champion(data_dir, name)
    except ModelError:
        return None
    return None if leader is None else leader.version


@dataclass(frozen=True)
class ModelVersion:
    """Summary of one version; unknown numbers are None, unknown texts empty.

    champion : whether it is the champion of its name. next_back : whether a rollback restores it.
    damaged : why it cannot be used, or "". created : ISO time. data_last : its last bar. epochs :
    number trained. windows : training windows. rmse, naive_rmse : path RMSE on validation; crps,
    baseline_crps : the same for fans, next to the scaled climatology. stale : number of its price
    series that have changed since. size : bytes of its files. trained_on : the symbols. interval,
    horizon : of its bars, and in steps. in_use : whether `models use` prefers its name.
    """

    name: str
    version: str
    champion: bool
    next_back: bool
    damaged: str
    created: str = ""
    data_last: str = ""
    symbols: int | None = None
    epochs: int | None = None
    windows: int | None = None
    rmse: float | None = None
    naive_rmse: float | None = None
    crps: float | None = None
    baseline_crps: float | None = None
    stale: int = 0
    size: int = 0
    trained_on: tuple[str, ...] = ()
    interval: str = ""
    horizon: int | None = None
    in_use: bool = False


@dataclass(frozen=True)
class ModelList:
    """All versions, by name, oldest first; notes name models with an unknown champion."""

    versions: tuple[ModelVersion, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ModelDetail:
    """One version in full.

    metadata, settings : as stored. stale : series whose stored prices have changed. decisions : for
    every readable version of its name, oldest first: version, time, decision and reason.
    champions : the champions of the name, the current one first.
    """

    version: ModelVersion
    folder: Path
    metadata: Metadata
    settings: Settings
    stale: tuple[StaleMark, ...]
    decisions: tuple[dict[str, Any], ...]
    champions: tuple[str, ...]


def list_models(data_dir: Path, names: Sequence[str] = ()) -> ModelList:
    """List the versions of some or all names; the ready-made model if there are none.

    Raises ModelError for a name without a version.
    """
    found, notes = list[ModelVersion](), []
    for name in dict.fromkeys(names) or registry.all_names(data_dir):
        if name == registry.BASE:
            found.append(_ready_made(data_dir))
            continue
        known = registry.versions(data_dir, name)
        if names and not known:
            raise registry.unknown_model(data_dir, name)
        try:
            leaders = [each.version for each in registry.champions(data_dir, name)]
        except (ModelError, FileError) as error:
            notes.append(str(error))
            leaders = []
        found += [_glance(data_dir, name, version, leaders) for version in known]
    return ModelList(tuple(found or [_ready_made(data_dir)]), tuple(notes))


def _ready_made(data_dir: Path) -> ModelVersion:
    model = registry.ready_made()
    return _version(data_dir, model, read_metadata(model.folder), ())


def show_model(data_dir: Path, reference: str | None) -> ModelDetail:
    """Show one version in full; ModelError if it does not exist or is damaged."""
    model = find_or_only(data_dir, reference, stands_in=True)
    metadata, settings = check_bundle(model.folder)
    is_kept = model.folder.resolve().is_relative_to((data_dir / "models").resolve())
    leaders = [each.version for each in registry.champions(data_dir, model.name)] if is_kept else []
    return ModelDetail(
        version=_version(data_dir, model, metadata, leaders),
        folder=model.folder,
        metadata=metadata,
        settings=settings,
        stale=stale_because(metadata, data_dir),
        decisions=tuple(_decisions(data_dir, model.name)) if is_kept else (),
        champions=tuple(leaders),
    )


def _glance(data_dir: Path, name: str, version: str, leaders: Sequence[str]) -> ModelVersion:
    """Summarise one version, damaged or not."""
    try:
        model = registry.version_of(data_dir, name, version)
        return _version(data_dir, model, check_bundle(model.folder)[0], leaders)
    except (ModelError, FileError) as error:
        damaged = f"{error.what}: {error.why}" if error.why else error.what
    model = ModelRef(name, version, registry.model_folder(data_dir, name) / version)
    return _version(data_dir, model, None, leaders, damaged)


def _version(
    data_dir: Path,
    model: ModelRef,
    metadata: Metadata | None,
    leaders: Sequence[str],
    damaged: str = "",
) -> ModelVersion:
    """Summarise one version; without metadata it is damaged."""
    found = ModelVersion(
        name=model.name,
        version=model.version,
        champion=model.version in leaders[:1],
        next_back=model.version in leaders[1:2],
        damaged=damaged,
        size=size_of(model.folder),
        in_use=model.name in names_in_use(data_dir),
    )
    if metadata is None:
        return found
    scored = metadata.validation.models if metadata.validation else {}
    rmse = {name: each.rmse for name, each in scored.items()}
    crps = {name: each.crps for name, each in scored.items()}
    fan = crps.get("network")
    return replace(
        found,
        created=metadata.created,
        data_last=max(each.last for each in metadata.symbols),
        symbols=len(metadata.symbols),
        epochs=metadata.epochs,
        windows=metadata.windows["train"],
        rmse=rmse.get("network"),
        naive_rmse=rmse.get("naive"),
        crps=fan,
        baseline_crps=None if fan is None else crps.get("scaled_climatology"),
        stale=len(stale_because(metadata, data_dir)),
        trained_on=tuple(each.symbol for each in metadata.symbols),
        interval=metadata.interval,
        horizon=len(metadata.trend["low"]),
    )


@dataclass(frozen=True)
class UseReport:
    """The preferred names, latest first, and the symbols of the chosen one."""

    name: str
    in_use: tuple[str, ...]
    symbols: tuple[str, ...]


def use_model(data_dir: Path, name: str, *, undo: bool = False) -> UseReport:
    """Prefer a model for the symbols that it was trained on, or undo this.

    Raises NoModelError if there is no such champion, or nothing to undo.
    """
    names = prefer(data_dir, name, undo=undo)
    symbols: tuple[str, ...] = ()
    with suppress(ModelError):  # a preference for a removed model can be undone too
        metadata = read_metadata(registry.find_model(data_dir, name).folder)
        symbols = tuple(each.symbol for each in metadata.symbols)
    return UseReport(name, names, symbols)


def size_of(folder: Path) -> int:
    """Return the total size of a version's files in bytes."""
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())


def _decisions(data_dir: Path, name: str) -> Iterator[dict[str, Any]]:
    """Yield the promotion decision of each readable version."""
    for version in registry.versions(data_dir, name):
        with suppress(ModelError, FileError):
            metadata = read_metadata(registry.version_of(data_dir, name, version).folder)
            if decision := metadata.record.get("decision"):
                yield {"version": version, "created": metadata.created, **decision}
