"""The fan of a forecast in characters, for `--plot -`: through plotext (extra `plot`).

A terminal that cannot show UTF gets ASCII, and one that should not have colours gets none; which is
told from the stream. plotext draws on one figure of its own, wiped before and after each use.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np

from lstmcli.report.numbers import price
from lstmcli.report.picture import missing
from lstmcli.report.plot import Fan, tick_sessions

HEIGHT = 22
LEAST_WIDTH = 40
_LABEL = 12  # columns that a date under the axis takes, with the space around it
_ASCII_FRAME = str.maketrans("┌┐└┘├┤┬┴┼─│", "+++++++++-|")


@dataclass(frozen=True)
class _Marks:
    history: str
    median: str
    naive: str
    actual: str
    bands: dict[float, str]


_UTF = _Marks("braille", "━", "╌", "x", {0.5: "▓", 0.8: "▒", 0.95: "░"})
_ASCII = _Marks("*", "=", "-", "x", {0.5: "#", 0.8: ":", 0.95: "."})
# Codes of the 256 colours; plotext reads a number so.
_COLORS = {"history": "default", "median": 33, "naive": 208, "actual": 213}
_BAND_COLORS = {0.5: 75, 0.8: 110, 0.95: 152}


def text_fans(fans: Sequence[Fan], width: int, *, stream: TextIO | None = None) -> str:
    """Return the fans below one another, each `width` columns wide (40 at least).

    stream : where the text will go, standard output unless given; its encoding decides between UTF
    and ASCII, and colours are used only on a terminal and without NO_COLOR in the environment.
    Raises UsageError where plotext is not installed.
    """
    try:
        import plotext
    except ImportError as error:
        raise missing("plotext") from error
    target = sys.stdout if stream is None else stream
    utf = (getattr(target, "encoding", None) or "").lower().startswith("utf")
    colour = target.isatty() and not os.environ.get("NO_COLOR")
    marks = _UTF if utf else _ASCII
    texts = []
    for fan in fans:
        drawn = _draw(plotext, fan, max(width, LEAST_WIDTH), marks, colour)
        parts = [f"{fan.symbol}  {fan.title}", drawn, _legend(fan, marks)]
        text = "\n".join(parts)
        texts.append(text if utf else _to_ascii(text))
    return "\n\n".join(texts) + "\n"


def _draw(plotext: Any, fan: Fan, width: int, marks: _Marks, colour: bool) -> str:
    figure = plotext.figure
    plotext.terminal.limit(False, False)
    figure.clear.all()
    figure.plot_size(width, HEIGHT)
    figure.theme("colorless")
    last, horizon = float(fan.history[-1]), fan.median.size
    ahead = np.arange(horizon + 1.0)
    # More points than columns, so that a wide terminal has no gaps between the sessions.
    fine = np.linspace(0.0, horizon, 2 * width)

    def line(x: Any, y: Any, mark: str, color: Any) -> Any:
        known = np.isfinite(y)
        points = np.asarray(x)[known].tolist(), np.asarray(y)[known].tolist()
        made = figure.signal(*points, marker=plotext.marker(mark, plotext.pixel(foreground=color)))
        return made.lines()

    for nominal, low, high in reversed(fan.bands):
        mark, color = marks.bands[nominal], _BAND_COLORS[nominal]
        ends = [np.interp(fine, ahead, np.r_[last, end]) for end in (low, high)]
        lower, upper = (line(fine, end, mark, color) for end in ends)
        figure.draw(upper.fill(lower))
    figure.draw(line(ahead, np.full(horizon + 1, last), marks.naive, _COLORS["naive"]))
    figure.draw(line(ahead, np.r_[last, fan.median], marks.median, _COLORS["median"]))
    figure.draw(line(ahead, np.r_[last, fan.actual], marks.actual, _COLORS["actual"]))
    before = np.arange(1.0 - fan.history.size, 1.0)
    figure.draw(line(before, fan.history, marks.history, _COLORS["history"]))

    sessions = np.r_[fan.history_dates, fan.dates]
    ticks = tick_sessions(fan.history.size - 1, horizon, max(2, width // _LABEL - 1))
    labels = [str(sessions[fan.history.size - 1 + tick]) for tick in ticks]
    figure.ruler("x", "lower").ticks(ticks, labels)
    heights = _price_ticks(fan)
    figure.ruler("y", "left").ticks(heights, [f"{height:,.7g}" for height in heights])
    text: str = figure.build().string(colorless=not colour)
    figure.clear.all()
    return "\n".join(row.rstrip() for row in text.splitlines())


def _price_ticks(fan: Fan) -> list[float]:
    """Choose round prices, about five over the height of the plot."""
    parts = [fan.history, fan.median, fan.actual, *(end for _, *ends in fan.bands for end in ends)]
    drawn = np.concatenate(parts)
    low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    if not high > low:
        return [low]
    power = 10.0 ** np.floor(np.log10((high - low) / 4))
    step = next(k * power for k in (1, 2, 2.5, 5, 10) if (high - low) / (k * power) <= 5)
    return [step * k for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _legend(fan: Fan, marks: _Marks) -> str:
    history = marks.history if len(marks.history) == 1 else "⠒"
    entries = [f"{history} history", f"{marks.median} median"]
    entries += [f"{marks.bands[nominal]} {100 * nominal:.0f} %" for nominal, _, _ in fan.bands]
    entries.append(f"{marks.naive} naive {price(float(fan.history[-1]))}")
    if np.isfinite(fan.actual).any():
        entries.append(f"{marks.actual} actual")
    return "  ".join(entries)


def _to_ascii(text: str) -> str:
    return text.translate(_ASCII_FRAME).encode("ascii", "replace").decode("ascii")
