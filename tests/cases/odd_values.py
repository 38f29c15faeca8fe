"""Values that nobody expects in a record, and what a run must do that meets one."""

import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.command_line import Outcome

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**30, -(10**18), 10**400, 0, -1])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "1d", "2026-01-05", "2026-W01-1", "9999-12-31", "\x1b[31m", "v0001"])
    | st.text(max_size=8)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def places(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value in a tree, but the tree itself."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, each in inner:
        yield (*path, key)
        if isinstance(each, dict | list):
            yield from places(each, (*path, key))


@st.composite
def changed(draw: Any, tree: Any) -> Any:
    """Draw the tree with one value replaced, removed, or with one more next to it."""
    tree = json.loads(json.dumps(tree))
    *path, last = draw(st.sampled_from(list(places(tree))))
    at = tree
    for key in path:
        at = at[key]
    kind = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
    if kind == "replace":
        at[last] = draw(values)
    elif kind == "remove":
        del at[last]
    elif isinstance(at, dict):
        at[draw(st.text(max_size=4))] = draw(values)
    else:
        at.append(draw(values))
    return tree


def said(outcome: Outcome, *codes: int) -> Outcome:
    """Check the exit code, and that a failure is one printable line, or one a symbol (3)."""
    assert outcome.code in codes, outcome
    assert (outcome.out + outcome.err).replace("\n", "").isprintable()
    errors = re.findall(r"^lstmcli: (?:error|failed): ", outcome.err, re.MULTILINE)
    assert len(errors) == (outcome.code != 0) or (outcome.code == 3 and errors), outcome.err
    assert "Traceback" not in outcome.err
    return outcome
