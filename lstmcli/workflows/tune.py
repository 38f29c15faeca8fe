"""Tune: many settings tried on walk-forward validation folds, the best of them as a recipe.

The test span takes no part, and what was found is no more than a choice: `train` makes a model of
the recipe, and `evaluate` judges it, telling how many settings it was chosen among.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lstmcli import atomic
from lstmcli.config import Settings, Tuning
from lstmcli.errors import TrainingError
from lstmcli.evaluation.choice import Gain, choice_verdict, paired_gain
from lstmcli.market.prices import Prices
from lstmcli.runs.bundle import settings_toml
from lstmcli.runs.study import Study, open_study, study_folder
from lstmcli.training.device import choose_device, threads
from lstmcli.training.loop import Epoch
from lstmcli.workflows.failures import Failure
from lstmcli.workflows.folds import (
    Fold,
    Objective,
    fold_series,
    known_prices,
    make_folds,
    objective_of,
)
from lstmcli.workflows.learn import plan_prices, with_known_features
from lstmcli.workflows.plan import plan_between
from lstmcli.workflows.prices import Source, lasting_data, load_alike
from lstmcli.workflows.search import count_trials
from lstmcli.workflows.space import Space, with_values
from lstmcli.workflows.trial import Bench, most, stages_by_epoch
from lstmcli.workflows.trials import (
    Search,
    Trial,
    best_of,
    finished,
    pruner_of,
    ranked,
    recipe_values,
    try_next,
)


@dataclass(frozen=True)
class TuneReport:
    """A study as far as it has come.

    trials : the complete ones first, by score, then the others by number. wanted : how many there
    are to be. recipe : the file of the best. gain : of the best over trial 0, None where that was
    not completed.
    """

    name: str
    folder: Path
    recipe: Path
    objective: Objective
    search: Search
    folds: tuple[Fold, ...]
    trials: tuple[Trial, ...]
    wanted: int
    gain: Gain | None
    verdict: str
    notes: tuple[str, ...]
    failures: tuple[Failure, ...]


OnTrial = Callable[[Trial, Trial | None, int, int], None]
"""Is told of a trial that has ended, the best so far, and how many of how many are finished."""


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
    clock: Callable[[], float] = time.perf_counter,
) -> TuneReport:
    """Try settings until the study `name` has its trials, and write the best ones as a recipe.

    What is finished stays finished, however the run ends, and several processes may share a study.

    recipe : the file to write; in the study's folder unless given. fresh : begin the study anew.
    timeout : seconds after which no epoch is begun; the trial at work is given up. clock : that
        they are counted by.
    Raises UsageError where the study is one of something else, DataError where the rows do not
    allow the folds, TrainingError where no trial was completed.
    """
    began = clock()
    folder = study_folder(source.data_dir, name)
    wanted = _wanted(settings, search)
    known, failures = _known(settings, source)
    bench = Bench(
        settings=settings,
        known=known,
        folds=make_folds(known, _longest(settings, search.space), search.folds),
        device=choose_device(settings.train.device),
        stages=stages_by_epoch(settings, search.space),
        has_time=lambda: timeout is None or clock() - began < timeout,
        on_epoch=on_epoch,
    )
    with (
        threads(settings.train.threads),
        open_study(folder, _bound(bench, search), pruner_of(search, bench), fresh=fresh) as study,
        _told_when_stopped(study, name, wanted),
    ):
        while (number := try_next(study, bench, search, wanted, clock)) is not None:
            trials = ranked(study, settings, search.space)
            ended = next(trial for trial in trials if trial.number == number)
            on_trial(ended, best_of(trials), len(finished(trials)), wanted)
        trials = ranked(study, settings, search.space)
    best, count = best_of(trials), len(finished(trials))
    if best is None:
        raise _nothing_complete(folder, trials)
    recipe = recipe or folder / f"{name}-tuned.toml"
    text = _recipe(settings, source, known[0].interval, name, best, count)
    with atomic.writing(recipe) as file:
        file.write(text.encode("utf-8"))
    gain = _gain(best, trials)
    return TuneReport(
        name=name,
        folder=folder,
        recipe=recipe,
        objective=objective_of(settings),
        search=search,
        folds=tuple(bench.folds),
        trials=tuple(trials),
        wanted=wanted,
        gain=gain,
        verdict=choice_verdict(best.number, count, len(bench.folds), gain),
        notes=(
            *_unfinished(trials, wanted),
            *(note for each in known for note in each.named_notes()),
        ),
        failures=tuple(failures),
    )


def _wanted(settings: Settings, search: Search) -> int:
    """Return how many trials there are to be: no more than a grid holds."""
    if search.sampler != "grid":
        return search.trials
    return min(search.trials, count_trials(search.space, recipe_values(settings, search.space)))


def _known(settings: Settings, source: Source) -> tuple[list[Prices], list[Failure]]:
    """Return the prices before the test span of all series that suit the recipe."""
    loaded, failures = load_alike(source, settings.data)
    plan, failures = plan_prices(loaded, with_known_features(settings, loaded), failures)
    return known_prices(loaded, plan), failures


def _longest(settings: Settings, space: Space) -> Settings:
    """Return the settings with the longest context searched, so that all trials have its folds."""
    context_length = most("window.context_length", settings, space)
    window = settings.window.model_copy(update={"context_length": context_length})
    return settings.model_copy(update={"window": window})


def _bound(bench: Bench, search: Search) -> dict[str, Any]:
    """Say what the study is one of, name by name; not where and for how long it runs."""
    series = fold_series(bench.known, bench.settings)
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
        **{f"space {key}": asdict(each) for key, each in search.space.items()},
    }


@contextmanager
def _told_when_stopped(study: Study, name: str, wanted: int) -> Iterator[None]:
    """Add to a signal's exception, on its way out, a note of what is kept of the run."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as stop:
        count = sum(record.state != "running" for record in study.records())
        stop.add_note(
            f"stopped: {count} of {wanted} trials of {name} are kept, the same command goes on"
        )
        raise


def _nothing_complete(folder: Path, trials: Sequence[Trial]) -> TrainingError:
    failed = [trial for trial in trials if trial.state == "failed"]
    why = f"trial {failed[0].number}: {failed[0].reason}" if failed else "there was no time for one"
    return TrainingError(
        "no trial was completed",
        where=folder,
        why=why,
        next_step="Change the recipe or the space." if failed else "Pass a longer --timeout.",
    )


def _gain(best: Trial, trials: Sequence[Trial]) -> Gain | None:
    own = next((trial for trial in trials if trial.number == 0), None)
    return None if own is None or own.score is None else paired_gain(best.scores, own.scores)


def _recipe(
    settings: Settings, source: Source, interval: str, name: str, best: Trial, count: int
) -> str:
    """Return the settings of the best trial, complete, with what their choice has cost."""
    chosen = with_values(settings, best.values, where=f"trial {best.number}").model_copy(
        update={
            "data": lasting_data(source, settings.data, interval),
            "tuning": Tuning(trials=settings.tuning.trials + count),
        }
    )
    heading = f"# Trial {best.number}, the best of {count} of the study {name}: lstmcli tune.\n\n"
    return heading + settings_toml(chosen)


def _unfinished(trials: Sequence[Trial], wanted: int) -> list[str]:
    """Tell of the trials that are still to come, and of those that failed."""
    count, others = len(finished(trials)), len(trials) - len(finished(trials))
    notes = []
    if others:
        notes.append(f"{others} of {wanted} trials are at work in other processes")
    if count + others < wanted:
        notes.append(f"{count} of {wanted} trials are finished; the same command goes on")
    return notes
