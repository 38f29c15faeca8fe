"""Names, versions, champions, and what `--model` means."""

from pathlib import Path

import pytest

from lstmcli.errors import ModelError, NoModelError, UsageError
from lstmcli.files import atomic
from lstmcli.runs.registry import (
    ModelRef,
    all_names,
    champion,
    check_name,
    doubtful_paths,
    find_model,
    find_version,
    model_folder,
    next_version,
    promote,
    ready_made,
    versions,
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
def test_what_could_leave_the_folder_names_none(name: str) -> None:
    with pytest.raises(UsageError, match="not a model name") as caught:
        model_folder(Path("data"), name)
    assert caught.value.exit_code == 2


def test_versions_are_counted_up_from_one(tmp_path: Path) -> None:
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


def test_what_an_interrupted_run_left_is_no_version_and_is_cleared(tmp_path: Path) -> None:
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
def test_a_champion_that_points_nowhere_is_a_model_error(tmp_path: Path, text: str) -> None:
    add(tmp_path, "mine", promoted=True)
    (model_folder(tmp_path, "mine") / "champion").write_bytes(text.encode("latin-1"))
    with pytest.raises(ModelError, match="champion") as caught:
        find_model(tmp_path, "mine")
    assert caught.value.exit_code == 1


def test_a_name_is_its_champion_and_a_version_is_itself(tmp_path: Path) -> None:
    first = add(tmp_path, "mine", promoted=True)
    second = add(tmp_path, "mine")
    other = add(tmp_path, "other", promoted=True)
    assert find_model(tmp_path, "mine") == first
    assert find_model(tmp_path, "mine/v0002") == second
    assert find_model(tmp_path, "other") == other


def test_a_path_is_the_folder_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    version = add(tmp_path / "elsewhere", "mine")
    found = find_model(tmp_path, str(version.folder))
    assert (str(found), found.folder) == ("mine/v0001", version.folder)
    monkeypatch.chdir(version.folder.parent)
    assert str(find_model(tmp_path, "v0001")) == "mine/v0001"
    assert str(find_model(tmp_path, "./v0001/")) == "mine/v0001"


def test_a_known_name_is_taken_before_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = add(tmp_path, "mine", promoted=True)
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/metadata.json").write_text("{}")
    assert find_model(tmp_path, "mine") == version
    assert find_model(tmp_path, "./mine").folder == Path("mine")


@pytest.mark.parametrize("reference", ["nope", "nope/v0001", "", "/nowhere", "x" * 300])
def test_an_unknown_model_is_an_error_that_lists_the_known(tmp_path: Path, reference: str) -> None:
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


def test_the_ready_made_model_has_its_name_to_itself(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="base"):
        add(tmp_path, "base", promoted=True)
    (tmp_path / "models/base/v0001").mkdir(parents=True)
    assert all_names(tmp_path) == []
    assert find_model(tmp_path, "base") == find_model(tmp_path, "base/v0001") == ready_made()
    with pytest.raises(UsageError, match="base"):
        find_version(tmp_path, "base/v0001")
    assert doubtful_paths(ready_made()) == []


def test_all_names_are_those_with_a_folder_of_their_own(tmp_path: Path) -> None:
    assert all_names(tmp_path / "data") == []
    add(tmp_path / "data", "mine", promoted=True)
    add(tmp_path / "data", "candidate")
    (tmp_path / "data/models/.hidden").mkdir()
    (tmp_path / "data/models/file").touch()
    (tmp_path / "away").mkdir()
    (tmp_path / "data/models/link").symlink_to(tmp_path / "away")
    assert all_names(tmp_path / "data") == ["candidate", "mine"]


@pytest.mark.parametrize("reference", ["mine", "mine/", "mine/v1", "./mine/v0001", ""])
def test_only_a_name_and_a_version_are_a_version(tmp_path: Path, reference: str) -> None:
    version = add(tmp_path, "mine")
    assert find_version(tmp_path, "mine/v0001") == version
    with pytest.raises(UsageError, match="not a"):
        find_version(tmp_path, reference)
    with pytest.raises(ModelError, match="no such version"):
        find_version(tmp_path, "mine/v0002")
