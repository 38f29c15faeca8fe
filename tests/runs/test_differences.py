"""How two runs differ: the first few keys by name, and how many more there are."""

from lstmcli.runs.checkpoint import differences
from tests.rows import for_each


@for_each(
    ("kept", "asked", "told"),
    [
        ({"a": 1}, {"a": 1}, ""),
        ({"data": "ab", "a": 1}, {"data": "cd", "a": 2}, "other data; a 1, not 2"),
        ({"a": 1}, {"b": 2}, "b null, not 2; a 1, not null"),
        ({}, {"a": 1, "b": 1, "c": 1, "d": 1}, "c null, not 1 and 1 more"),
        ({}, dict.fromkeys("abcde", 1), "c null, not 1 and 2 more"),
        ({"a": "x" * 99}, {"a": 1}, "xxx..., not 1"),
    ],
)
def test_differences_are_told_in_few_words(
    kept: dict[str, object], asked: dict[str, object], told: str
) -> None:
    found = differences(kept, asked)
    assert found.endswith(told)
    assert bool(found) == bool(told)
    assert len(found) < 200
