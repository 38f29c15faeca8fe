"""Which of the recipe, the options and --set has the last word, and values beyond all bounds."""

from datetime import date
from pathlib import Path

import pytest

from lstmcli.cli.options import RecipeOptions
from lstmcli.config import Train
from lstmcli.workflows.prices import Source, chosen_data
from tests.command_line import assert_one_error, in_process
from tests.rows import for_each


def train_of(*overrides: str, **options: int | str | None) -> Train:
    source = Source(Path("data"), date(2026, 1, 1))
    recipe = RecipeOptions(set_=list(overrides), **options)  # type: ignore[arg-type]
    settings, _ = recipe.settings("lab", source)
    return settings.train


def test_options_of_their_own_change_the_recipe_and_set_changes_them() -> None:
    none = train_of()
    assert (none.seed, none.device, none.threads) == (0, "auto", 1)
    own = train_of("train.seed=4", seed=3, device="cpu", threads=2)
    assert (own.seed, own.device, own.threads) == (4, "cpu", 2)
    assert own.optimizer == "rmsprop"


@for_each("symbols", [(), ("AAPL",)])
@for_each(
    ("overrides", "found"),
    [
        ((), date(2020, 1, 2)),
        (("data.start=2021-03-04",), date(2021, 3, 4)),
        (("data.start=",), None),
    ],
)
def test_a_start_given_with_set_wins_over_the_option(
    symbols: tuple[str, ...], overrides: tuple[str, ...], found: date | None
) -> None:
    source = Source(Path("data"), date(2026, 1, 1), symbols=symbols, start=date(2020, 1, 2))
    settings, source = RecipeOptions(set_=list(overrides)).settings("lab", source)
    assert chosen_data(source, settings.data).start == found


@pytest.mark.parametrize(
    "value",
    [
        "9" * 5000,
        "-" + "9" * 400,
        "0x" + "f" * 5000,
        "[" * 1000 + "]" * 1000,
        "{a=" * 500 + "1" + "}" * 500,
    ],
    ids=["5000-digits", "400-digits", "hexadecimal", "arrays", "tables"],
)
@pytest.mark.parametrize("key", ["train.epochs", "train.learning_rate", "data.csv", "data.start"])
def test_a_setting_beyond_all_bounds_is_a_usage_error(home: Path, key: str, value: str) -> None:
    done = in_process("train", "--set", f"{key}={value}", folder=home)
    assert_one_error(done, 2)
    assert len(done.err) < 400
    section, name = key.split(".")
    (home / "odd.toml").write_text(f"[{section}]\n{name} = {value}\n")
    done = in_process("train", "--config", "odd.toml", folder=home)
    assert_one_error(done, 2)
    assert len(done.err) < 400
    (home / "space.toml").write_text(f'"{key}" = {{ low = 1, high = {value} }}\n')
    done = in_process("tune", "--config", "tiny.toml", "--space", "space.toml", folder=home)
    assert_one_error(done, 2)
