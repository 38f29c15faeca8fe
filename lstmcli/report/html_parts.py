"""The pieces of a page: every text that comes from outside is escaped here and nowhere else."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from rich.console import RenderableType
from rich.table import Table

from lstmcli.printable import printable
from lstmcli.report.inline_svg import VARIABLES


@dataclass(frozen=True)
class Key:
    """One entry of a legend. shape : line, thin, dashes, dots, area, dot or ring."""

    shape: str
    colour: str
    text: str


def page(title: str, style: str, body: str) -> str:
    """Return a whole document, which may load nothing and run nothing."""
    return f"""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>{escaped(title)}</title>
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def escaped(words: str) -> str:
    """Return text for a page: nothing in it is markup, or turns the words around."""
    return escape(printable(words, keep="\n"))


def text(words: str, kind: str = "") -> str:
    """Return a paragraph; `kind` is its class."""
    return f"<p{_class(kind)}>{_dated(words)}</p>"


def section(title: str, *parts: str) -> str:
    """Return a titled part of the page; nothing where it would be empty."""
    found = [part for part in parts if part]
    return (
        "\n".join([f"<section>\n<h2>{escaped(title)}</h2>", *found, "</section>"]) if found else ""
    )


def title(words: str) -> str:
    """Return the one title of the page."""
    return f"<h1>{escaped(words)}</h1>"


def heading(title: str) -> str:
    """Return a small title inside a section."""
    return f"<h3>{escaped(title)}</h3>"


def grid(parts: Iterable[str]) -> str:
    """Set figures side by side where there is room; nothing where there is none of them."""
    found = [part for part in parts if part]
    return "\n".join(['<div class="grid">', *found, "</div>"]) if found else ""


def figure(title: str, explanation: str, drawing: str) -> str:
    """Return a drawing (HTML) below what it shows and how it is to be read."""
    return (
        f"<figure>\n<figcaption><strong>{_unbroken(title)}</strong>"
        f"<span>{_unbroken(explanation)}</span></figcaption>\n{drawing}\n</figure>"
    )


def legend(keys: Sequence[Key]) -> str:
    """Return what the shapes and colours of the drawings below mean."""
    return "\n".join(['<ul class="key">', *map(_key, keys), "</ul>"])


def table(found: Table) -> str:
    """Return a table of the terminal in a box that scrolls by itself where it is too wide."""
    kinds = [_class("right" if column.justify == "right" else "") for column in found.columns]
    head = "".join(
        f"<th{kind}>{escaped(str(column.header))}</th>"
        for kind, column in zip(kinds, found.columns, strict=True)
    )
    rows = zip(*(column.cells for column in found.columns), strict=True)
    body = "\n".join(
        "<tr>"
        + "".join(
            f"<td{kind}>{escaped(str(cell))}</td>" for kind, cell in zip(kinds, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    head = f"<thead><tr>{head}</tr></thead>\n" if found.show_header else ""
    title = str(found.title)
    return (
        f'<h3>{escaped(title)}</h3>\n<div class="scroll" tabindex="0">\n'
        f'<table aria-label="{escaped(title)}">\n{head}<tbody>\n{body}\n</tbody>\n</table>\n</div>'
    )


def renderable(found: RenderableType) -> str:
    """Return what a terminal is shown: a table, or a sentence."""
    return table(found) if isinstance(found, Table) else text(str(found))


def tiles(
    rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]], total: int
) -> str:
    """Return counts as tiles that are the darker the more there are; hits on the diagonal."""
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in columns)
    body = "\n".join(
        f'<tr><th scope="row">{escaped(name)}</th>'
        + "".join(_tile(count, total, hit=place == number) for number, count in enumerate(line))
        + "</tr>"
        for place, (name, line) in enumerate(zip(rows, counts, strict=True))
    )
    return (
        f'<table class="tiles">\n<thead><tr><th></th>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody>\n</table>"
    )


def definitions(entries: Sequence[tuple[str, str, str]]) -> str:
    """Return names with what they mean; each entry's last part is its class."""
    lines = [
        f"<div><dt>{escaped(name)}</dt><dd{_class(kind)}>{escaped(value)}</dd></div>"
        for name, value, kind in entries
    ]
    return "\n".join(["<dl>", *lines, "</dl>"])


def code(words: str) -> str:
    """Return text as it stands."""
    return f"<pre>{escaped(words)}</pre>"


def _unbroken(words: str) -> str:
    """Escape, and keep a date, and a number and its sign of percent, on one line."""
    return _dated(words).replace(" %", "&nbsp;%").replace(" ± ", "&nbsp;±&nbsp;")


def _dated(words: str) -> str:
    """Escape, and keep a date on one line."""
    return re.sub(r"\b\d{4}-\d\d-\d\d\b", r"<time>\g<0></time>", escaped(words))


def _key(key: Key) -> str:
    colour = f"var({VARIABLES[key.colour]})"
    fill = f";background:{colour}" if key.shape in ("area", "dot") else ""
    return f'<li><i class="{key.shape}" style="color:{colour}{fill}"></i>{escaped(key.text)}</li>'


def _tile(count: int, total: int, *, hit: bool) -> str:
    share = count / total if total else 0.0
    return (
        f'<td{_class("hit" if hit else "")} style="--share:{0.75 * share:.3f}">'
        f"<b>{count}</b><span>{100 * share:.0f} %</span></td>"
    )


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
