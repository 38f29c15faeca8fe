"""A drawing as SVG that lives inside a page: no addresses, no fonts of its own, colours by name.

matplotlib writes a file that stands alone. Inside a page its prolog and style sheet would be wrong,
its ids could meet those of another drawing, and its colours would not follow a dark screen.
"""

import hashlib
import re
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING

from lstmcli.printable import printable
from lstmcli.report.picture import (
    BLUE,
    GREEN,
    GREY,
    GRID,
    INK,
    PURPLE,
    QUIET,
    TINTS,
    VERMILLION,
    render,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# As wide as a telephone, one unit a pixel, so that no text is ever smaller than it is meant.
WIDTH, HEIGHT = 340, 225
_POINTS = 72
_CHANGES = {
    "svg.fonttype": "none",
    "font.size": 11,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
}
VARIABLES = {
    INK: "--ink",
    QUIET: "--quiet",
    GREY: "--grey",
    GRID: "--grid",
    BLUE: "--blue",
    VERMILLION: "--vermillion",
    GREEN: "--green",
    PURPLE: "--purple",
    **{tint: f"--band-{100 * nominal:.0f}" for nominal, tint in TINTS.items()},
}


def inline_svg(draw: Callable[["Figure"], None], label: str, *, height: int = HEIGHT) -> str:
    """Return a drawing as an element of HTML, `label` being what is read aloud in its place."""
    made = render(draw, (WIDTH / _POINTS, height / _POINTS), "svg", _CHANGES)
    # The same drawing twice has the same ids twice, which then say the same.
    prefix = hashlib.sha256(made).hexdigest()[:8]
    svg = made.decode("utf-8")
    _, _, svg = svg[svg.index("<svg") :].partition(">")
    svg = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r'id="', f'id="{prefix}-', svg)
    svg = re.sub(r'xlink:href="#|url\(#', lambda m: f"{m[0].removeprefix('xlink:')}{prefix}-", svg)
    svg = re.sub(r" font-family: [^;]*;", "", svg)
    svg = re.sub(r' (?:d|x|y|transform)="[^"]*"', _rounded, svg)
    svg = re.sub("|".join(VARIABLES), lambda m: f"var({VARIABLES[m[0]]})", svg)
    return (
        f'<svg role="img" aria-label="{escape(printable(label))}" viewBox="0 0 {WIDTH} {height}">'
        f"{_tight(svg)}"
    )


def _rounded(attribute: re.Match[str]) -> str:
    """Keep two decimals of the coordinates, which nobody can tell apart."""
    return re.sub(r"(\.\d\d)\d+", r"\1", attribute[0])


def _tight(svg: str) -> str:
    """Drop turns by nothing, empty groups' indents and line ends inside paths."""
    return re.sub(r"\s*\n\s*", "\n", re.sub(r' transform="rotate\(-?0 [^)]*\)"', "", svg))
