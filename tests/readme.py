"""The README's `$ lstmcli ...` blocks: read, run in order, compare, and written anew.

`python -m tests.readme` replaces the shown outputs by real ones; `test_documentation.py` checks
that they still have the shape of real ones.
"""

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.command_line import in_process

README = Path(__file__).parent.parent / "README.md"
_BLOCK = re.compile(r"```console\n\$ (lstmcli[^\n]*)\n(.*?)```", re.DOTALL)
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# At the start of a line, behind a prompt, the fields of a crontab or the path of the program.
_COMMAND = re.compile(r"(?:\$ |[\d*,\s-]+)?(?:\S*/)?lstmcli (.+)")


def shown_outputs() -> Iterator[tuple[str, str]]:
    """Yield each shown command with the output shown for it."""
    for block in _BLOCK.finditer(README.read_text(encoding="utf-8")):
        yield block[1], block[2]


def shown_commands() -> list[str]:
    """Return what follows `lstmcli` in each command of a block or between backquotes, once each."""
    text = README.read_text(encoding="utf-8")
    found = []
    for language, block in _FENCED.findall(text):
        if language in ("sh", "console", "crontab"):
            lines = block.replace("\\\n", " ").splitlines()
            parts = [part.strip() for line in lines for part in re.split(r"&&|\|\|?|>", line)]
            found += [command[1] for part in parts if (command := _COMMAND.match(part))]
    found += re.findall(r"`lstmcli ([^`]+)`", _FENCED.sub("", text))
    return list(dict.fromkeys(" ".join(command.split()) for command in found))


def run_shown(command: str, folder: Path) -> str:
    """Run a shown command in a folder and return what it prints on standard output."""
    done = in_process(*command.split()[1:], folder=folder, env={"COLUMNS": "100"})
    assert done.code == 0, done.err
    return "".join(line.rstrip() + "\n" for line in done.out.splitlines())


def main() -> None:
    """Write the README anew with the outputs of this machine."""
    with tempfile.TemporaryDirectory() as folder:

        def real(block: re.Match[str]) -> str:
            return f"```console\n$ {block[1]}\n{run_shown(block[1], Path(folder))}```"

        text = _BLOCK.sub(real, README.read_text(encoding="utf-8"))
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
