"""The recipes that ship: complete, explained, loadable, and their data where they say."""

import re
import tomllib
from pathlib import Path

from lstmcli.config import Settings, keys
from lstmcli.market.tables import parse_csv_option
from lstmcli.recipes import find_recipe, load_settings, shipped_file
from tests.rows import for_each

RECIPES = sorted(path.stem for path in shipped_file("configs").glob("*.toml"))
DEFAULT = shipped_file("configs/default.toml")
NAMES_ITS_DATA = {"data.csv"}


def value_of(settings: Settings, key: str) -> object:
    section, name = key.split(".")
    return getattr(getattr(settings, section), name)


def keys_in(text: str) -> list[str]:
    return [f"{section}.{key}" for section, table in tomllib.loads(text).items() for key in table]


def test_the_recipes_of_the_design_ship() -> None:
    assert {"default", "lab", "lab-corrected", "wine"} <= set(RECIPES)


def test_default_lists_every_key() -> None:
    assert sorted(keys_in(DEFAULT.read_text(encoding="utf-8"))) == sorted(keys())


@for_each("key", keys())
def test_default_holds_the_default_of_every_key(key: str) -> None:
    if key in NAMES_ITS_DATA:
        assert value_of(load_settings("default"), key)
    else:
        assert value_of(load_settings("default"), key) == value_of(Settings(), key)


def test_every_key_of_the_default_stands_in_a_block_that_a_comment_opens() -> None:
    explained: set[str] = set()
    section, comment = "", False
    for line in DEFAULT.read_text(encoding="utf-8").splitlines():
        if header := re.fullmatch(r"\[(\w+)\]", line):
            section, comment = header[1], False
        elif line.startswith("#"):
            comment = True
        elif not line:
            comment = False
        elif comment and (entry := re.match(r"(\w+) = ", line)):
            explained.add(f"{section}.{entry[1]}")
    # The name and its only value say all there is to say.
    assert set(keys()) - explained <= {"model.network"}


@for_each("name", RECIPES)
def test_a_recipe_says_what_it_is_for_names_what_it_changes_and_finds_its_data(name: str) -> None:
    text, settings = find_recipe(name).read_text(encoding="utf-8"), load_settings(name)
    assert text.startswith("# ")
    assert set(keys_in(text)) < set(keys()) or name == "default"
    assert settings.data.csv
    assert all(Path(parse_csv_option(entry)[1]).is_file() for entry in settings.data.csv)
    if name != "lab":
        assert settings.split.method == "chronological"
        assert settings.purge >= settings.window.horizon
        assert 0.10 <= settings.split.validation_fraction <= 0.15


def test_lab_alone_is_exempt_and_says_so() -> None:
    text = find_recipe("lab").read_text(encoding="utf-8")
    assert load_settings("lab").split.method == "shuffled"
    assert "with its flaws" in text
    assert "nothing is purged" in " ".join(text.replace("#", " ").split())
