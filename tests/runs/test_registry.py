"""Model names, versions and champions, `--model`, and files of other users."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmcli.errors import ModelError, NoModelError, UsageError
from lstmcli.files import atomic
from lstmcli.runs.registry import (
    ModelRef,
    all_names,
    champion,
    champions,
    check_name,
    doubtful_paths,
    find_model,
    find_version,
    model_folder,
    next_version,
    ownership_doubt,
    promote,
    ready_made,
    remove_version,
    rollback,
    versions,
    warn_ownership,
)
from tests.rows import for_each


def add(data_dir: Path, name: str, *, promoted: bool = False) -> ModelRef:
    """Make an empty version."""
    version = next_version(data_dir, name)
    version.folder.mkdir(parents=True)
    (version.folder / "metadata.json").write_text("{}")
    if promoted:
        promote(data_dir, version)
    return version


@for_each("name", ["a", "SP500", "lab-corrected", "a.b_c-1", "x" * 64, "^gspc", "%63on", "eur=x"])
def test_a_plain_word_names_a_model(name: str) -> None:
    assert check_name(name) == name


@for_each(
    "name", ["", ".", "..", "a/b", "../a", "-a", ".a", "a.", "a b", "ä", "a\n", "x" * 65, "a\\b"]
)
def test_a_name_that_could_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="not a model name") as caught:
        model_folder(Path("data"), name)
    assert caught.value.exit_code == 2


def test_versions_are_numbered_from_one(tmp_path: Path) -> None:
    assert versions(tmp_path, "mine") == []
    assert [str(add(tmp_path, "mine")) for _ in range(3)] == [
        "mine/v0001",
        "mine/v0002",
        "mine/v0003",
    ]
    assert versions(tmp_path, "mine") == ["v0001", "v0002", "v0003"]


def test_versions_are_ordered_as_numbers_and_gaps_are_not_filled(tmp_path: Path) -> None:
    for version in ("v10000", "v0002", "v9999"):
        (tmp_path / "models" / "mine" / version).mkdir(parents=True)
    assert versions(tmp_path, "mine") == ["v0002", "v9999", "v10000"]
    assert next_version(tmp_path, "mine").version == "v10001"


def test_leftovers_of_an_interrupted_run_are_no_version_and_are_removed(tmp_path: Path) -> None:
    add(tmp_path, "mine")
    folder = model_folder(tmp_path, "mine")
    stray = folder / f".v0002.123{atomic.TEMPORARY_SUFFIX}"
    stray.mkdir()
    (stray / "model.safetensors").touch()
    (folder / f".champion.0a1b{atomic.TEMPORARY_SUFFIX}").touch()
    (folder / "v2").mkdir()
    (folder / ".lock").touch()
    assert versions(tmp_path, "mine") == ["v0001"]
    assert next_version(tmp_path, "mine").version == "v0002"
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "v0001", "v2"]


def test_a_champion_is_the_version_promoted_last(tmp_path: Path) -> None:
    first, second = add(tmp_path, "mine"), add(tmp_path, "mine")
    assert champion(tmp_path, "mine") is None
    promote(tmp_path, second)
    assert champion(tmp_path, "mine") == second
    promote(tmp_path, first)
    assert champion(tmp_path, "mine") == first


@pytest.mark.parametrize("text", ["v0009\n", "", "../../etc", "v0001/../v0001", "\xff"])
def test_a_champion_that_does_not_exist_is_a_model_error(tmp_path: Path, text: str) -> None:
    add(tmp_path, "mine", promoted=True)
    (model_folder(tmp_path, "mine") / "champion").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match="champion") as caught:
        find_model(tmp_path, "mine")
    assert caught.value.exit_code == 1


def test_a_name_resolves_to_its_champion_and_a_version_to_itself(tmp_path: Path) -> None:
    first = add(tmp_path, "mine", promoted=True)
    second = add(tmp_path, "mine")
    other = add(tmp_path, "other", promoted=True)
    assert find_model(tmp_path, "mine") == first
    assert find_model(tmp_path, "mine/v0002") == second
    assert find_model(tmp_path, "other") == other


def test_a_path_resolves_to_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = add(tmp_path / "elsewhere", "mine")
    found = find_model(tmp_path, str(version.folder))
    assert (str(found), found.folder) == ("mine/v0001", version.folder)
    monkeypatch.chdir(version.folder.parent)
    assert str(find_model(tmp_path, "v0001")) == "mine/v0001"
    assert str(find_model(tmp_path, "./v0001/")) == "mine/v0001"


def test_a_known_name_takes_precedence_over_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = add(tmp_path, "mine", promoted=True)
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/metadata.json").write_text("{}")
    assert find_model(tmp_path, "mine") == version
    assert find_model(tmp_path, "./mine").folder == Path("mine")


@pytest.mark.parametrize("reference", ["nope", "nope/v0001", "", "/nowhere", "x" * 300])
def test_an_unknown_model_is_an_error_that_lists_the_known_ones(
    tmp_path: Path, reference: str
) -> None:
    add(tmp_path, "mine", promoted=True)
    with pytest.raises(NoModelError, match=r"no such model.*found mine in") as caught:
        find_model(tmp_path, reference)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("reference", ["mine/v0009", "mine/v1", "mine/"])
def test_an_unknown_version_is_an_error_that_lists_the_versions(
    tmp_path: Path, reference: str
) -> None:
    add(tmp_path, "mine", promoted=True)
    add(tmp_path, "mine")
    with pytest.raises(NoModelError, match=r"no such version.*mine has v0002, v0001") as caught:
        find_model(tmp_path, reference)
    assert caught.value.exit_code == 4


def test_the_name_of_the_ready_made_model_is_reserved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="base"):
        add(tmp_path, "base", promoted=True)
    (tmp_path / "models/base/v0001").mkdir(parents=True)
    assert all_names(tmp_path) == []
    assert find_model(tmp_path, "base") == find_model(tmp_path, "base/v0001") == ready_made()
    with pytest.raises(UsageError, match="base"):
        find_version(tmp_path, "base/v0001")
    assert doubtful_paths(ready_made()) == []


def test_all_names_are_those_with_a_folder_in_the_data_folder(tmp_path: Path) -> None:
    assert all_names(tmp_path / "data") == []
    add(tmp_path / "data", "mine", promoted=True)
    add(tmp_path / "data", "candidate")
    (tmp_path / "data/models/.hidden").mkdir()
    (tmp_path / "data/models/file").touch()
    (tmp_path / "away").mkdir()
    (tmp_path / "data/models/link").symlink_to(tmp_path / "away")
    assert all_names(tmp_path / "data") == ["candidate", "mine"]


@pytest.mark.parametrize("reference", ["mine", "mine/", "mine/v1", "./mine/v0001", ""])
def test_a_version_reference_needs_a_name_and_a_version(tmp_path: Path, reference: str) -> None:
    version = add(tmp_path, "mine")
    assert find_version(tmp_path, "mine/v0001") == version
    with pytest.raises(UsageError, match="not a"):
        find_version(tmp_path, reference)
    with pytest.raises(ModelError, match="no such version"):
        find_version(tmp_path, "mine/v0002")


def several(data_dir: Path, number: int) -> list[ModelRef]:
    return [add(data_dir, "mine") for _ in range(number)]


def names(data_dir: Path) -> list[str]:
    return [each.version for each in champions(data_dir, "mine")]


def test_rollback_skips_a_removed_version(tmp_path: Path) -> None:
    first, second, third = several(tmp_path, 3)
    for each in (first, second, third):
        promote(tmp_path, each)
    remove_version(second)
    assert not second.folder.exists()
    assert names(tmp_path) == ["v0003", "v0001"]
    assert rollback(tmp_path, "mine") == first


def test_a_version_that_cannot_be_champion_stops_a_rollback(tmp_path: Path) -> None:
    for each in several(tmp_path, 2):
        promote(tmp_path, each)

    def check(target: ModelRef) -> None:
        raise ModelError("not a lstmcli model", where=target)

    with pytest.raises(ModelError, match="mine/v0001"):
        rollback(tmp_path, "mine", check)
    assert names(tmp_path) == ["v0002", "v0001"]


@pytest.mark.parametrize("text", ["", "\xff", "v0007\nv0001\n", "junk\nv0001\n", "v0001\r\njunk"])
def test_a_damaged_pointer_is_replaced_by_the_next_champion(tmp_path: Path, text: str) -> None:
    first, second = several(tmp_path, 2)
    (model_folder(tmp_path, "mine") / "champion").write_bytes(text.encode("latin-1"))
    promote(tmp_path, second)
    assert champion(tmp_path, "mine") == second
    assert names(tmp_path) in (["v0002"], ["v0002", "v0001"])
    if "v0001\n" in text:
        assert rollback(tmp_path, "mine") == first


@given(steps=st.lists(st.one_of(st.integers(0, 3), st.just("back")), max_size=12))
def test_the_champion_file_is_a_stack_without_repeats(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int | str]
) -> None:
    data_dir = tmp_path_factory.mktemp("stack")
    versions = several(data_dir, 4)
    stack: list[str] = []
    for step in steps:
        if isinstance(step, int):
            name = versions[step].version
            promote(data_dir, versions[step])
            stack = [name, *(each for each in stack if each != name)]
        elif len(stack) > 1:
            rollback(data_dir, "mine")
            stack = stack[1:]
        assert names(data_dir) == stack


def test_own_files_give_no_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert warn_ownership([tmp_path, tmp_path / "file", tmp_path / "nowhere"]) == ()


@pytest.mark.parametrize("mode", [0o777, 0o702, 0o1777])
def test_a_path_that_every_user_may_write_to_gives_a_warning(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    (note,) = warn_ownership([tmp_path])
    assert note == f"{tmp_path} may not be yours: every user may write to it"
    tmp_path.chmod(0o770)
    assert warn_ownership([tmp_path]) == ()


def test_files_of_other_users_except_root_give_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = tmp_path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    told = ownership_doubt(tmp_path)
    assert told == ("" if uid == 0 else f"it belongs to another user (uid {uid})")
    found = list(tmp_path.stat())
    found[4] = 4711
    monkeypatch.setattr(Path, "stat", lambda path: os.stat_result(found))
    assert ownership_doubt(tmp_path) == "it belongs to another user (uid 4711)"
