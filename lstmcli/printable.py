"""Text from servers, files and names, made safe for a terminal.

A control character could move the cursor, change colours or the title, or reorder the text.
`PrintableStream` escapes all of them in its output. Libraries that draw on a terminal get the
underlying stream from `raw_stream`; their text must go through `printable` first.
"""

import json
import re
import textwrap
from collections.abc import Iterable
from typing import Any, SupportsInt, TextIO, cast

_NAMED, _TYPED = 3, 8  # most symbols to list in a note, and in a command

# Text that `wrapped` keeps on one line: a command up to the end of its sentence, a figure with its
# unit, p and its value.
_WHOLE = re.compile(r"lstmcli [a-z-](?:(?! \(|[.;:,)](?:\s|$)).)*|\d %|\bp [=<] \d")


def printable(text: str, *, keep: str = "") -> str:
    """Escape every unprintable character, as Python's repr does.

    These are control characters (including ESC and DEL), marks that change the direction of text,
    line separators, blanks other than a space, and unpaired surrogates. keep : characters to leave
    as they are.
    """
    kept = dict.fromkeys(map(ord, keep))
    if text.isprintable() or text.translate(kept).isprintable():  # the usual case, fast
        return text
    return "".join(
        each
        if each.isprintable() or each in keep
        else each.encode("unicode_escape").decode("ascii")
        for each in text
    )


def first_few(items: Iterable[object], n: int = 3, sep: str = ", ") -> str:
    """List the first n items: "a, b, c and 4 more"."""
    texts = list(map(str, items))
    more = f" and {len(texts) - n} more" if len(texts) > n else ""
    return sep.join(texts[:n]) + more


def count_of(number: int | SupportsInt, noun: str) -> str:
    """Return a number with its noun: "1 row", "2 rows"; a noun that ends in s stays: "2 series"."""
    return f"{int(number)} {noun}" + "s" * (int(number) != 1 and not noun.endswith("s"))


def at_line(where: str, line: object) -> str:
    """Return a place for a message: `FILE line 5`, or `DataFrame row 5`."""
    in_memory = where.rpartition(", ")[2] in ("DataFrame", "Series")
    return f"{where} {'row' if in_memory else 'line'} {line}"


class Note(str):
    """A note for the user. `grouped` merges notes that differ only in their symbols.

    symbol : the symbol it is about, which begins the text. details : text that `--verbose` adds.
    remedy : advice, with `{}` for the symbols.
    """

    symbol: str
    details: str
    remedy: str

    def __new__(cls, text: str, details: str = "", *, symbol: str = "", remedy: str = "") -> "Note":
        """Create the text with its attributes."""
        note = super().__new__(cls, text)
        note.symbol, note.details, note.remedy = symbol, details, remedy
        return note

    @classmethod
    def of(cls, symbol: str, note: str) -> "Note":
        """Return a note with its symbol in front, also in its details."""
        details, remedy = getattr(note, "details", ""), getattr(note, "remedy", "")
        details = details and f"{symbol}: {details}"
        return cls(f"{symbol}: {note}", details, symbol=symbol, remedy=remedy)


def grouped(notes: Iterable[str]) -> list[str]:
    """Return each note once, with the symbols that it is about and its remedy."""
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
    # DEL is the only control character that json.dumps does not escape.
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
        """Write the texts in order."""
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
    """Return the stream below a `PrintableStream`, for output that is already escaped."""
    return stream.raw if isinstance(stream, PrintableStream) else stream


def wrapped(text: str, width: int, *, first: str = "", rest: str = "") -> str:
    """Wrap a text; keep a command on one line, so that it can be copied, and a figure too.

    first, rest : indent of the first line and of the others.
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
