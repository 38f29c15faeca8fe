"""Words that plain English does without: none may become more frequent.

`ALLOWED` holds how often each still occurs in sources, help, recipes, templates and documents.
Lower a number when you remove a use, and delete the line at zero; never raise one.
"""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
AVOIDED = (
    *("all told", "anew", "begun", "beside", "broken off", "for good", "for want of", "lest"),
    *("likewise", "nobody", "of one's own", "stands there", "taken up", "told", "whoever"),
)
ALLOWED = {"anew": 1, "begun": 2, "of one's own": 1, "told": 1}
PATTERNS = (
    "lstmcli/**/*.py",
    "lstmcli/**/*.html",
    "configs/**/*.toml",
    "*.md",
    ".github/*.md",
    "configs/**/*.md",
    "data/*.md",
    "lstmcli/**/*.md",
    "tests/*/*.md",
)


def texts() -> Iterator[Path]:
    """Yield every source, recipe, template and document; those in build output are copies."""
    for pattern in PATTERNS:
        yield from (path for path in ROOT.glob(pattern) if "shipped" not in path.parts)


def uses(text: str, phrase: str) -> list[int]:
    """Return the lines, from 1, where a phrase begins, across line breaks and in names too."""
    words = r"[\s#]+".join(map(re.escape, phrase.split()))
    found = re.finditer(rf"(?<![a-z]){words}(?![a-z])", text, re.IGNORECASE)
    return [text.count("\n", 0, match.start()) + 1 for match in found]


def test_no_avoided_word_becomes_more_frequent() -> None:
    places: dict[str, list[str]] = {word: [] for word in AVOIDED}
    for path in texts():
        text = path.read_text(encoding="utf-8")
        for word in AVOIDED:
            name = path.relative_to(ROOT).as_posix()
            places[word] += [f"{name}:{line}" for line in uses(text, word)]
    offenders = [
        f"{word!r}: {len(where)} uses, {ALLOWED.get(word, 0)} allowed: {', '.join(where)}"
        for word, where in places.items()
        if len(where) > ALLOWED.get(word, 0)
    ]
    assert not offenders, "say it in other words:\n" + "\n".join(offenders)


def test_a_word_is_found_in_names_and_across_lines_but_not_within_words() -> None:
    assert uses("what it told\nwas told_twice, untold", "told") == [1, 2]
    assert uses("a run taken\n# up again", "taken up") == [1]
    assert uses("besides", "beside") == []
