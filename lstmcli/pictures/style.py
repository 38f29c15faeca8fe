"""How pictures look: colours, the style of matplotlib, and the words behind marks of a page.

No date and no version go into a file: the same drawing always makes the same bytes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lstmcli.pictures.fans import Floats
from lstmcli.printable import json_text, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito (2008), distinct for every kind of colour vision. The bands are tints of the blue.
INK, BLUE, VERMILLION, GREEN = "#1a1a1a", "#0072b2", "#d55e00", "#009e73"
PURPLE, ORANGE, GREY, QUIET, GRID = "#cc79a7", "#e69f00", "#8c8c8c", "#555555", "#ececec"
TINTS = {0.5: "#7fb8d9", 0.8: "#b2d4e8", 0.95: "#deecf5"}
LINE_COLOURS = {
    **{"blue": BLUE, "vermillion": VERMILLION, "green": GREEN},
    **{"purple": PURPLE, "orange": ORANGE, "grey": GREY},
}
# Of a window whose direction was called right or wrong, or that had none: line, range, mark, word.
OUTCOMES: dict[bool | None, tuple[str, str, str, str]] = {
    True: (GREEN, "#b5dfd2", "o", "direction right"),
    False: (VERMILLION, "#f3cfb8", "X", "direction wrong"),
    None: (GREY, "#dadada", "s", "unchanged"),
}
# By the names that the page's style sheet gives them.
COLOURS = {
    **{"ink": INK, "quiet": QUIET, "grid": GRID},
    **LINE_COLOURS,
    **{f"band-{100 * nominal:.0f}": tint for nominal, tint in TINTS.items()},
    **{f"range-{key}": OUTCOMES[hit][1] for key, hit in (("hit", True), ("miss", False))},
    "range-none": OUTCOMES[None][1],
}
STYLE = {
    "svg.hashsalt": "lstmcli",
    "font.size": 10,
    "axes.axisbelow": True,
    "axes.grid": True,
    "date.converter": "concise",
    "axes.edgecolor": GREY,
    "grid.color": GRID,
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), INK),
}
# No date, no version and no address in the file.
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None, "Format": None, "Type": None},
}


def show_values(axes: "Axes", edges: Floats, texts: Sequence[str]) -> None:
    """Lay zones over axes that each show a text where the pointer is; text i is left of edge i+1.

    Only `pictures.page` reads them, from the ids of what is drawn.
    """
    zones = axes.broken_barh(
        list(zip(edges[:-1], np.diff(edges), strict=True)),
        (0, 1),
        transform=axes.get_xaxis_transform(),
        color=INK,
        alpha=0.0,
        zorder=9,
    )
    name_marks(zones, texts)


def name_marks(artist: Any, texts: Sequence[str]) -> None:
    """Give each mark of something drawn its text."""
    artist.set_gid(json_text(list(map(printable, texts))))
