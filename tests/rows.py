"""Many rows of one fact in one test, which lists every row that fails."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

Test = Callable[..., None]
_NO_ROWS: list[tuple[str, dict[str, Any]]] = [("", {})]


def for_each(
    names: str | Sequence[str],
    rows: Iterable[Any],
    ids: Callable[[Any], object] | Iterable[object] | None = None,
) -> Callable[[Test], Test]:
    """Call a test once for each row, as `pytest.mark.parametrize` does, but as one case.

    A row that fails is reported as a subtest and the next ones still run. Fixtures are made once
    for all rows, so a test that changes what a fixture made needs `parametrize`. Decorators stack:
    the rows are then all combinations.
    """
    arguments = [name.strip() for name in names.split(",")] if isinstance(names, str) else names
    listed = [_as_set(row, arguments) for row in rows]
    assert listed, "no row, so nothing would be tested"
    assert not any(row.marks for row in listed), "a row with a mark needs parametrize"
    labels = None if ids is None or callable(ids) else list(ids)

    def decorate(test: Test) -> Test:
        call = getattr(test, "call", test)
        known = getattr(test, "rows", _NO_ROWS)
        combined = []
        for index, row in enumerate(listed):
            made = labels[index] if labels else "-".join(_label(value, ids) for value in row.values)
            taken = dict(zip(arguments, row.values, strict=True))
            combined += [
                (f"{row.id or made} {label}".strip(), taken | others) for label, others in known
            ]

        @functools.wraps(call)
        def run(subtests: pytest.Subtests, **fixtures: Any) -> None:
            for label, values in combined:
                with subtests.test(label):
                    call(**fixtures, **values)

        taken_names = {name for _, values in combined for name in values}
        parameters = inspect.signature(call).parameters.values()
        left = [parameter for parameter in parameters if parameter.name not in taken_names]
        wanted = inspect.Parameter("subtests", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        run.__dict__.update(
            call=call, rows=combined, __signature__=inspect.Signature([wanted, *left])
        )
        return run

    return decorate


def _as_set(row: Any, arguments: Sequence[str]) -> Any:
    if isinstance(row, type(pytest.param())):
        return row
    return pytest.param(row) if len(arguments) == 1 else pytest.param(*row)


def _label(value: Any, ids: Any) -> str:
    """Name a value: by `ids` where it does, else by its own name or its first 60 characters."""
    named = ids(value) if callable(ids) else None
    return str(named) if named is not None else getattr(value, "__name__", repr(value))[:60]
