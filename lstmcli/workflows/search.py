"""Which settings a trial takes: the recipe's own as trial 0, then those that a sampler proposes.

Each trial has a sampler of its own, seeded by the study's seed and the trial's number. So what is
proposed follows from these and the trials that were finished before, also after a kill.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

from lstmcli.errors import UsageError
from lstmcli.workflows.space import Dimension, Range, Space

Sampler = Literal["tpe", "random", "grid"]
_MOST_POINTS = 100_000


def ask(
    study: optuna.Study,
    number: int,
    *,
    space: Space,
    recipe: Mapping[str, Any],
    sampler: Sampler,
    seed: int,
) -> optuna.Trial:
    """Begin the trial of a number. recipe : the values that trial 0 takes, by key.

    Where a value of the recipe lies outside the space, trial 0 has it all the same, but it is none
    that the sampler could learn from.
    """
    given: Mapping[str, Any] | None = None
    if number == 0:
        given = {key: value for key, value in recipe.items() if space[key].holds(value)}
    elif sampler == "grid":
        given = grid_point(space, recipe, number, seed)
    dimensions = space if given is None else {key: space[key] for key in given}
    study.sampler = _sampler(sampler, given, seed, number)
    return study.ask({key: _distribution(each) for key, each in dimensions.items()})


def values_of(params: Mapping[str, Any], space: Space) -> dict[str, Any]:
    """Return what a trial's parameters mean, by key."""
    return {key: _value(params[key], each) for key, each in space.items() if key in params}


def count_trials(space: Space, recipe: Mapping[str, Any]) -> int:
    """Return how many trials a grid holds, the recipe among them.

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
    points = math.prod(_counts(space))
    if points > _MOST_POINTS:
        raise UsageError(
            "no grid of this space",
            where=f"{points} points",
            why=f"at most {_MOST_POINTS} can be listed",
            next_step="Give fewer values, or pass --sampler random or tpe.",
        )
    return points if _place(space, recipe) is not None else points + 1


def grid_point(space: Space, recipe: Mapping[str, Any], number: int, seed: int) -> dict[str, Any]:
    """Return the values of trial `number`, from 1: the grid without the recipe, well shuffled."""
    order = np.random.default_rng(seed).permutation(math.prod(_counts(space)))
    order = order[order != _place(space, recipe)]
    places = np.unravel_index(order[number - 1], _counts(space))
    return {key: each.at(int(at)) for (key, each), at in zip(space.items(), places, strict=True)}


def _counts(space: Space) -> list[int]:
    return [each.count or 0 for each in space.values()]


def _place(space: Space, recipe: Mapping[str, Any]) -> int | None:
    """Return which point of the grid the recipe is, if any."""
    if not all(each.holds(recipe[key]) for key, each in space.items()):
        return None
    places = [
        next(at for at in range(each.count or 0) if each.at(at) == recipe[key])
        for key, each in space.items()
    ]
    return int(np.ravel_multi_index(places, _counts(space)))


def _sampler(
    kind: Sampler, given: Mapping[str, Any] | None, seed: int, number: int
) -> optuna.samplers.BaseSampler:
    own_seed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    if given is not None:
        return _Given(given)
    if kind == "random":
        return optuna.samplers.RandomSampler(seed=own_seed)
    return optuna.samplers.TPESampler(seed=own_seed)


class _Given(optuna.samplers.RandomSampler):
    """Proposes the values that were given."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__(seed=0)
        self._values = values

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        value = self._values[param_name]
        categorical = isinstance(param_distribution, CategoricalDistribution)
        return json.dumps(value) if categorical else value


def _distribution(dimension: Dimension) -> BaseDistribution:
    """Return the dimension in Optuna's words, which have no lists among choices: JSON has."""
    if not isinstance(dimension, Range):
        return CategoricalDistribution([json.dumps(value) for value in dimension.values])
    if isinstance(dimension.low, int):
        step = 1 if dimension.step is None else int(dimension.step)
        return IntDistribution(dimension.low, int(dimension.high), dimension.log, step)
    return FloatDistribution(dimension.low, dimension.high, dimension.log, dimension.step)


def _value(param: Any, dimension: Dimension) -> Any:
    if not isinstance(dimension, Range):
        return next(value for value in dimension.values if json.dumps(value) == param)
    if dimension.step is None:
        return param
    return dimension.at(round((param - dimension.low) / dimension.step))
