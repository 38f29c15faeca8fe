"""Who else may have written a file or folder: what to warn of before what it says is trusted."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path


def tell_doubts(paths: Iterable[Path]) -> tuple[str, ...]:
    """Return one note for each path that another user may have written.

    What lies in a folder of which that is said is not named again.
    """
    doubts = {path: doubt for path in paths if (doubt := ownership_doubt(path))}
    return tuple(
        f"{path} may not be yours: {doubt}"
        for path, doubt in doubts.items()
        if not doubts.keys() & set(path.parents)
    )


def ownership_doubt(path: Path) -> str:
    """Why another user may have written `path`; empty where none may, or where nobody can tell.

    What belongs to root is trusted: an administrator may have put it there.
    """
    if os.name == "nt":
        return ""
    try:
        found = path.stat()
    except OSError:
        return ""  # whoever reads it says why it cannot be read
    if found.st_uid not in (0, os.geteuid()):
        return f"it belongs to another user (uid {found.st_uid})"
    return "every user may write to it" if found.st_mode & stat.S_IWOTH else ""
