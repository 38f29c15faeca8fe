"""Train a model on prices, keep it as a version, and promote it only if it is better."""

import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from lstmcli.cluster.connection import check_used
from lstmcli.cluster.training import group_of
from lstmcli.config import Settings
from lstmcli.dataset.series import make_series
from lstmcli.errors import Failure, ModelError, UsageError, noted_when_stopped
from lstmcli.evaluation.scores import Scores
from lstmcli.files.locks import hold
from lstmcli.learning import transfer
from lstmcli.learning.fit import Course
from lstmcli.learning.learn import Learned, describe, describe_series, learn
from lstmcli.learning.plan import Plan, plan_prices, with_known_features
from lstmcli.learning.promotion import BROKE_DOWN, LEVEL, Decision, Promote, decide
from lstmcli.learning.transfer import Donor, Freeze, find_donor
from lstmcli.market.prices import STORE, Prices
from lstmcli.printable import first_few
from lstmcli.recipes import shipped_file
from lstmcli.runs import checkpoint, registry
from lstmcli.runs.bundle import save_bundle
from lstmcli.runs.choice import is_comparable, name_for, read_candidate, trained_on
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import ModelRef, model_folder
from lstmcli.runs.stale import histories
from lstmcli.sources.loading import find_others, load_alike, load_for_both
from lstmcli.sources.source import Source, chosen_settings, doubtful_folders, lasting_data
from lstmcli.training.device import choose_device, describe_choice, threads
from lstmcli.training.loop import Epoch


@dataclass(frozen=True)
class TrainReport:
    """The result of a training run.

    scores : of the validation windows, next to the baselines; None if they overlap training.
    decision : whether the version was promoted to champion, and why.
    notes : one sentence each, about the run and about repaired prices.
    unchanged : nothing was trained, since a new version would equal the newest one, `model`.
    """

    model: ModelRef
    metadata: Metadata
    history: tuple[Epoch, ...]
    scores: Scores | None
    decision: Decision
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]
    unchanged: bool = False


@dataclass(frozen=True)
class Training:
    """A requested training: its settings, and the source of prices with the recipe's dates.

    recipe : the default name of its models. donor : the model that it starts from.
    """

    settings: Settings
    source: Source
    recipe: str
    donor: Donor | None

    @property
    def most_epochs(self) -> int:
        """Return the maximum number of epochs of a network, over all phases."""
        phases = 1 if self.donor is None else len(self.donor.phases(1.0))
        return self.settings.train.epochs * phases


def read_recipe(
    source: Source,
    recipe: str | None,
    changes: Sequence[str],
    from_: str | None,
    *,
    freeze: Freeze | None = None,
    fine_tune_lr: float | None = None,
    models: Path | None = None,
) -> Training:
    """Read a recipe with `KEY=VALUE` changes, and the model `from_` to start from.

    The default recipe is that of the model `from_`, if any. models : the data folder of the model,
    by default that of the source. Raises the errors of `find_donor`.
    """
    donor = find_donor(models or source.data_dir, from_, freeze=freeze, fine_tune_lr=fine_tune_lr)
    name = Path(recipe or "default").stem
    if donor is not None and recipe is None:
        name = "default" if donor.reference.is_shipped else donor.reference.name
        recipe = str(donor.reference.folder / "config.toml")
    return Training(*chosen_settings(recipe or "default", source, changes), name, donor)


def train(
    settings: Settings,
    source: Source,
    *,
    name: str | None = None,
    recipe: str = "default",
    replace: bool = False,
    promotion: Promote = "if-better",
    level: float = LEVEL,
    wait: float = 0.0,
    resume: bool = False,
    force: bool = False,
    timeout: float | None = None,
    donor: Donor | None = None,
    scratch: bool = False,
    on_note: Callable[[str], None] = lambda note: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    run_id: str = "",
    typed: str = "",
    clock: Callable[[], float] = time.time,
    ray: str | None = None,
    workers: int | None = None,
) -> TrainReport:
    """Train one network on all symbols and keep it as a new version of a model name.

    A checkpoint is saved after each epoch, and removed once the version is saved.

    name : of the model; by default the source's symbol if it names only one, else `recipe`.
    replace : replace the champion even if it was trained on other symbols.
    resume : continue from the checkpoint, if one of the same data and settings exists.
    force : train even if nothing has changed since the newest version.
    timeout : seconds after which training stops; the best epoch so far and the checkpoint are kept.
        clock : measures them; it must agree on all machines that train.
    ray, workers : a Ray cluster and the number of its processes that share each batch; see
        `group_of`.
    donor : a model whose weights training starts from. scratch : never start from the ready-made
        model, which is the default if there are few validation windows.
    promotion, level : when to promote the new version; see `promotion.decide`.
    on_note : called before training with each note about the prices.
    run_id : recorded in the metadata, to find the run in a log.
    typed : the prices and the recipe as arguments of `lstmcli train`, for error messages.
    Raises DataError if a series is too short, UsageError if the champion of the name was trained on
    other symbols, LockedError if another run trains the same name, and TrainingError if training
    diverged (the last good epoch is kept, but never promoted) or had no time for an epoch.
    """
    began, home = clock(), source.data_dir
    check_used(ray, "--workers", workers)
    if ray is None:
        choose_device(settings.train.device)  # fail before reading prices
    if name is not None:
        model_folder(home, name)
    given = _prepare(settings, source, donor, scratch, recipe)
    settings, plan, used, donor = given.settings, given.plan, given.used, given.donor
    for note in given.describe_shipped():
        on_note(note)
    name = given.name if name is None else name
    folder, notes, read = model_folder(home, name), tuple(given.notes(name)), given.describe_read()
    with (
        hold(folder / ".lock", wait=wait),
        threads(settings.train.threads) as number,
        group_of(ray, workers, threads=number, device=settings.train.device) as group,
    ):
        fitting, device, size = group
        replaced = given.replaces(name, replace, typed)
        version = registry.next_version(home, name)
        shared = {"workers": size} if size > 1 else {}
        origin = checkpoint.origin_of(settings, plan.fingerprint(), device, number) | shared
        origin |= {} if donor is None else donor.origin
        if same := None if force else checkpoint.find_unchanged(home, name, origin):
            return _finish(home, *same, notes, given.failures)
        start, resumed = checkpoint.checkpoint_to_resume(folder, origin, resume=resume)
        before = sum(epoch.seconds for epoch in start.history) if start else 0.0
        course = Course(
            on_epoch=on_epoch,
            keep=partial(checkpoint.save_checkpoint, folder, origin),
            has_time=None if timeout is None else lambda more: clock() - began + more < timeout,
            start=start,
        )
        with noted_when_stopped(lambda: checkpoint.note_kept(folder, name, origin)):
            learned = learn(plan, settings, device, given.interval, course, donor, fitting)
            if learned.fit.error is not None:
                decision, looked = BROKE_DOWN, tuple[str, ...]()
            elif promotion == "if-better" and replaced:
                decision, looked = Decision(True, "--replace"), ()
            else:
                judged = load_for_both(source, settings, name, used)
                candidate = learned.model, version, plan.test_start
                decision, looked = decide(promotion, *candidate, judged, data_dir=home, level=level)
            facts: dict[str, Any] = {"number": number, "seconds": before + clock() - began}
            facts |= {"donor": donor, "interval": given.interval, "run_id": run_id, "source": read}
            facts |= {"origin_sha256": checkpoint.origin_sha256(origin), **shared}
            record = describe(learned, plan, device, **facts)
            record["decision"] = asdict(decision)
            kept = _keep(home, version, learned, record, decision)
    spent = sum(epoch.seconds for epoch in learned.fit.history)
    chosen = describe_choice(settings.train.device, device, spent, record["duration_seconds"])
    return TrainReport(
        model=version,
        metadata=Metadata.of(record),
        history=tuple(learned.fit.history),
        scores=learned.scores,
        decision=decision,
        notes=(*resumed, *kept, *chosen, *looked, *notes),
        failures=given.failures,
    )


@dataclass(frozen=True)
class _Given:
    """The settings and suitable data to train one network on.

    name : default name of the model. used : the prices of the plan. failures : the unsuitable
    series. donor : the model to start from, requested or ready-made; short : a note on the latter.
    read_at : when the prices were read, ISO time.
    """

    source: Source
    settings: Settings
    plan: Plan
    name: str
    used: list[Prices]
    failures: tuple[Failure, ...]
    donor: Donor | None
    short: str
    read_at: str

    @property
    def interval(self) -> str:
        """The interval of the bars."""
        return self.used[0].interval

    def describe_shipped(self) -> Iterator[str]:
        """Yield one note if the run uses the shipped sample data by default."""
        samples, used = shipped_file("data"), self.used
        named = self.source.names_data
        if not named and all(Path(each.source).is_relative_to(samples) for each in used):
            until = max(each.frame.index[-1] for each in used)
            yield (
                f"training on shipped sample data: {len(used)} series, until {until:%Y-%m-%d}. "
                "For your own: lstmcli train SYMBOL"
            )

    def describe_read(self) -> dict[str, Any]:
        """Return the origin of the prices, including those of inputs, for the metadata."""
        if self.used[0].source != STORE:
            return {"store": False, "read_at": self.read_at, "histories": {}}
        inputs = self.settings.window.inputs
        found = find_others(self.source, self.settings.data, inputs, self.interval)
        others = [make_series(each, features=("close",), price="close") for each in found]
        series = (*self.plan.series, *others)
        learned_from = histories(self.source.data_dir, series, self.interval)
        named = {"others": [describe_series(each) for each in others]} if others else {}
        return {"store": True, "read_at": self.read_at, "histories": learned_from, **named}

    def replaces(self, name: str, allowed: bool, typed: str) -> bool:
        """Return whether the new version replaces a champion of other symbols.

        Two such models cannot be compared: raises UsageError unless `allowed`.
        """
        symbols = [e.symbol for e in self.used] + [e.symbol for e in self.failures]
        try:
            leader = registry.champion(self.source.data_dir, name)
            found = None if leader is None else read_candidate(leader)
        except ModelError:  # `decide` reports it
            return False
        if found is None or is_comparable(found, symbols, self.interval):
            return False
        if allowed:
            return True
        another = f"{name}-2" if self.name == name else self.name
        words = ["lstmcli train", typed or shlex.join(self.source.symbols), f"--name {another}"]
        called = " ".join(word for word in words if word)
        raise UsageError(
            "cannot compare models of different symbols",
            where=found.model,
            why=f"{name} was trained on {trained_on(found.metadata)}, the new one would be on "
            f"{first_few(symbols)}",
            next_step=f"Give the new one a name: {called} (or --replace).",
        )

    def notes(self, name: str) -> Iterator[str]:
        """Yield notes on the settings and data before a model of this name is trained."""
        if self.short:
            yield self.short
        settings, folder = self.settings, model_folder(self.source.data_dir, name)
        folders = doubtful_folders(self.source, settings.data.interval)
        yield from registry.warn_ownership([*folders, self.source.data_dir, folder.parent, folder])
        if self.donor is not None:
            yield from transfer.describe_transfer(self.donor, settings, self.plan)
        for key in settings.model.unused:
            yield f"model.network {settings.model.network} ignores model.{key}"
        if settings.train.labels == "sequence" and not settings.labels_all_bars:
            yield (
                "one label per window: train.labels sequence with model.head recursive requires a "
                "network with a state and window.scaling relative"
            )
        for each in self.used:
            yield from each.named_notes()


def _prepare(
    settings: Settings, source: Source, donor: Donor | None, scratch: bool, recipe: str
) -> _Given:
    """Read the prices and split them. recipe : the name of a model of several series."""
    read_at = datetime.now(UTC).isoformat()
    asked = () if donor is None else (donor.metadata.interval, f"{donor.reference} reads")
    loaded, failures = load_alike(source, settings.data, settings.window.inputs, *asked)
    settings = with_known_features(settings, loaded)
    if donor is None:
        plan, failures = plan_prices(loaded, settings, failures)
    else:
        settings, plan, failures = transfer.plan_transfer(donor, loaded, settings, failures)
    used = [each for each in loaded if each.symbol in {one.symbol for one in plan.series}]
    interval, short, name = used[0].interval, "", recipe
    if donor is None and not scratch:
        donor, short = transfer.ready_made_donor(plan, settings, interval)
        plan = plan if donor is None else transfer.held_back(donor, plan)
    if source.names_data and len(used) + len(failures) == 1:
        name = name_for(source.data_dir, used[0].symbol, interval)
    settings = settings.model_copy(update={"data": lasting_data(source, settings.data, interval)})
    return _Given(source, settings, plan, name, used, tuple(failures), donor, short, read_at)


def _keep(
    data_dir: Path,
    version: ModelRef,
    learned: Learned,
    record: dict[str, Any],
    decision: Decision,
) -> tuple[str, ...]:
    """Write a version, then the pointer; then remove the checkpoint unless training can resume.

    Returns a note if training can resume. Raises TrainingError if training diverged.
    """
    save_bundle(version.folder, learned.model, record, learned.fit.history)
    if (error := learned.fit.error) is not None:
        checkpoint.remove_checkpoint(version.folder.parent)
        step = f"{error.next_step} The best epoch before it is kept as {version}, not promoted."
        raise error.changed(next_step=step) from error
    if decision.promoted:
        registry.promote(data_dir, version)
    if learned.fit.stopped == "timeout":
        epoch = learned.fit.history[-1].epoch
        note = f"--timeout ended training after epoch {epoch}; the best one is kept as {version}"
        return (f"{note}, --resume goes on",)
    checkpoint.remove_checkpoint(version.folder.parent)
    return ()


def _finish(
    data_dir: Path,
    version: ModelRef,
    metadata: Metadata,
    notes: tuple[str, ...],
    failures: tuple[Failure, ...],
) -> TrainReport:
    """Complete and report a run that was killed after it had written its version."""
    if checkpoint.has_checkpoint(version.folder.parent):
        if metadata.decision and metadata.decision.promoted:
            registry.promote(data_dir, version)
        checkpoint.remove_checkpoint(version.folder.parent)
    why = f"settings, data and versions are the same as for {version}"
    return TrainReport(
        model=version,
        metadata=metadata,
        history=(),
        scores=None,
        decision=Decision(False, why),
        notes=notes,
        failures=failures,
        unchanged=True,
    )
