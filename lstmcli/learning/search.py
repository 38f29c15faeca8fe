"""Search: the TOML file that names the settings to search, their values, and one trial of them.

A value is checked like one of a recipe before anything runs. What decides what is forecast or how
it is scored (the data, the split, the horizon, the levels) is no part of a search: scores of
different tasks do not compare. Optuna's choices cannot be lists, so it gets choices as JSON.
"""

import difflib
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from lstmcli.config import Settings, check_settings, keys
from lstmcli.errors import DataError, TrainingError, UsageError
from lstmcli.learning.fit import Course, fit
from lstmcli.learning.folds import Fold, plan_fold, score_fold
from lstmcli.market.prices import Prices
from lstmcli.recipes import find_toml, read_toml
from lstmcli.training.loop import Epoch

_SECTIONS = ("window", "model", "train")
_FIXED = ("window.horizon", "train.seed", "train.device", "train.threads")
SEARCHABLE = tuple(key for key in keys() if key.split(".")[0] in _SECTIONS and key not in _FIXED)

# Where one of these is searched, the losses of two trials are not of one kind.
_SHAPE_THE_LOSS = {
    "window.context_length", "window.features", "window.scaling", "train.members", "train.labels",
    "train.chunk_length", "train.burn_in", "train.volatility_weight", "train.loss",
}  # fmt: skip
_MOST_VALUES = 1000
_MOST_POINTS = 100_000


@dataclass(frozen=True)
class Choices:
    """Some values of a setting, in no order."""

    values: tuple[Any, ...]

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.values)

    @property
    def bounds(self) -> tuple[Any, ...]:
        """The values among which the largest is."""
        return self.values

    @property
    def distribution(self) -> CategoricalDistribution:
        """The values as Optuna takes them."""
        return CategoricalDistribution([self.param(value) for value in self.values])

    def param(self, value: Any) -> str:
        """Return Optuna's form of one of the values."""
        return json.dumps(value)

    def value(self, param: Any) -> Any:
        """Return the value that a parameter of Optuna means."""
        return next(value for value in self.values if self.param(value) == param)

    def holds(self, value: Any) -> bool:
        """Whether it is one of them."""
        return value in self.values


@dataclass(frozen=True)
class Range:
    """The numbers from `low` to `high`, both included: integers where both are.

    step : their distance; None for all numbers between. log : searched by ratios.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def count(self) -> int | None:
        """How many numbers there are; None without a step."""
        if self.step is None:
            return None
        return 1 + int((_exact(self.high) - _exact(self.low)) / _exact(self.step))

    @property
    def values(self) -> tuple[Any, ...]:
        """The numbers, where they are counted."""
        return tuple(self.at(place) for place in range(self.count or 0))

    @property
    def bounds(self) -> tuple[Any, ...]:
        """The values among which the largest is."""
        return self.low, self.high

    @property
    def distribution(self) -> IntDistribution | FloatDistribution:
        """The numbers as Optuna takes them."""
        if isinstance(self.low, int):
            return IntDistribution(self.low, int(self.high), self.log, int(self.step or 1))
        return FloatDistribution(self.low, self.high, self.log, self.step)

    def param(self, value: float) -> float:
        """Return Optuna's form of one of the numbers."""
        return value

    def value(self, param: float) -> float:
        """Return the number that a parameter of Optuna means, exact where it is on a step."""
        return param if self.step is None else self.at(round((param - self.low) / self.step))

    def at(self, place: int) -> Any:
        """Return one of them by its place, where they are counted."""
        assert self.step is not None
        return type(self.low)(_exact(self.low) + place * _exact(self.step))

    def holds(self, value: Any) -> bool:
        """Whether a number lies in it, and on a step where there are any."""
        inside = self.low <= value <= self.high
        return inside and (self.step is None or _on_step(value, self.low, self.step))


Dimension = Choices | Range
Space = Mapping[str, Dimension]
"""By the dotted name of each setting searched, in the order of the file."""


def load_space(space: str | Path, settings: Settings) -> Space:
    """Read a search space by name or path, and check each of its values in the recipe `settings`.

    Raises UsageError naming the file and the key for an unknown key, an empty or impossible range,
    or a value that the settings refuse; FileError for an unreadable file.
    """
    path = find_toml(space, "search space", folder="configs/spaces", option="--space")
    tables = _flat(read_toml(path, "search space"), path)
    if not tables:
        raise UsageError("an empty search space", where=path, next_step=_EXAMPLE)
    return {key: _dimension(key, table, settings, path) for key, table in tables.items()}


def with_values(settings: Settings, values: Mapping[str, Any], *, where: str) -> Settings:
    """Return the settings with some changed, by dotted name; UsageError where they do not fit."""
    tree = settings.model_dump()
    if "burn_in" not in settings.train.model_fields_set:
        del tree["train"]["burn_in"]  # it follows a context or chunk that is searched
    for key, value in values.items():
        section, name = key.split(".")
        tree[section][name] = value
    return check_settings(tree, where=where)


def value_of(settings: Settings, key: str) -> Any:
    """Return a setting by its dotted name."""
    return attrgetter(key)(settings)


def grid(space: Space, recipe: Mapping[str, Any], seed: int) -> list[Mapping[str, Any]]:
    """Return the recipe's own values, then all other points of the space in a drawn order.

    Raises UsageError where a setting has no countable values, or there are too many together.
    """
    endless = [key for key, each in space.items() if each.count is None]
    if endless:
        raise UsageError(
            "no grid of this space",
            where=", ".join(endless),
            why="a range without step has no end of values",
            next_step="Give it a step or choices, or pass --sampler random or tpe.",
        )
    number = math.prod(each.count or 0 for each in space.values())
    if number > _MOST_POINTS:
        raise UsageError(
            "no grid of this space",
            where=f"{number} points",
            why=f"at most {_MOST_POINTS} can be listed",
            next_step="Give fewer values, or pass --sampler random or tpe.",
        )
    every = itertools.product(*(each.values for each in space.values()))
    points = [dict(zip(space, values, strict=True)) for values in every]
    drawn = [points[place] for place in np.random.default_rng(seed).permutation(number)]
    return [recipe, *(point for point in drawn if point != recipe)]


_EXAMPLE = 'Write "train.learning_rate" = { low = 1e-4, high = 1e-2, log = true }, for example.'


class TimeUp(Exception):
    """The time allowed is over; the trial counts as never begun."""


@dataclass(frozen=True)
class Bench:
    """What all trials of a run have in common.

    known, folds : the prices up to the test span, and the spans that validate.
    """

    settings: Settings
    space: Space
    known: Sequence[Prices]
    folds: tuple[Fold, ...]
    device: torch.device
    has_time: Callable[[], bool]
    on_epoch: Callable[[Epoch], None]

    @property
    def by_epoch(self) -> bool:
        """Whether trials compare by the loss of each epoch, or else by the score of each fold."""
        return not _SHAPE_THE_LOSS & set(self.space)


def run_trial(bench: Bench, trial: optuna.Trial, values: Mapping[str, Any]) -> FrozenTrial:
    """Fit and score the settings with some values changed on every fold, unless it is pruned.

    A trial that diverges, or whose settings or data do not go together, has failed.

    Returns the trial as it ended, its value the mean score, with its `scores`, `epochs` and the
    `reason` why it failed among its user attributes. Raises TimeUp.
    """
    scores: list[float] = []
    best: list[float] = []  # validation loss of each fit; their mean is the value at an epoch
    epochs: list[Epoch] = []
    longest_fit = most("train.epochs", bench.settings, bench.space)

    def after_epoch(epoch: Epoch) -> None:
        epochs.append(epoch)
        bench.on_epoch(epoch)
        if not bench.has_time():
            raise TimeUp
        assert epoch.validation_loss is not None  # every fold has windows that validate
        if epoch.epoch == 1:  # of the next fit: another fold, or another member on the same
            best.append(epoch.validation_loss)
        best[-1] = min(best[-1], epoch.validation_loss)
        if bench.by_epoch:
            prune((len(best) - 1) * longest_fit + epoch.epoch - 1, best)

    def prune(stage: int, losses: Sequence[float]) -> None:
        trial.report(float(np.mean(losses)), stage)
        if trial.should_prune():
            raise optuna.TrialPruned

    state, reason = TrialState.COMPLETE, ""
    try:
        settings = with_values(bench.settings, values, where="trial")
        for fold in bench.folds:
            own, plan = plan_fold(bench.known, settings, fold)
            done = fit(plan, own, bench.device, Course(on_epoch=after_epoch))
            if done.error is not None:
                raise done.error
            scores.append(score_fold(done.model, plan))
            if not bench.by_epoch and len(scores) < len(bench.folds):
                prune(len(scores) - 1, scores)
    except optuna.TrialPruned:
        state = TrialState.PRUNED
    except (TrainingError, DataError, UsageError) as error:
        state, reason = TrialState.FAIL, str(error)
    score = float(np.mean(scores)) if state == TrialState.COMPLETE else None
    ended = trial.study.tell(trial, score, state)
    ended.user_attrs = {"scores": scores, "epochs": len(epochs), "reason": reason}
    return ended


def most(key: str, settings: Settings, space: Space) -> int:
    """Return the largest value of a count among the settings and the space."""
    own = int(value_of(settings, key))
    return max(own, *map(int, space[key].bounds)) if key in space else own


def _flat(tree: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Take keys as TOML has them: "train.epochs" in quotes, or tables within tables."""
    found: dict[str, Any] = {}
    for key, value in tree.items():
        nested = "." not in key and isinstance(value, dict)
        found |= {f"{key}.{name}": each for name, each in value.items()} if nested else {key: value}
    for key in found:
        if key not in SEARCHABLE:
            nearest = difflib.get_close_matches(key, SEARCHABLE, n=1, cutoff=0.4)
            raise UsageError(
                f"{key} cannot be searched",
                where=path,
                why="it is fixed for all trials"
                if key in keys()
                else f"there is no such setting, the nearest is {nearest[0]}"
                if nearest
                else "there is no such setting",
                next_step="Keys of window, model and train can be, but " + ", ".join(_FIXED) + ".",
            )
    return found


def _dimension(key: str, table: Any, settings: Settings, path: Path) -> Dimension:
    """Read the values of one setting."""
    forms = "{ choices = [...] } or { low = ..., high = ..., step = ..., log = ... }"
    if not isinstance(table, dict):
        raise _bad(key, path, f"found {table!r}, expected {forms}")
    if set(table) == {"choices"}:
        return _choices(key, table["choices"], settings, path)
    unknown = sorted(set(table) - {"low", "high", "step", "log"})
    if unknown or not {"low", "high"} <= set(table):
        found = ", ".join(unknown) if unknown else ", ".join(table) or "nothing"
        raise _bad(key, path, f"found {found}, expected {forms}")
    return _range(key, table, settings, path)


def _choices(key: str, values: Any, settings: Settings, path: Path) -> Choices:
    if not isinstance(values, list) or not 1 <= len(values) <= _MOST_VALUES:
        raise _bad(key, path, f"choices must be a list of 1 to {_MOST_VALUES} values")
    checked = tuple(_checked(key, value, settings, path) for value in values)
    if any(value in checked[:place] for place, value in enumerate(checked)):
        raise _bad(key, path, "a choice comes twice")
    return Choices(checked)


def _range(key: str, table: Mapping[str, Any], settings: Settings, path: Path) -> Range:
    log = table.get("log", False)
    numbers = {name: table[name] for name in ("low", "high", "step") if name in table}
    for name, number in numbers.items():
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise _bad(key, path, f"{name} must be a number, found {number!r}")
        if not math.isfinite(number):
            raise _bad(key, path, f"{name} must be finite, found {number}")
    if not isinstance(log, bool):
        raise _bad(key, path, f"log must be true or false, found {log!r}")
    low, high = (_checked(key, numbers[name], settings, path) for name in ("low", "high"))
    if not isinstance(low, int | float) or isinstance(low, bool):
        raise _bad(key, path, "only numbers have a range, others have choices")
    step = numbers.get("step", 1 if isinstance(low, int) and not log else None)
    if not low < high:
        raise _bad(key, path, f"low must be below high, found {low} and {high}")
    if log and (step is not None or low <= 0):
        raise _bad(key, path, "a range with log = true needs low above 0, and no step")
    if step is not None and not step > 0:
        raise _bad(key, path, f"step must be above 0, found {step}")
    if isinstance(low, int) and step is not None and not isinstance(step, int):
        raise _bad(key, path, f"step must be a whole number, found {step}")
    if step is not None and not _on_step(high, low, step):
        raise _bad(key, path, f"high must lie a whole number of steps of {step} above low")
    return Range(low, high, step, log)


def _checked(key: str, value: Any, settings: Settings, path: Path) -> Any:
    """Return a value as the settings hold it: 0 as 0.0, a list as a tuple."""
    try:
        return value_of(with_values(settings, {key: value}, where=str(path)), key)
    except UsageError as error:
        raise _bad(key, path, f"{error.why or error.what} for the value {value!r}") from error


def _bad(key: str, path: Path, why: str) -> UsageError:
    return UsageError(f"bad search space for {key}", where=path, why=why, next_step=_EXAMPLE)


def _exact(number: float) -> Decimal:
    """Return the number as it is written: 0.1 is a tenth."""
    return Decimal(str(number))


def _on_step(value: float, low: float, step: float) -> bool:
    return (_exact(value) - _exact(low)) % _exact(step) == 0
