"""Text of others (servers, files, names) as a terminal may show it.

A control character could move the cursor, change colours or the title, or reorder what is read.
`PrintableStream` escapes all of them in whatever is written; libraries that draw on a terminal get
the stream below it from `raw_stream`, and text that went through `printable`.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

_DELETE = "\x7f"  # the one control character that JSON leaves as it is


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


def first_few(items: Iterable[object], most: int = 3, comma: str = ", ") -> str:
    """Join the first few items of a list and say how many more there are: "A, B, C and 4 more"."""
    texts = list(map(str, items))
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return comma.join(texts[:most]) + more


def json_text(value: Any, **options: Any) -> str:
    """Return JSON in printable ASCII; the options are those of `json.dumps`."""
    return json.dumps(value, **options).replace(_DELETE, "\\u007f")


def json_pieces(value: Any, **options: Any) -> Iterator[str]:
    """Yield what `json_text` returns in pieces, since that of many symbols is long."""
    for piece in json.JSONEncoder(**options).iterencode(value):
        yield piece.replace(_DELETE, "\\u007f")


class PrintableStream:
    """A text stream that escapes what is written, but for the ends of lines and tabs."""

    def __init__(self, stream: TextIO) -> None:
        self.raw = stream

    def write(self, text: str) -> int:
        """Write the text and return its length."""
        self.raw.write(printable(text, keep="\n\t"))
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write one text after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def __iter__(self) -> Any:
        return iter(self.raw)


def printable_stream(stream: TextIO) -> TextIO:
    """Return the stream so that it escapes what is written to it."""
    return cast(TextIO, PrintableStream(raw_stream(stream)))


def raw_stream(stream: TextIO) -> TextIO:
    """Return the stream below one that escapes, for output that was escaped before."""
    return stream.raw if isinstance(stream, PrintableStream) else stream
