"""Scripts rest on exit codes, keys, columns, texts and figures: none changes unnoticed."""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.golden.commands import NOT_RUN, SCENARIOS
from tests.golden.digest import differences, digest, dump
from tests.golden.scenario import RESULTS, frozen, run_scenario, steps
from tests.readme import documents, shown_commands


@pytest.mark.parametrize("name", SCENARIOS)
def test_results_are_those_that_were_frozen(name: str, tmp_path: Path) -> None:
    found = list(differences(frozen(name), run_scenario(name, tmp_path)))
    assert not found, "\n".join([*found[:20], "If this is meant: python -m tests.golden"])


def test_every_command_and_option_of_the_documents_is_frozen_or_excused() -> None:
    run = {asked for name in SCENARIOS for _, line in steps(name) for asked in _asked(line)}
    shown = {
        asked
        for document in documents()
        for line in shown_commands(document)
        for asked in _asked(line)
    }
    assert {"predict", "evaluate --audit"} <= shown
    assert sorted(shown - run) == sorted(NOT_RUN)


def _asked(line: str) -> Iterator[str]:
    """Yield the command of a line, alone and with each of its options, without values."""
    words = shlex.split(line)
    command = " ".join(words[: 2 if words[0] in ("config", "data", "models") else 1])
    yield command
    yield from (f"{command} {word}" for word in words[1:] if word.startswith("-"))


def test_no_frozen_file_is_left_over() -> None:
    assert {path.stem for path in RESULTS.iterdir()} == set(SCENARIOS)


RESULT = """\
{"symbol": "AAPL", "rows": 3, "seconds": 1.25, "last": 101.5, "why": null, "note": "2 found",
 "created": "2026-01-05T22:10:03+00:00", "steps": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
 "file": "/tmp/x/a.csv", "models": {"a": {"crps": 0.1}, "b": {"crps": 0.2}, "c": {"crps": 0.3},
 "d": {"crps": 0.4, "name": "d"}, "e": {"crps": 0.5}}}
"""
TABLE = "step,price,name\n" + "".join(f"{step},{100 + step},AAPL\n" for step in range(60))
CHANGES = [
    ('"rows"', '"n_rows"'),
    ('"rows": 3, ', ""),
    ('"symbol": "AAPL", "rows": 3', '"rows": 3, "symbol": "AAPL"'),
    ('"rows": 3', '"rows": 4'),
    ('"rows": 3', '"rows": 3.0'),
    ("AAPL", "aapl"),
    ("101.5", "101.52"),
    ("101.5", "null"),
    ('"why": null', '"why": 0.0'),
    ("2 found", "3 found"),
    ("4.0, 5.0", "4.0, 5.01"),
    ("4.0, 5.0", "4.0, null"),
    ("4.0, 5.0", "4.0, 5.0, 0.0"),
    ('{"crps": 0.3}', '{"crps": 0.301}'),
    ('{"crps": 0.3}', '{"mae": 0.3}'),
    ('"name": "d"', '"name": "D"'),
    ("x/a.csv", "x/b.csv"),
]
TABLE_CHANGES = [
    ("price", "Price"),
    ("\n5,105,", "\n5,105.0,"),
    ("\n5,105,AAPL", "\n5,105,MSFT"),
    ("\n30,130,", "\n30,131,"),
    ("\n30,130,", "\n30,,"),
    ("\n30,130,AAPL", "\n30,130,MSFT"),
    ("\n30,130,AAPL", ""),
]
NO_CHANGES = [
    ("101.5", "101.505"),
    ("1.25", "17.0"),
    ("2026-01-05T22:10:03+00:00", "2027-03-04T05:06:07.123456+00:00"),
    ("4.0, 5.0", "4.0, 5.0001"),
    ("101.5", "101.50"),
]


def test_a_change_is_found() -> None:
    unseen = [each for each in CHANGES if not _found(RESULT, "json", *each)]
    unseen += [each for each in TABLE_CHANGES if not _found(TABLE, "csv", *each)]
    assert not unseen


def test_what_differs_from_run_to_run_and_machine_to_machine_is_no_change() -> None:
    assert [each for each in NO_CHANGES if _found(RESULT, "json", *each)] == []


def test_a_digest_is_read_as_it_was_written() -> None:
    for form, text in (("json", RESULT), ("csv", TABLE)):
        tree = digest(text, form, {})
        assert json.loads(dump(tree)) == tree


def _found(text: str, form: str, old: str, new: str) -> list[str]:
    assert old in text
    before, after = (digest(each, form, {}) for each in (text, text.replace(old, new)))
    return list(differences(before, after))
