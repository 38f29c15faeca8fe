"""Records with invalid values: every command reports them in one line, or works without them.

Each example replaces, removes or adds one value somewhere in a valid file.
"""

import hashlib
import json
import os
import re
import shutil
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import safetensors
import safetensors.torch
import tomli_w
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmcli.evaluation.scores import PAST_MOVES
from lstmcli.evaluation.verdict import SHOWN_NAMES
from lstmcli.runs.checkpoint import CHECKPOINT, _digest
from lstmcli.runs.ledger import Entry, encode
from tests.cases.odd_values import changed, said, values
from tests.command_line import TINY_RECIPE, csv_text, in_process, sessions, succeed, walk, words_of

VERSION = "data/models/tiny/v0001"
LEDGER = "data/ledger"
STUDY = "data/tuning/tiny/study.db"
Study = tuple[Path, dict[str, Any]]
READERS = (
    ("models", "list", "--format", "json"),
    ("models", "show"),
    ("predict", "AAPL"),
    ("evaluate", "--format", "json"),
    ("status",),
)
QUOTED = ("naive", "drift", PAST_MOVES)
FEW = settings(max_examples=8, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, a look, a record of runs, and stored prices."""
    home = tmp_path_factory.mktemp("odd")
    (home / "prices.csv").write_text(csv_text(walk(300)))
    (home / "tiny.toml").write_text(TINY_RECIPE)
    for command in (
        ("data", "import", "AAPL=prices.csv"),
        ("train", "--config", "tiny.toml"),
        ("evaluate",),
    ):
        succeed(*command, folder=home)
    return home


@pytest.fixture
def home(place: Path, tmp_path: Path) -> Path:
    shutil.copytree(place, tmp_path / "home")
    return tmp_path / "home"


def forged(facts: Any) -> bytes:
    """Return a line of the ledger with a correct checksum for any content."""
    body = json.dumps(facts).removesuffix("}").encode("ascii")
    return body + b',"crc32":"%08x"}\n' % zlib.crc32(body)


@pytest.fixture(scope="module")
def entry(place: Path) -> dict[str, Any]:
    """A valid line of the ledger, with five steps from a past cutoff."""
    days = sessions(60)
    line = Entry(
        issued=f"{days[40]}T22:10:03Z",
        model="tiny",
        version="v0001",
        symbol="AAPL",
        interval="1d",
        price="Close",
        cutoff=days[40],
        last_close=100.0,
        context_length=10,
        steps=[1, 2, 3, 4, 5],
        dates=days[41:46],
        levels=[],
        moves=[[0.001 * step] for step in range(1, 6)],
        data="9f86d081884c7d65",
        weights="60303ae22b998861",
        lstmcli="0.1.0",
    )
    facts: dict[str, Any] = json.loads(encode(line))
    del facts["crc32"]
    return facts


@FEW
@given(data=st.data())
def test_an_invalid_line_of_the_ledger_is_skipped_with_its_number(
    place: Path, entry: dict[str, Any], data: st.DataObject
) -> None:
    odd = data.draw(st.lists(changed(entry), min_size=1, max_size=20))
    good = {**entry, "model": "steady"}
    (place / LEDGER).mkdir(exist_ok=True)
    (place / LEDGER / "2026-01.jsonl").write_bytes(b"".join(map(forged, [*odd, good])))
    done = said(in_process("evaluate", "--issued", "--format", "json", folder=place), 0, 3)
    document = json.loads(done.out)
    numbers = [each["line"] for each in document["damaged"]]
    assert set(numbers) <= set(range(1, len(odd) + 1))
    assert len(re.findall(r" line \d+ is left out: ", done.err)) == min(len(numbers), 5)
    assert "steady/v0001" in [grade["model"] for grade in document["issued"]]


ODD_LINES = [
    ("symbol", 3),
    ("moves", [["a"]] * 5),
    ("moves", [[1e308]] * 5),
    ("dates", ["soon"] * 5),
    ("dates", ["2018-09-04"] * 5),
    ("cutoff", "20180831"),
    ("steps", [5, 4, 3, 2, 1]),
    ("steps", [True, 2, 3, 4, 5]),
    ("interval", "../1d"),
    ("price", "High"),
    ("last_close", True),
    ("last_close", -1.0),
    ("context_length", 10**30),
    ("levels", "half"),
    ("model", None),
]


def test_a_line_with_a_correct_checksum_and_an_invalid_value_gives_a_note(
    home: Path, entry: dict[str, Any]
) -> None:
    lines = [entry, *({**entry, field: value} for field, value in ODD_LINES)]
    (home / LEDGER).mkdir(exist_ok=True)
    (home / LEDGER / "2026-01.jsonl").write_bytes(b"".join(map(forged, lines)))
    done = said(in_process("evaluate", "--issued", "--format", "json", folder=home), 0)
    assert "line 2 is left out: " in done.err
    assert [each["line"] for each in json.loads(done.out)["damaged"]] == list(range(2, 17))


# The commands that read each record, with their possible exit codes.
RECORDS: dict[str, dict[tuple[int, ...], tuple[tuple[str, ...], ...]]] = {
    f"{VERSION}/metadata.json": {(0, 1): READERS},
    "data/prices/1d/AAPL.json": {
        (0,): (("data", "list", "--format", "json"), ("data", "show", "AAPL"), *READERS[2::2]),
        (0, 1, 4): (("fetch", "AAPL", "--dry-run"), ("data", "check", "--format", "json")),
    },
    "data/runs.json": {(0, 4): (("status",), ("status", "--max-age", "8d", "--format", "json"))},
    "data/looks.json": {(0,): (("evaluate", "--format", "json"),)},
}


@FEW
@given(data=st.data())
@pytest.mark.parametrize("name", RECORDS)
def test_an_invalid_record_is_damaged_or_missing(
    place: Path, name: str, data: st.DataObject
) -> None:
    before = (place / name).read_text()
    try:
        (place / name).write_text(json.dumps(data.draw(changed(json.loads(before)) | values)))
        for codes, commands in RECORDS[name].items():
            for command in commands:
                done = in_process(*command, folder=place)
                if command[:2] in (("status",), ("status", "--max-age"), ("data", "check")):
                    assert (done.code in codes, "Traceback" in done.err) == (True, False), done
                else:
                    said(done, *codes)
    finally:
        (place / name).write_text(before)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("validation", "models", "network", "p"), None),
        (("validation", "models", "network", "p"), {"naive": "low"}),
        (("validation", "models", "naive", "p"), [0.1]),
        (("split", "trained_until"), "soon"),
        (("split", "trained_until"), None),
        (("trend", "rise"), 0.5),
        (("trend", "rise"), ["half"] * 5),
        (("trend", "more"), 3),
        (("source", "histories"), [1]),
        (("source", "histories", "AAPL"), {"rows": 3.5, "checksum": 0.0}),
        (("source", "histories", "AAPL"), {"rows": 3}),
        (("source", "histories", "AAPL"), {"rows": 3, "checksum": 1.0, "sha256": 7}),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else None,
)
def test_a_value_of_the_wrong_type_in_the_metadata_makes_a_damaged_model(
    home: Path, at: tuple[str, ...], value: object
) -> None:
    change_metadata(home, at, value)
    done = said(in_process("predict", "AAPL", folder=home), 1)
    assert "not a lstmcli model" in done.err
    assert ".".join(at[:2]) in done.err


@pytest.mark.parametrize("kept", ["error", "test"])
@pytest.mark.parametrize("absent", QUOTED)
def test_a_stored_baseline_is_reported_with_its_error_and_test(
    home: Path, absent: str, kept: str
) -> None:
    models: dict[str, Any] = {name: {"rmse": 0.1} for name in (*QUOTED, "network")}
    models["network"]["p"] = dict.fromkeys(QUOTED, 0.04)
    if kept == "error":
        models["network"]["p"][absent] = None
    else:
        del models[absent]
    change_metadata(home, ("validation",), {"n_independent": 30, "models": models})
    table = said(in_process("predict", "AAPL", "--model", "tiny", folder=home), 0).out
    quoted = words_of(table[table.index("How far to trust it") :])
    for name in QUOTED:
        shown = f", {SHOWN_NAMES.get(name, name)} 10.00 %"
        assert (shown in quoted) == (name != absent or kept == "error")
        assert (f"{shown} (p = 0.040)" in quoted) == (name != absent)


def change_metadata(home: Path, at: tuple[str, ...], value: object) -> None:
    """Replace one value of the metadata."""
    path = home / VERSION / "metadata.json"
    tree = json.loads(path.read_text())
    inner = tree
    for name in at[:-1]:
        inner = inner[name]
    inner[at[-1]] = value
    path.write_text(json.dumps(tree))


@FEW
@given(data=st.data())
def test_invalid_settings_of_a_version_make_a_damaged_model(
    place: Path, data: st.DataObject
) -> None:
    import tomllib

    path, metadata = place / VERSION / "config.toml", place / VERSION / "metadata.json"
    before, known = path.read_text(), metadata.read_text()
    tree = data.draw(changed(tomllib.loads(before)).filter(_is_toml))
    try:
        path.write_text(tomli_w.dumps(tree))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        metadata.write_text(json.dumps({**json.loads(known), "config_sha256": digest}))
        for command in (("models", "list"), ("predict", "AAPL"), ("status",)):
            said(in_process(*command, folder=place), 0, 1, 3, 4)
    finally:
        path.write_text(before)
        metadata.write_text(known)


def _is_toml(tree: Any) -> bool:
    try:
        return bool(tomli_w.dumps(tree))
    except (TypeError, ValueError):
        return False


@pytest.mark.parametrize(
    "name",
    [
        *("looks.json", "runs.json", "prices/1d/AAPL.json"),
        *("models/.looks", "models/tiny/champion"),
    ],
)
def test_a_pipe_in_place_of_a_record_does_not_block(home: Path, name: str) -> None:
    (home / "data" / name).unlink(missing_ok=True)
    os.mkfifo(home / "data" / name)
    for command in READERS[-2:]:
        said(in_process(*command, folder=home), 0, 1, 4)


@pytest.fixture(scope="module")
def study(place: Path) -> Study:
    """A study of two trials: its folder, and the attributes of the first trial."""
    (place / "space.toml").write_text('"train.learning_rate" = { low = 1e-3, high = 1e-2 }\n')
    succeed(*TUNE, folder=place)
    with closing(sqlite3.connect(place / STUDY)) as database:
        rows = database.execute(
            "SELECT key, value_json FROM trial_user_attributes WHERE trial_id = 1"
        )
        kept = {key: json.loads(text) for key, text in rows}
    shutil.copy(place / STUDY, place / "whole.db")
    return place, kept


TUNE = ("tune", "--config", "tiny.toml", "--space", "space.toml", "--trials", "2",
        "--format", "csv")  # fmt: skip


@FEW
@given(data=st.data())
def test_an_invalid_trial_of_a_study_is_damaged(study: Study, data: st.DataObject) -> None:
    place, kept = study
    odd = data.draw(changed(kept))
    shutil.copy(place / "whole.db", place / STUDY)
    with closing(sqlite3.connect(place / STUDY)) as database, database:
        database.execute("DELETE FROM trial_user_attributes WHERE trial_id = 1")
        database.executemany(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (1, ?, ?)",
            [(key, json.dumps(value)) for key, value in odd.items()],
        )
    said(in_process(*TUNE, "--timeout", "1", folder=place), 0, 1, 2)


@FEW
@given(data=st.data())
def test_an_invalid_search_space_is_a_usage_error(
    study: tuple[Path, bytes], data: st.DataObject
) -> None:
    place, _ = study
    tree = {
        "train.learning_rate": {"low": 1e-3, "high": 1e-2},
        "model": {"dropout": {"choices": [0.1]}},
    }
    (place / "odd.toml").write_text(tomli_w.dumps(data.draw(changed(tree).filter(_is_toml))))
    odd = (*TUNE[:4], "odd.toml", "--trials", "1", "--timeout", "0.01", "--name", "odd", "--fresh")
    said(in_process(*odd, folder=place), 0, 1, 2)


@FEW
@given(data=st.data())
def test_an_invalid_recipe_is_a_usage_error(place: Path, data: st.DataObject) -> None:
    import tomllib

    tree = data.draw(changed(tomllib.loads(TINY_RECIPE)).filter(_is_toml))
    (place / "odd.toml").write_text(tomli_w.dumps(tree))
    done = in_process("train", "--config", "odd.toml", "--timeout", "1", folder=place)
    said(done, 0, 1, 2, 3, 4)


@pytest.fixture(scope="module")
def checkpoint(place: Path) -> bytes:
    """A checkpoint of a training run that ran out of time."""
    path = place / "data/models/long" / CHECKPOINT
    done = in_process(*LONG, "--timeout", "1", folder=place)
    assert done.code in (0, 1), done.err
    assert path.exists()
    return path.read_bytes()


LONG = ("train", "--config", "tiny.toml", "--name", "long", "--set", "train.epochs=100000",
        "--set", "train.patience=100000", "--promote", "never")  # fmt: skip


@settings(FEW, max_examples=4)
@given(data=st.data())
def test_an_invalid_checkpoint_is_damaged(
    place: Path, checkpoint: bytes, data: st.DataObject
) -> None:
    path = place / "data/models/long" / CHECKPOINT
    path.write_bytes(checkpoint)
    with safetensors.safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["lstmcli"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    best = [row for row in facts["history"] if row["best"]][-1]
    facts["history"] = [best, facts["history"][-1]]
    text = json.dumps(data.draw(changed(facts)))
    metadata = {"lstmcli": text, "sha256": _digest(text, tensors)}
    path.write_bytes(safetensors.torch.save(tensors, metadata=metadata))
    said(in_process(*LONG, "--resume", "--timeout", "0.2", folder=place), 0, 1)
