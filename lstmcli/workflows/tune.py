"""Search for settings on walk-forward validation folds, and write the best as a recipe.

The search does not use the test span and only chooses settings: `train` trains a model with the
recipe, and `evaluate` judges it and reports how many settings were tried.

Trial 0 is the recipe itself. Every other trial has its own sampler and pruner, seeded by train.seed
and its number, which know only trials with lower numbers: so a search that was killed resumes with
the same results. If `at_once` trials run at a time, trial n knows those up to n - at_once, in
whatever order they finish.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.pruners import MedianPruner, NopPruner
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from lstmcli.cluster.connection import check_used, workers_of
from lstmcli.config import Settings, Tuning
from lstmcli.errors import Failure, LstmcliError, TaskError, TrainingError, noted_when_stopped
from lstmcli.files import atomic
from lstmcli.learning import folds
from lstmcli.learning import search as searching
from lstmcli.learning.folds import Fold, Gain, Objective
from lstmcli.learning.plan import plan_between, plan_prices, with_known_features
from lstmcli.learning.samples import choose_batch_size
from lstmcli.learning.search import Bench, Dimension, Search, run_trial
from lstmcli.learning.workers import Workers
from lstmcli.runs.bundle import settings_toml
from lstmcli.runs.study import Study, open_study, study_folder
from lstmcli.sources.loading import load_alike
from lstmcli.sources.source import Source, lasting_data
from lstmcli.training.device import threads
from lstmcli.training.loop import Epoch

State = Literal["complete", "pruned", "failed", "running"]
_STATES: dict[TrialState, State] = {  # in the order of the report
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}
_WARM_UP = 3  # epochs of its first fit before a trial may be pruned


@dataclass(frozen=True)
class Trial:
    """One trial: its values of the searched settings, and its result.

    score : the mean of `scores` over the folds, in units of the last price; None unless it is
    complete. reason : why it failed. A trial that runs in another process has no result yet.
    """

    number: int
    state: State
    values: Mapping[str, Any]
    score: float | None = None
    standard_error: float | None = None
    scores: tuple[float, ...] = ()
    epochs: int = 0
    seconds: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class TuneReport:
    """The current state of a study.

    trials : complete ones first, by score, then the others by number. recipe : the file with the
    best settings. gain : of the best over trial 0; None if that was not completed.
    """

    name: str
    folder: Path
    recipe: Path
    objective: Objective
    search: Search
    folds: tuple[Fold, ...]
    trials: tuple[Trial, ...]
    gain: Gain | None
    verdict: str
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


OnTrial = Callable[[Trial, Trial | None, int, int], None]
"""Callback: called after each trial with (trial, best so far, trials ended, trials requested)."""


def tune(
    settings: Settings,
    source: Source,
    search: Search,
    *,
    name: str,
    recipe: Path | None = None,
    fresh: bool = False,
    timeout: float | None = None,
    on_trial: OnTrial = lambda trial, best, count, wanted: None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    clock: Callable[[], float] = time.time,
    ray: str | None = None,
    at_once: int | None = None,
) -> TuneReport:
    """Run the trials of the study `name`, and write the best settings as a recipe.

    Finished trials are kept however the run ends, and several processes may share a study.

    recipe : the file to write; in the study's folder by default. fresh : restart the study.
    timeout : seconds after which no epoch starts; the running trial is discarded. clock : measures
        them; it must agree on all machines that run trials.
    ray, at_once : a Ray cluster that runs the trials, and how many at a time, by default as many as
        it can run. Trials know fewer others the more run at a time, which affects their values.
    Raises UsageError if the study has other data or settings, DataError if there are too few rows
    for the folds, TrainingError if no trial was completed.
    """
    began = clock()
    check_used(ray, "--at-once", at_once)
    folder = study_folder(source.data_dir, name)
    loaded, failures = load_alike(
        source, settings.data, searching.inputs_searched(settings, search.space)
    )
    plan, failures = plan_prices(loaded, with_known_features(settings, loaded), failures)
    # Resolve "auto", so that a sampler can learn from the recipe.
    if "train.batch_size" in search.space:
        settings = settings.changed(train={"batch_size": choose_batch_size(plan, settings)})
    given: list[Mapping[str, Any]] = [
        {key: searching.value_of(settings, key) for key in search.space}
    ]
    if search.sampler == "grid":
        given = searching.grid(search.space, given[0], settings.train.seed)
        search = replace(search, trials=min(search.trials, len(given)))
    known = folds.known_prices(loaded, plan)
    # Folds that fit the longest context fit every trial.
    context_length = searching.most("window.context_length", settings, search.space)
    longest = settings.changed(window={"context_length": context_length})
    bench = Bench(
        settings=settings,
        search=search,
        known=known,
        folds=folds.make_folds(known, longest, search.folds),
        device=settings.train.device,
        has_time=lambda: timeout is None or clock() - began < timeout,
        on_epoch=on_epoch,
    )
    with (
        threads(settings.train.threads) as number,
        workers_of(ray, threads=number, device=settings.train.device) as workers,
        open_study(folder, _bound(bench), fresh=fresh) as study,
        noted_when_stopped(
            lambda: (
                f"{len(study.ended())} of {search.trials} trials of {name} are kept; "
                "run the same command to continue"
            )
        ),
    ):
        bench, at_once = replace(bench, device=workers.device), at_once or workers.slots
        for number in _run_left(study, bench, given, workers, at_once):
            trials = _ranked(study)
            ended = next(trial for trial in trials if trial.number == number)
            on_trial(ended, _best(trials), len(trials), search.trials)
        trials = _ranked(study, at_work=study.at_work())
    best, count = _best(trials), sum(trial.state != "running" for trial in trials)
    if best is None:
        raise _nothing_completed(folder, trials)
    recipe = recipe or folder / f"{name}-tuned.toml"
    text = _recipe(settings, source, known[0].interval, name, best, count)
    with atomic.writing(recipe) as file:
        file.write(text.encode("utf-8"))
    zero = next((trial for trial in trials if trial.number == 0 and trial.score is not None), None)
    gain = None if zero is None else folds.paired_gain(best.scores, zero.scores)
    return TuneReport(
        name=name,
        folder=folder,
        recipe=recipe,
        objective=folds.objective_of(settings),
        search=search,
        folds=bench.folds,
        trials=tuple(trials),
        gain=gain,
        verdict=folds.choice_verdict(best.number, count, len(bench.folds), gain),
        notes=(*_notes(search, at_once, trials), *(n for e in known for n in e.named_notes())),
        failures=tuple(failures),
    )


def _nothing_completed(folder: Path, trials: Sequence[Trial]) -> TrainingError:
    why = [f"trial {each.number}: {each.reason}" for each in trials if each.state == "failed"]
    return TrainingError(
        "no trial was completed",
        where=folder,
        why=why[0] if why else "there was no time for one",
        next_step="Change the recipe or the space." if why else "Pass a longer --timeout.",
    )


def _notes(search: Search, at_once: int, trials: Sequence[Trial]) -> Iterator[str]:
    """Yield how many trials ran at a time, and how many remain."""
    if at_once > 1 and (search.sampler == "tpe" or search.pruner != "none"):
        yield (
            f"{at_once} trials at a time: each knows only those up to {at_once} before it; "
            f"pass --at-once {at_once} to reproduce this"
        )
    if others := sum(trial.state == "running" for trial in trials):
        yield f"{others} of {search.trials} trials are running in other processes"
    if len(trials) < search.trials:
        count = len(trials) - others
        yield f"{count} of {search.trials} trials are finished; run the same command to continue"


def _bound(bench: Bench) -> dict[str, Any]:
    """Return the data and settings that all trials of a study must share, by name.

    The device and the numbers of threads and trials may change between runs.
    """
    search, series = bench.search, folds.fold_series(bench.known, bench.settings)
    tree = bench.settings.model_dump(mode="json", exclude={"data", "evaluate", "tuning"})
    recipe = {
        f"recipe {section}.{key}": value
        for section, table in tree.items()
        for key, value in table.items()
        if (section, key) not in (("train", "device"), ("train", "threads"))
    }
    return {
        "data": plan_between(series, bench.folds[-1].borders, bench.settings).fingerprint(),
        "sampler": search.sampler,
        "pruner": search.pruner,
        "folds": search.folds,
        **recipe,
        **{f"space {key}": _bounds(d) for key, d in search.space.items()},
    }


def _bounds(dimension: Dimension) -> dict[str, Any]:
    if isinstance(dimension, CategoricalDistribution):
        return {"values": searching.values_of(dimension)}
    low, high, log = dimension.low, dimension.high, dimension.log
    return {"low": low, "high": high, "step": None if log else dimension.step, "log": log}


class _Task(NamedTuple):
    """A trial to run: its number, its claim, and its values, in a study of its own.

    That study is in memory and contains the trials that it knows.
    """

    number: int
    claim: ExitStack
    trial: optuna.Trial
    values: Mapping[str, Any]


def _run_left(
    study: Study,
    bench: Bench,
    given: Sequence[Mapping[str, Any]],
    workers: Workers,
    at_once: int,
) -> Iterator[int]:
    """Run the remaining trials in order; store each that has ended and yield its number.

    A trial whose task crashed has failed; a trial that ran out of time is discarded.
    """
    waiting, shared = deque[_Task](), workers.put(bench)
    proposed = _propose(study, bench, given, at_once)

    def calls() -> Iterator[tuple[Any, ...]]:
        for task in proposed:
            waiting.append(task)
            yield shared, task.trial, task.values

    try:
        for found in workers.run(run_trial, calls(), ahead=at_once):
            task = waiting.popleft()
            with task.claim:
                if found is None:
                    proposed.close()
                    continue
                if isinstance(found, TaskError):
                    found = searching.end_trial(
                        task.trial, TrialState.FAIL, values=task.values, reason=str(found)
                    )
                if isinstance(found, LstmcliError):
                    raise found
                study.keep(task.number, found)
            yield task.number
    finally:
        for task in waiting:
            task.claim.close()


def _propose(
    study: Study, bench: Bench, given: Sequence[Mapping[str, Any]], at_once: int
) -> Generator[_Task]:
    """Claim the remaining trials one by one, and propose their values, until time is up.

    given : the values of the first trials, which no sampler proposes. Values outside the space are
        omitted from the task's study: a sampler could not learn from them.
    """
    search = bench.search
    kind = TPESampler if search.sampler == "tpe" else RandomSampler
    median = MedianPruner(n_warmup_steps=_WARM_UP if bench.by_epoch else 0)
    while bench.has_time():
        with ExitStack() as stack:
            number = stack.enter_context(study.claim(search.trials))
            if number is None:
                return
            fixed = given[number] if number < len(given) else None
            space = {
                k: d for k, d in search.space.items() if not fixed or searching.holds(d, fixed[k])
            }
            seed = np.random.SeedSequence([bench.settings.train.seed, number]).generate_state(1)[0]
            local = optuna.create_study(
                sampler=kind(seed=int(seed)),
                pruner=NopPruner() if search.pruner == "none" else median,
            )
            known = study.ended().items()
            local.add_trials(trial for each, trial in known if each <= number - at_once)
            if fixed:
                local.enqueue_trial(
                    {k: searching.to_param(each, fixed[k]) for k, each in space.items()}
                )
            trial = local.ask(dict[str, BaseDistribution](space))
            found = {
                key: searching.from_param(space[key], each) for key, each in trial.params.items()
            }
            task = _Task(number, stack.pop_all(), trial, fixed or found)
        yield task


def _ranked(study: Study, at_work: Sequence[int] = ()) -> list[Trial]:
    """Return all trials: the complete ones by score, then the others by number."""
    ended = study.ended()
    trials = [_trial(each) for each in ended.values()]
    trials += [Trial(number, "running", {}) for number in at_work if number not in ended]
    order = list(_STATES.values())
    return sorted(
        trials, key=lambda each: (order.index(each.state), each.score or 0.0, each.number)
    )


def _trial(ended: FrozenTrial) -> Trial:
    kept, complete = ended.user_attrs, ended.state == TrialState.COMPLETE
    scores = tuple(kept["scores"])
    return Trial(
        number=kept["number"],
        state=_STATES[ended.state],
        values=kept["values"],
        score=ended.value if complete else None,
        standard_error=folds.standard_error(scores) if complete else None,
        scores=scores,
        epochs=kept["epochs"],
        seconds=kept["seconds"],
        reason=kept["reason"],
    )


def _best(trials: Sequence[Trial]) -> Trial | None:
    """Return the complete trial with the lowest score; the earliest in a tie."""
    return trials[0] if trials and trials[0].state == "complete" else None


def _recipe(
    settings: Settings, source: Source, interval: str, name: str, best: Trial, count: int
) -> str:
    """Return the best trial's complete settings as TOML, with the number of trials."""
    chosen = searching.with_values(settings, best.values, where=f"trial {best.number}").model_copy(
        update={
            "data": lasting_data(source, settings.data, interval),
            "tuning": Tuning(trials=settings.tuning.trials + count),
        }
    )
    heading = f"# Trial {best.number}, the best of {count} of the study {name}: lstmcli tune.\n\n"
    return heading + settings_toml(chosen)
