"""One model per symbol, from the user's view: train two, forecast both, prefer another."""

import json
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.command_line import Outcome, assert_one_error, csv_text, document_of, in_process, walk

SMALL = ("--set", "train.epochs=1", "--set", "model.hidden_sizes=[2]", "--set", "window.horizon=5")


def run(home: Path, *arguments: object) -> Outcome:
    return in_process(*arguments, folder=home)


def by_symbol(home: Path, *arguments: object) -> dict[str, str]:
    return {
        each["symbol"]: each["model"]
        for each in document_of(home, "predict", *arguments)["forecasts"]
    }


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bars of three shares, and a model each of two of them; not to be changed."""
    home = tmp_path_factory.mktemp("two")
    for seed, name in enumerate(("AAPL", "MSFT", "KO")):
        (home / f"{name}.csv").write_text(csv_text(walk(500, seed=seed)))
        assert run(home, "data", "import", f"{name}.csv").code == 0
    for name in ("AAPL", "MSFT"):
        done = run(home, "train", name, *SMALL)
        assert done.code == 0, done.err
    return home


@pytest.fixture
def home(two: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(two, tmp_path / "home"))


def test_each_symbol_is_trained_under_its_name_and_forecast_by_its_model(two: Path) -> None:
    assert sorted(path.name for path in (two / "data/models").iterdir()) == ["aapl", "msft"]
    found = by_symbol(two, "MSFT", "KO", "aapl")
    assert found == {"MSFT": "msft/v0001", "KO": "base/v0001", "AAPL": "aapl/v0001"}
    assert list(found) == ["MSFT", "KO", "AAPL"]
    alone = document_of(two, "predict", "MSFT")
    assert alone["model"] == "msft/v0001"
    assert [each["model"] for each in alone["models"]] == ["msft/v0001"]
    together = document_of(two, "predict", "AAPL", "MSFT")
    assert [each["model"] for each in together["models"]] == ["aapl/v0001", "msft/v0001"]
    assert together["forecasts"][1]["steps"] == alone["forecasts"][0]["steps"]


def test_files_are_forecast_by_the_model_of_each_series(two: Path) -> None:
    files = ("--csv", "KO.csv", "--csv", "MSFT.csv")
    assert by_symbol(two, *files) == {"KO": "base/v0001", "MSFT": "msft/v0001"}
    done = run(two, "predict", *files)
    assert "no model of your own for KO: base, ready-made" in done.err
    assert "KO, next 50 sessions, by base/v0001" in done.out
    assert "MSFT, next 5 sessions, by msft/v0001" in done.out


def test_a_table_of_a_point_model_and_one_of_ranges_has_the_columns_of_both(home: Path) -> None:
    recursive = ("model.head=recursive", "window.scaling=relative", 'window.features=["close"]')
    point = [word for each in recursive for word in ("--set", each)]
    assert run(home, "train", "KO", *SMALL, *point).code == 0
    for words in (("KO", "MSFT"), ("MSFT", "KO"), ("--csv", "KO.csv", "--csv", "MSFT.csv")):
        for name in ("long.csv", "long.parquet"):
            assert run(home, "predict", *words, "--output", name).code == 0
        table = pd.read_csv(home / "long.csv")
        assert table.shape == (10, 16 + 21)
        assert table["in_training"].notna().all()
        medians = table.groupby("symbol")["q0.5"].count()
        assert medians.to_dict() == {"KO": 0, "MSFT": 5}
        assert pd.read_parquet(home / "long.parquet").shape == table.shape
    alone = run(home, "predict", "KO", "--format", "csv").out
    assert "q0.5" not in alone.splitlines()[0]


def test_evaluate_uses_the_own_model_of_each_symbol(two: Path) -> None:
    whole = document_of(two, "evaluate", "AAPL", "MSFT")
    found = whole["evaluations"]
    assert whole["summary"] == [each["summary"] for each in found]
    shown = run(two, "evaluate", "AAPL", "MSFT").out.splitlines()
    assert shown[2].split()[:2] == ["AAPL", "aapl/v0001"]
    assert shown[3].split()[:2] == ["MSFT", "msft/v0001"]
    assert len(shown) <= 40
    assert [each["models"] for each in found] == [["aapl/v0001"], ["msft/v0001"]]
    assert found[1] == document_of(two, "evaluate", "MSFT") | {"looks": found[1]["looks"]}
    done = run(two, "evaluate", "AAPL", "MSFT", "--forecasts", "long.csv")
    assert_one_error(done, 2, "--forecasts", "aapl for AAPL, msft for MSFT", "--model NAME")
    assert not (two / "long.csv").exists()


def test_a_second_model_of_a_symbol_changes_nothing_until_it_is_preferred(home: Path) -> None:
    before = run(home, "predict", "AAPL", "--format", "csv").out
    assert run(home, "train", "AAPL", "--name", "cc", "--seed", 1, *SMALL).code == 0
    assert run(home, "predict", "AAPL", "--format", "csv").out == before
    assert run(home, "models", "use", "cc").out == "cc is preferred for AAPL.\n"
    assert by_symbol(home, "AAPL", "MSFT") == {"AAPL": "cc/v0001", "MSFT": "msft/v0001"}
    assert by_symbol(home) == {"AAPL": "cc/v0001"}
    rows = document_of(home, "models", "list")["models"]
    assert [row["name"] for row in rows if row["in_use"]] == ["cc"]
    assert run(home, "models", "use", "cc", "--undo").code == 0
    assert run(home, "predict", "AAPL", "--format", "csv").out == before
    assert_one_error(run(home, "models", "use", "ccc"), 4, "no such model", "Did you mean cc?")
    assert_one_error(
        run(home, "predict"), 2, "several models found", "aapl (AAPL)", "models use NAME"
    )


def test_a_name_of_other_symbols_is_refused_before_training_unless_replaced(home: Path) -> None:
    done = run(home, "train", "MSFT", "--name", "aapl", *SMALL)
    step = f"lstmcli train MSFT {shlex.join(SMALL)} --name msft (or --replace)"
    assert_one_error(done, 2, "aapl was trained on AAPL", step)
    done = run(home, "train", "AAPL", "MSFT", "--name", "aapl", *SMALL)
    assert_one_error(done, 2, "aapl was trained on AAPL", "--name default")
    done = run(home, "train", "--config", "lab", "--name", "aapl")
    assert_one_error(done, 2, "lstmcli train --config lab --name lab (or --replace)")
    assert len(list((home / "data/models/aapl").glob("v*"))) == 1
    found = document_of(home, "train", "MSFT", "--name", "aapl", "--replace", *SMALL)
    assert (found["model"], found["promoted"], found["why"]) == ("aapl/v0002", True, "--replace")


def test_versions_of_different_symbols_are_compared_on_those_that_both_hold(home: Path) -> None:
    pool = ("--name", "pool", "--promote-level", "1e-6", *SMALL)
    assert run(home, "train", "AAPL", "MSFT", *pool).code == 0
    why = document_of(home, "train", "MSFT", "KO", *pool)["why"]
    assert why.startswith("on MSFT, which both hold: ")
    why = document_of(home, "train", "AAPL", "MSFT", *pool, "--force")["why"]
    assert "which both hold" not in why


def test_symbols_choose_among_a_models_own_files_where_the_store_has_none(home: Path) -> None:
    (home / "BAC.csv").write_text((home / "KO.csv").read_text())
    files = ("--csv", "BAC.csv", "--csv", "MSFT.csv", "--name", "pool")
    assert run(home, "train", *files, *SMALL).code == 0
    done = run(home, "predict", "bac", "--format", "csv")
    assert done.out.splitlines()[1].startswith("pool/v0001,BAC,")
    assert "bac: read from BAC.csv, MSFT.csv, the data of pool up to 2018-08-31" in done.err
    done = run(home, "predict", "MSFT", "--model", "pool")
    assert "MSFT: read from the store; pool was trained on BAC.csv, MSFT.csv" in done.err
    assert document_of(home, "evaluate", "BAC")["models"] == ["pool/v0001"]


def test_an_unknown_symbol_gets_a_suggestion_or_the_reason_of_its_failed_fetch(home: Path) -> None:
    done = run(home, "predict", "APPL")
    assert_one_error(done, 4, "no prices stored (APPL)", "Did you mean AAPL?", "fetch APPL")
    end = dict(command="fetch", run_id="1", exit_code=4, started="2026-01-01T00:00:00+00:00")
    end |= {"ended": end["started"], "error": "1 of 1 symbols failed, first XQZW: not known there"}
    record = home / "data/runs.json"
    known = json.loads(record.read_text())
    known["runs"]["fetch"] = {"last": end, "last_good": None}
    record.write_text(json.dumps(known))
    for command in ("predict", "train", "evaluate"):
        done = run(home, command, "XQZW")
        assert_one_error(done, 4, "The last fetch failed: not known there")
        assert "Run: lstmcli fetch" not in done.err
