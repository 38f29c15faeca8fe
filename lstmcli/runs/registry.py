"""List the versions of a model name, find and promote its champion, resolve model references.

One model, `base`, ships with the package; its name is reserved.
"""

import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from lstmcli.errors import ModelError, NoModelError, UsageError, file_errors
from lstmcli.files import atomic
from lstmcli.market.symbols import inside
from lstmcli.printable import first_few
from lstmcli.recipes import shipped_file
from lstmcli.records import read_file

_NAME = re.compile(r"[A-Za-z0-9^%_][A-Za-z0-9^%_.+=-]{0,63}")
_VERSION = re.compile(r"v\d{4,}")
CHAMPION = "champion"
BASE = "base"
_MAX_BYTES = 1024**2


@dataclass(frozen=True)
class ModelRef:
    """One model version: `name/version` and its folder."""

    name: str
    version: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.name}/{self.version}"

    @property
    def is_shipped(self) -> bool:
        """Whether it is the ready-made model."""
        return self.folder == ready_made().folder


def ready_made() -> ModelRef:
    """Return the model that ships with the package."""
    return ModelRef(BASE, "v0001", shipped_file(f"data/{BASE}/v0001"))


def check_name(name: str) -> str:
    """Return `name` if it can name a model, else raise UsageError."""
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise UsageError(
            "not a model name",
            where=name,
            why="expected up to 64 letters, digits and . _ - ^ % + =, a letter or digit first",
            next_step="Pass another --name.",
        )
    return name


def model_folder(data_dir: Path, name: str) -> Path:
    """Return the folder of a model name's versions; FileError if it links out of the data folder.

    Raises UsageError for the name of the shipped model.
    """
    if name == BASE:
        raise UsageError(
            "cannot change the ready-made model",
            where=name,
            why="this name is reserved for the shipped model",
            next_step="Choose another name.",
        )
    return inside(data_dir, data_dir / "models" / check_name(name))


def versions(data_dir: Path, name: str) -> list[str]:
    """Return the versions of a model name, oldest first."""
    folder = model_folder(data_dir, name)
    if not folder.is_dir():
        return []
    found = [path.name for path in folder.iterdir() if _VERSION.fullmatch(path.name)]
    return sorted(found, key=lambda version: int(version[1:]))


def version_of(data_dir: Path, name: str, version: str) -> ModelRef:
    """Return a version, which need not exist; FileError if it links out of the data folder."""
    return ModelRef(name, version, inside(data_dir, model_folder(data_dir, name) / version))


def all_names(data_dir: Path, *, linked: bool = False) -> list[str]:
    """Return the names that have a folder, with a champion or without, in alphabetical order.

    A folder with the name of the shipped model is skipped; its versions can be used by their path.
    linked : include folders that link out of the data folder, so that using them is an error.
    """
    folder, home = data_dir / "models", data_dir.resolve()
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    own = (path for path in found if path.name != BASE)
    return sorted(path.name for path in own if linked or path.resolve().is_relative_to(home))


def next_version(data_dir: Path, name: str) -> ModelRef:
    """Return the version after the newest one; the caller holds the name's lock.

    Also removes the partial files of interrupted runs.
    """
    folder = model_folder(data_dir, name)
    clear_strays(folder)
    newest = [0, *(int(version[1:]) for version in versions(data_dir, name))][-1]
    version = f"v{newest + 1:04d}"
    return ModelRef(name, version, folder / version)


def clear_strays(folder: Path) -> None:
    """Remove partial files of interrupted runs from a name's folder; the caller holds the lock."""
    for stray in folder.glob(f".*{atomic.TEMPORARY_SUFFIX}"):
        if stray.is_dir():
            shutil.rmtree(stray, ignore_errors=True)
        else:
            stray.unlink(missing_ok=True)


def champion(data_dir: Path, name: str) -> ModelRef | None:
    """Return the champion of a model name, or None if there is none yet."""
    folder = model_folder(data_dir, name)
    lines = _pointer(folder)
    if not lines:
        return None
    if not _VERSION.fullmatch(lines[0]) or not (folder / lines[0]).is_dir():
        raise ModelError(
            "the champion is missing",
            where=folder / CHAMPION,
            why=f"it points to {lines[0][:40]!r}",
            next_step=f"Pass --model {name}/VERSION, or train again.",
        )
    return version_of(data_dir, name, lines[0])


def _pointer(folder: Path) -> list[str]:
    """Return the versions in a name's champion file, the champion first."""
    return read_names(folder / CHAMPION)


def read_names(path: Path, next_step: str = "") -> list[str]:
    """Return the lines of a small file of names; empty if the file does not exist.

    Raises ModelError if it cannot be read.
    """
    try:
        return read_file(path, _MAX_BYTES).decode("ascii").strip().split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        why = str(error)
        raise ModelError("cannot read", where=path, why=why, next_step=next_step) from error


def doubtful_paths(model: ModelRef) -> list[Path]:
    """Return the folders and files that decide what a model is, for `warn_ownership`."""
    if model.is_shipped:
        return []  # anyone who can write there can change the program too
    # The data folder, the folder of all models and that of the model name.
    above = [*model.folder.parents][2::-1] if (model.folder.parent / CHAMPION).is_file() else []
    return [*above, model.folder, *sorted(model.folder.iterdir())]


def remove_version(model: ModelRef) -> None:
    """Remove a version; the caller holds the lock. Raises FileError if that fails.

    The folder is renamed first, so that a killed run leaves no partial version.
    """
    hidden = model.folder.with_name(f".{model.version}.{os.getpid()}{atomic.TEMPORARY_SUFFIX}")
    advice = "Check the folder and its permissions."
    with file_errors("cannot remove the version", model.folder, advice):
        os.rename(model.folder, hidden)
        atomic.sync_folder(model.folder.parent)
        shutil.rmtree(hidden)


def find_version(data_dir: Path, reference: str) -> ModelRef:
    """Resolve `NAME/VERSION`, a version in the data folder.

    Raises UsageError for anything else, NoModelError if the version does not exist.
    """
    name, _, version = reference.partition("/")
    if name == BASE:
        model_folder(data_dir, name)
    if not _VERSION.fullmatch(version):
        raise UsageError(
            "not a version",
            where=reference,
            next_step="Pass NAME/VERSION, as lstmcli models list shows them.",
        )
    if version not in versions(data_dir, name):
        raise unknown_model(data_dir, reference)
    return version_of(data_dir, name, version)


def find_model(data_dir: Path, reference: str) -> ModelRef:
    """Resolve `NAME` (its champion), `NAME/VERSION` or a folder.

    Raises NoModelError if the model does not exist.
    """
    if reference in (BASE, str(ready_made())):
        return ready_made()
    name, slash, version = reference.partition("/")
    if _NAME.fullmatch(name) and (not slash or _VERSION.fullmatch(version)):
        if slash and version in versions(data_dir, name):
            return version_of(data_dir, name, version)
        leader = None if slash else champion(data_dir, name)
        if leader is not None:
            return leader
    folder = Path(reference)
    if os.path.isfile(folder / "metadata.json"):
        return ModelRef(folder.absolute().parent.name, folder.absolute().name, folder)
    raise unknown_model(data_dir, reference)


def unknown_model(data_dir: Path, reference: str) -> NoModelError:
    """Return the error for an unknown model, with the nearest name or the known versions."""
    name, slash, _ = reference.partition("/")
    names = [*promoted_names(data_dir), BASE]
    near = get_close_matches(reference.lower(), {each.lower(): each for each in names}, n=1)
    known = versions(data_dir, name) if _NAME.fullmatch(name) and name != BASE else []
    if known:
        return NoModelError(
            "no such version" if slash else "no champion yet",
            where=reference,
            why=f"{name} has {first_few(known[::-1], 5)}",
            next_step=f"Name {name}/{known[-1]}, or see lstmcli models list {name}.",
        )
    meant = next((f"Did you mean {each}?" for each in names if each.lower() in near), "")
    own = f"{first_few(names[:-1], 5)} in {data_dir / 'models'}, and" if names[:-1] else "only"
    return NoModelError(
        "no such model",
        where=reference,
        why=f"found {own} {BASE}, which ships with lstmcli",
        next_step=meant or "Train one: lstmcli train SYMBOL.",
    )


def promoted_names(data_dir: Path) -> list[str]:
    """Return the names that have a champion, in alphabetical order."""
    names = all_names(data_dir, linked=True)
    return [name for name in names if (data_dir / "models" / name / CHAMPION).is_file()]


def champions(data_dir: Path, name: str) -> list[ModelRef]:
    """Return the champion and the earlier champions that still exist, latest first.

    Empty if there is no champion yet; raises ModelError if the champion is missing.
    """
    leader = champion(data_dir, name)
    return [] if leader is None else [leader, *_earlier(data_dir, name)]


def promote(data_dir: Path, model: ModelRef) -> None:
    """Make a version the champion of its name; the caller holds the name's lock."""
    there = set(versions(data_dir, model.name)) - {model.version}
    before: list[str] = []
    with suppress(ModelError):  # an unreadable pointer is replaced
        before = [each for each in _pointer(model_folder(data_dir, model.name)) if each in there]
    _point(data_dir, model.name, [model.version, *before])


def rollback(
    data_dir: Path, name: str, check: Callable[[ModelRef], object] = lambda target: None
) -> ModelRef:
    """Make the previous champion the champion again; the caller holds the lock.

    check : raises if a version cannot be champion. Raises ModelError if there is no earlier one.
    """
    earlier = _earlier(data_dir, name)
    if not earlier:
        raise ModelError(
            "no earlier champion",
            where=name,
            next_step=f"Promote another: lstmcli models promote {name}/VERSION.",
        )
    check(earlier[0])
    _point(data_dir, name, [each.version for each in earlier])
    return earlier[0]


def _earlier(data_dir: Path, name: str) -> list[ModelRef]:
    there, lines = versions(data_dir, name), _pointer(model_folder(data_dir, name))
    return [version_of(data_dir, name, version) for version in lines[1:] if version in there]


def _point(data_dir: Path, name: str, versions: Sequence[str]) -> None:
    atomic.write_text(model_folder(data_dir, name) / CHAMPION, "\n".join([*versions, ""]))


def warn_ownership(paths: Iterable[Path]) -> tuple[str, ...]:
    """Return one note for each path that another user may have written.

    Paths inside a folder that already has a note get none.
    """
    doubts = {path: doubt for path in paths if (doubt := ownership_doubt(path))}
    return tuple(
        f"{path} may not be yours: {doubt}"
        for path, doubt in doubts.items()
        if not doubts.keys() & set(path.parents)
    )


def ownership_doubt(path: Path) -> str:
    """Return why another user may have written `path`; empty if none may, or if unknown.

    Files of root are trusted: an administrator may have put them there.
    """
    if os.name == "nt":
        return ""
    try:
        found = path.stat()
    except OSError:
        return ""  # reading it reports the error
    if found.st_uid not in (0, os.geteuid()):
        return f"it belongs to another user (uid {found.st_uid})"
    return "every user may write to it" if found.st_mode & stat.S_IWOTH else ""
