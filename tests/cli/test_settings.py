"""Precedence of recipe, options and --set; `config show`; odd values."""

import json
from datetime import date
from pathlib import Path
from typing import Any

from lstmcli.cli.options import RecipeOptions, parse_duration
from lstmcli.config import Train, keys
from lstmcli.recipes import explain_settings
from lstmcli.sources.source import Source, chosen_data, chosen_settings
from tests.command_line import assert_one_error, in_process
from tests.rows import for_each


def train_of(*overrides: str, **options: Any) -> Train:
    source = Source(Path("data"), date(2026, 1, 1))
    recipe = RecipeOptions(set_=list(overrides), **options)
    settings, _ = chosen_settings("lab", source, recipe.changes)
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
    changes = RecipeOptions(set_=list(overrides)).changes
    settings, source = chosen_settings("lab", source, changes)
    assert chosen_data(source, settings.data).start == found


DIGITS = ["9" * 5000, "-" + "9" * 400, "0x" + "f" * 5000]
NESTED = ["[" * 1000 + "]" * 1000, "{a=" * 500 + "1" + "}" * 500]


@for_each("value", [*DIGITS, *NESTED])
@for_each("key", ["train.epochs", "train.learning_rate", "data.csv", "data.start"])
def test_a_setting_beyond_all_bounds_is_a_usage_error(home: Path, key: str, value: str) -> None:
    section, name = key.split(".")
    (home / "odd.toml").write_text(f"[{section}]\n{name} = {value}\n")
    (home / "space.toml").write_text(f'"{key}" = {{ low = 1, high = {value} }}\n')
    for words in (
        ("train", "--set", f"{key}={value}"),
        ("train", "--config", "odd.toml"),
        ("tune", "--config", "tiny.toml", "--space", "space.toml"),
    ):
        done = in_process(*words, folder=home)
        assert_one_error(done, 2)
        assert len(done.err) < 400 or words[0] == "tune"


@for_each(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("0.5", 0.5), ("15m", 900), ("26h", 93_600), ("8d", 691_200)],
)
def test_a_duration_has_a_unit_or_is_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_the_default_recipe_explains_every_key_in_order() -> None:
    explained = explain_settings()
    assert sorted(explained) == sorted(keys())
    for key, meaning in explained.items():
        first = meaning.partition(". ")[0]
        assert 5 < len(first) <= 100, (key, first)


def test_config_show_lists_values_defaults_and_meanings(tmp_path: Path) -> None:
    options = ("--config", "lab", "--set", "train.epochs=7", "--json")
    done = in_process("config", "show", *options, folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    rows = {row["key"]: row for row in json.loads(done.out)["settings"]}
    assert list(rows) == list(explain_settings())
    assert (rows["train.epochs"]["value"], rows["train.epochs"]["default"]) == ("7", "12")
    assert rows["model.head"]["value"] == "recursive"
    one = in_process("config", "show", "train.epochs", folder=tmp_path)
    assert rows["train.epochs"]["meaning"] in one.out
    section = in_process("config", "show", "split", "--format", "csv", folder=tmp_path)
    assert [line.split(",")[0] for line in section.out.splitlines()[1:]] == [
        key for key in explain_settings() if key.startswith("split.")
    ]
