"""The commands and `$ lstmcli ...` blocks of the documents: read, run in order, written again.

`python -m tests.readme` replaces the shown outputs by real ones; `test_documentation.py` checks
that they still have the shape of real ones. All documents are run in one folder, README first,
with a local server in Yahoo's place that knows the closes of data/us20.csv.gz.
"""

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from tests.command_line import succeed
from tests.yahoo_stand_in import bars_of, stand_in

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
_FOLDERS = ("configs", "data", "lstmcli", "tests", ".github")
_BLOCK = re.compile(r"```console\n\$ (lstmcli[^\n]*)\n(.*?)```", re.DOTALL)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# At the start of a line, behind a prompt, the fields of a crontab or the path of the program.
_COMMAND = re.compile(r"(?:\$ |[\d*,\s-]+)?(?:\S*/)?lstmcli (.+)")


def documents() -> list[Path]:
    """Return every document that describes the present, README first; build output has copies."""
    below = (path for folder in _FOLDERS for path in sorted((ROOT / folder).rglob("*.md")))
    return [README, *(path for path in below if "shipped" not in path.parts)]


def without_blocks(document: Path) -> str:
    """Return the text of a document without its blocks of code."""
    return _FENCED.sub("", document.read_text(encoding="utf-8"))


def shown_outputs(document: Path) -> Iterator[tuple[str, str]]:
    """Yield each shown command of a document with the output shown for it."""
    for block in _BLOCK.finditer(document.read_text(encoding="utf-8")):
        yield block[1], block[2]


def shown_commands(document: Path) -> list[str]:
    """Return what follows `lstmcli` in each command of a block or between backquotes, once each."""
    text = document.read_text(encoding="utf-8")
    found = []
    for language, block in _FENCED.findall(text):
        if language in ("sh", "console", "crontab"):
            lines = block.replace("\\\n", " ").splitlines()
            parts = [part.strip() for line in lines for part in re.split(r"&&|\|\|?|>", line)]
            found += [command[1] for part in parts if (command := _COMMAND.match(part))]
    found += re.findall(r"`lstmcli\s([^`]+)`", without_blocks(document))
    return list(dict.fromkeys(" ".join(command.split()) for command in found))


@contextmanager
def feed() -> Iterator[None]:
    """Answer this process's requests to Yahoo with the closes that ship, as bars."""
    table = pd.read_csv(ROOT / "data" / "us20.csv.gz", index_col="Date", parse_dates=True)
    with stand_in() as script:
        script.serve("AAPL", bars_of(table["AAPL"]))
        yield


def run_shown(command: str, folder: Path) -> str:
    """Run a shown command in a folder and return what it prints on standard output."""
    env = {"COLUMNS": "100", "LSTMCLI_CONFIG": "default"}
    done = succeed(*command.split()[1:], folder=folder, env=env)
    return "".join(line.rstrip() + "\n" for line in done.out.splitlines())


def main() -> None:
    """Write the documents again with the outputs of this machine."""
    with tempfile.TemporaryDirectory() as folder, feed():

        def real(block: re.Match[str]) -> str:
            return f"```console\n$ {block[1]}\n{run_shown(block[1], Path(folder))}```"

        for document in documents():
            text = document.read_text(encoding="utf-8")
            if (written := _BLOCK.sub(real, text)) != text:
                document.write_text(written, encoding="utf-8")


if __name__ == "__main__":
    main()
