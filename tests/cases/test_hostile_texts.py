"""Text from outside never controls the terminal, on any route to stdout and stderr.

The text would clear the screen, set the title, ring the bell, reverse the text direction, break
lines, and act as markup in tables.
"""

import json
import os
import re
import shutil
import sqlite3
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from lstmcli.market import throttle
from lstmcli.runs.ledger import Entry, encode
from tests.cli.test_streams import on_terminal
from tests.command_line import TINY_RECIPE, Outcome, csv_text, in_process, sessions, succeed, walk
from tests.forked_runs import ForkServer
from tests.rows import for_each
from tests.yahoo_stand_in import StandIn, random_walk, stand_in

HOSTILE = "\x1b[2J\x1b]0;gone\x07\x9b31m\x7f\u202egnp\u2028\u2066[red]:smile:\x08\u200b"
# Styles, and the line and cursor codes of a progress bar; the text above has none of them.
STEERING = re.compile(r"\x1b\[(0|1|36|(1;)?3[12]|38;5;\d+)?m|\x1b\[\?25[lh]|\r?(\x1b\[1A)?\x1b\[2K")
VERSION = "data/models/tiny/v0001"
STUDY = "data/tuning/tiny/study.db"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "prices.csv").write_text(csv_text(walk(300)))
    (folder / "tiny.toml").write_text(TINY_RECIPE)
    (folder / "space.toml").write_text('"train.learning_rate" = { low = 1e-3, high = 1e-2 }\n')
    for command in (
        ("data", "import", "AAPL=prices.csv"),
        ("train", "--config", "tiny.toml"),
        ("evaluate", "--quiet"),
        ("tune", "--config", "tiny.toml", "--space", "space.toml", "--trials", "2"),
    ):
        succeed(*command, folder=folder)
    return folder


@pytest.fixture
def home(place: Path, tmp_path: Path) -> Path:
    shutil.copytree(place, tmp_path / "home")
    return tmp_path / "home"


def is_shown(text: str) -> bool:
    """Return whether part of the hostile text is in the output, escaped."""
    return "\\x1b" in text or "\\u001b" in text


def clean(outcome: Outcome) -> Outcome:
    """Assert that the output is lines of printable text without a traceback."""
    assert "Traceback" not in outcome.err
    for text in (outcome.out, outcome.err):
        odd = [line for line in text.split("\n") if not line.isprintable()]
        assert odd == []
    return outcome


def run(home: Path, *arguments: object, **options: Any) -> Outcome:
    return clean(in_process(*arguments, folder=home, **options))


def everywhere(home: Path, *arguments: object) -> list[Outcome]:
    """Run a command in all formats; some of them show the text, and tables show it literally."""
    forms = ("table", "json", "jsonl", "csv")
    found = [run(home, *arguments, "--format", form) for form in forms]
    assert any(is_shown(each.out + each.err) for each in found), found
    assert "\U0001f604" not in found[0].out
    if "red" in found[0].out:
        assert "[red]:smile:" in found[0].out
    for line in found[2].out.splitlines():
        json.loads(line)
    if found[1].out:
        json.loads(found[1].out)
    return found


def rewrite(path: Path, change: Any) -> None:
    tree = json.loads(path.read_text())
    change(tree)
    path.write_text(json.dumps(tree))


ARGUMENTS = [
    ("predict", "--csv", f"{HOSTILE}.csv"),
    ("predict", "--csv", f"{HOSTILE}=prices.csv", "--model", HOSTILE),
    ("predict", "--data-dir", HOSTILE),
    ("predict", "--output", f"{HOSTILE}/x"),
    ("predict", "--output", "x", "--errors", f"{HOSTILE}/x"),
    ("predict", "--plot", f"{HOSTILE}.png/x"),
    ("predict", "--plot", HOSTILE),
    ("predict", "--device", HOSTILE),
    ("predict", "--log-file", f"{HOSTILE}/log"),
    ("predict", "--as-of", HOSTILE),
    ("predict", f"--{HOSTILE}"),
    ("predict", HOSTILE),
    ("train", "--config", HOSTILE),
    ("train", "--name", HOSTILE),
    ("train", "--set", HOSTILE),
    ("train", "--set", f"{HOSTILE}.epochs=1"),
    ("train", "--set", f"train.{HOSTILE}=1"),
    ("train", "--set", f"model.network={HOSTILE}"),
    ("tune", "--space", HOSTILE),
    ("fetch", HOSTILE),
    ("fetch", "--symbols-file", HOSTILE),
    ("status", "--max-age", HOSTILE),
    ("models", "show", HOSTILE),
    ("models", "promote", f"tiny/{HOSTILE}"),
    ("data", "show", HOSTILE),
    ("data", "remove", HOSTILE, "--yes"),
    ("data", "import", f"{HOSTILE}.csv"),
    (HOSTILE,),
]


@for_each("arguments", ARGUMENTS, ids=lambda words: " ".join(map(ascii, words))[:40])
def test_an_argument_is_escaped(home: Path, arguments: tuple[str, ...]) -> None:
    done = run(home, *arguments)
    assert done.code != 0
    assert is_shown(done.err)
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize("name", ["MODEL", "DEVICE", "FORMAT", "LOG_FILE", "DATA_DIR"])
def test_a_variable_of_the_environment_is_escaped(home: Path, name: str) -> None:
    value = f"{HOSTILE}/log" if name == "LOG_FILE" else HOSTILE
    done = run(home, "predict", env={f"LSTMCLI_{name}": value})
    assert done.code != 0
    assert is_shown(done.err)


def test_a_file_name_and_a_header_are_escaped(home: Path) -> None:
    (home / f"{HOSTILE}.csv").write_text(csv_text(walk(60)))
    table = csv_text(walk(60)).replace("Close", f'"{HOSTILE}","b{HOSTILE}"', 1)
    (home / "wide.csv").write_text(re.sub(r"(,[0-9.]+)$", r"\1\1", table, flags=re.MULTILINE))
    (home / "notes.csv").write_text(f"Date,{HOSTILE}\nsoon,1\n")
    for file in (f"{HOSTILE}.csv", "wide.csv", "notes.csv"):
        for command in ("predict", "evaluate"):
            everywhere(home, command, "--csv", file)
        clean(in_process("data", "import", file, folder=home))
    assert run(home, "predict", "--csv", f"{HOSTILE}.csv", "--csv", "absent.csv").code != 0
    run(home, "data", "list")
    run(home, "data", "check")


def test_the_name_of_a_series_is_escaped_in_errors_plots_and_pages(home: Path) -> None:
    pytest.importorskip("matplotlib")
    (home / "a.csv").write_text(csv_text(walk(300)))
    run(home, "predict", "--csv", f"{HOSTILE}=a.csv", "--plot", "-")
    for name in ("fan.svg", "fan.png"):
        run(home, "predict", "--csv", f"{HOSTILE}=a.csv", "--plot", name)
    run(home, "evaluate", "--csv", f"{HOSTILE}=a.csv", "--report", "page.html")
    run(home, "predict", "--csv", f"{HOSTILE}=a.csv", "--report", "forecast.html")
    run(home, "predict", "--csv", f"{HOSTILE}=a.csv", "-o", "table.txt")
    run(home, "predict", "--csv", f"{HOSTILE}=a.csv", "-o", "rows.csv", "--format", "csv")
    run(home, "predict", "--csv", f"{HOSTILE}=absent.csv", "--errors", "failed.csv")
    for path in ("fan.svg", "page.html", "forecast.html", "table.txt", "rows.csv", "failed.csv"):
        if (home / path).exists():  # a name that is refused makes no file
            text = (home / path).read_text()
            assert text.replace("\n", "").replace("\t", "").isprintable(), path


def test_metadata_are_escaped(home: Path) -> None:
    def change(tree: Any) -> None:
        tree["trained_on"] = [HOSTILE]
        tree["data"]["price"] = tree["data"]["symbols"][0]["symbol"] = HOSTILE
        tree["created"] = tree["device"] = tree["lstmcli_version"] = HOSTILE
        tree["decision"]["why"] = HOSTILE
        tree["from"] = {"model": HOSTILE, "how": HOSTILE}

    rewrite(home / VERSION / "metadata.json", change)
    everywhere(home, "models", "show")
    everywhere(home, "models", "list")
    run(home, "predict")
    run(home, "status")
    run(home, "evaluate", "--report", "page.html")
    rewrite(home / VERSION / "metadata.json", lambda tree: tree.update(interval=HOSTILE))
    run(home, "predict")
    rewrite(home / VERSION / "metadata.json", lambda tree: tree["data"].update(symbols=HOSTILE))
    everywhere(home, "models", "list")


def test_a_sidecar_is_escaped(home: Path) -> None:
    def change(tree: Any) -> None:
        tree.update(dict.fromkeys(("source", "file", "currency", "time_zone"), HOSTILE))
        tree["restatements"] = [{"fetched": HOSTILE, "reason": HOSTILE}]

    rewrite(home / "data/prices/1d/AAPL.json", change)
    everywhere(home, "data", "show", "AAPL")
    run(home, "data", "list")
    run(home, "fetch", "AAPL", "--dry-run")
    rewrite(home / "data/prices/1d/AAPL.json", lambda tree: tree.update(source="import"))
    assert run(home, "fetch", "AAPL", "--dry-run").code != 0


def test_names_in_the_data_folder_are_escaped(home: Path) -> None:
    (home / "data/prices/1d" / f"{HOSTILE}.csv").write_text(csv_text(walk(60)))
    (home / "data/prices/1d/%1B%5B2J.csv").write_text(csv_text(walk(60)))
    (home / "data/models" / HOSTILE).mkdir()
    shutil.copytree(home / VERSION, home / "data/models" / HOSTILE / "v0001")
    (home / "data/models/tiny/champion").write_text(f"{HOSTILE[:5]}\n")
    for command in (("data", "list"), ("data", "check"), ("models", "list"), ("predict",)):
        run(home, *command)
    assert is_shown(run(home, "predict").err)
    for command in ("predict", "--model"), ("models", "show"):
        done = run(home, *command, f"data/models/{HOSTILE}/v0001")
        assert is_shown(done.out + done.err)


def test_records_of_runs_are_escaped(home: Path) -> None:
    rewrite(home / "data/runs.json", lambda tree: tree["runs"]["train"]["last"].update(
        error=HOSTILE, run_id=HOSTILE, exit_code=1))  # fmt: skip
    everywhere(home, "status")


def test_the_ledger_is_escaped(home: Path) -> None:
    days = sessions(60)
    line = Entry(
        HOSTILE, HOSTILE, HOSTILE, "AAPL", "1d", "Close", days[40], 100.0, 10, [1, 2], days[41:43],
        [], [[0.001], [0.002]], HOSTILE, HOSTILE, HOSTILE,
    )  # fmt: skip
    (home / "data/ledger").mkdir()
    lines = [line, line._replace(symbol=HOSTILE), line._replace(model="tiny", cutoff=days[39])]
    (home / "data/ledger/2026-01.jsonl").write_bytes(b"".join(map(encode, lines)))
    everywhere(home, "evaluate", "--issued")
    run(home, "evaluate", "--issued", "--forecasts", "rows.csv")
    assert (home / "rows.csv").read_text().replace("\n", "").isprintable()
    late = run(home, "evaluate", "--issued", "--start", "2030-01-01")
    assert is_shown(late.err)


def test_a_study_is_escaped(home: Path) -> None:
    with closing(sqlite3.connect(home / STUDY)) as database, database:
        query = "UPDATE trial_user_attributes SET value_json = ? WHERE key = 'reason'"
        assert database.execute(query, (json.dumps(HOSTILE),)).rowcount == 2
    tune = ("tune", "--config", "tiny.toml", "--space", "space.toml", "--trials", "2")
    for form in ("table", "json", "csv"):
        run(home, *tune, "--format", form)
    (home / STUDY).write_text(HOSTILE)
    assert run(home, *tune).code == 1


def test_toml_is_escaped(home: Path) -> None:
    recipe = tomllib.loads(TINY_RECIPE)
    for name, tree in {
        "key": {**recipe, HOSTILE: {"a": 1}},
        "inner": {**recipe, "window": {HOSTILE: 1}},
        "value": {**recipe, "model": {"network": HOSTILE}},
        "file": {**recipe, "data": {"csv": [f"{HOSTILE}.csv"]}},
        "series": {**recipe, "data": {"csv": [f"{HOSTILE}=absent.csv"]}},
        "symbol": {**recipe, "data": {"symbols": [HOSTILE]}},
    }.items():
        (home / f"{name}.toml").write_text(tomli_w.dumps(tree))
        done = run(home, "train", "--config", f"{name}.toml")
        assert done.code != 0
        assert is_shown(done.err) or name == "series", name
    (home / "raw.toml").write_text(f"a = {HOSTILE}")
    assert run(home, "train", "--config", "raw.toml").code == 2
    (home / "space.toml").write_text(tomli_w.dumps({HOSTILE: {"choices": [HOSTILE]}}))
    tune = ("tune", "--config", "tiny.toml", "--space", "space.toml")
    assert is_shown(run(home, *tune).err)
    (home / "symbols.txt").write_text(f"AAPL\n{HOSTILE.replace(chr(0x2028), '')}\n")
    assert run(home, "fetch", "--symbols-file", "symbols.txt").code == 2


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as script:
        script.serve("AAPL", random_walk(80), currency=HOSTILE)
        script.serve("MSFT", random_walk(80))
        yield script


def test_the_messages_of_a_server_are_escaped(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "FIRST_REST", 0.01)
    monkeypatch.setattr(throttle, "LONGEST_REST", 0.01)
    fetch = ("fetch", "--rate", 100, "--max-wait", 0, "--data-dir", "data")
    run(tmp_path, *fetch, "AAPL")
    run(tmp_path, "data", "show", "AAPL")
    run(tmp_path, "data", "list")
    for code in ("Not Found", "Unprocessable Entity", HOSTILE):
        told = {"chart": {"result": None, "error": {"code": code, "description": HOSTILE}}}
        server.mangle = lambda body, told=told: json.dumps(told).encode()  # type: ignore[misc]
        done = run(tmp_path, *fetch, "MSFT", "--format", "table")
        assert done.code in (4, 6), done
        assert is_shown(done.err), done
    server.mangle = lambda body: HOSTILE.encode()
    for form in ("table", "json", "csv"):
        assert run(tmp_path, *fetch, "MSFT", "--format", form).code == 6


def test_a_terminal_receives_only_styles_and_progress(home: Path, forks: ForkServer) -> None:
    """Tables use bold and progress bars move the cursor; hostile text does neither."""
    rewrite(home / VERSION / "metadata.json", lambda tree: tree.update(device=HOSTILE))
    (home / "data/models/tiny/champion").write_text("v0001\n")
    for command in (("models", "show"), ("predict", "--csv", f"{HOSTILE}.csv")):
        _, shown = on_terminal(forks, *command, folder=home, env={"COLUMNS": "200"})
        assert is_shown(shown)
        plain = re.sub(r"\r\n?", "", STEERING.sub("", shown))
        assert plain.isprintable(), ascii(plain)


def test_lone_surrogates_in_file_names_are_escaped(home: Path) -> None:
    name = os.fsencode("bad").decode() + "\udcff.csv"
    Path(home / name).write_text(csv_text(walk(60)))
    done = in_process("predict", "--csv", name, folder=home)
    clean(done)
    assert "Traceback" not in done.err
