"""The pointer of a model name: its champion, and the way back to the ones before.

The file `champion` names the champion in its first line and those before it in the next ones,
latest first. It is one file, so that the champion and the way back change in one step.
"""

from collections.abc import Callable
from pathlib import Path

from lstmcli import atomic
from lstmcli.errors import ModelError
from lstmcli.runs.registry import (
    CHAMPION,
    ModelRef,
    champion,
    model_folder,
    pointer_lines,
    version_of,
    versions,
)


def champions(data_dir: Path, name: str) -> list[ModelRef]:
    """Return the champion and those before it that are still there, latest first.

    Empty before the first; raises ModelError where the champion cannot be told.
    """
    leader = champion(data_dir, name)
    return [] if leader is None else [leader, *_earlier(data_dir, name)]


def promote(data_dir: Path, model: ModelRef) -> None:
    """Make a version the champion of its name; the caller holds the name's lock."""
    folder = model_folder(data_dir, model.name)
    there = set(versions(data_dir, model.name)) - {model.version}
    before = [version for version in _lines(folder) if version in there]
    _point(folder, [model.version, *before])


def rollback(
    data_dir: Path, name: str, check: Callable[[ModelRef], object] = lambda target: None
) -> ModelRef:
    """Make the last champion before the present one champion again; the caller holds the lock.

    check : raises where a version cannot be champion. Raises ModelError where there is none.
    """
    earlier = _earlier(data_dir, name)
    if not earlier:
        raise ModelError(
            "no earlier champion",
            where=name,
            next_step=f"Promote another: lstmcli models promote {name}/VERSION.",
        )
    check(earlier[0])
    _point(model_folder(data_dir, name), [each.version for each in earlier])
    return earlier[0]


def _earlier(data_dir: Path, name: str) -> list[ModelRef]:
    there = versions(data_dir, name)
    lines = _lines(model_folder(data_dir, name))
    return [version_of(data_dir, name, version) for version in lines[1:] if version in there]


def _lines(folder: Path) -> list[str]:
    """Return the pointer's lines; none where nobody can read it, so that it is replaced."""
    try:
        return pointer_lines(folder)
    except (OSError, UnicodeDecodeError):
        return []


def _point(folder: Path, versions: list[str]) -> None:
    atomic.write_text(folder / CHAMPION, "".join(f"{version}\n" for version in versions))
