"""Search spaces: what may be searched, and the words said about a wrong one."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from lstmcli.config import Settings, keys
from lstmcli.errors import UsageError
from lstmcli.learning.search import (
    SEARCHABLE,
    Dimension,
    Space,
    from_param,
    grid,
    holds,
    load_space,
    to_param,
    value_of,
    values_of,
    with_values,
)
from lstmcli.recipes import load_settings, shipped_file
from tests.rows import for_each

FINITE: Space = {
    "train.epochs": IntDistribution(2, 8, step=3),
    "model.dropout": FloatDistribution(0.0, 0.4, step=0.1),
    "model.hidden_sizes": CategoricalDistribution(["[8]", "[8, 4]"]),
}
SPACES = sorted(path.stem for path in shipped_file("configs/spaces").glob("*.toml"))


def written(folder: Path, text: str) -> Path:
    path = folder / "space.toml"
    path.write_text(text)
    return path


@for_each("name", SPACES)
@for_each("recipe", ["default", "lab-corrected", "wine"])
def test_a_space_that_ships_suits_every_recipe_and_holds_its_own_values(
    name: str, recipe: str
) -> None:
    settings = load_settings(recipe)
    space = load_space(name, settings)
    assert {"model.hidden_sizes", "model.dropout", "train.learning_rate"} <= set(space)
    values = {key: value_of(settings, key) for key in space}
    if values["train.batch_size"] == "auto":
        values["train.batch_size"] = 64  # what `tune` makes of it on their data
    assert all(holds(each, values[key]) for key, each in space.items())


def test_keys_may_be_quoted_or_nested_and_keep_their_order(tmp_path: Path) -> None:
    text = (
        '"train.learning_rate" = { low = 1e-4, high = 1e-2, log = true }\n'
        "train.epochs = { low = 2, high = 8, step = 3 }\n"
        "[model]\nhidden_sizes = { choices = [[8], [8, 4]] }\ndropout = { low = 0, high = 1e-1 }\n"
    )
    space = load_space(written(tmp_path, text), Settings())
    assert dict(space) == {
        "train.learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "train.epochs": IntDistribution(2, 8, step=3),
        "model.hidden_sizes": CategoricalDistribution(["[8]", "[8, 4]"]),
        "model.dropout": FloatDistribution(0.0, 0.1),
    }
    assert next(iter(space)) == "train.learning_rate"


def test_whole_numbers_have_a_step_of_one_unless_by_ratios(tmp_path: Path) -> None:
    path = written(tmp_path, "train.patience = {low = 1, high = 4}")
    assert load_space(path, Settings())["train.patience"] == IntDistribution(1, 4)
    path = written(tmp_path, "train.patience = {low = 1, high = 4, log = true}")
    assert load_space(path, Settings())["train.patience"] == IntDistribution(1, 4, log=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "an empty search space"),
        ("train.epcohs = {low = 1, high = 2}", "train.epcohs cannot be.*Did you mean train.epochs"),
        ("train = 3", "train cannot be searched"),
        ("window.horizon = {low = 1, high = 2}", "window.horizon cannot be.*fixed for all trials"),
        ("train.seed = {low = 1, high = 2}", "train.seed cannot be.*fixed for all trials"),
        ("split.purge = {low = 1, high = 2}", "split.purge cannot be.*Keys of window, model and"),
        ("train.epochs = 3", "train.epochs.*found 3, expected { choices"),
        ("train.epochs = {}", "low is missing"),
        ("train.epochs = {low = 1}", "high is missing"),
        ("train.epochs = {low = 1, high = 2, stp = 1}", "stp is unknown"),
        ("train.epochs = {choices = [1], low = 1}", "low is unknown"),
        ("train.epochs = {choices = []}", "choices found .*, expected a list of length"),
        ("train.epochs = {choices = 3}", "choices found 3, expected a list"),
        ("train.epochs = {choices = [1, 2, 1]}", "duplicate choice"),
        ("model.dropout = {choices = [0, 0.0]}", "duplicate choice"),
        ("train.epochs = {choices = [1, 0]}", "found 0, expected at least 1"),
        ("train.epochs = {choices = ['many']}", "found 'many', expected a whole number"),
        (
            "train.optimizer = {choices = ['adam', 'sgd']}",
            "found 'sgd', expected .*'adamw' or 'rmsprop'",
        ),
        ("train.optimizer = {low = 1, high = 2}", "found 1"),
        ("model.hidden_sizes = {low = 1, high = 2}", "found 1.0, expected a list"),
        ("train.stateful = {low = 0, high = 1}", "only numbers have a range"),
        ("train.epochs = {low = 4, high = 3}", "low <= high"),
        ("train.epochs = {low = 0, high = 3}", "found 0"),
        ("train.epochs = {low = 1.5, high = 3}", "found 1.5, expected a whole number"),
        ("train.epochs = {low = 1, high = 3, step = 0}", "step found 0, expected more than 0"),
        ("train.epochs = {low = 1, high = 3, step = 0.5}", "a whole number"),
        ("train.epochs = {low = 1, high = 4, step = 2}", "a whole number of steps of 2 above low"),
        ("train.epochs = {low = true, high = 4}", "low found True, expected a number"),
        ("train.epochs = {low = 1, high = inf}", "high found inf, expected a finite number"),
        ("train.epochs = {low = 1, high = 2, log = 1}", "log found 1, expected true or false"),
        ("model.dropout = {low = 0.0, high = 0.5, log = true}", "low > 0"),
        ("train.epochs = {low = 1, high = 5, step = 2, log = true}", "only accept step is 1"),
        ("train.learning_rate = {low = 0, high = 1}", "found 0.0, expected more than 0"),
        ("model.head = {choices = ['recursive']}", "goes with.*for the value 'recursive'"),
        ("train.epochs = {", "not valid TOML"),
    ],
)
def test_a_fault_is_a_usage_error_that_names_file_and_key(
    text: str, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        load_space(written(tmp_path, text), Settings())
    assert str(tmp_path / "space.toml") in str(caught.value)


def test_a_space_that_is_nowhere_names_those_that_ship() -> None:
    with pytest.raises(UsageError, match=r"no such search space.*nor one of default.*--space"):
        load_space("nosuch", Settings())


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not a search space.*is too large"):
        load_space(written(tmp_path, "#" * 1_000_001), Settings())


def test_what_decides_the_task_cannot_be_searched() -> None:
    fixed = set(keys()) - set(SEARCHABLE)
    assert {key.split(".")[0] for key in SEARCHABLE} == {"window", "model", "train"}
    assert {"window.horizon", "train.seed", "forecast.quantile_levels", "data.price"} <= fixed


def test_values_are_put_into_the_settings_and_checked_together() -> None:
    changed = with_values(Settings(), {"train.epochs": 3, "model.hidden_sizes": [4]}, where="t")
    assert (changed.train.epochs, changed.model.hidden_sizes) == (3, (4,))
    assert changed.window == Settings().window
    with pytest.raises(UsageError, match=r"train.burn_in must be less"):
        with_values(Settings(), {"train.burn_in": 100, "train.chunk_length": 80}, where="t")


@given(st.integers(-50, 50), st.integers(1, 20), st.integers(1, 30))
def test_a_range_with_a_step_lists_what_it_holds(low: int, step: int, steps: int) -> None:
    for scale in (1, 0.1):
        kind = int if scale == 1 else float
        ends: list[Any] = [kind(round(at * scale, 9)) for at in (low, low + step * steps, step)]
        distribution = IntDistribution if scale == 1 else FloatDistribution
        found: Dimension = distribution(ends[0], ends[1], step=ends[2])
        values = values_of(found)
        assert values is not None
        assert values == [kind(round((low + step * n) * scale, 9)) for n in range(steps + 1)]
        assert all(holds(found, value) for value in values)
        assert [from_param(found, to_param(found, value)) for value in values] == values
        assert not holds(found, 0.5 * (values[0] + values[1]))
        assert not holds(found, values[-1] + 1)


def test_both_ends_of_a_range_are_in_it() -> None:
    found = [holds(FloatDistribution(0.1, 0.5), value) for value in (0.09, 0.1, 0.5, 0.51)]
    assert found == [False, True, True, False]


def test_a_grid_is_every_combination_once_with_the_recipe_first() -> None:
    recipe = {"train.epochs": 5, "model.dropout": 0.3, "model.hidden_sizes": [8, 4]}
    every = [
        dict(zip(FINITE, values, strict=True))
        for values in itertools.product((2, 5, 8), (0.0, 0.1, 0.2, 0.3, 0.4), ([8], [8, 4]))
    ]
    points = grid(FINITE, recipe, seed=0)
    assert points[0] == recipe
    assert sorted(points, key=repr) == sorted(every, key=repr)
    assert points[1:] != [point for point in every if point != recipe]
    assert grid(FINITE, recipe, seed=0) == points != grid(FINITE, recipe, seed=1)


def test_a_recipe_outside_the_grid_is_one_trial_more() -> None:
    recipe = {"train.epochs": 3, "model.dropout": 0.0, "model.hidden_sizes": [8]}
    points = grid(FINITE, recipe, seed=0)
    assert points[0] == recipe
    assert len({repr(point) for point in points}) == len(points) == 31


def test_a_grid_without_an_end_is_refused() -> None:
    endless: Space = {
        "train.epochs": IntDistribution(1, 9),
        "model.dropout": FloatDistribution(0.0, 0.5),
    }
    with pytest.raises(UsageError, match=r"no grid.*model.dropout.*step or choices"):
        grid(endless, {"train.epochs": 1, "model.dropout": 0.0}, seed=0)
    huge: Space = {key: IntDistribution(1, 1000) for key in ("train.epochs", "train.patience")}
    with pytest.raises(UsageError, match=r"1000000 points.*at most 100000"):
        grid(huge, dict.fromkeys(huge, 1), seed=0)
