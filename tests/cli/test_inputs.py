"""The user's own inputs on the command line: columns of files, and other series.

tests/learning/test_inputs.py tests how the network uses them; planted leaks are here too.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.dataset import inputs as inputs_module
from lstmcli.dataset import windows as windows_module
from lstmcli.market.calendars import sessions_of
from tests.command_line import Outcome, in_process, succeed, walk

ROWS = 400
RECIPE = """\
window = { context_length = 40, horizon = 2, features = FEATURES }
model = { hidden_sizes = [4] }
train = { epochs = 2, threads = 1, device = "cpu", learning_rate = 1e-2 }
""".replace("FEATURES", '["close", "column:Mood@1", "symbol:^VIX:log"]')
POINT = RECIPE.replace("context_length = 40", 'context_length = 10, scaling = "log_return"')
POINT = POINT.replace("hidden_sizes", 'head = "recursive", hidden_sizes')


def series(seed: int, **columns: Any) -> pd.DataFrame:
    days = sessions_of("XNYS")
    days = days[days >= np.datetime64("2020-01-01")][:ROWS]
    index = pd.DatetimeIndex(days.astype("datetime64[ns]"), name="Date")
    return pd.DataFrame({"Close": walk(ROWS, seed=seed), **columns}, index=index)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files, recipes and two models; not to be changed."""
    folder = tmp_path_factory.mktemp("inputs")
    generator = np.random.default_rng(1)
    mood = generator.normal(size=ROWS).round(4)
    moves = 0.01 * np.exp(np.roll(mood, 2)) * generator.normal(size=ROWS)
    mine = series(2, Mood=mood, Label=["a", "b"] * (ROWS // 2))
    mine.assign(Close=100 * np.exp(np.cumsum(moves))).to_csv(folder / "mine.csv")
    series(3).to_csv(folder / "vix.csv")
    (folder / "fan.toml").write_text(RECIPE)
    (folder / "point.toml").write_text(POINT)
    for name in ("fan", "point"):
        done = train(folder, name)
        assert done.code == 0, done.err
        assert "no value" not in done.err
    return folder


FILES = ("--csv", "MINE=mine.csv", "--csv", "^VIX=vix.csv")


def train(folder: Path, name: str, *options: str) -> Outcome:
    named = ("--config", f"{name}.toml", "--name", name)
    return in_process("train", *named, *(options or FILES), folder=folder)


def predicted(folder: Path, *words: str) -> Any:
    done = succeed("predict", "--format", "json", *words, folder=folder)
    return json.loads(done.out)["forecasts"]


def test_a_series_that_is_read_as_an_input_is_not_forecast(honest: Path) -> None:
    (made,) = predicted(honest, "--model", "fan")
    assert made["symbol"] == "MINE"
    asked = ("MINE", "^VIX", *FILES, "--model", "fan")
    done = in_process("predict", *asked, folder=honest)
    assert "^VIX: no column Mood, which the model reads" in done.err


def test_without_a_model_named_it_is_forecast_only_where_no_other_model_reads_it(
    honest: Path, tmp_path: Path
) -> None:
    shutil.copytree(honest, tmp_path / "there")
    folder = tmp_path / "there"
    succeed("train", "MINE", "--config", "fan.toml", *FILES, folder=folder)
    assert (folder / "data/models/mine").is_dir()
    reversed_files = (*FILES[2:], *FILES[:2])
    (made,) = predicted(folder, *reversed_files)
    assert (made["symbol"], made["model"]) == ("MINE", "mine/v0001")
    for words in (("MINE", "^VIX", *FILES), (*FILES[2:], "--csv", "vix.csv")):
        found = predicted(folder, *words)
        assert "^VIX" in [each["symbol"] for each in found]


def test_a_column_that_another_model_reads_stops_no_forecast(honest: Path) -> None:
    """`fan` and `point` read Mood; no model of TEXT does, where it is no number."""
    words = series(6, Mood=["good", "bad"] * (ROWS // 2))
    words.to_csv(honest / "text.csv")
    (made,) = predicted(honest, "--csv", "TEXT=text.csv")
    assert (made["symbol"], made["model"]) == ("TEXT", "base/v0001")
    (honest / "text.csv").unlink()


def test_target_and_input_may_be_columns_of_one_file(honest: Path, tmp_path: Path) -> None:
    both = {name: series(seed)["Close"] for name, seed in (("AAA", 2), ("BBB", 4), ("^VIX", 3))}
    pd.DataFrame(both).to_csv(tmp_path / "wide.csv")
    (tmp_path / "fan.toml").write_text(RECIPE.replace('"column:Mood@1", ', ""))
    succeed("train", "AAA", "--csv", "wide.csv", "--config", "fan.toml", folder=tmp_path)
    (alone,) = predicted(tmp_path, "AAA", "--csv", "wide.csv")
    assert (alone["symbol"], alone["model"]) == ("AAA", "aaa/v0001")
    every = predicted(tmp_path, "--csv", "wide.csv")
    assert [each["symbol"] for each in every] == ["AAA", "BBB"]
    assert every[0]["steps"] == alone["steps"]
    succeed("evaluate", "AAA", "--csv", "wide.csv", folder=tmp_path)


def test_columns_that_are_not_named_are_still_reported_as_unused(honest: Path) -> None:
    done = in_process("predict", "--model", "fan", "--verbose", folder=honest)
    assert "Unused columns: Label" in done.err
    assert "Mood" not in done.err.replace("column:Mood", "")


@pytest.mark.parametrize("name", ["fan", "point"])
def test_a_forecast_rests_on_the_inputs_and_predict_gives_what_evaluate_gave(
    honest: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(honest, tmp_path / "there")
    folder = tmp_path / "there"
    succeed("evaluate", "--model", name, "--forecasts", "all.csv", folder=folder)
    table = pd.read_csv(folder / "all.csv")
    own = table[table["model"].str.startswith(f"{name}/")]
    cutoff = own["cutoff"].unique()[3]
    column = "q0.1" if name == "fan" else "median"
    asked = ("--model", name, "--as-of", cutoff, *FILES)
    (then,) = predicted(folder, *asked)
    expected = own[own["cutoff"] == cutoff][column].to_numpy()
    found = [each[column] for each in then["steps"]]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    frame = pd.read_csv(folder / "mine.csv")
    frame["Mood"] += 3.0
    frame.to_csv(folder / "mine.csv", index=False)
    (now,) = predicted(folder, *asked)
    assert now["steps"] != then["steps"]


def test_a_recursion_says_that_the_steps_ahead_read_the_last_value(honest: Path) -> None:
    words = "column:Mood@1, symbol:^VIX:log: not known ahead of a forecast"
    for command in ("predict", "evaluate"):
        assert words in in_process(command, "--model", "point", folder=honest).err
        assert words not in in_process(command, "--model", "fan", folder=honest).err


def test_the_inputs_of_a_model_must_be_present(honest: Path, tmp_path: Path) -> None:
    shutil.copytree(honest, tmp_path / "there")
    folder = tmp_path / "there"
    lone = in_process("predict", "--csv", "MINE=mine.csv", "--model", "fan", folder=folder)
    assert lone.code == 4
    step = "Run: lstmcli fetch '^VIX'"
    assert lone.err == f"lstmcli: error: no prices of ^VIX, which the model reads. {step}\n"
    (folder / "vix.csv").write_text("Date,Close\n2020-01-02,none of it\n")
    bad = in_process("predict", *FILES, "--model", "fan", folder=folder)
    why = "^VIX, which the model reads: bad number in column Close (vix.csv line 2)"
    assert why in bad.err
    shutil.copy(honest / "vix.csv", folder / "vix.csv")
    series(5).to_csv(folder / "bare.csv")
    some = in_process("predict", *FILES, "--csv", "bare.csv", "--model", "fan", folder=folder)
    assert some.code == 3
    assert "no column Mood, which the model reads" in some.err


def test_one_symbol_without_the_column_fails_alone_in_training(
    honest: Path, tmp_path: Path
) -> None:
    shutil.copytree(honest, tmp_path / "there")
    folder = tmp_path / "there"
    series(5).to_csv(folder / "bare.csv")
    done = in_process(
        *("train", "--config", "fan.toml", "--name", "pool"),
        *(*FILES, "--csv", "bare.csv"),
        folder=folder,
    )
    assert done.code == 3
    assert "bare: no column Mood, which the model reads" in done.err


def test_the_other_series_may_be_in_the_store(honest: Path, tmp_path: Path) -> None:
    shutil.copytree(honest, tmp_path / "there")
    folder = tmp_path / "there"
    succeed("data", "import", "^VIX=vix.csv", folder=folder)
    lone = ("--csv", "MINE=mine.csv", "--model", "fan")
    assert predicted(folder, *lone) == predicted(folder, "--model", "fan", *FILES)


def test_an_unknown_feature_is_a_usage_error(honest: Path) -> None:
    done = in_process("train", "--set", 'window.features=["RSI"]', folder=honest)
    assert done.code == 2
    assert "column:NAME or symbol:NAME" in done.err


def test_inputs_that_both_models_read_are_taken_over(honest: Path, tmp_path: Path) -> None:
    shutil.copytree(honest, tmp_path / "there")
    features = 'window.features=["close","symbol:^VIX:log","column:Mood"]'
    done = succeed(
        *("train", "--config", "fan.toml", "--name", "child", "--from", "fan"),
        *("--set", features, *FILES),
        folder=tmp_path / "there",
    )
    assert "the input weights of column:Mood are new" in done.out + done.err
    assert "fan/v0001 also reads column:Mood@1, which is left out" in done.out + done.err


def test_a_version_without_an_input_is_compared_with_the_champion_that_has_it(
    honest: Path, tmp_path: Path
) -> None:
    shutil.copytree(honest, tmp_path / "there")
    succeed("data", "import", "^VIX=vix.csv", folder=tmp_path / "there")
    features = 'window.features=["close"]'
    done = train(tmp_path / "there", "fan", *FILES[:2], "--set", features)
    assert done.code == 0, done.err
    assert "Not in use (fan/v0001 stays): mean pinball loss" in " ".join(done.out.split())
    again = ("models", "promote", "fan/v0002", "--if-better", *FILES[:2])
    judged = in_process(*again, folder=tmp_path / "there")
    assert judged.code == 0, judged.err
    assert "mean pinball loss" in judged.out
    leader = (tmp_path / "there" / "data" / "models" / "fan" / "champion").read_text()
    assert leader.strip() == "v0001"


@pytest.mark.parametrize("changes", [["train.stateful=true"], ["model.network=linear"]])
def test_other_networks_and_ways_of_training_read_them_too(
    honest: Path, tmp_path: Path, changes: list[str]
) -> None:
    shutil.copytree(honest, tmp_path / "there")
    options = [word for each in changes for word in ("--set", each)]
    named = ("--config", "fan.toml", "--name", "other", *FILES, *options)
    succeed("train", *named, folder=tmp_path / "there")
    (made,) = predicted(tmp_path / "there", "--model", "other", "--explain")
    names = [each["name"] for each in made["explain"]["inputs"]]
    assert names[-2:] == ["column:Mood@1", "symbol:^VIX:log"]


def test_the_linear_fan_alone_reads_none(honest: Path) -> None:
    named = ("--config", "fan.toml", *FILES, "--set", "model.network=har")
    done = in_process("train", *named, folder=honest)
    assert done.code == 2
    assert "model.network har reads only bars, found feature column:Mood@1" in done.err


def test_explain_names_the_inputs_and_their_part(honest: Path) -> None:
    (found,) = predicted(honest, "--model", "point", "--explain")
    parts = {each["name"]: each for each in found["explain"]["inputs"]}
    assert list(parts) == ["close", "column:Mood@1", "symbol:^VIX:log"]
    assert all(each["width_80"] is None for each in parts.values())
    assert all(min(map(abs, each["median"])) > 1e-7 for each in parts.values())
    text = in_process("predict", "--model", "fan", "--explain", folder=honest).out
    assert "MINE: how step 2 moves when an input is replaced by its average" in text
    for name in ("longer average", "column:Mood@1", "symbol:^VIX:log"):
        assert name in text


def audit(folder: Path, name: str) -> Outcome:
    words = ("evaluate", "--audit", "--n-windows", "2", "--quiet", "--model", name)
    return in_process(*words, folder=folder)


@pytest.mark.parametrize("name", ["fan", "point"])
def test_the_audit_finds_nothing_where_nothing_leaks(honest: Path, name: str) -> None:
    outcome = audit(honest, name)
    assert (outcome.code, outcome.err) == (0, "")
    assert "Audit: clean." in outcome.out


def assert_caught(folder: Path, name: str, words: str) -> None:
    outcome = audit(folder, name)
    assert outcome.code == 1, outcome.out
    assert words in outcome.err


def test_a_join_that_takes_the_other_series_next_close_is_caught(
    honest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    join_known = inputs_module.join_known

    def leaky(own: Any, other: Any) -> Any:
        later = other.frame.shift(-1).ffill()
        return join_known(own, replace(other, frame=later))

    monkeypatch.setattr(inputs_module, "join_known", leaky)
    assert_caught(honest, "fan", "symbol:^VIX:log")


def test_a_join_that_fills_gaps_from_later_closes_is_caught(
    honest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    join_known = inputs_module.join_known

    def leaky(own: Any, other: Any) -> Any:
        joined = pd.Series(join_known(own, other))
        return joined.rolling(3, center=True, min_periods=1).mean().to_numpy()

    monkeypatch.setattr(inputs_module, "join_known", leaky)
    assert_caught(honest, "fan", "symbol:^VIX:log")


def test_a_lag_of_the_wrong_sign_is_caught(honest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take = windows_module.Extras._take

    def leaky(self: Any, rows: Any) -> Any:
        return take(self, (rows + 1).clamp(max=len(self.values) - 1))

    monkeypatch.setattr(windows_module.Extras, "_take", leaky)
    assert_caught(honest, "fan", "forecast stage")


def test_a_column_scaled_by_all_rows_is_caught(
    honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lstmcli.learning import fit

    shutil.copytree(honest, tmp_path / "there")
    fit_inputs = inputs_module.fit_inputs

    def leaky(parts: Any, inputs: Any) -> Any:
        return fit_inputs([each if each.base is None else each.base for each in parts], inputs)

    monkeypatch.setattr(fit, "fit_inputs", leaky)
    done = train(tmp_path / "there", "fan", *FILES, "--force")
    assert done.code == 0, done.err
    assert_caught(tmp_path / "there", "fan/v0002", "stage")
