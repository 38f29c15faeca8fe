"""Settings: recipes, overrides, and the words said about a wrong one."""

import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lstmcli.config import Model, Settings, check_settings
from lstmcli.errors import FileError, UsageError
from lstmcli.recipes import find_recipe, load_settings
from tests.rows import for_each

RECURSIVE, RELATIVE = {"model": {"head": "recursive"}}, {"scaling": "relative"}
SHORT, MEDIUM = {"context_length": 15}, {"context_length": 50}
SEQUENCE = {"train": {"labels": "sequence"}}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipes" / "mine.toml"
    path.parent.mkdir()
    path.write_text("[train]\nepochs = 3\n\n[split]\ntrain_end = 2015-11-12\n")
    return path


def test_a_recipe_changes_only_what_it_names(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may begin with a byte order mark, and is taken before a shipped one of its name."""
    monkeypatch.chdir(recipe.parent)
    Path("default").write_bytes(b"\xef\xbb\xbf" + recipe.read_bytes())
    settings = load_settings("default")
    assert settings.train.epochs == 3
    assert settings.split.train_end == date(2015, 11, 12)
    assert settings.window == Settings().window
    assert settings.train.model_copy(update={"epochs": 12}) == Settings().train


def test_overrides_win_over_the_recipe_and_the_last_over_the_first(recipe: Path) -> None:
    train = ("train.epochs=5", "train.epochs = 7", "train.optimizer=rmsprop", 'train.loss="huber"')
    others = ("model.hidden_sizes=[8, 4]", "split.train_end=2016-01-04", "window.rebase=true")
    settings = load_settings(recipe, [*train, *others])
    assert settings.train.epochs == 7
    assert (settings.train.optimizer, settings.train.loss) == ("rmsprop", "huber")
    assert settings.model.hidden_sizes == (8, 4)
    assert settings.split.train_end == date(2016, 1, 4)


COUNTS = (
    *("split.purge", "split.embargo"),
    *("evaluate.step_size", "evaluate.n_windows", "evaluate.refit"),
)
DATES = ("data.start", "data.end", "split.train_end", "evaluate.start", "evaluate.end")


@for_each("key", sorted({*COUNTS, *DATES} - {"split.embargo"}))
def test_empty_text_and_none_both_mean_not_set(key: str) -> None:
    section, name = key.split(".")
    found = load_settings("default", [f"{key}="]), check_settings({section: {name: None}}, where="")
    assert [getattr(getattr(each, section), name) for each in found] == [None, None]


@for_each("key", COUNTS)
def test_a_negative_count_is_refused(key: str) -> None:
    with pytest.raises(UsageError, match=f"bad setting {key}.*found -1"):
        load_settings("default", [f"{key}=-1"])


@pytest.mark.parametrize(
    "text", ["epochs=3", "train.epochs", "=3", "a.b.c=3", ".epochs=3", "train.=3"]
)
def test_an_override_that_is_no_key_and_value_is_refused(recipe: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"expected SECTION\.KEY=VALUE"):
        load_settings(recipe, [text])


@for_each(
    ("tree", "words"),
    [
        ({"train": {"epcohs": 3}}, "unknown key train.epcohs.*Did you mean train.epochs"),
        ({"window": {"contextlength": 5}}, "Did you mean window.context_length"),
        ({"split": {"start": ""}}, "Did you mean data.start or evaluate.start"),
        ({"trian": {"epochs": 3}}, r"unknown key trian.*Did you mean train[?]"),
        ({"qqqqqqqq": {"zzz": 3}}, "unknown key qqqqqqqq .*Run: lstmcli config show"),
        ({"train": {"epochs": 0}}, "bad setting train.epochs.*found 0, expected at least 1"),
        ({"train": {"epochs": "many"}}, "train.epochs.*found 'many', expected a whole number"),
        ({"train": {"learning_rate": float("nan")}}, "bad setting train.learning_rate.*finite"),
        ({"train": {"device": "tpu"}}, "bad setting train.device.*found 'tpu'"),
        ({"train": 3}, "bad setting train.*found 3"),
        ({"window": {"scaling": "minmax"}}, "'batch', 'log_return' or 'seasonal'"),
        ({"window": {"features": []}}, "at least one column"),
        ({"window": {"features": ["close", "close"]}}, "each once"),
        ({"window": {"features": ["month"]}}, "at least one column"),
        ({"window": {"features": ["close", "month"]}}, "month .* goes with model.head recursive"),
        ({"window": {"scaling": "seasonal", "context_length": 14}}, "at least 15, found 14"),
        ({"window": {"context_length": 2}}, "bad setting window.context_length"),
        ({"window": {"scaling": "log_return", "rebase": False}}, "false needs scaling relative"),
        ({"window": {"scaling": "relative"}}, "model.head direct goes with window.scaling"),
        ({"window": {"context_length": 30}}, "at least 40, found 30"),
        ({"train": {"burn_in": 192}}, "train.burn_in must be less than"),
        (
            {"train": {"labels": "sequence"}, **RECURSIVE, "window": {**RELATIVE, **SHORT}},
            "burn_in must be less than window.context_length .15., found 20; pass train.labels=win",
        ),
        ({"train": {"burn_in": 250, "chunk_length": 300}}, "train.burn_in must be less than"),
        (
            {"train": {"stateful": True, "labels": "window"}},
            "train.stateful reads every series bar by bar.*head direct and train.labels sequence",
        ),
        ({"train": {"stateful": True}, **RECURSIVE, "window": RELATIVE}, "stateful reads every"),
        ({"forecast": {"quantile_levels": [0.1, 0.9]}}, "hold 0.5"),
        ({"forecast": {"quantile_levels": [0.5, 0.4, 0.9]}}, "must ascend"),
        ({"split": {"purge": 49}}, r"at least window.horizon \(50\), found 49"),
        ({"split": {"validation_fraction": 0.2}}, "between 0.10 and 0.15"),
        ({"split": {"method": "shuffled", "embargo": 1}}, "needs split.method chronological"),
        ({"evaluate": {"refit_window": "sliding"}}, "'expanding' or 'rolling'"),
        ({"model": {"network": "ltsm"}}, "model.network.*found 'ltsm', expected one of 'lstm'"),
        (
            {"model": {"network": "linear", "dense_sizes": [3]}},
            r"model.network linear goes with model.dense_sizes \[\], found \[3\]",
        ),
        *(
            (
                {"model": {"network": network}, "train": {"stateful": True}},
                f"train.stateful goes with model.network lstm, rnn, gru, peephole.*found {network}",
            )
            for network in ("cnn", "mlp", "linear")
        ),
        (
            {"model": {"network": "peephole"}, "train": {"precision": "bf16"}},
            "train.precision bf16 needs a model.network other than peephole",
        ),
        (
            {"model": {"network": "cnn", "kernel_size": 33, "hidden_sizes": [4, 4]}},
            "model.kernel_size must be at most 32 if 2 stacks share 64 bars, found 33",
        ),
        ({"model": {"kernel_size": 1}}, "bad setting model.kernel_size"),
        ({"model": {"hidden_sizes": []}}, "bad setting model.hidden_sizes"),
        ({"model": {"hidden_sizes": [0]}}, "bad setting model.hidden_sizes.0"),
    ],
)
def test_a_fault_is_a_usage_error_that_names_key_and_finding(
    tree: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        check_settings(tree, where="mine.toml")
    assert caught.value.exit_code == 2
    assert "mine.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


@for_each(
    ("tree", "labels", "all_bars", "burn_in"),
    [
        ({}, "sequence", True, 64),
        ({"train": {"labels": ""}, "window": {"context_length": 100}}, "sequence", True, 50),
        ({"train": {"labels": "window"}}, "window", False, 64),
        ({**RECURSIVE, "window": RELATIVE}, "window", False, 64),
        ({**RECURSIVE, "window": RELATIVE, **SEQUENCE}, "sequence", True, 64),
        ({**RECURSIVE, "window": {**RELATIVE, **MEDIUM}, **SEQUENCE}, "sequence", True, 25),
        ({**RECURSIVE, "window": {"scaling": "zscore"}, **SEQUENCE}, "sequence", False, 64),
        (
            {"model": {"head": "recursive", "network": "mlp"}, "window": RELATIVE, **SEQUENCE},
            *("sequence", False, 64),
        ),
    ],
)
def test_labels_follow_the_head_unless_set(
    tree: dict[str, Any], labels: str, all_bars: bool, burn_in: int
) -> None:
    found = check_settings(tree, where="test")
    assert found.train.labels == labels
    assert found.labels_all_bars == all_bars
    assert found.train.burn_in == burn_in


def test_a_key_that_the_network_has_no_use_for_is_named_where_it_was_changed() -> None:
    changed = {"kernel_size": 5, "forget_bias": 2.0, "dropout": 0.1, "hidden_sizes": [3]}
    expected = {
        "lstm": {"kernel_size"},
        "gru": {"kernel_size"},
        "peephole": {"kernel_size"},
        "rnn": {"kernel_size", "forget_bias"},
        "cnn": {"forget_bias"},
        "mlp": {"kernel_size", "forget_bias"},
        "linear": set(changed),
    }
    for network, unused in expected.items():
        assert set(Model.model_validate({"network": network, **changed}).unused) == unused
        assert Model.model_validate({"network": network}).unused == ()


@for_each(
    ("tree", "reach"),
    [
        ({}, 64),
        ({"train": {"labels": "window"}}, 249),
        ({**RECURSIVE, "window": RELATIVE}, 250),
        ({**RECURSIVE, "window": {"scaling": "log_return"}}, 249),
    ],
)
def test_a_network_without_memory_sees_what_every_label_has_behind_it(
    tree: dict[str, Any], reach: int
) -> None:
    assert check_settings(tree, where="test").reach == reach


def test_the_published_lab_may_overlap_its_parts() -> None:
    split = {"method": "shuffled", "purge": 0, "validation_fraction": 0.05}
    settings = check_settings({"split": split, "window": RELATIVE, **RECURSIVE}, where="test")
    assert settings.purge == 0
    with pytest.raises(UsageError, match=r"split.method shuffled"):
        check_settings({"split": split}, where="test")


def test_purge_and_step_size_are_the_horizon_unless_set() -> None:
    settings = check_settings({"window": {"horizon": 7}}, where="test")
    assert (settings.purge, settings.step_size) == (7, 7)
    tree = {"window": {"horizon": 7}, "split": {"purge": 9}, "evaluate": {"step_size": 3}}
    settings = check_settings(tree, where="test")
    assert (settings.purge, settings.step_size) == (9, 3)


def test_settings_cannot_be_changed_after_they_were_checked() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().train.epochs = 5  # type: ignore[misc]


def test_paths_of_a_recipe_are_relative_to_it_and_paths_of_an_override_to_the_current_folder(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (recipe.parent / "odd=name.csv").touch()
    recipe.write_text(
        '[data]\ncsv = ["../a.csv", "X=b.csv", "odd=name.csv", "-", "S=-", "N=c=d.csv"]\n'
    )
    folder = os.path.realpath(recipe.parent)
    assert load_settings(Path(folder) / "mine.toml").data.csv == (
        os.path.join(os.path.dirname(folder), "a.csv"),
        f"X={folder}/b.csv",
        f"{folder}/odd=name.csv",
        "-",
        "S=-",
        f"N={folder}/c=d.csv",
    )
    changed = load_settings(recipe, ['data.csv=["a.csv"]'])
    assert changed.data.csv == (str(Path.cwd() / "a.csv"),)


@for_each("name", ["no-such-recipe", "", "..", "../configs/default", "x" * 300])
def test_an_unknown_recipe_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="no such recipe"):
        find_recipe(name)


@pytest.mark.parametrize(
    "data", [b"epochs = ", b"[train]\nepochs = 3\nepochs = 4", b"\xff\xfe[\x00t\x00"]
)
def test_what_is_not_toml_is_a_usage_error(recipe: Path, data: bytes) -> None:
    recipe.write_bytes(data)
    with pytest.raises(UsageError, match="not valid TOML"):
        load_settings(recipe)


def test_a_huge_file_is_refused_unread(recipe: Path) -> None:
    recipe.write_bytes(b"#" * 1_000_001)
    with pytest.raises(UsageError, match="1000001 bytes is too large"):
        load_settings(recipe)


def test_an_unreadable_recipe_is_a_file_error(
    recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(FileError, match=r"cannot read the recipe.*Permission denied"):
        load_settings(recipe)
