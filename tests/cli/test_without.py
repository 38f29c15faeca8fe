"""`evaluate --without FEATURE`: does an input help? On synthetic data with a known answer."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.market.calendars import sessions_of
from lstmcli.pictures import page
from tests.command_line import Outcome, in_process, succeed

ROWS = 1600
RECIPE = """\
data.csv = ["mine.csv"]
window = { context_length = 40, horizon = 1, features = FEATURES }
model = { hidden_sizes = [8] }
train = { epochs = 10, threads = 1, device = "cpu", learning_rate = 1e-2 }
""".replace("FEATURES", '["close", "volume", "column:Driver", "column:Noise@1"]')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of prices whose volatility of the next day is that of one column, not of another."""
    made = tmp_path_factory.mktemp("without")
    generator = np.random.default_rng(0)
    driver, noise = generator.normal(size=(2, ROWS)).round(4)
    moves = 0.01 * np.exp(0.7 * np.roll(driver, 1)) * generator.normal(size=ROWS)
    days = sessions_of("XNYS")
    days = days[days >= np.datetime64("2015-01-02")][:ROWS]
    columns = {"Close": 100 * np.exp(np.cumsum(moves)), "Driver": driver, "Noise": noise}
    columns["Volume"] = (1e6 * np.exp(generator.normal(0, 0.3, ROWS))).round()
    frame = pd.DataFrame(columns, index=pd.DatetimeIndex(days.astype("datetime64[ns]")))
    frame.rename_axis("Date").to_csv(made / "mine.csv")
    (made / "mine.toml").write_text(RECIPE)
    succeed("train", "--config", "mine.toml", folder=made)
    return made


def without(folder: Path, feature: str, *options: str) -> Outcome:
    return in_process("evaluate", "--without", feature, *options, folder=folder)


def document(folder: Path, feature: str, *options: str) -> Any:
    done = without(folder, feature, "--format", "json", *options)
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_a_column_that_drives_the_volatility_helps(folder: Path) -> None:
    found = document(folder, "column:Driver")
    own = found["without"]
    assert (own["feature"], own["loss"], own["verdict"]) == ("column:Driver", "crps", "helps")
    assert own["change"] > 0.003
    assert own["p"] < 0.05
    assert own["n_independent"] == found["scores"]["n_independent"] >= 20
    crps = [each["path"]["crps"] for each in found["scores"]["models"].values()][:6]
    changes = np.array(crps[1::2]) / crps[::2] - 1
    assert changes.mean() == pytest.approx(own["change"], rel=1e-6)
    assert own["n_seeds"] == len(changes) == 3
    assert found["models"] == ["mine/v0001"]
    assert found["by_recipe"] is True


def test_noise_and_the_volume_are_not_proven_to_help(folder: Path) -> None:
    for feature in ("column:Noise@1", "volume"):
        done = without(folder, feature)
        text = " ".join(done.out.split())
        assert f"Without {feature} the error is" in text
        assert "independent windows, 3 seeds): not proven that it helps." in text


def test_both_recipes_are_refitted_alike_and_the_look_is_counted_once(folder: Path) -> None:
    before = document(folder, "column:Noise")
    found = document(folder, "column:Noise")
    assert found["looks"]["looks"] == before["looks"]["looks"]
    ours, theirs = found["refits"][:2]
    assert theirs.pop("model") == f"{ours.pop('model')} without column:Noise"
    assert [each["model"].split(", ")[-1] for each in found["refits"][2:]] == [
        *(f"seed {seed}" for seed in (1, 1, 2, 2))
    ]
    for fit in (ours, theirs):
        del fit["epoch"]
    assert ours == theirs


def test_the_page_has_the_answer_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "render", lambda *rest: b"<svg><g/></svg>")  # takes a second
    done = without(folder, "column:Driver", "--report", "page.html")
    assert done.code == 0, done.err
    assert "Without column:Driver the error is" in (folder / "page.html").read_text()


def test_too_few_windows_are_no_answer(folder: Path) -> None:
    done = without(folder, "column:Driver", "--n-windows", "10")
    words = "(CRPS; 10 independent windows, 3 seeds): too few to say, a test needs 20"
    assert words in " ".join(done.out.split())


def test_windows_of_refits_are_used_if_requested(folder: Path) -> None:
    found = document(folder, "volume", "--refits", "24", "--horizon", "1")
    assert found["without"]["n_independent"] == 24


def test_a_feature_that_cannot_be_left_out_is_a_usage_error(folder: Path) -> None:
    for feature, why in {
        "close": "a fan the close",
        "column:Moon": "the model reads close, volume, column:Driver, column:Noise@1",
    }.items():
        done = without(folder, feature)
        assert done.code == 2
        assert why in done.err
    audit = without(folder, "volume", "--audit")
    assert audit.code == 2
    assert "option not used (--without)" in audit.err
