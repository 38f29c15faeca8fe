"""The option `--plot`: a picture file, or with `-` a plot in the terminal (plotext).

Streams that cannot encode UTF get ASCII, and streams without colours get none. plotext draws on one
global figure, which is cleared before and after each use.
"""

import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from lstmcli.pictures.fans import Band, Dates, Fan, Floats, Walk
from lstmcli.pictures.picture import write_picture
from lstmcli.pictures.surprises import Surprises
from lstmcli.printable import printable, raw_stream
from lstmcli.report.output import missing
from lstmcli.report.tables import price

HEIGHT = 22
LEAST_WIDTH = 40
_LABEL = 12  # columns of a date under the axis, including the space around it
_ASCII_FRAME = str.maketrans("┌┐└┘├┤┬┴┼─│", "+++++++++-|")


# Lines by name, and bands by their share. Colours are 256-colour codes.
_DRAWN: tuple[str | float, ...] = ("history", "median", "naive", "actual", 0.5, 0.8, 0.95)
_UTF = dict(zip(_DRAWN, ("braille", "━", "╌", "x", "▓", "▒", "░"), strict=True))
_ASCII = dict(zip(_DRAWN, ("*", "=", "-", "x", "#", ":", "."), strict=True))
_COLORS = dict(zip(_DRAWN, ("default", 33, 208, 213, 75, 110, 152), strict=True))


@dataclass(frozen=True)
class _Canvas:
    """The cleared global figure of plotext, with the settings for drawing on it."""

    plotext: Any
    width: int
    marks: dict[str | float, str]
    colour: bool

    @property
    def most_labels(self) -> int:
        return max(2, self.width // _LABEL - 1)

    def line(self, x: Floats, y: Floats, name: str | float) -> Any:
        made = self._signal(x, y, name).lines()
        self.plotext.figure.draw(made)
        return made

    def points(self, x: Floats, y: Floats, name: str | float) -> None:
        self.plotext.figure.draw(self._signal(x, y, name))

    def _signal(self, x: Floats, y: Floats, name: str | float) -> Any:
        known, pixel = np.isfinite(y), self.plotext.pixel(foreground=_COLORS[name])
        marker = self.plotext.marker(self.marks[name], pixel)
        return self.plotext.figure.signal(x[known].tolist(), y[known].tolist(), marker=marker)

    def band(self, x: Floats, band: Band) -> None:
        nominal, low, high = band
        # More points than columns, so that a wide terminal shows no gaps between sessions.
        fine = np.linspace(x[0], x[-1], 2 * self.width)
        lower, upper = (self.line(fine, np.interp(fine, x, y), nominal) for y in (low, high))
        self.plotext.figure.draw(upper.fill(lower))

    def labelled(self, dates: Dates) -> Dates:
        """Return evenly spaced dates, as many as there is room for labels."""
        places = np.linspace(0, len(dates) - 1, min(self.most_labels, len(dates)))
        return dates[places.astype(np.int64)]

    def text(
        self, labelled: Dates, origin: np.datetime64, drawn: Floats, legend: Sequence[str]
    ) -> str:
        """Return the plot as text, with dates below, round prices at the left and a legend.

        origin : the date at x = 0. drawn : all prices shown, which set the price scale.
        """
        figure, heights = self.plotext.figure, _price_ticks(drawn)
        figure.ruler("x", "lower").ticks(_days(labelled, origin).tolist(), list(map(str, labelled)))
        figure.ruler("y", "left").ticks(heights, [f"{height:,.7g}" for height in heights])
        text: str = figure.build().string(colorless=not self.colour)
        figure.clear.all()
        return "\n".join([*(row.rstrip() for row in text.splitlines()), "  ".join(legend)])

    def legend(self, past: str, nominals: Iterable[float]) -> list[str]:
        mark = self.marks["history"].replace("braille", "⠒")
        bands = [f"{self.marks[nominal]} {100 * nominal:.0f} %" for nominal in nominals]
        forecast = "median" if bands else "forecast"
        return [f"{mark} {past}", f"{self.marks['median']} {forecast}", *bands]


def draw_plot(shown: Iterable[Fan | Walk | Surprises], target: str | None) -> None:
    """Plot to a file, or with `-` to stdout; no plot if `target` is None."""
    if target == "-":
        # Bypass the escaping of stdout, to keep the colours; the names are already printable.
        columns = shutil.get_terminal_size((100, 30)).columns
        raw_stream(sys.stdout).write(text_plot(shown, columns))
    elif target is not None:
        write_picture([*shown], Path(target))


def text_plot(
    shown: Iterable[Fan | Walk | Surprises], width: int, *, stream: TextIO | None = None
) -> str:
    """Return the plots one below another, each `width` columns wide (at least 40).

    stream : destination of the text, by default stdout. Its encoding decides between UTF and ASCII.
    Colours are used only on a terminal and if NO_COLOR is not set. Raises UsageError if plotext is
    not installed.
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
        text = f"{printable(f'{each.title}, {each.words}')}\n{_drawn(canvas, each)}"
        if not utf:
            text = text.translate(_ASCII_FRAME).encode("ascii", "replace").decode("ascii")
        texts.append(text)
    return "\n\n".join(texts) + "\n"


def _drawn(canvas: _Canvas, shown: Fan | Walk | Surprises) -> str:
    if isinstance(shown, Fan):
        return _draw_fan(canvas, shown)
    if isinstance(shown, Walk):
        return _draw_walk(canvas, shown)
    return _draw_surprises(canvas, shown)


def _draw_fan(canvas: _Canvas, fan: Fan) -> str:
    last, start = fan.last, fan.history_dates[-1]
    ahead = _days(np.r_[start, fan.dates], start)
    for nominal, low, high in reversed(fan.bands):
        canvas.band(ahead, (nominal, np.r_[last, low], np.r_[last, high]))
    canvas.line(ahead, np.full(ahead.size, last), "naive")
    canvas.line(ahead, np.r_[last, fan.median], "median")
    canvas.line(ahead, np.r_[last, fan.actual], "actual")
    before = _days(fan.history_dates, start)
    canvas.line(before, fan.history, "history")
    legend = canvas.legend("history", [nominal for nominal, _, _ in fan.bands])
    legend.append(f"{canvas.marks['naive']} naive {price(last)}")
    if np.isfinite(fan.actual).any():
        legend.append(f"{canvas.marks['actual']} actual")
    # The day of the last close always gets a label.
    ahead_room = max(1, round(canvas.most_labels * ahead[-1] / (ahead[-1] - before[0])))
    behind_room = max(0, canvas.most_labels - ahead_room - 1)
    sessions = np.r_[fan.history_dates, fan.dates]
    places = np.r_[
        np.linspace(0, before.size - 1, behind_room + 1)[:-1],
        np.linspace(before.size - 1, sessions.size - 1, ahead_room + 1)[:ahead_room],
    ]
    return canvas.text(sessions[places.astype(np.int64)], start, fan.drawn, legend)


def _draw_walk(canvas: _Canvas, walk: Walk) -> str:
    first = walk.dates[0]
    bands = [(_days(each.dates, first), each.band) for each in walk.windows if each.band]
    for days, band in bands:
        canvas.band(days, band)
    canvas.line(_days(walk.dates, first), walk.prices, "history")
    for window in walk.windows:
        canvas.line(_days(window.dates, first), window.median, "median")
    legend = canvas.legend("price", {band[0] for _, band in bands})
    return canvas.text(canvas.labelled(walk.dates), first, walk.drawn, legend)


def _draw_surprises(canvas: _Canvas, shown: Surprises) -> str:
    first, judged = shown.dates[0], shown.judged
    days = _days(shown.dates, first)
    if judged.sum() > 1:
        canvas.band(days[judged], (0.8, shown.low[judged], shown.high[judged]))
    else:
        ends = np.r_[shown.low[judged], shown.high[judged]]
        canvas.line(np.repeat(days[judged], 2), ends, 0.8)
    canvas.line(days, shown.prices, "history")
    legend = [*canvas.legend("price", ())[:1], f"{canvas.marks[0.8]} expected range"]
    if shown.found.any():
        canvas.points(days[shown.found], shown.prices[shown.found], "actual")
        legend.append(f"{canvas.marks['actual']} surprise")
    return canvas.text(canvas.labelled(shown.dates), first, shown.drawn, legend)


def _days(dates: Dates, first: np.datetime64) -> Floats:
    return (dates - first).astype("timedelta64[D]").astype(np.float64)


def _price_ticks(drawn: Floats) -> list[float]:
    """Choose about five round prices for the axis."""
    low, high = float(np.nanmin(drawn)), float(np.nanmax(drawn))
    if not high > low:
        return [low]
    power = 10.0 ** np.floor(np.log10((high - low) / 4))
    step = next(k * power for k in (1, 2, 2.5, 5, 10) if (high - low) / (k * power) <= 5)
    return [step * k for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]
