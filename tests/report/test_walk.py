"""Past forecasts over the prices: where each line starts, what is named, the same bytes."""

import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from lstmcli.report.terminal_plot import HEIGHT, text_walks
from lstmcli.report.walk import Walk, Window, draw_walk, draw_walks

pytest.importorskip("matplotlib")


def make_walk(symbol="AAPL", *, windows=3, horizon=10, point=False, rows=60):
    days = np.arange("2020-01-01", "2021-01-01", dtype="datetime64[D]")
    days = days[np.is_busday(days)][:rows]
    prices = 100.0 * np.exp(np.random.default_rng(1).normal(0, 0.01, rows).cumsum())
    made = []
    for start in range(horizon, horizon * (windows + 1), horizon):
        median = prices[start] * np.exp(0.001 * np.arange(horizon + 1))
        band = None if point else (0.8, 0.97 * median, 1.03 * median)
        made.append(Window(days[start : start + horizon + 1], median, band))
    return Walk(symbol, f"lab/1, {windows} windows", days, prices, tuple(made))


def words_of(path):
    return re.findall(r"<!-- (.*?) -->", path.read_text("utf-8"))


def test_every_window_starts_on_the_price_of_its_cutoff():
    from matplotlib.dates import date2num
    from matplotlib.figure import Figure

    walk = make_walk()
    axes = Figure().add_subplot()
    draw_walk(axes, walk)
    medians = [line for line in axes.lines if line.get_label() == "median"]
    assert len(medians) == 3
    for line, window in zip(medians, walk.windows, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), window.median)
        assert window.median[0] == walk.prices[walk.dates == window.dates[0]]
    assert len(axes.collections) == 3
    assert axes.get_xlim() == (date2num(walk.dates[0]), date2num(walk.windows[-1].dates[-1]))


@pytest.mark.parametrize("point", [False, True])
def test_the_picture_names_everything_once(tmp_path, point):
    draw_walks([make_walk(point=point)], path := tmp_path / "walk.svg")
    ElementTree.parse(path)
    words = words_of(path)
    assert {"AAPL", "lab/1, 3 windows"} <= set(words)
    legend = ["price", "median", *([] if point else ["80 % band"]), "cutoff"]
    assert words[-len(legend) :] == legend


@pytest.mark.parametrize("name", ["walk.png", "walk.svg"])
def test_the_same_walks_make_the_same_bytes(tmp_path, name):
    walks = [make_walk("A"), make_walk("B", windows=1)]
    draw_walks(walks, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    draw_walks(walks, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first


def test_more_symbols_than_panels_are_counted_in_the_title(tmp_path):
    draw_walks([make_walk(f"S{k}", windows=1) for k in range(13)], path := tmp_path / "walk.svg")
    assert "The first 12 of 13 symbols" in words_of(path)


class Utf(io.StringIO):
    encoding = "utf-8"


@pytest.mark.parametrize("point", [False, True])
def test_a_terminal_shows_the_same(point):
    pytest.importorskip("plotext")
    walk = make_walk(point=point)
    rows = text_walks([walk], 90, stream=Utf()).splitlines()
    assert len(rows) == 1 + HEIGHT + 1
    assert max(map(len, rows)) <= 90
    assert rows[0] == "AAPL  lab/1, 3 windows"
    assert rows[-1] == "⠒ price  ━ median" + ("" if point else "  ▒ 80 %")
    assert ("▒" in "".join(rows[1:-1])) != point
    assert str(walk.dates[0]) in rows[-2]
