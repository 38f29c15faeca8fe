"""Lists and states of models and prices: no row is broken, at any width of the terminal."""

import re
from pathlib import Path

from tests.cli.test_streams import on_terminal
from tests.command_line import csv_text, succeed, walk
from tests.forked_runs import ForkServer
from tests.rows import for_each

COMMANDS = (
    ("status",),
    ("models", "list"),
    ("models", "show", "tiny"),
    ("data", "list"),
    ("data", "show", "A-SYMBOL-OF-25-CHARACTERS"),
    ("data", "check"),
    ("data", "import", "A-SYMBOL-OF-25-CHARACTERS=gaps.csv"),
)


@for_each("width", [80, 120], ids=str)
def test_no_line_is_longer_than_the_terminal(home: Path, forks: ForkServer, width: int) -> None:
    lines = csv_text(walk(400)).splitlines(keepends=True)
    (home / "gaps.csv").write_text("".join(lines[:100] + lines[110:]))
    name = "A-SYMBOL-OF-25-CHARACTERS=gaps.csv"
    succeed("data", "import", name, folder=home)
    for command in COMMANDS:
        _, text = on_terminal(forks, *command, folder=home, env={"COLUMNS": str(width)})
        lines = re.sub("\x1b[^m]*m", "", text).splitlines()
        shown = [line for line in lines if not line.startswith("lstmcli: ")]
        assert max(map(len, shown)) <= width, command
        assert [line for line in shown if line != line.rstrip()] == [], command
