"""Train: prices in, one model version kept, the champion replaced only by a better one."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lstmcli import __version__
from lstmcli.config import Settings
from lstmcli.errors import Failure, TrainingError
from lstmcli.evaluation.scores import Scores
from lstmcli.files.locks import hold
from lstmcli.learning.evidence import OnScored, counting, last_fitted_day
from lstmcli.learning.fit import Course, Fit
from lstmcli.learning.learn import Learned, learn
from lstmcli.learning.plan import Plan, plan_prices, with_known_features
from lstmcli.learning.promotion import BROKE_DOWN, LEVEL, Decision, Promote, decide
from lstmcli.learning.transfer import Donor, describe_donor, plan_transfer, tell_transfer
from lstmcli.market.prices import Prices
from lstmcli.market.store import STORE
from lstmcli.networks.build import count_parameters
from lstmcli.runs.bundle import save_bundle
from lstmcli.runs.checkpoint import (
    find_unchanged,
    has_checkpoint,
    origin_of,
    origin_sha256,
    remove_checkpoint,
    save_checkpoint,
    take_up,
    told_when_stopped,
)
from lstmcli.runs.metadata import Metadata
from lstmcli.runs.registry import ModelRef, model_folder, next_version, promote, tell_doubts
from lstmcli.training.device import choose_device, threads
from lstmcli.training.loop import Epoch
from lstmcli.workflows.prices import Source, doubtful_folders, lasting_data, load_alike
from lstmcli.workflows.stale import histories


@dataclass(frozen=True)
class TrainReport:
    """What was trained and kept.

    scores : of the validation windows, beside the baselines; None where they overlap training.
    decision : whether the version became champion, and why.
    notes : one sentence for all there is to tell of the run and of what was mended in the prices.
    unchanged : nothing was trained: `model` is the newest version, which a new one would repeat.
    """

    model: ModelRef
    metadata: Metadata
    history: tuple[Epoch, ...]
    scores: Scores | None
    decision: Decision
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]
    unchanged: bool = False


def train(
    settings: Settings,
    source: Source,
    *,
    name: str,
    promotion: Promote = "if-better",
    level: float = LEVEL,
    wait: float = 0.0,
    resume: bool = False,
    force: bool = False,
    timeout: float | None = None,
    donor: Donor | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    run_id: str = "",
    clock: Callable[[], float] = time.perf_counter,
) -> TrainReport:
    """Fit one network on all the symbols given and keep it as a new version of `name`.

    After each epoch a checkpoint is kept, until the version is.

    resume : go on from the checkpoint, if there is one of the same data and settings.
    force : train also where nothing has changed since the newest version.
    timeout : seconds after which no further epoch is trained; the best one so far is kept, and the
        checkpoint too. clock : that they are counted by.
    donor : a model whose weights are where training starts.
    promotion, level : whether it becomes champion; see `promotion.decide`.
    run_id : kept in the metadata, so that a log can be searched for it.
    Raises DataError when a series is too short, LockedError when another run trains the same name,
    TrainingError when training broke down (the last good epoch is kept, but never promoted) or had
    no time for an epoch.
    """
    device = choose_device(settings.train.device)
    folder = model_folder(source.data_dir, name)
    began, read_at = clock(), datetime.now(UTC)
    settings, plan, used, failures = _prepare(settings, source, donor)
    stored = used[0].source == STORE
    learned_from = histories(source.data_dir, plan.series, used[0].interval) if stored else {}
    unused = (
        f"model.network {settings.model.network} has no use for model.{key}"
        for key in settings.model.unused
    )
    transferred = () if donor is None else tell_transfer(donor, settings, plan)
    notes = (
        *tell_doubts(
            [
                *doubtful_folders(source, settings.data.interval),
                *(source.data_dir, folder.parent, folder),
            ]
        ),
        *transferred,
        *unused,
        *(note for each in used for note in each.named_notes()),
    )
    with hold(folder / ".lock", wait=wait), threads(settings.train.threads) as number:
        version = next_version(source.data_dir, name)
        origin = origin_of(settings, plan.fingerprint(), device, number)
        origin |= {} if donor is None else donor.origin
        same = None if force else find_unchanged(source.data_dir, name, origin)
        if same is not None:
            _finish(source.data_dir, *same)
            return _unchanged(*same, notes, failures)
        start, told = take_up(folder, origin, resume=resume)
        before = sum(epoch.seconds for epoch in start.history) if start else 0.0
        course = Course(
            on_epoch=on_epoch,
            keep=partial(save_checkpoint, folder, origin),
            has_time=lambda seconds: timeout is None or clock() - began + seconds < timeout,
            start=start,
        )
        with told_when_stopped(folder, name, origin):
            learned = learn(plan, settings, device, used[0].interval, course, donor)
            looked: list[str] = []
            on_scored = counting(source.data_dir, "train", learned.model, version, looked)
            decision = _decide(
                promotion, level, learned, plan, used, source.data_dir, name, on_scored
            )
            record = {
                **describe(
                    learned.fit,
                    plan,
                    device,
                    number,
                    before + clock() - began,
                    None if donor is None else donor.metadata,
                ),
                "interval": used[0].interval,
                "run_id": run_id,
                "source": {
                    "store": stored,
                    "read_at": read_at.isoformat(),
                    "histories": learned_from,
                },
                "origin_sha256": origin_sha256(origin),
                "from": donor and describe_donor(donor, settings, plan),
                "trend": learned.trend,
                "validation": summarize(learned.scores),
                "decision": asdict(decision),
            }
            _keep(source.data_dir, version, learned, record, decision)
    if learned.fit.stopped == "timeout":
        told = (*told, _cut_short(learned.fit, version))
    return TrainReport(
        model=version,
        metadata=Metadata.of(record),
        history=tuple(learned.fit.history),
        scores=learned.scores,
        decision=decision,
        notes=(*told, *looked, *notes),
        failures=tuple(failures),
    )


def _prepare(
    settings: Settings, source: Source, donor: Donor | None
) -> tuple[Settings, Plan, list[Prices], list[Failure]]:
    """Return the settings and the plan of all that is suitable, its prices, and what is not."""
    asked = () if donor is None else (donor.metadata.interval, f"{donor.reference} reads")
    loaded, failures = load_alike(source, settings.data, *asked)
    settings = with_known_features(settings, loaded)
    if donor is None:
        plan, failures = plan_prices(loaded, settings, failures)
    else:
        settings, plan, failures = plan_transfer(donor, loaded, settings, failures)
    used = [each for each in loaded if each.symbol in {one.symbol for one in plan.series}]
    data = lasting_data(source, settings.data, used[0].interval)
    lasting = settings.model_copy(update={"data": data})
    return lasting, plan, used, failures


def _decide(
    promotion: Promote,
    level: float,
    learned: Learned,
    plan: Plan,
    prices: Sequence[Prices],
    data_dir: Path,
    name: str,
    on_scored: OnScored,
) -> Decision:
    if learned.fit.error is not None:
        return BROKE_DOWN
    start = plan.test_start
    return decide(
        promotion,
        learned.model,
        start,
        prices,
        data_dir=data_dir,
        name=name,
        level=level,
        on_scored=on_scored,
    )


def _keep(
    data_dir: Path,
    version: ModelRef,
    learned: Learned,
    record: dict[str, Any],
    decision: Decision,
) -> None:
    """Write a version, then the pointer; the checkpoint goes last, unless training can go on."""
    save_bundle(version.folder, learned.model, record, learned.fit.history)
    if learned.fit.error is not None:
        remove_checkpoint(version.folder.parent)
        raise _with_version(learned.fit.error, version) from learned.fit.error
    if decision.promoted:
        promote(data_dir, version)
    if learned.fit.stopped != "timeout":
        remove_checkpoint(version.folder.parent)


def _finish(data_dir: Path, version: ModelRef, metadata: Metadata) -> None:
    """Do what a run that was killed after writing its version had still to do."""
    if has_checkpoint(version.folder.parent):
        if metadata.promoted:
            promote(data_dir, version)
        remove_checkpoint(version.folder.parent)


def _unchanged(
    version: ModelRef,
    metadata: Metadata,
    notes: tuple[str, ...],
    failures: Sequence[Failure],
) -> TrainReport:
    why = f"settings, data and versions are those of {version}"
    return TrainReport(
        model=version,
        metadata=metadata,
        history=(),
        scores=None,
        decision=Decision(False, why),
        notes=notes,
        failures=tuple(failures),
        unchanged=True,
    )


def _cut_short(fitted: Fit, version: ModelRef) -> str:
    return (
        f"--timeout ended training after epoch {fitted.history[-1].epoch}; the best one is kept as "
        f"{version}, --resume goes on"
    )


def _with_version(error: TrainingError, version: ModelRef) -> TrainingError:
    return TrainingError(
        error.what,
        where=error.where,
        why=error.why,
        next_step=f"{error.next_step} The best epoch before it is kept as {version}, not promoted.",
    )


def describe(
    fitted: Fit,
    plan: Plan,
    device: torch.device,
    number: int,
    seconds: float,
    donor: Metadata | None = None,
) -> dict[str, Any]:
    """Say where a version came from, as far as it does not stand in its settings.

    donor : the metadata of the model that it started from.
    """
    best = max((epoch for epoch in fitted.history if epoch.best), key=lambda epoch: epoch.epoch)
    return {
        "lstmcli_version": __version__,
        "torch_version": torch.__version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": fitted.model.settings.train.seed,
        "threads": number,
        "device": str(device),
        "duration_seconds": round(seconds, 3),
        "network": fitted.model.settings.model.network,
        "parameters": count_parameters(fitted.model.network),
        "data": {
            "fingerprint": plan.fingerprint(),
            "price": plan.series[0].price,
            "symbols": [
                {
                    "symbol": each.symbol,
                    "price": each.price,
                    "rows": len(each),
                    "first": str(each.dates[0]),
                    "last": str(each.dates[-1]),
                }
                for each in plan.series
            ],
        },
        "split": {
            "method": fitted.model.settings.split.method,
            "purge": fitted.model.settings.purge,
            "embargo": fitted.model.settings.split.embargo,
            "dates": plan.count_dates(),
            "validation_start": plan.validation_start and str(plan.validation_start),
            "trained_until": str(last_fitted_day(plan, donor)),
            "test_start": str(plan.test_start),
        },
        "windows": plan.counts(),
        "tuning": fitted.model.settings.tuning.model_dump(),
        "epochs": {"run": len(fitted.history), "best": best.epoch},
        "stopped": fitted.stopped,
        "validation_loss": best.validation_loss,
    }


def summarize(scores: Scores | None) -> dict[str, Any] | None:
    """Keep of the validation scores what a forecast is later shown with."""
    if scores is None:
        return None
    return {
        "n_windows": scores.n_windows,
        "n_independent": scores.n_independent,
        "models": {
            name: {
                "rmse": each.path.rmse,
                "mae": each.path.mae,
                "skill": each.path.skill,
                "crps": each.path.crps,
                "p": {other: test.test.p for other, test in each.tests.items()},
                "direction_accuracy": asdict(each.direction[-1].two_way),
                "bands": [
                    {
                        "step": band.step,
                        "nominal": band.nominal,
                        "coverage": band.coverage,
                        "standard_error": band.standard_error,
                        "width": band.width,
                    }
                    for band in each.bands
                ],
            }
            for name, each in scores.models.items()
        },
    }
