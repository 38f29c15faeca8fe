"""Files that no forecast may rest on: each command refuses them alike and leaves all as it was.

The numbers are the rows of the list of faults that the tool survives.
"""

from pathlib import Path
from typing import Any

from tests.command_line import assert_one_error, csv_text, hashes, in_process, sessions, walk
from tests.rows import for_each

ROWS = 60
GOOD = csv_text(walk(ROWS))
LINES = GOOD.splitlines(keepends=True)
COMMANDS = {
    "train": ("train", "--config", "tiny.toml"),
    "predict": ("predict",),
    "evaluate": ("evaluate",),
}


def changed(row: int, line: str) -> str:
    """The good file with one data row replaced."""
    return "".join([*LINES[: row + 1], line + "\n", *LINES[row + 2 :]])


def priced(row: int, price: str) -> str:
    return changed(row, f"{sessions(ROWS)[row]},{price}")


def null_rows(count: int) -> str:
    days = sessions(ROWS)
    return "".join(
        f"{days[row - 1]},\n" if 1 < row < count + 2 else line for row, line in enumerate(LINES)
    )


FAULTS: dict[str, tuple[Any, ...]] = {
    "2 empty": (b"", "no rows"),
    "4 short row": (changed(30, sessions(ROWS)[30]), "line 32"),
    "7 binary": (bytes(range(256)) * 40, "not a table of prices"),
    "7 HTML": ("<!DOCTYPE html>\n<html><body>Will be right back</body></html>\n", "a web page"),
    "11 future": (GOOD + "2999-01-04,100\n", f"line {ROWS + 2}", "2999-01-04"),
    "12 many nulls": (null_rows(10), "10"),
    "13 negative": (priced(ROWS - 3, "-3"), sessions(ROWS)[-3]),
}


@for_each(
    ("fault", "command"),
    [*((fault, "predict") for fault in FAULTS), *(("4 short row", each) for each in COMMANDS)],
)
def test_bad_file_is_refused_and_nothing_is_touched(home: Path, fault: str, command: str) -> None:
    content, *words = FAULTS[fault]
    path = home / "bad.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = hashes(home)
    outcome = in_process(*COMMANDS[command], "--csv", "bad.csv", folder=home)
    assert_one_error(outcome, 4, "bad.csv", *words)
    assert hashes(home) == before
