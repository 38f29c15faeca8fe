"""Training from Python: the same weights as by the command, kept or not, on any data."""

import hashlib
import json
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

import lstmcli as lc
from lstmcli.api import Model, PartialResultWarning
from lstmcli.errors import FileError, LstmcliError, NoModelError, UsageError
from tests.api.conftest import SMALL, closes, weights
from tests.command_line import hashes, in_process, succeed


def test_a_frame_gives_the_same_bytes_of_weights_as_its_csv(tmp_path: Path) -> None:
    close = closes()
    frame = pd.DataFrame({"Open": close, "High": close * 1.01, "Low": close / 1.01, "Close": close})
    frame.to_csv("one.csv")
    frame.reset_index().to_csv("rows.csv", index=False)
    options: dict[str, Any] = {"settings": SMALL, "horizon": 10}
    models = [
        lc.train({"one": frame}, **options),
        lc.train({"one": frame.reset_index()}, **options),
        lc.train("one.csv", **options),
        lc.train({"one": "rows.csv"}, **options),
        lc.train([Path("one.csv")], **options),
    ]
    changes = [f"{key}={json.dumps(value)}" for key, value in SMALL.items()]
    words = [word for each in [*changes, "window.horizon=10"] for word in ("--set", each)]
    succeed("train", "--csv", "one.csv", *words, folder=tmp_path)
    models.append(lc.load_model("one"))
    assert len({hashlib.sha256(weights(each)).hexdigest() for each in models}) == 1

    made = [each.predict().frame.drop(columns="model") for each in models]
    scored = [each.evaluate() for each in models]
    for other in range(1, len(models)):
        pd.testing.assert_frame_equal(made[0], made[other], check_exact=True)
        expected, found = (scored[each].frame.drop(columns="model") for each in (0, other))
        pd.testing.assert_frame_equal(expected, found, check_exact=True)
        summaries = [scored[each].summary | {"model": ""} for each in (0, other)]
        assert summaries[0] == summaries[1]


def test_nothing_is_written_for_a_frame_unless_it_is_asked_for(
    tmp_path: Path, model: Model
) -> None:
    model.predict()
    model.evaluate(n_windows=2)
    lc.evaluate(closes(), models=["base"], n_windows=2)
    assert list(tmp_path.iterdir()) == []
    assert not model.reference.folder.is_relative_to(tmp_path)


def test_the_temporary_folder_goes_away_with_python() -> None:
    code = "from lstmcli.api.given import session_folder; print(session_folder())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "lstmcli-" in done.stdout
    assert not Path(done.stdout.strip()).exists()


def test_a_name_or_a_folder_keeps_the_model(tmp_path: Path) -> None:
    named = lc.train(closes().rename("AAA"), settings=SMALL, horizon=10, name="mine")
    assert named.reference.folder == tmp_path / "data/models/mine/v0001"
    assert named.summary["promoted"] is True
    kept = lc.train(closes().rename("AAA"), settings=SMALL, horizon=10, data_dir="other")
    assert str(kept.reference) == "aaa/v0001"
    assert weights(kept) == weights(named)
    again = lc.train(closes().rename("AAA"), settings=SMALL, horizon=10, data_dir="other")
    assert again.reference == kept.reference
    assert any(each.startswith("unchanged: ") for each in again.notes)
    found = lc.load_model("aaa", data_dir="other")
    assert (found.name, found.version, found.symbols) == ("aaa", "v0001", ["AAA"])
    pd.testing.assert_frame_equal(found.predict(closes().rename("AAA")).frame, kept.predict().frame)


def test_symbols_come_from_the_store_and_train_as_the_command_does(tmp_path: Path) -> None:
    closes().to_csv("one.csv")
    succeed("data", "import", "AAA=one.csv", folder=tmp_path)
    model = lc.train("AAA", settings=SMALL, horizon=10, seed=3)
    assert model.reference.folder == tmp_path / "data/models/aaa/v0001"
    changes = [f"{key}={json.dumps(value)}" for key, value in SMALL.items()]
    words = [word for each in [*changes, "window.horizon=10"] for word in ("--set", each)]
    done = in_process(*("train", "AAA", *words, "--seed", 3, "--format", "json"), folder=tmp_path)
    assert json.loads(done.out)["unchanged"] is True
    fc = lc.predict(pd.Index(["AAA"]))
    assert fc.frame["model"].unique().tolist() == ["aaa/v0001"]
    pd.testing.assert_frame_equal(fc.frame, model.predict().frame)
    before = hashes(tmp_path)
    assert lc.evaluate("AAA").summary == model.evaluate().summary
    assert {*hashes(tmp_path)} - {*before} == {"data/looks.json", "data/models/.looks"}


def test_settings_are_those_of_the_command_line(model: Model) -> None:
    text = (model.reference.folder / "config.toml").read_text()
    assert "horizon = 10\n" in text
    assert "context_length = 60\n" in text
    with pytest.raises(UsageError, match=r"train\.epoch\b.*Did you mean train\.epochs"):
        lc.train(closes(), settings={"train.epoch": 3})
    with pytest.raises(UsageError, match="no such recipe"):
        lc.train(closes(), recipe="none")


def test_what_a_setting_may_be() -> None:
    from lstmcli.api.given import as_change

    for value, text in (
        (np.int64(3), "3"),
        (0.5, "0.5"),
        ("har", '"har"'),
        (None, '""'),
        (True, "true"),
        (Path("a b"), '"a b"'),
        (["open", "close"], '["open","close",]'),
    ):
        assert "".join(as_change("a.b", value).split()) == f"a.b={text}".replace(" ", "")


def test_what_a_frame_does_not_say_is_said_by_options(model: Model, frame: pd.DataFrame) -> None:
    own = frame[["AAA"]].rename(columns={"AAA": "Wert"})
    own.index = pd.DatetimeIndex(own.index).strftime("%d/%m/%y")
    own = own.rename_axis("Tag").reset_index()
    options: dict[str, Any] = {"columns": {"close": "Wert", "date": "Tag"}}
    options |= {"date_format": "%d/%m/%y"}
    expected = model.predict(frame["AAA"]).frame
    found = model.predict({"AAA": own}, **options).frame
    pd.testing.assert_frame_equal(found, expected)
    trained = lc.train({"AAA": own}, settings=SMALL, horizon=10, **options)
    pd.testing.assert_frame_equal(trained.predict().frame, trained.predict(frame["AAA"]).frame)
    with pytest.raises(TypeError, match="separator"):
        lc.predict(own, separator=";")  # type: ignore[call-arg]


def test_a_frame_may_hold_inputs_of_its_own(frame: pd.DataFrame) -> None:
    own = pd.DataFrame({"Close": frame["AAA"], "RSI": frame["AAA"].pct_change().rolling(9).mean()})
    fast = SMALL | {"window.features": ["close", "column:RSI"]}
    model = lc.train({"AAA": own.dropna()}, settings=fast, horizon=10)
    with pytest.raises(LstmcliError, match="no column RSI, which the model reads"):
        model.predict(frame["AAA"])

    fast = SMALL | {"window.features": ["close", "symbol:BBB"]}
    model = lc.train(frame, symbols=["AAA"], settings=fast, horizon=10)
    assert model.predict().frame["symbol"].unique().tolist() == ["AAA"]


def test_a_model_can_be_saved_and_loaded(tmp_path: Path, model: Model) -> None:
    path = model.save(tmp_path / "kept" / "v0001")
    found = lc.load_model(path)
    assert weights(found) == weights(model)
    assert str(found.reference) == "kept/v0001"
    with pytest.raises(FileError, match="cannot save the model"):
        model.save(path)
    assert sorted(each.name for each in path.parent.iterdir()) == ["v0001"]


def test_a_model_says_what_it_is(model: Model) -> None:
    summary = model.summary
    assert summary["symbols"] == ["AAA", "BBB"]
    assert summary["epochs"] == 2
    assert {"network", "naive"} <= summary["validation_rmse"].keys()
    assert json.loads(json.dumps(summary)) == summary
    assert model.history["epoch"].tolist() == [1, 2]
    for text in (repr(model), model._repr_html_()):
        assert f"Model {model.reference} of AAA, BBB" in text
        assert "naive" in text


def test_training_can_start_from_a_model(model: Model) -> None:
    found = lc.train(closes(), from_=model, fine_tune_lr=1e-5)
    assert found.metadata.record["from"]["model"] == str(model.reference)


def test_what_cannot_be_meant_is_refused() -> None:
    data: Any
    for data, words in (
        (["AAPL", closes()], "cannot mix symbols of the store with files or frames"),
        (3, "cannot read prices from this .int."),
        ([np.ones(3)], "cannot read prices from this .float64."),
        ({"AAPL": "MSFT"}, "cannot read the file .MSFT."),
        (Path("AAPL"), "cannot read the file"),
    ):
        with pytest.raises(LstmcliError, match=words):
            lc.predict(data, model="base")
    with pytest.raises(UsageError, match="not a day"):
        lc.predict(closes(), model="base", as_of="last week")
    with pytest.raises(NoModelError):
        lc.load_model("none")
    with pytest.raises(LstmcliError, match="no prices stored"):
        lc.predict("AAPL")
    with pytest.raises(LstmcliError, match=r"cannot use bars of another length|conflicting rows"):
        lc.train(pd.concat([closes(), closes(1)]))


def test_where_some_symbols_fail_a_warning_says_so(frame: pd.DataFrame) -> None:
    short = frame.assign(CCC=frame["AAA"].tail(20))
    with pytest.warns(PartialResultWarning, match="1 symbol failed: CCC: needs "):
        fc = lc.predict(short, model="base")
    assert fc.frame["symbol"].unique().tolist() == ["AAA", "BBB"]
    assert [each.symbol for each in fc.failures] == ["CCC"]
    assert "failed: CCC: needs" in repr(fc)
    with pytest.raises(LstmcliError, match="needs "):
        lc.predict(short[["CCC"]], model="base")


def test_the_frame_may_change_after_training(frame: pd.DataFrame) -> None:
    own = frame[["AAA"]].copy()
    model = lc.train(own, settings=SMALL, horizon=10)
    before = model.predict().frame
    own.loc[:, "AAA"] = 1.0
    pd.testing.assert_frame_equal(model.predict().frame, before)


def test_bad_rows_are_refused_and_repairs_noted_as_those_of_a_file() -> None:
    bad = closes().rename("AAA")
    bad.iloc[300] = -1.0
    with pytest.raises(LstmcliError, match=r"AAA, Series row 300"):
        lc.train(bad, settings=SMALL, horizon=10)
    unsorted = closes().rename("AAA").iloc[::-1]
    model = lc.train(unsorted, settings=SMALL, horizon=10)
    assert "AAA: Sorted the rows by date." in model.notes


def test_python_keeps_its_state(frame: pd.DataFrame, capfd: pytest.CaptureFixture[str]) -> None:
    import logging
    import signal

    def state() -> list[Any]:
        handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
        numpy = pickle.dumps(np.random.get_state())  # noqa: NPY002 - that others draw from
        random = numpy, torch.get_rng_state().tolist()
        levels = logging.getLogger().level, logging.getLogger().handlers[:]
        return [handlers, random, torch.get_num_threads(), warnings.filters[:], levels]

    before = state()
    model = lc.train(frame, settings=SMALL, horizon=10, threads=2, force=True)
    model.predict(threads=2).plot()
    repr(model.evaluate(threads=2).plot())
    assert state() == before
    assert capfd.readouterr() == ("", "")


def test_threads_take_turns_and_other_kinds_of_tables_are_read(frame: pd.DataFrame) -> None:
    tables = [frame[["AAA"]], pa.Table.from_pandas(frame[["AAA"]]), frame["AAA"]]
    with ThreadPoolExecutor(3) as pool:
        train = partial(lc.train, settings=SMALL, horizon=10, seed=7)
        models = list(pool.map(train, tables))
    assert len({weights(each) for each in models}) == 1


def test_a_model_is_found_from_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = lc.train(closes().rename("AAA"), settings=SMALL, horizon=10, data_dir="data")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert model.predict().frame["model"].unique().tolist() == ["aaa/v0001"]


def test_training_without_data_takes_those_of_the_recipe(tmp_path: Path) -> None:
    closes().to_csv("one.csv")
    (tmp_path / "mine.toml").write_text('[data]\ncsv = ["one.csv"]\n[evaluate]\nn_windows = 3\n')
    model = lc.train(recipe="mine.toml", settings=SMALL, horizon=10)
    assert (model.name, model.symbols) == ("mine", ["one"])
    assert model.evaluate().summary["windows"] == 3
    assert sorted(each.name for each in tmp_path.iterdir()) == ["mine.toml", "one.csv"]
