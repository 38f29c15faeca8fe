"""The README's `$ lstmcli ...` blocks: read, run in order, compare, and written anew.

`python -m tests.readme` replaces the shown outputs by real ones; `test_documentation.py` checks
that they still have the shape of real ones.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
_BLOCK = re.compile(r"```console\n\$ (lstmcli[^\n]*)\n(.*?)```", re.DOTALL)


def shown_outputs() -> Iterator[tuple[str, str]]:
    """Yield each shown command with the output shown for it."""
    for block in _BLOCK.finditer(README.read_text(encoding="utf-8")):
        yield block[1], block[2]


def run_shown(command: str, folder: Path) -> str:
    """Run a shown command in a folder and return what it prints on standard output."""
    program = str(Path(sys.executable).parent / "lstmcli")
    environment = {**os.environ, "COLUMNS": "100"}
    for name in ("LSTMCLI_DATA_DIR", "LSTMCLI_CONFIG", "LSTMCLI_MODEL", "LSTMCLI_THREADS"):
        environment.pop(name, None)
    done = subprocess.run(
        [program, *command.split()[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return "".join(line.rstrip() + "\n" for line in done.stdout.splitlines())


def main() -> None:
    """Write the README anew with the outputs of this machine."""
    with tempfile.TemporaryDirectory() as folder:

        def real(block: re.Match[str]) -> str:
            return f"```console\n$ {block[1]}\n{run_shown(block[1], Path(folder))}```"

        text = _BLOCK.sub(real, README.read_text(encoding="utf-8"))
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
