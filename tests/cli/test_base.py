"""The ready-made model `base`: used if the user has no model, and never changed."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lstmcli.recipes import shipped_file
from lstmcli.runs.bundle import load_bundle
from lstmcli.runs.registry import ready_made
from tests.command_line import Outcome, assert_one_error, csv_text, document_of, in_process, walk

NOTE = "no model of your own: base, ready-made, trained on 21 US series up to 2018-01-16"
INDEX = f"SPX={shipped_file('data/sp500.csv')}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with bars of a share and nothing else."""
    (tmp_path / "share.csv").write_text(csv_text(walk(700)))
    return tmp_path


def run(folder: Path, *arguments: object) -> Outcome:
    return in_process(*arguments, folder=folder)


def test_predict_and_evaluate_use_base_and_report_it_if_there_is_no_other_model(home: Path) -> None:
    forecast = run(home, "predict", "--csv", "share.csv")
    assert (forecast.code, NOTE in forecast.err) == (0, True)
    assert "by base/v0001" in forecast.out
    scored = run(home, "evaluate", "--csv", INDEX)
    assert (scored.code, NOTE in scored.err) == (0, True)
    assert "base/v0001" in scored.out
    assert not (home / "data/models").exists()


def test_naming_base_prints_no_note_about_other_models(home: Path) -> None:
    for reference in ("base", "base/v0001"):
        done = run(home, "predict", "--csv", "share.csv", "--model", reference)
        assert (done.code, "no model of your own" in done.err) == (0, False)


def test_base_forecasts_its_own_data_only_if_requested(home: Path) -> None:
    """A data folder that is misspelt holds no model either, and must not pass for a good run."""
    assert len(document_of(home, "predict", "--model", "base")["forecasts"]) == 21
    for command in ("predict", "evaluate"):
        assert_one_error(run(home, command), 4, "no model yet", "Name symbols")


def test_the_name_base_is_reserved(home: Path) -> None:
    for words in (
        ("train", "--csv", "share.csv", "--name", "base"),
        *(("models", verb, "base") for verb in ("promote", "rollback")),
        ("models", "promote", "base/v0001"),
        ("models", "prune", "base", "--keep", "1"),
    ):
        assert_one_error(run(home, *words), 2, "(base)", "reserved for the shipped model")
    assert not (home / "data/models").exists()


def test_models_list_and_show_include_base(home: Path) -> None:
    for words in ((), ("base",)):
        (row,) = document_of(home, "models", "list", *words)["models"]
        assert (row["name"], row["version"], row["damaged"]) == ("base", "v0001", "")
    assert "ready-made" in run(home, "models", "list").out
    shown = run(home, "models", "show", "base").out
    for word in ("Ready-made", "2018-01-16", "BSD-3-Clause", "21 symbols", "AAPL"):
        assert word in shown, word


def test_a_young_listing_is_forecast_from_60_rows_on_with_a_note(home: Path) -> None:
    for rows in (60, 61, 249, 250):
        (home / "young.csv").write_text(csv_text(walk(rows)))
        done = run(home, "predict", "--csv", "young.csv", "--format", "csv")
        assert done.code == 0, done.err
        assert len(done.out.splitlines()) == 51
        assert (f"{rows} rows, fewer than the 250" in done.err) == (rows < 250)
        explained = run(home, "predict", "--csv", "young.csv", "--explain")
        assert explained.code == 0, explained.err
        assert ("young: nothing to explain" in explained.err) == (rows < 250)
    (home / "young.csv").write_text(csv_text(walk(59)))
    assert_one_error(run(home, "predict", "--csv", "young.csv"), 4, "needs 60 rows", "has 59")


def test_a_young_listing_is_evaluated_from_60_rows_on_with_a_note(home: Path) -> None:
    for rows, windows in ((110, 1), (220, 3)):
        (home / "young.csv").write_text(csv_text(walk(rows)))
        found = document_of(home, "evaluate", "--csv", "young.csv", "--forecasts", "all.csv")
        assert found["windows"]["evaluated"] == windows
        note = f"young: {windows} of {windows} windows have fewer than the 250 rows"
        assert any(each.startswith(note) for each in found["notes"])
        models = found["scores"]["models"]
        assert ("har" in models, "scaled_climatology" in models) == (True, False)
        assert abs(models["har"]["path"]["crps"] / models["base/v0001"]["path"]["crps"] - 1) < 0.1
    made = pd.read_csv(home / "all.csv").query("model == 'base/v0001'")
    for cutoff, scored in made.groupby("cutoff"):
        end = ("--as-of", cutoff, "--format", "csv", "--output", "one.csv")
        assert run(home, "predict", "--csv", "young.csv", *end).code == 0
        one = pd.read_csv(home / "one.csv")
        for column in ("sigma", "q0.025", "median", "q0.975"):
            np.testing.assert_allclose(scored[column], one[column], rtol=1e-5)
    (home / "young.csv").write_text(csv_text(walk(109)))
    done = run(home, "evaluate", "--csv", "young.csv")
    assert_one_error(done, 4, "no cutoff from 2018-01-17 on has 60 bars up to it and 50 after it")


def test_a_short_series_is_reported_and_left_out_if_others_are_long(home: Path) -> None:
    (home / "young.csv").write_text(csv_text(walk(220)))
    done = run(home, "evaluate", "--csv", "share.csv", "--csv", "young.csv", "--format", "json")
    assert done.code == 3
    assert "no cutoff from 2018-01-17 on has 250 bars up to it" in done.out
    assert "scaled_climatology" in json.loads(done.out)["scores"]["models"]


def test_predict_and_evaluate_give_the_same_forecasts_from_the_whole_past(home: Path) -> None:
    files = ("--csv", INDEX)
    assert run(home, "evaluate", *files, "--n-windows", 1, "--forecasts", "all.csv").code == 0
    scored = pd.read_csv(home / "all.csv").query("model == 'base/v0001'").set_index("step")
    (cutoff,) = scored["cutoff"].unique()
    done = run(home, "predict", *files, "--as-of", cutoff, "--format", "csv", "--output", "one.csv")
    assert done.code == 0, done.err
    made = pd.read_csv(home / "one.csv").set_index("step")
    levels = [name for name in made.columns if name.startswith("q0.")]
    np.testing.assert_allclose(made[levels], scored[levels], rtol=1e-5)


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a child of base, and one of that child's; not to be changed."""
    folder = tmp_path_factory.mktemp("children")
    for name, start, years in (("child", "base", 2018), ("grandchild", "child", 2018)):
        short = ("--set", "train.epochs=1", "--set", f"data.end={years}-12-31")
        done = run(folder, "train", "SPX", "--csv", INDEX, "--from", start, "--name", name, *short)
        assert done.code == 0, done.err
        assert "base/v0001 has seen the days up to 2018-01-16" in done.err
    return folder


def test_neither_base_nor_its_descendants_are_scored_on_training_days(children: Path) -> None:
    for model in ("base", "child", "grandchild"):
        asked = ("evaluate", "--csv", INDEX, "--model", model)
        for start in ("2016-01-04", "2018-01-16"):
            done = run(children, *asked, "--start", start)
            assert_one_error(done, 2, "fitted on days up to 2018-01-16", "--start 2018-01-17")
            assert ("was trained from base/v0001" in done.err) == (model != "base")
        scored = document_of(children, *asked, "--start", "2018-01-17", "--step-size", "5")
        assert min(row["cutoff"] for row in scored["forecasts"]) >= "2018-01-17"
        audited = run(children, *asked, "--start", "2016-01-04", "--audit")
        assert_one_error(audited, 2, "fitted on days up to 2018-01-16")


def test_no_refit_uses_days_that_base_was_trained_on(children: Path) -> None:
    asked = ("evaluate", "SPX", "--csv", INDEX, "--model", "child")
    wrong = run(children, *asked, "--refits", 100)
    assert_one_error(wrong, 4, "too few rows for so many windows", "--refits 100")
    (most,) = re.findall(r"Pass --refits (\d+)\.", wrong.err)
    found = document_of(children, *asked, "--refits", most)
    cutoffs = [row["cutoff"] for row in found["forecasts"]]
    assert len(cutoffs) == found["summary"]["n_independent"] == int(most)
    assert "2018-01-17" <= min(cutoffs) < "2018-04-01"
    assert "refits of child/v0001 do not start from base/v0001, as it did" in found["notes"]


def test_descendants_record_base_and_its_training_days(children: Path) -> None:
    for model in ("child", "grandchild"):
        metadata = document_of(children, "models", "show", model)["metadata"]
        assert metadata["ready_made"] == {"model": "base/v0001", "until": "2018-01-16"}
        assert metadata["split"]["trained_until"] >= "2018-01-16"
        assert metadata["split"]["test_start"] > "2018-01-16"


def test_only_validation_days_after_the_training_of_base_validate(home: Path) -> None:
    prices = ("SPX", "--csv", shipped_file("data/us20.csv.gz"))
    short = ("--set", "split.train_end=2020-06-30", "--set", "train.epochs=1")
    done = run(home, "train", *prices, "--from", "base", "--name", "child", *short)
    assert done.code == 0, done.err
    assert "windows up to that day do not validate" in done.err
    metadata = document_of(home, "models", "show", "child")["metadata"]
    assert metadata["from"]["validation"] == "own"
    assert metadata["split"]["validation_start"] < "2016"
    after = np.busday_count("2018-01-17", "2020-07-01") - 50
    assert after - 40 < metadata["windows"]["validation"] < after
    assert metadata["validation"]["n_independent"] == metadata["windows"]["validation"] // 50 + 1


def test_training_windows_of_base_do_not_validate(children: Path) -> None:
    """The index ends in 2018, of which every window of the child's validation part is earlier."""
    metadata = document_of(children, "models", "show", "child")["metadata"]
    assert metadata["from"]["validation"] == "seen"
    assert metadata["validation"] is None


SHORT = ("AAPL", "--csv", shipped_file("data/us20.csv.gz"), "--set", "data.start=2017-01-01")


@pytest.mark.parametrize(
    ("options", "linear_only"),
    [((), False), (("--set", "model.hidden_sizes=[4]"), True), (("--scratch",), None)],
)
def test_few_rows_shrink_towards_base_unless_trained_from_scratch(
    home: Path, options: tuple[str, ...], linear_only: bool | None
) -> None:
    done = run(home, "train", *SHORT, *options, "--name", "own", "--set", "train.epochs=1")
    assert done.code == 0, done.err
    assert ("the linear fan is drawn towards base/v0001" in done.err) == (linear_only is not None)
    assert ("the network starts there" in done.err) == (linear_only is False)
    metadata = document_of(home, "models", "show", "own")["metadata"]
    assert ("ready_made" in metadata) == (linear_only is not None)
    if linear_only is not None:
        assert metadata["from"]["linear_only"] == linear_only
    base, own = (
        load_bundle(folder, torch.device("cpu"))[0].har
        for folder in (ready_made().folder, home / "data/models/own/v0001")
    )
    assert base is not None
    assert own is not None
    apart = np.abs(own.table - base.table).max()
    assert apart > 0.25 if linear_only is None else 0 < apart < 0.1


def test_a_model_shrunk_towards_base_is_audited(home: Path) -> None:
    trained = run(home, "train", *SHORT, "--name", "own", "--set", "train.epochs=1")
    assert trained.code == 0, trained.err
    done = run(home, "evaluate", "--audit", "--n-windows", "1", "--quiet")
    assert (done.code, done.err) == (0, "")
    assert "kept" in done.out
    assert "lineage" in done.out
