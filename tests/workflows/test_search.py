"""What a trial takes: the recipe first, then what follows from the seed and the trials before."""

import itertools
from typing import Any

import optuna
import pytest

from lstmcli.errors import UsageError
from lstmcli.workflows.search import Sampler, ask, count_trials, grid_point, values_of
from lstmcli.workflows.space import Choices, Range, Space

optuna.logging.set_verbosity(optuna.logging.ERROR)

SPACE: Space = {
    "train.learning_rate": Range(1e-4, 1e-2, log=True),
    "train.epochs": Range(2, 8, 3),
    "model.dropout": Range(0.0, 0.4, 0.1),
    "model.hidden_sizes": Choices(((8,), (8, 4))),
    "train.patience": Range(1, 64, None, log=True),
}
FINITE: Space = {key: SPACE[key] for key in ("train.epochs", "model.dropout", "model.hidden_sizes")}
RECIPE = {
    "train.learning_rate": 3e-3,
    "train.epochs": 5,
    "model.dropout": 0.3,
    "model.hidden_sizes": (8, 4),
    "train.patience": 8,
}


def tried(
    study: optuna.Study, sampler: Sampler, *, until: int, seed: int = 0, space: Space = SPACE
) -> list[dict[str, Any]]:
    """Finish trials up to a number, and return the values of all."""
    recipe = {key: RECIPE[key] for key in space}
    for number in range(len(study.trials), until):
        trial = ask(study, number, space=space, recipe=recipe, sampler=sampler, seed=seed)
        values = values_of(trial.params, space)
        study.tell(trial, abs(values.get("model.dropout", 0.0) - 0.2) + number % 3)
    return [values_of(trial.params, space) for trial in study.trials]


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_trial_0_is_the_recipe_and_the_others_lie_in_the_space(sampler: Sampler) -> None:
    space = FINITE if sampler == "grid" else SPACE
    first, *others = tried(optuna.create_study(), sampler, until=16, space=space)
    assert first == {key: RECIPE[key] for key in space}
    for values in others:
        assert list(values) == list(space)
        assert all(space[key].holds(value) for key, value in values.items())
    assert len({repr(values) for values in others}) > 10


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_the_same_seed_proposes_the_same_and_another_seed_other_settings(sampler: Sampler) -> None:
    space = FINITE if sampler == "grid" else SPACE
    first = tried(optuna.create_study(), sampler, until=16, space=space)
    assert tried(optuna.create_study(), sampler, until=16, space=space) == first
    assert tried(optuna.create_study(), sampler, until=16, seed=1, space=space)[1:] != first[1:]


def test_a_trial_that_was_lost_is_proposed_again_as_it_was() -> None:
    whole = tried(optuna.create_study(), "tpe", until=16)
    study = optuna.create_study()
    tried(study, "tpe", until=13)
    lost = ask(study, 13, space=SPACE, recipe=RECIPE, sampler="tpe", seed=0)
    study.tell(lost, state=optuna.trial.TrialState.FAIL)
    again = ask(study, 13, space=SPACE, recipe=RECIPE, sampler="tpe", seed=0)
    assert values_of(again.params, SPACE) == values_of(lost.params, SPACE) == whole[13]


def test_values_of_the_recipe_outside_the_space_are_none_to_learn_from() -> None:
    recipe = RECIPE | {"train.epochs": 4, "model.hidden_sizes": (5,)}
    study = optuna.create_study()
    trial = ask(study, 0, space=SPACE, recipe=recipe, sampler="tpe", seed=0)
    assert set(trial.params) == set(SPACE) - {"train.epochs", "model.hidden_sizes"}


def test_a_grid_is_every_combination_once_with_the_recipe_first() -> None:
    recipe = {key: RECIPE[key] for key in FINITE}
    assert count_trials(FINITE, recipe) == 30
    points = [grid_point(FINITE, recipe, number, seed=0) for number in range(1, 30)]
    every = [
        dict(zip(FINITE, values, strict=True))
        for values in itertools.product((2, 5, 8), (0.0, 0.1, 0.2, 0.3, 0.4), ((8,), (8, 4)))
    ]
    assert all(point in every for point in points)
    assert len({repr(point) for point in points}) == 29
    assert recipe not in points
    assert points != [point for point in every if point != recipe]


def test_a_recipe_outside_the_grid_is_one_trial_more() -> None:
    recipe = {"train.epochs": 3, "model.dropout": 0.0, "model.hidden_sizes": (8,)}
    assert count_trials(FINITE, recipe) == 31
    points = [grid_point(FINITE, recipe, number, seed=0) for number in range(1, 31)]
    assert len({repr(point) for point in points}) == 30


def test_a_grid_without_an_end_is_refused() -> None:
    with pytest.raises(UsageError, match=r"train.learning_rate, train.patience.*step or choices"):
        count_trials(SPACE, RECIPE)
    huge: Space = {key: Range(1, 1000, 1) for key in ("train.epochs", "train.patience")}
    with pytest.raises(UsageError, match=r"1000000 points.*at most 100000"):
        count_trials(huge, RECIPE)
