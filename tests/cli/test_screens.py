"""The screens of predict, train and tune: their content, at every width."""

import importlib.util
from pathlib import Path

import pytest

from tests.command_line import csv_text, in_process, walk
from tests.report.screens import assert_fits, screen_of, shown

SMALL = (
    *("--set", "window.context_length=40", "--set", "window.horizon=5"),
    *("--set", "train.epochs=1", "--set", "train.members=1", "--scratch"),
)


@pytest.fixture
def many(fan_home: Path) -> Path:
    """A folder with a fan, and files of five series."""
    for seed, name in enumerate("ABCDE"):
        (fan_home / f"{name}.csv").write_text(csv_text(walk(700, seed)))
    return fan_home


def files(names: str) -> list[str]:
    return [word for name in names for word in ("--csv", f"{name}.csv")]


def forecast(names: str) -> list[str]:
    return ["predict", *files(names), "--model", "fan"]


@pytest.mark.parametrize(
    "options",
    [
        ("A",),
        ("ABC",),
        ("ABCDE",),
        ("ABCDE", "--all-steps"),
        ("A", "--as-of", "2018-03-01", "--explain"),
    ],
)
def test_forecasts_fit(many: Path, options: tuple[str, ...]) -> None:
    names, *rest = options
    assert_fits(screen_of(*forecast(names), *rest, folder=many))


def test_one_symbol_has_the_answer_in_three_lines_and_its_steps(many: Path) -> None:
    screen = screen_of(*forecast("A"), folder=many)
    lines = shown(screen, 80)
    assert lines[0] == "A, next 10 sessions, by fan/v0001"
    assert [line.split("  ")[1] for line in lines[2:5]] == [
        "Last close",
        "In 10 sessions",
        "Direction",
    ]
    assert "no view; chance of a rise" in lines[4]
    assert "(in the past " in lines[4]
    assert lines[6].split() == [
        *("Step", "Date", "Forecast", "Move", "80", "%", "range"),
        *("Chance", "up", "In", "the", "past"),
    ]  # fmt: skip
    wide = shown(screen, 120)
    assert wide[6].split()[-1] == "Spread"
    assert [line.split()[0] for line in lines[7:10]] == ["1", "5", "10"]
    assert lines[-2:] == [
        "Next: lstmcli evaluate --csv A.csv --model fan",
        "      lstmcli predict --csv A.csv --model fan --plot -",
    ]


def test_more_than_three_symbols_have_a_row_each_and_all_steps_on_demand(many: Path) -> None:
    lines = shown(screen_of(*forecast("ABCDE"), folder=many), None)
    assert lines[0].startswith("5 symbols, next 10 sessions, to 2018-09-")
    assert (lines[1], lines[2].split()[0], lines[8]) == ("", "Symbol", "")
    assert [line[0] for line in lines[3:8]] == list("ABCDE")
    assert not [line for line in lines if line.startswith("Next:")]
    every = shown(screen_of(*forecast("ABCDE"), "--all-steps", folder=many), None)
    assert sum(line[:1] in {*"ABCDE"} and "2018-09-" in line for line in every[1:]) == 50


def test_a_note_for_many_symbols_is_printed_once_with_the_remedy(many: Path) -> None:
    arguments = forecast("ABCDE")
    old = [line for line in in_process(*arguments, folder=many).err.splitlines() if "old" in line]
    assert len(old) == 1
    assert old[0].startswith("lstmcli: 5 symbols (A, B, C, ...): the last bar, 2018-08-31, is ")
    assert old[0].endswith("sessions old. Give newer prices with --csv, or by lstmcli fetch SYMBOL")
    every = in_process(*arguments, "--verbose", folder=many).err.splitlines()
    assert sum("sessions old" in line for line in every) == 5


def test_training_fits_the_screen_and_shows_its_result(many: Path) -> None:
    small = (*SMALL, "--set", "train.epochs=2")
    screen = screen_of("train", *files("AB"), *small, "--name", "two", folder=many)
    assert_fits(screen)
    lines = shown(screen, 80)
    assert lines[0].startswith("Trained two/v0001 in ")
    names = [line[2:].split("  ")[0] for line in lines if line.startswith("  ") and line[2] != " "]
    assert names == ["Data", "Network", "Windows", "Epochs", "Validation", "Beyond har"]
    assert "  A, B, 1,400 bars, 2015-11-20 to 2018-08-31" in lines[2]
    assert "optimistic, because the same data chose the best epoch" in "\n".join(lines)
    assert lines[-2:] == [
        "In use now: two/v0001, the first version. Saved in data/models/two/v0001",
        "Next: lstmcli predict --model two   lstmcli evaluate --model two",
    ]
    again = shown(screen_of("train", *files("AB"), *small, "--name", "two", folder=many), 200)
    assert again[0].startswith("unchanged: two/v0001")


def test_a_version_not_in_use_shows_the_reason_and_the_remedy(many: Path) -> None:
    options = (*SMALL, "--promote", "never", "--name", "kept")
    screen = screen_of("train", *files("A"), *options, folder=many)
    assert_fits(screen)
    assert shown(screen, 120)[-2:] == [
        "Not in use: --promote never. Saved in data/models/kept/v0001",
        "Next: lstmcli predict --model kept/v0001   lstmcli evaluate --model kept/v0001",
    ]


def test_training_on_shipped_data_says_so_and_until_when(tmp_path: Path) -> None:
    done = in_process("train", "--config", "wine", "--set", "train.epochs=1", folder=tmp_path)
    assert done.err.splitlines()[0] == (
        "lstmcli: training on shipped sample data: 1 series, until 1994-08-01. "
        "For your own: lstmcli train SYMBOL"
    )


@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="optuna is an extra")
def test_a_study_fits(tmp_path: Path) -> None:
    (tmp_path / "A.csv").write_text(csv_text(walk(700)))
    screen = screen_of("tune", "--csv", "A.csv", *SMALL[:-1], "--trials", 2, folder=tmp_path)
    assert_fits(screen)
    lines = shown(screen, 80)
    assert lines[0].startswith("default: 2 trials, validated on ")
    assert "optimizer" in lines[2]
    assert lines[-1] == "Next: lstmcli train --config data/tuning/default/default-tuned.toml"
