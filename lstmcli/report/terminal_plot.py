"""The option `--plot`: a picture file, or with `-` a drawing in characters (plotext).

The stream decides: one that cannot show UTF gets ASCII, one without colours gets none. plotext
draws on one figure of its own, which is cleared before and after each use.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from lstmcli.printable import printable, raw_stream
from lstmcli.report.fans import Dates, Fan, Floats, Walk
from lstmcli.report.numbers import price
from lstmcli.report.picture import missing, write_picture

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


@dataclass(frozen=True)
class _Canvas:
    """The one figure of plotext, wiped, and how to draw on it."""

    plotext: Any
    width: int
    marks: _Marks
    colour: bool

    @property
    def most_labels(self) -> int:
        return max(2, self.width // _LABEL - 1)

    def line(self, x: Floats, y: Floats, mark: str, color: Any) -> Any:
        figure, known = self.plotext.figure, np.isfinite(y)
        pixel = self.plotext.pixel(foreground=color)
        points = x[known].tolist(), y[known].tolist()
        made = figure.signal(*points, marker=self.plotext.marker(mark, pixel)).lines()
        figure.draw(made)
        return made

    def band(self, x: Floats, low: Floats, high: Floats, nominal: float) -> None:
        # More points than columns, so that a wide terminal has no gaps between the sessions.
        fine = np.linspace(x[0], x[-1], 2 * self.width)
        mark, color = self.marks.bands[nominal], _BAND_COLORS[nominal]
        lower, upper = (self.line(fine, np.interp(fine, x, y), mark, color) for y in (low, high))
        self.plotext.figure.draw(upper.fill(lower))

    def text(
        self,
        ticks: Sequence[float],
        labels: Sequence[str],
        drawn: Floats,
        legend: Sequence[str],
    ) -> str:
        """Return the drawing: dates below, round prices of what was drawn at the left, a legend."""
        figure, heights = self.plotext.figure, _price_ticks(drawn)
        figure.ruler("x", "lower").ticks(ticks, labels)
        figure.ruler("y", "left").ticks(heights, [f"{height:,.7g}" for height in heights])
        text: str = figure.build().string(colorless=not self.colour)
        figure.clear.all()
        return "\n".join([*(row.rstrip() for row in text.splitlines()), "  ".join(legend)])

    def legend(self, past: str, nominals: Iterable[float]) -> list[str]:
        mark = "⠒" if self.marks.history == "braille" else self.marks.history
        bands = [f"{self.marks.bands[nominal]} {100 * nominal:.0f} %" for nominal in nominals]
        return [f"{mark} {past}", f"{self.marks.median} median", *bands]


def draw_plot(shown: Iterable[Fan | Walk], target: str | None) -> None:
    """Draw to a file, or below the table with `-`; no plot if `target` is None."""
    if target == "-":
        # With its colours; the names in it are printable.
        columns = shutil.get_terminal_size((100, 30)).columns
        raw_stream(sys.stdout).write(text_plot(shown, columns))
    elif target is not None:
        write_picture([*shown], Path(target))


def text_plot(shown: Iterable[Fan | Walk], width: int, *, stream: TextIO | None = None) -> str:
    """Return the drawings below one another, each `width` columns wide (40 at least).

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
    canvas = _Canvas(plotext, max(width, LEAST_WIDTH), _UTF if utf else _ASCII, colour)
    texts = []
    for each in shown:
        plotext.terminal.limit(False, False)
        plotext.figure.clear.all()
        plotext.figure.plot_size(canvas.width, HEIGHT)
        plotext.figure.theme("colorless")
        drawing = _draw_fan(canvas, each) if isinstance(each, Fan) else _draw_walk(canvas, each)
        text = f"{printable(f'{each.symbol}  {each.title}')}\n{drawing}"
        texts.append(text if utf else _to_ascii(text))
    return "\n\n".join(texts) + "\n"


def _draw_fan(canvas: _Canvas, fan: Fan) -> str:
    last, horizon, marks = float(fan.history[-1]), fan.median.size, canvas.marks
    ahead = np.arange(horizon + 1.0)
    for nominal, low, high in reversed(fan.bands):
        canvas.band(ahead, np.r_[last, low], np.r_[last, high], nominal)
    canvas.line(ahead, np.full(horizon + 1, last), marks.naive, _COLORS["naive"])
    canvas.line(ahead, np.r_[last, fan.median], marks.median, _COLORS["median"])
    canvas.line(ahead, np.r_[last, fan.actual], marks.actual, _COLORS["actual"])
    before = np.arange(1.0 - fan.history.size, 1.0)
    canvas.line(before, fan.history, marks.history, _COLORS["history"])
    legend = canvas.legend("history", [nominal for nominal, _, _ in fan.bands])
    legend.append(f"{marks.naive} naive {price(last)}")
    if np.isfinite(fan.actual).any():
        legend.append(f"{marks.actual} actual")
    return canvas.text(*fan.ticks(canvas.most_labels), fan.drawn, legend)


def _draw_walk(canvas: _Canvas, walk: Walk) -> str:
    first, drawn, nominals = walk.dates[0], [walk.prices], set()
    for window in walk.windows:
        drawn.append(window.median)
        if window.band is not None:
            nominal, low, high = window.band
            canvas.band(_days(window.dates, first), low, high, nominal)
            drawn += [low, high]
            nominals.add(nominal)
    canvas.line(_days(walk.dates, first), walk.prices, canvas.marks.history, _COLORS["history"])
    for window in walk.windows:
        days = _days(window.dates, first)
        canvas.line(days, window.median, canvas.marks.median, _COLORS["median"])
    places = np.linspace(0, len(walk.dates) - 1, min(canvas.most_labels, len(walk.dates)))
    shown = walk.dates[places.astype(np.int64)]
    ticks, labels = _days(shown, first).tolist(), [str(day) for day in shown]
    return canvas.text(ticks, labels, np.concatenate(drawn), canvas.legend("price", nominals))


def _days(dates: Dates, first: np.datetime64) -> Floats:
    return (dates - first).astype("timedelta64[D]").astype(np.float64)


def _price_ticks(drawn: Floats) -> list[float]:
    """Choose round prices, about five over the height of the plot."""
    low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    if not high > low:
        return [low]
    power = 10.0 ** np.floor(np.log10((high - low) / 4))
    step = next(k * power for k in (1, 2, 2.5, 5, 10) if (high - low) / (k * power) <= 5)
    return [step * k for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]


def _to_ascii(text: str) -> str:
    return text.translate(_ASCII_FRAME).encode("ascii", "replace").decode("ascii")
