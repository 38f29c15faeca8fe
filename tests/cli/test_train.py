"""`lstmcli train`: settings, saved files, promotion and resuming."""

import csv
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from lstmcli import __version__
from lstmcli.runs import checkpoint as checkpoint_module
from lstmcli.runs.checkpoint import CHECKPOINT, Checkpoint, save_checkpoint
from tests.command_line import (
    Outcome,
    assert_one_error,
    csv_text,
    document_of,
    hashes,
    in_process,
    sessions,
    succeed,
    walk,
)

WEIGHTS = "model.safetensors"
TINY = ("--config", "tiny.toml")


def train(home: Path, *options: object, **rest: Any) -> Outcome:
    return succeed("train", *TINY, *options, folder=home, **rest)


def report_of(home: Path, *options: object, **rest: Any) -> dict[str, Any]:
    return document_of(home, "train", *options, **rest)


def kept(home: Path, *options: object, **rest: Any) -> Path:
    """Train and return the folder of the new version."""
    return home / str(report_of(home, *options, **rest)["path"])


def config(folder: Path) -> dict[str, dict[str, Any]]:
    return tomllib.loads((folder / "config.toml").read_text())


def metadata(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metadata.json").read_text())
    return found


def champion(home: Path, name: str = "tiny") -> list[str]:
    return (home / f"data/models/{name}/champion").read_text().splitlines()


def test_version_holds_its_four_files_and_nothing_else_appears(home: Path) -> None:
    before = hashes(home)
    text = train(home, "--promote", "never").out
    for words in (
        *("Trained tiny/v0002", "203 train, 33 validate, 40 kept for evaluate"),
        *("naive", "drift", "on 7 windows", "Not in use: --promote never."),
    ):
        assert words in text
    files = ["config.toml", "history.csv", "metadata.json", WEIGHTS]
    new = [f"data/models/tiny/v0002/{name}" for name in files]
    after = hashes(home)
    assert sorted(after.keys() - before.keys()) == new
    assert before.items() <= after.items()
    found = metadata(home / "data/models/tiny/v0002")
    assert (found["lstmcli_version"], found["torch_version"]) == (__version__, torch.__version__)
    # 255 rows are fitted on, 38 of them validate; cutoffs start at row 9; 5 are purged twice.
    assert found["windows"] == {"rows": 300, "train": 203, "validation": 33, "test": 40}
    days = sessions(300)
    assert found["split"]["validation_start"] == days[217]
    assert days[254] < found["split"]["test_start"] <= days[255]


def test_same_seed_gives_the_same_bytes_and_another_seed_others(home: Path) -> None:
    first = (home / "data/models/tiny/v0001" / WEIGHTS).read_bytes()
    again = kept(home, *TINY, "--name", "again")
    other = kept(home, *TINY, "--name", "other", "--seed", 1)
    assert (again / WEIGHTS).read_bytes() == first
    assert (other / WEIGHTS).read_bytes() != first


def test_config_of_a_version_is_enough_to_repeat_it(home: Path, tmp_path: Path) -> None:
    options = ("--csv", "X=prices.csv", "--seed", 3, "--set", "window.scaling=relative")
    first = kept(home, *TINY, *options)
    again = kept(tmp_path, "--config", first / "config.toml", "--name", "again")
    for file in (WEIGHTS, "config.toml"):
        assert (again / file).read_bytes() == (first / file).read_bytes()
    assert metadata(again)["data"] == metadata(first)["data"]


ENVIRONMENT = {"LSTMCLI_SEED": "5", "LSTMCLI_DEVICE": "auto"}


@pytest.mark.parametrize(
    ("options", "env", "seed"),
    [
        ((), {}, 7),
        ((), ENVIRONMENT, 5),
        (("--seed", "3"), ENVIRONMENT, 3),
        (("--set", "train.seed=4"), ENVIRONMENT, 4),
    ],
)
def test_options_win_over_the_environment_and_that_over_the_recipe(
    home: Path, options: tuple[str, ...], env: dict[str, str], seed: int
) -> None:
    with (home / "tiny.toml").open("a") as recipe:
        recipe.write("seed = 7\n")
    found = config(kept(home, *options, env={**env, "LSTMCLI_CONFIG": "tiny.toml"}))["train"]
    assert (found["seed"], found["device"]) == (seed, "auto" if env else "cpu")


def test_format_is_taken_from_the_environment(home: Path) -> None:
    env = {"LSTMCLI_FORMAT": "json"}
    assert json.loads(train(home, env=env).out)["command"] == "train"
    assert train(home, "--format", "csv", env=env).out.startswith("epoch,loss")


def test_the_first_version_becomes_champion_unless_promote_is_never(home: Path) -> None:
    assert champion(home) == ["v0001"]
    assert report_of(home, *TINY, "--name", "unsure", "--promote", "never")["promoted"] is False
    assert not (home / "data/models/unsure/champion").exists()
    assert_one_error(in_process("predict", "-m", "unsure", folder=home), 4, "no champion")
    succeed("predict", "-m", "unsure/v0001", folder=home)


def test_better_version_becomes_champion_and_an_equal_one_does_not(home: Path) -> None:
    poor = ("--set", "window.scaling=relative", "--set", "train.learning_rate=1")
    report_of(home, *TINY, "--name", "bad", *poor)
    for same in (False, True):
        found = report_of(home, *TINY, "--name", "bad", "--force")
        assert (found["promoted"], champion(home, "bad")) == (not same, ["v0002", "v0001"])
        compared = found["metadata"]["decision"]["comparison"]
        assert (compared["loss"], compared["steps"], compared["symbols"]) == ("rmse", 5, 1)
        assert (compared["level"], compared["n_independent"]) == (0.01, 8)
        if same:
            assert compared["challenger"] == compared["champion"]
            assert compared["p"] is None
            assert "RMSE of steps 1 to 5" in found["why"]
            said = "on 40 cutoffs (8 independent): the two losses differ by the same amount"
            assert said in found["why"]
        else:
            assert compared["challenger"] < compared["champion"]
            assert compared["p"] < 0.01
            assert "better at the 1 % level" in found["why"]


def test_level_of_the_comparison_can_be_set_and_its_answer_forced(home: Path) -> None:
    options = ("--seed", "1", "--promote-level", "0.2")
    compared = report_of(home, *TINY, *options)["metadata"]["decision"]
    assert compared["comparison"]["level"] == 0.2
    assert compared["promoted"] == (compared["comparison"]["p"] < 0.2)
    assert "better at the 20 % level" in compared["why"]
    assert report_of(home, *TINY, "--promote", "always")["promoted"] is True
    assert champion(home)[0] == "v0003"


def test_symbols_train_together_and_a_failed_one_is_named_also_where_nothing_is_trained(
    home: Path,
) -> None:
    for seed, (name, rows) in enumerate({"a": 200, "b": 200, "c": 12}.items()):
        (home / f"{name}.csv").write_text(csv_text(walk(rows, seed)))
    files = [word for name in ("a", "b", "c", "absent") for word in ("--csv", f"{name}.csv")]
    for unchanged in (False, True):
        command = ("train", *TINY, "--name", "many", "--format", "json")
        outcome = in_process(*command, *files, folder=home)
        assert outcome.code == 3, outcome.err
        found = json.loads(outcome.out)
        assert found["unchanged"] is unchanged
        assert [each["symbol"] for each in found["metadata"]["data"]["symbols"]] == ["a", "b"]
        assert [each["symbol"] for each in found["failures"]] == ["absent.csv", "c"]
        assert outcome.err.splitlines()[-1] == "lstmcli: error: 2 of 4 symbols failed: see above"


def test_unchanged_training_says_so_and_writes_nothing(home: Path) -> None:
    first = report_of(home, *TINY)
    before = hashes(home)
    outcome = train(home)
    assert outcome.out == (
        "unchanged: tiny/v0002 has the same settings, data and versions, so nothing was "
        "trained. Use --force to train anyway.\n"
    )
    assert outcome.err == ""
    (header,) = train(home, "--format", "csv").out.splitlines()
    assert header.startswith("epoch,loss,validation_loss,")
    assert train(home, "--format", "jsonl").out == ""
    unchanged = report_of(home, *TINY)
    assert (first["unchanged"], unchanged["unchanged"]) == (False, True)
    assert (unchanged["model"], unchanged["promoted"]) == ("tiny/v0002", False)
    assert set(unchanged) == set(first)
    assert set(unchanged["metadata"]) - set(first["metadata"]) == {
        "schema_version", "trained_on", "weights_sha256", "config_sha256",
    }  # fmt: skip
    assert hashes(home) == before
    assert report_of(home, *TINY, "--force")["model"] == "tiny/v0003"


@pytest.fixture
def stopped(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder after a training that was stopped when its first epoch was kept."""

    def save_and_stop(folder: Path, origin: dict[str, Any], checkpoint: Checkpoint) -> None:
        save_checkpoint(folder, origin, checkpoint)
        raise SystemExit(143)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_module, "save_checkpoint", save_and_stop)
        outcome = in_process("train", *TINY, "--force", folder=home)
    said = "lstmcli: stopped: epoch 1 of tiny is kept, --resume continues from there\n"
    assert (outcome.code, outcome.out, outcome.err) == (143, "", said)
    return home


def test_a_stopped_run_is_resumed(stopped: Path) -> None:
    outcome = train(stopped, "--resume", "--verbose", "--format", "jsonl")
    assert [json.loads(row)["epoch"] for row in outcome.out.splitlines()] == [1, 2]
    assert "epoch 2: loss" in outcome.err
    assert "epoch 1: loss" not in outcome.err
    assert outcome.err.endswith("lstmcli: resumed after epoch 1\n")
    assert train(stopped, "--resume", "--force", "--quiet").err == ""


def test_other_settings_start_again_and_say_what_differs(stopped: Path) -> None:
    outcome = train(stopped, "--resume", "--seed", 3, "--set", "train.epochs=3")
    first, compared = outcome.err.splitlines()
    assert first == (
        "lstmcli: the checkpoint of epoch 1 has train.seed 0, not 3; train.epochs 2, not 3; "
        "training started again"
    )
    assert compared.startswith("lstmcli: You have evaluated 2 models on this period (")
    assert not (stopped / "data/models/tiny" / CHECKPOINT).exists()


def test_a_timeout_is_named_in_the_table_and_the_metadata(home: Path) -> None:
    """The clock is the real one: patience and epochs are such that only the timeout can end it."""
    outcome = train(home, *(f"--set=train.{key}=100000" for key in ("epochs", "patience")),
                    "--timeout", "1")  # fmt: skip
    assert "cut short by --timeout" in outcome.out
    assert "lstmcli: --timeout ended training after epoch " in outcome.err
    assert outcome.err.endswith("is kept as tiny/v0002, --resume goes on\n")
    folder = home / "data/models/tiny/v0002"
    assert metadata(folder)["stopped"] == "timeout"
    assert (folder.parent / CHECKPOINT).exists()


def test_a_new_listing_gets_a_model_that_forecasts_it(fan_home: Path) -> None:
    (fan_home / "new.csv").write_text(csv_text(walk(80, seed=3)))
    options = ("--csv", "new.csv", "--from", "fan", "--name", "new")
    done = succeed("train", *options, folder=fan_home)
    said = "no validation part of its own; taken from fan/v0001: the number of passes"
    assert said in done.err
    assert "none: there are no validation windows" in done.out
    assert "In use now: new/v0001, the first version." in done.out
    assert document_of(fan_home, "predict", "--csv", "new.csv", "-m", "new")["forecasts"]
    shown = in_process("models", "show", "new", folder=fan_home)
    assert "fan/v0001, learning rate 0.003" in shown.out


def test_the_settings_are_the_donors_unless_a_recipe_is_named(fan_home: Path) -> None:
    own = report_of(fan_home, "--from", "fan", "--set", "train.epochs=1")
    assert (own["model"], own["metadata"]["from"]["model"]) == ("fan/v0002", "fan/v0001")
    before = config(fan_home / "data/models/fan/v0001")
    before["train"]["epochs"] = 1
    assert config(fan_home / own["path"]) == before
    recipe = (fan_home / "fan.toml").read_text().replace("horizon = 10", "horizon = 8")
    (fan_home / "other.toml").write_text(recipe)
    other = report_of(fan_home, "--from", "fan/v0001", "--config", "other.toml")
    assert other["model"] == "other/v0001"
    assert "the head is new: window.horizon 8, of the donor 10" in other["notes"]


def test_gradients_by_layer_are_in_the_history_and_in_each_epoch_line(home: Path) -> None:
    settings = ("--set", "model.network=rnn", "--set", "train.clip_norm=1e-6")
    done = train(home, "--name", "rnn", *settings, "--verbose")
    text = (home / "data/models/rnn/v0001/history.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    lines = [line for line in done.err.splitlines() if line.startswith("epoch ")]
    assert len(rows) == len(lines) == 2
    for row, line in zip(rows, lines, strict=True):
        layer, head, share = (
            float(row[name])
            for name in ("gradient_norm_layer1", "gradient_norm_head", "gradient_kept")
        )
        assert f"(layer1 {layer:.3g}, head {head:.3g})" in line
        assert int(row["clipped"]) > 0
        assert f"{row['clipped']} steps clipped" in line
        assert f"{share:.2g} times as much at the window's start as at its end" in line


def test_settings_without_effect_on_a_network_are_reported(home: Path) -> None:
    linear = ("--promote", "never", "--set", "model.network=linear")
    done = train(home, *linear, "--set", "model.kernel_size=5")
    assert done.err.splitlines() == [
        "lstmcli: model.network linear ignores model.hidden_sizes",
        "lstmcli: model.network linear ignores model.kernel_size",
    ]
    labels = ("--set", "train.labels=sequence", "--set", "model.hidden_sizes=[32]")
    assert train(home, *linear, *labels).err == (
        "lstmcli: one label per window: train.labels sequence with model.head recursive requires a "
        "network with a state and window.scaling relative\n"
    )
