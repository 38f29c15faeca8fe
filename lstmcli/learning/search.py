"""The search space, read from a TOML file, and a single trial of `tune`.

Values are checked like those of a recipe before anything runs. Settings that change the task or its
scores (data, split, horizon, levels) cannot be searched, since scores of different tasks are not
comparable. Values are JSON values. Optuna's choices cannot be lists, so it gets choices as JSON
text.
"""

import itertools
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lstmcli.config import FOLLOWING, Settings, check_settings, keys
from lstmcli.errors import DataError, TrainingError, UsageError, did_you_mean
from lstmcli.features import OwnInput
from lstmcli.learning.fit import Course, fit
from lstmcli.learning.folds import Fold, plan_fold, score_fold
from lstmcli.market.prices import Prices
from lstmcli.recipes import find_toml, read_toml
from lstmcli.records import describe_fault
from lstmcli.training.device import choose_device
from lstmcli.training.loop import Epoch

_SECTIONS = ("window", "model", "train")
_FIXED = ("window.horizon", "train.seed", "train.device", "train.threads")
SEARCHABLE = tuple(key for key in keys() if key.split(".")[0] in _SECTIONS and key not in _FIXED)

# If one of these is searched, the losses of two trials are not comparable.
_SHAPE_THE_LOSS = {
    "window.context_length", "window.features", "window.scaling", "train.members", "train.labels",
    "train.chunk_length", "train.burn_in", "train.volatility_weight", "train.loss",
}  # fmt: skip
_MOST_POINTS = 100_000

Dimension = CategoricalDistribution | IntDistribution | FloatDistribution
Space = Mapping[str, Dimension]
"""The dimension of each searched setting by dotted name, in the order of the file."""


Sampler = Literal["tpe", "random", "grid"]
Pruner = Literal["median", "none"]


def to_param(dimension: Dimension, value: Any) -> Any:
    """Convert a value to an Optuna parameter; `from_param` is the inverse."""
    return json.dumps(value) if isinstance(dimension, CategoricalDistribution) else value


def from_param(dimension: Dimension, param: Any) -> Any:
    """Convert an Optuna parameter to a value, rounded if the range has a step."""
    if isinstance(dimension, CategoricalDistribution):
        return json.loads(param)
    if isinstance(dimension, FloatDistribution) and dimension.step is not None:
        return float(f"{param:.12g}")  # 0.3 instead of 0.1 + 2 * 0.1
    return param


def values_of(dimension: Dimension) -> list[Any] | None:
    """List all values of a dimension; None for a range without a step."""
    if isinstance(dimension, CategoricalDistribution):
        return [from_param(dimension, each) for each in dimension.choices]
    low, high, step = dimension.low, dimension.high, dimension.step
    if dimension.log or step is None:
        return None
    places = range(round((high - low) / step) + 1)
    return [from_param(dimension, low + place * step) for place in places]


def holds(dimension: Dimension, value: Any) -> bool:
    """Return whether a dimension contains a value."""
    known = values_of(dimension)
    if known is not None or isinstance(dimension, CategoricalDistribution):
        return value in (known or ())
    return bool(dimension.low <= value <= dimension.high)


def load_space(space: str | Path, settings: Settings) -> Space:
    """Read a search space by name or path, and validate its values with the recipe `settings`.

    Raises UsageError naming the file and the key for an unknown key, an empty or impossible range,
    or an invalid value; FileError for an unreadable file.
    """
    path = find_toml(space, "search space", folder="configs/spaces", option="--space")
    tables: dict[str, Any] = {}
    for key, table in read_toml(path, "search space").items():
        # TOML nests a dotted key without quotes.
        nested = "." not in key and isinstance(table, dict)
        tables |= (
            {f"{key}.{name}": each for name, each in table.items()} if nested else {key: table}
        )
    if not tables:
        raise UsageError("an empty search space", where=path, next_step=_EXAMPLE)
    return {key: _dimension(key, table, settings, path) for key, table in tables.items()}


def with_values(settings: Settings, values: Mapping[str, Any], *, where: str) -> Settings:
    """Return settings with some values changed, by dotted name; UsageError if invalid."""
    tree = settings.model_dump()
    for key in set(FOLLOWING) - settings.train.model_fields_set:
        del tree["train"][key]  # drop the derived value, e.g. a burn-in that depends on the context
    for key, value in values.items():
        section, name = key.split(".")
        tree[section][name] = value
    return check_settings(tree, where=where)


def value_of(settings: Settings, key: str) -> Any:
    """Return the value of a setting by its dotted name."""
    value = attrgetter(key)(settings)
    return json.loads(json.dumps(value)) if isinstance(value, tuple) else value


def grid(space: Space, recipe: Mapping[str, Any], seed: int) -> list[Mapping[str, Any]]:
    """Return the recipe's own values, then all other points of the space in random order.

    Raises UsageError if a setting has infinitely many values, or if there are too many points.
    """
    every = {key: values_of(each) for key, each in space.items()}
    endless = [key for key, values in every.items() if values is None]
    lists = [values for values in every.values() if values is not None]
    number = math.prod(map(len, lists))
    if endless or number > _MOST_POINTS:
        raise UsageError(
            "no grid of this space",
            where=", ".join(endless) or f"{number} points",
            why="a range without a step has infinitely many values"
            if endless
            else f"at most {_MOST_POINTS} can be listed",
            next_step="Give fewer values (a step or choices), or pass --sampler random or tpe.",
        )
    points = [dict(zip(space, values, strict=True)) for values in itertools.product(*lists)]
    drawn = [points[place] for place in np.random.default_rng(seed).permutation(number)]
    return [recipe, *(point for point in drawn if point != recipe)]


_EXAMPLE = 'Write "train.learning_rate" = { low = 1e-4, high = 1e-2, log = true }, for example.'


@dataclass(frozen=True)
class Search:
    """The settings and method of a search. trials : of the study, including existing ones."""

    space: Space
    sampler: Sampler = "tpe"
    pruner: Pruner = "median"
    trials: int = 40
    folds: int = 3


class _TimeUp(Exception):
    """Raised when time is up; caught within this file."""


@dataclass(frozen=True)
class Bench:
    """The data and settings that all trials of a run share.

    known, folds : the prices up to the test span, and the validation spans.
    """

    settings: Settings
    search: Search
    known: Sequence[Prices]
    folds: tuple[Fold, ...]
    device: str
    has_time: Callable[[], bool]
    on_epoch: Callable[[Epoch], None]

    @property
    def by_epoch(self) -> bool:
        """Whether pruning compares the loss of each epoch rather than the score of each fold."""
        return not _SHAPE_THE_LOSS & set(self.search.space)


def run_trial(bench: Bench, trial: optuna.Trial, values: Mapping[str, Any]) -> FrozenTrial | None:
    """Fit and score settings with changed values on every fold, unless the trial is pruned.

    A trial fails if it diverges, or if its settings or data are incompatible.

    Returns the finished trial, or None if it ran out of time, as if it had never started.
    """
    began = time.perf_counter()
    scores: list[float] = []
    best: list[float] = []  # validation loss of each fit so far; the mean is reported at each epoch
    epochs: list[Epoch] = []
    longest_fit = most("train.epochs", bench.settings, bench.search.space)

    def after_epoch(epoch: Epoch) -> None:
        epochs.append(epoch)
        bench.on_epoch(epoch)
        if not bench.has_time():
            raise _TimeUp
        assert epoch.validation_loss is not None  # every fold has validation windows
        if epoch.epoch == 1:  # a new fit: the next fold, or the next member on the same fold
            best.append(epoch.validation_loss)
        best[-1] = min(best[-1], epoch.validation_loss)
        if bench.by_epoch:
            prune((len(best) - 1) * longest_fit + epoch.epoch - 1, best)

    def prune(stage: int, losses: Sequence[float]) -> None:
        trial.report(float(np.mean(losses)), stage)
        if trial.should_prune():
            raise optuna.TrialPruned

    device = choose_device(bench.device)
    state, reason = TrialState.COMPLETE, ""
    try:
        settings = with_values(bench.settings, values, where="trial")
        for fold in bench.folds:
            own, plan = plan_fold(bench.known, settings, fold)
            done = fit(plan, own, device, Course(on_epoch=after_epoch))
            if done.error is not None:
                raise done.error
            scores.append(score_fold(done.model, plan))
            if not bench.by_epoch and len(scores) < len(bench.folds):
                prune(len(scores) - 1, scores)
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except _TimeUp:
        return None
    except (TrainingError, DataError, UsageError) as error:
        state, reason = TrialState.FAIL, str(error)
    score = float(np.mean(scores)) if state == TrialState.COMPLETE else None
    kept = {"scores": scores, "epochs": len(epochs), "reason": reason}
    seconds = round(time.perf_counter() - began, 3)
    return end_trial(trial, state, score, values=values, seconds=seconds, **kept)


def end_trial(
    trial: optuna.Trial, state: TrialState, score: float | None = None, **kept: Any
) -> FrozenTrial:
    """Return a finished trial, with `kept` as its user attributes."""
    ended = trial.study.tell(trial, score, state)
    ended.user_attrs = {"scores": [], "epochs": 0, "seconds": 0.0, "reason": "", **kept}
    return ended


def inputs_searched(settings: Settings, space: Space) -> tuple[OwnInput, ...]:
    """Return the own inputs in the settings and in every choice of features."""
    found = list(settings.window.inputs)
    key = "window.features"
    for features in values_of(space[key]) or () if key in space else ():
        found += with_values(settings, {key: features}, where="the search space").window.inputs
    return tuple(dict.fromkeys(found))


def most(key: str, settings: Settings, space: Space) -> int:
    """Return the largest value of a count in the settings and the space."""
    own = int(value_of(settings, key))
    dimension = space.get(key, IntDistribution(own, own))
    if isinstance(dimension, CategoricalDistribution):
        return max(own, *map(int, values_of(dimension) or ()))
    return max(own, int(dimension.high))


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class _Choices(_Table):
    choices: list[Any] = Field(min_length=1, max_length=1000)


class _Range(_Table):
    """A range with both ends included. step : None for a continuous range. log : log scale."""

    low: float
    high: float
    step: float | None = Field(None, gt=0)
    log: bool = False


def _dimension(key: str, table: Any, settings: Settings, path: Path) -> Dimension:
    """Parse the values of one setting."""
    if key not in SEARCHABLE:
        raise UsageError(
            f"{key} cannot be searched",
            where=path,
            why="it is fixed for all trials" if key in keys() else "there is no such setting",
            next_step=f"{did_you_mean(key, SEARCHABLE)} Keys of window, model and train can be, "
            f"but {', '.join(_FIXED)}.",
        )

    def checked(value: Any) -> Any:
        """Return a value as the settings convert it, e.g. 0 to 0.0."""
        try:
            return value_of(with_values(settings, {key: value}, where=str(path)), key)
        except UsageError as error:
            why = error.why or error.what
            own = "" if why.startswith("found") else f" for the value {value!r}"
            raise ValueError(f"{why}{own}") from error

    try:
        if not isinstance(table, dict):
            raise ValueError(f"found {table!r}, expected {{ choices = [...] }} or {{ low = ... }}")
        if "choices" in table:
            values = [checked(each) for each in _Choices.model_validate(table).choices]
            if any(value in values[:place] for place, value in enumerate(values)):
                raise ValueError("duplicate choice")
            return CategoricalDistribution(list(map(json.dumps, values)))
        given = _Range.model_validate(table)
        return _range(checked(given.low), checked(given.high), given.step, given.log)
    except ValidationError as error:  # a subclass of ValueError
        why = " ".join(describe_fault(error))
    except ValueError as error:
        why = str(error).rstrip(".")
    raise UsageError(f"bad search space for {key}", where=path, why=why, next_step=_EXAMPLE)


def _range(low: Any, high: Any, step: float | None, log: bool) -> Dimension:
    """Return a numeric dimension, of integers if both ends are; ValueError as in Optuna."""
    if not isinstance(low, int | float) or isinstance(low, bool):
        raise ValueError("only numbers have a range, others have choices")
    if step and abs(math.remainder((high - low) / step, 1)) > 1e-9:  # Optuna would only warn
        raise ValueError(f"high must be a whole number of steps of {step:g} above low")
    if isinstance(low, float):
        return FloatDistribution(low, high, log, step)
    if step and step % 1:
        raise ValueError(f"step must be a whole number, found {step:g}")
    return IntDistribution(low, high, log, int(step or 1))
