"""`lstmcli models`: lists, promotions, rollbacks and removals."""

import csv
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from lstmcli.files.locks import hold
from tests.command_line import (
    Outcome,
    assert_one_error,
    csv_text,
    document_of,
    hashes,
    in_process,
    succeed,
    walk,
)

MODELS = "data/models/tiny"


def models(home: Path, *options: object) -> Outcome:
    return in_process("models", *options, folder=home)


def document(home: Path, *options: object) -> dict[str, Any]:
    return document_of(home, "models", *options)


def train(home: Path, *options: object) -> str:
    """Train one more version; returns its name."""
    outcome = succeed(
        "train", "-c", "tiny.toml", "--force", "--format", "json", *options, folder=home
    )
    return str(json.loads(outcome.out)["model"])


def pointer(home: Path) -> list[str]:
    return (home / MODELS / "champion").read_text().splitlines()


@pytest.fixture(scope="module")
def trained_thrice(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose third version is champion, after the first; the second never was."""
    home = Path(shutil.copytree(trained, tmp_path_factory.mktemp("three") / "home"))
    train(home, "--promote", "never")
    train(home, "--promote", "always")
    return home


@pytest.fixture
def three(trained_thrice: Path, tmp_path: Path) -> Path:
    """A folder of one's own with the same in it."""
    return Path(shutil.copytree(trained_thrice, tmp_path / "home"))


def test_list_shows_every_version_beside_a_baseline(three: Path) -> None:
    rows = document(three, "list")["models"]
    assert [row["version"] for row in rows] == ["v0001", "v0002", "v0003"]
    assert [row["champion"] for row in rows] == [False, False, True]
    assert [row["next_back"] for row in rows] == [True, False, False]
    kept = json.loads((three / MODELS / "v0001/metadata.json").read_text())
    assert rows[0]["created"] == kept["created"]
    assert rows[0]["rmse"] == kept["validation"]["models"]["network"]["rmse"]
    assert rows[0]["naive_rmse"] == kept["validation"]["models"]["naive"]["rmse"]
    folder = three / MODELS / "v0001"
    assert rows[0]["size"] == sum(path.stat().st_size for path in folder.iterdir())
    (line,) = [line for line in models(three, "list").out.splitlines() if "tiny/v0003" in line]
    assert line.split()[:4] == ["tiny/v0003", "champion", "prices", "2018-08-31"]


def test_list_names_models_and_refuses_an_unknown_one(three: Path) -> None:
    train(three, "--name", "other")
    assert {row["name"] for row in document(three, "list")["models"]} == {"tiny", "other"}
    assert {row["name"] for row in document(three, "list", "other")["models"]} == {"other"}
    assert_one_error(models(three, "list", "nope"), 4, "no such model (nope)", "other, tiny")


@pytest.mark.parametrize("verb", [("rollback", "x"), ("prune", "x", "--keep", "1")])
def test_without_a_model_the_error_suggests_training_one(
    tmp_path: Path, verb: tuple[str, ...]
) -> None:
    assert_one_error(models(tmp_path, *verb), 4, "lstmcli train")
    assert list(tmp_path.iterdir()) == []


DAMAGES = {
    "missing": lambda folder: (folder / "model.safetensors").unlink(),
    "truncated": lambda folder: os.truncate(folder / "model.safetensors", 100),
    "no-metadata": lambda folder: (folder / "metadata.json").unlink(),
    "other-metadata": lambda folder: (folder / "metadata.json").write_text("[]"),
    "edited-config": lambda folder: (folder / "config.toml").write_text(""),
    "odd-metadata": lambda folder: rewrite(folder, data=3, created=[], validation=7),
    "odd-symbols": lambda folder: rewrite(folder, data={"symbols": []}),
    "link": lambda folder: link_away(folder),
}


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def link_away(folder: Path) -> None:
    away = folder.parents[3] / "away"
    shutil.move(folder, away)
    folder.symlink_to(away)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_version_is_listed_as_such_and_hides_no_other(three: Path, damage: str) -> None:
    DAMAGES[damage](three / MODELS / "v0002")
    rows = document(three, "list")["models"]
    assert [bool(row["damaged"]) for row in rows] == [False, True, False]
    outcome = models(three, "list")
    assert "tiny/v0002 is damaged: " in outcome.out
    before = pointer(three)
    assert_one_error(models(three, "show", "tiny/v0002"), 1)
    if damage != "odd-symbols":  # what can forecast can be champion
        assert_one_error(models(three, "promote", "tiny/v0002"), 1)
        assert pointer(three) == before


def test_an_unknown_champion_is_a_note(three: Path) -> None:
    (three / MODELS / "champion").write_text("v0009\n")
    outcome = models(three, "list", "--format", "json")
    assert outcome.code == 0
    assert "the champion is missing" in outcome.err
    assert [row["champion"] for row in json.loads(outcome.out)["models"]] == [False] * 3
    before = hashes(three)
    assert_one_error(models(three, "prune", "tiny", "--keep", "1"), 1, "the champion is missing")
    assert hashes(three) == before
    assert document(three, "promote", "tiny/v0002")["champion"] == "v0002"


def test_show_holds_settings_metadata_and_all_decisions(three: Path) -> None:
    whys = ["the first version", "--promote never", "--promote always"]
    assert [each["why"] for each in document(three, "show")["decisions"]] == whys
    text = models(three, "show", "tiny/v0001").out
    for words in ("tiny/v0001", "no; now and before: v0003, v0001", "RMSE", "--promote never"):
        assert words in text
    rows = list(csv.DictReader(models(three, "show", "--format", "csv").out.splitlines()))
    assert [row["version"] for row in rows] == ["v0001", "v0002", "v0003"]


def test_show_takes_a_path_too(three: Path, tmp_path: Path) -> None:
    shutil.copytree(three / MODELS / "v0001", tmp_path / "else/v0001")
    found = document(three, "show", tmp_path / "else/v0001")
    assert (found["champion"], found["decisions"]) == (False, [])


def test_promote_and_rollback_move_the_pointer_and_remember_the_way_back(three: Path) -> None:
    found = document(three, "promote", "tiny/v0002")
    assert (found["before"], found["champion"], found["promoted"]) == ("v0003", "v0002", True)
    assert pointer(three) == ["v0002", "v0003", "v0001"]
    assert models(three, "rollback", "tiny").out == (
        "tiny/v0003 is the champion: rolled back from v0002.\n"
    )
    assert document(three, "rollback", "tiny")["champion"] == "v0001"
    assert_one_error(models(three, "rollback", "tiny"), 1, "no earlier champion (tiny)")
    assert pointer(three) == ["v0001"]


def test_a_rollback_to_a_damaged_version_is_refused(three: Path) -> None:
    (three / MODELS / "v0001/model.safetensors").write_bytes(b"")
    assert_one_error(models(three, "rollback", "tiny"), 1, "not a lstmcli model", "v0001")
    assert pointer(three) == ["v0003", "v0001"]


def test_promote_if_better_compares_first(three: Path) -> None:
    found = document(three, "promote", "tiny/v0001", "--if-better")
    assert (found["promoted"], found["champion"]) == (False, "v0003")
    assert "differ by the same amount" in found["why"]
    bad = train(three, "--set", "window.scaling=relative", "--set", "train.learning_rate=1")
    models(three, "promote", bad)
    found = document(three, "promote", "tiny/v0001", "--if-better", "--promote-level", "0.05")
    assert (found["promoted"], found["champion"]) == (True, "v0001")
    assert found["decision"]["comparison"]["level"] == 0.05


def test_promote_if_better_judges_by_the_prices_given(three: Path) -> None:
    (three / "new.csv").write_text(csv_text(walk(300, seed=3)))
    found = document(three, "promote", "tiny/v0001", "--if-better", "--csv", "new.csv")
    assert found["decision"]["comparison"]["symbols"] == 1
    outcome = models(three, "promote", "tiny/v0001", "--if-better", "--csv", "absent.csv")
    assert_one_error(outcome, 2, "absent.csv")


def test_the_champion_need_not_be_promoted(three: Path) -> None:
    before = hashes(three)
    found = document(three, "promote", "tiny/v0003")
    assert (found["promoted"], found["why"]) == (False, "it was already")
    assert hashes(three) == before


@pytest.mark.parametrize(
    ("reference", "code", "words"),
    [
        ("tiny", 2, "Pass NAME/VERSION"),
        ("tiny/v9", 2, "not a version"),
        ("tiny/v0009", 4, "no such version (tiny/v0009)"),
        ("nope/v0001", 4, "no such model"),
        ("../tiny/v0001", 2, "not a"),
    ],
)
def test_only_an_existing_version_can_be_promoted(
    three: Path, reference: str, code: int, words: str
) -> None:
    before = hashes(three)
    assert_one_error(models(three, "promote", reference), code, words)
    assert hashes(three) == before


def test_prune_keeps_the_newest_the_champion_and_the_one_before(three: Path) -> None:
    for _ in range(3):
        train(three, "--promote", "never")
    before = hashes(three)
    told = document(three, "prune", "tiny", "--keep", "1", "--dry-run")
    assert hashes(three) == before
    done = document(three, "prune", "tiny", "--keep", "1")
    assert done["removed"] == told["removed"] == ["v0002", "v0004", "v0005"]
    assert done["kept"] == ["v0001", "v0003", "v0006"]
    left = {path.name for path in (three / MODELS).iterdir() if path.is_dir()}
    assert left == {"v0001", "v0003", "v0006"}
    assert pointer(three) == ["v0003", "v0001"]
    assert document(three, "prune", "tiny", "--keep", "1")["removed"] == []
    assert train(three, "--promote", "never") == "tiny/v0007"


def test_prune_removes_a_damaged_version_and_what_a_killed_run_left(three: Path) -> None:
    (three / MODELS / "v0002/metadata.json").write_text("")
    (three / MODELS / ".v0009.123.lstmcli-tmp").mkdir()
    text = models(three, "prune", "tiny", "--keep", "1").out
    assert text.startswith("1 version of tiny removed: v0002 (")
    assert not (three / MODELS / ".v0009.123.lstmcli-tmp").exists()
    assert_one_error(models(three, "prune", "tiny", "--keep", "0"), 2, "--keep")


@pytest.mark.parametrize(
    "verb", [("promote", "tiny/v0002"), ("rollback", "tiny"), ("prune", "tiny", "--keep", "1")]
)
def test_commands_that_change_a_model_wait_for_its_lock(three: Path, verb: tuple[str, ...]) -> None:
    with hold(three / MODELS / ".lock"):
        before = hashes(three)
        assert_one_error(models(three, *verb), 5, "models/tiny", "--wait")
        assert_one_error(models(three, *verb, "--wait", "0.1"), 5, "0.1 s")
        assert hashes(three) == before
        assert models(three, "list").code == 0
        assert models(three, "show").code == 0
    assert models(three, *verb).code == 0
