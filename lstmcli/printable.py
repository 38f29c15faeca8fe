"""Text from servers, files and names, made safe for a terminal.

A control character could move the cursor, change colours or the title, or reorder what is read.
`PrintableStream` escapes all of them in its output; libraries that draw on a terminal get the
stream below it from `raw_stream`, and text that went through `printable`.
"""

import json
import re
import textwrap
from collections.abc import Iterable
from typing import Any, SupportsInt, TextIO, cast

_NAMED, _TYPED = 3, 8  # symbols of a note by name, and in a command

# A command up to the end of its sentence; a figure with its unit; p and its value.
_WHOLE = re.compile(r"lstmcli [a-z-](?:(?! \(|[.;:,)](?:\s|$)).)*|\d %|\bp [=<] \d")


def printable(text: str, *, keep: str = "") -> str:
    """Escape every character that has no glyph of its own, as Python's repr does.

    These are the control characters (ESC and DEL among them), marks that change the direction of
    text, line separators, blanks other than a space, and halves of surrogate pairs. keep : the
    characters that stay.
    """
    kept = dict.fromkeys(map(ord, keep))
    if text.isprintable() or text.translate(kept).isprintable():  # as nearly all
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
    """Return a number with its noun: "1 row", "2 rows"; a noun in s stays: "2 series"."""
    return f"{int(number)} {noun}" + "s" * (int(number) != 1 and not noun.endswith("s"))


def at_line(where: str, line: object) -> str:
    """Name a place: `FILE line 5`, but `DataFrame row 5`, which has no lines."""
    in_memory = where.rpartition(", ")[2] in ("DataFrame", "Series")
    return f"{where} {'row' if in_memory else 'line'} {line}"


class Note(str):
    """A note. Notes that differ by their symbols alone are shown once, by `grouped`.

    symbol : that it is about, and begins with. details : for `--verbose`, after it. remedy : what
    to do, `{}` in it standing for the symbols.
    """

    symbol: str
    details: str
    remedy: str

    def __new__(cls, text: str, details: str = "", *, symbol: str = "", remedy: str = "") -> "Note":
        """Return the text, with what belongs to it."""
        note = super().__new__(cls, text)
        note.symbol, note.details, note.remedy = symbol, details, remedy
        return note

    @classmethod
    def of(cls, symbol: str, note: str) -> "Note":
        """Return a note with its symbol in front, details and all."""
        details, remedy = getattr(note, "details", ""), getattr(note, "remedy", "")
        details = details and f"{symbol}: {details}"
        return cls(f"{symbol}: {note}", details, symbol=symbol, remedy=remedy)


def grouped(notes: Iterable[str]) -> list[str]:
    """Return each note once, with the symbols that it is about and what to do."""
    about: dict[tuple[str, str], list[str]] = {}
    for note in notes:
        symbol = getattr(note, "symbol", "")
        key = note.removeprefix(f"{symbol}: ") if symbol else str(note)
        symbols = about.setdefault((key, getattr(note, "remedy", "")), [])
        symbols += [symbol] if symbol else []
    shown = []
    for (text, remedy), symbols in about.items():
        few = ", ".join(symbols[:_NAMED])
        if len(symbols) > _NAMED:
            few = f"{len(symbols)} symbols ({few}, ...)"
        words = f"{few}: {text}" if symbols else text
        again = " ".join(symbols) if len(symbols) <= _TYPED else f"{' '.join(symbols[:_NAMED])} ..."
        shown.append(f"{words}. {remedy.format(again)}" if remedy else words)
    return shown


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


def wrapped(text: str, width: int, *, first: str = "", rest: str = "") -> str:
    """Break a text into lines, but no command, so that it can be copied, and no figure.

    first, rest : what the lines begin with.
    """
    whole = _WHOLE.sub(lambda found: found[0].replace(" ", "\0"), text)
    lines = textwrap.wrap(
        whole,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace("\0", " ")
