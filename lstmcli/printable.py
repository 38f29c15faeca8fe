"""Text from servers, files and names, made safe for a terminal.

A control character could move the cursor, change colours or the title, or reorder what is read.
`PrintableStream` escapes all of them in its output; libraries that draw on a terminal get the
stream below it from `raw_stream`, and text that went through `printable`.
"""

import json
from collections.abc import Iterable
from typing import Any, SupportsInt, TextIO, cast


def printable(text: str, *, keep: str = "") -> str:
    """Escape every character that has no glyph of its own, as Python's repr does.

    These are the control characters (ESC and DEL among them), marks that change the direction of
    text, line separators, blanks other than a space, and halves of surrogate pairs. keep : the
    characters that stay.
    """
    if text.isprintable():
        return text
    return "".join(
        each
        if each.isprintable() or each in keep
        else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def first_few(items: Iterable[object], n: int = 3, sep: str = ", ") -> str:
    """Return the first n items as a list in words: "a, b, c and 4 more"."""
    texts = list(map(str, items))
    more = f" and {len(texts) - n} more" if len(texts) > n else ""
    return sep.join(texts[:n]) + more


def count_of(number: int | SupportsInt, noun: str) -> str:
    """Return a number with its noun: "1 row", "2 rows"."""
    return f"{int(number)} {noun}" + "s" * (int(number) != 1)


def json_text(value: Any, **options: Any) -> str:
    """Return JSON in printable ASCII; the options are those of `json.dumps`."""
    # The one control character that JSON leaves as it is.
    return json.dumps(value, **options).replace("\x7f", "\\u007f")


class PrintableStream:
    """A text stream that escapes its output, except line ends and tabs."""

    def __init__(self, stream: TextIO) -> None:
        self.raw = stream

    def write(self, text: str) -> int:
        """Write the text and return its length."""
        self.raw.write(printable(text, keep="\n\t"))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def __iter__(self) -> Any:
        return iter(self.raw)


def printable_stream(stream: TextIO) -> TextIO:
    """Wrap a stream so that it escapes its output."""
    return cast(TextIO, PrintableStream(raw_stream(stream)))


def raw_stream(stream: TextIO) -> TextIO:
    """Return the stream below one that escapes, for output that was escaped before."""
    return stream.raw if isinstance(stream, PrintableStream) else stream
