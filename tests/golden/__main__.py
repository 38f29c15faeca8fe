"""Renew the golden files, or print the weights of the shipped recipes; see README.md."""

import argparse
import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.command_line import succeed
from tests.golden.commands import SCENARIOS
from tests.golden.digest import differences, dump
from tests.golden.scenario import RESULTS, frozen, run_scenario
from tests.golden.world import ROOT

_SHOWN = 5
_EPOCHS = {"default": 2, "lab": 1, "lab-corrected": 2, "wine": 20}


def renew(name: str) -> int:
    """Run a scenario, print and write what has changed of it; return how many results have.

    A result that differs by rounding alone stays as it stands.
    """
    before = frozen(name)
    with tempfile.TemporaryDirectory() as folder:
        after = run_scenario(name, Path(folder))
    changes = _changes(before, after)
    for command, what in changes.items():
        print(f"{name}: {command}: {'; '.join(what[:_SHOWN])}")
        if len(what) > _SHOWN:
            print(f"    and {len(what) - _SHOWN} more")
    kept = {command: after[command] if command in changes else before[command] for command in after}
    if changes or list(before) != list(after):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.json").write_text(dump(kept) + "\n", encoding="utf-8")
    return len(changes)


def print_weights() -> None:
    """Train each shipped recipe for a few epochs and print the SHA-256 of its weights."""
    for recipe, epochs in _EPOCHS.items():
        with tempfile.TemporaryDirectory() as folder:
            options = ("--set", f"train.epochs={epochs}", "--device", "cpu", "--threads", 1)
            succeed("train", "--config", recipe, *options, folder=Path(folder))
            (weights,) = Path(folder).rglob("model.safetensors")
            found = hashlib.sha256(weights.read_bytes()).hexdigest()
        print(f"{found}  {recipe}, epochs {epochs}", flush=True)


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what differs, by command."""
    changes = {command: ["gone"] for command in before if command not in after}
    for command, result in after.items():
        found = list(differences(before[command], result)) if command in before else ["new"]
        if found:
            changes[command] = found
    return changes


def main() -> None:
    """Run the options."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden")
    parser.add_argument("scenario", nargs="*", help=", ".join(SCENARIOS))
    parser.add_argument("--weights", action="store_true", help="print the weights of the recipes")
    options = parser.parse_args()
    if options.weights:
        print_weights()
        return
    changed = sum(renew(name) for name in options.scenario or SCENARIOS)
    print(f"{changed} results changed in {RESULTS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
