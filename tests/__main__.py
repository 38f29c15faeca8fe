"""All checks in one command, `python -m tests`: format, lint, types, tests.

Further arguments go to pytest: `python -m tests -m slow`.
"""

import os
import subprocess
import sys
from pathlib import Path

# Neighbours stay together, so that what a file sets up is set up once.
_WORKERS = ["-n", "2", "--dist", "worksteal"]
_CHECKS = (["ruff", "format", "--check"], ["ruff", "check"], ["mypy"])


def main() -> int:
    """Run the checks one after the other and stop at the first that fails.

    Bytecode is kept, which many processes would else compile anew.
    """
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    for check in [*_CHECKS, ["pytest", *_WORKERS, *sys.argv[1:]]]:
        done = subprocess.run(
            [sys.executable, "-m", *check],
            cwd=Path(__file__).parent.parent,
            env=environment,
            check=False,
        )
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
