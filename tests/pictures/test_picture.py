"""Picture files: complete, reproducible, and with the expected content."""

import importlib.util
import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lstmcli.errors import UsageError
from lstmcli.pictures import picture
from lstmcli.pictures.drawing import draw_fan, draw_walk
from lstmcli.pictures.picture import write_picture
from lstmcli.report.output import check_plot
from tests.pictures.drawings import make_fan, make_walk

matplotlib = pytest.importorskip("matplotlib")


def words_of(path):
    """Return what an SVG says: matplotlib writes each text as a comment beside its outlines."""
    return re.findall(r"<!-- (.*?) -->", path.read_text("utf-8"))


def drawn(draw, shown, *, columns=1, **figure):
    """Return the axes that something was drawn on, the first of so many beside one another."""
    from matplotlib.figure import Figure

    axes = Figure(**figure).add_subplot(1, columns, 1)
    draw(axes, shown)
    return axes


def test_a_png_has_the_requested_size(tmp_path):
    path = tmp_path / "fan.png"
    write_picture([make_fan(known=5)], path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (1350, 780)


@pytest.mark.parametrize(
    "shown",
    [[make_fan("A", known=3), make_fan("B")], [make_walk("A"), make_walk("B", windows=1)]],
    ids=["fans", "walks"],
)
@pytest.mark.parametrize("name", ["fan.png", "FAN.SVG"])
def test_the_same_forecasts_make_the_same_bytes(shown, name, tmp_path):
    write_picture(shown, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    write_picture(shown, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first
    assert b"<dc:date>" not in first
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_picture_names_everything_in_it(tmp_path):
    fan = make_fan(known=5, currency="USD")
    write_picture([fan], path := tmp_path / "fan.svg")
    ElementTree.parse(path)
    words = words_of(path)
    assert {"AAPL: next 20 sessions", "by lab/1, after 2020-03-24", "USD"} <= set(words)
    assert {text for _, text in fan.ends()} <= set(words)
    legend = ["history", "median", "50 % range", "80 % range", "95 % range"]
    assert words[-7:] == [*legend, "naive (no change)", "actual"]


def test_a_point_forecast_has_no_bands_and_future_prices_are_not_drawn(tmp_path):
    write_picture([make_fan(point=True)], path := tmp_path / "fan.svg")
    assert words_of(path)[-3:] == ["history", "forecast", "naive (no change)"]


def test_lines_start_at_the_last_close_and_end_where_the_forecast_does():
    from matplotlib.dates import date2num

    fan = make_fan(known=5)
    axes = drawn(draw_fan, fan)
    lines: dict[Any, Any] = {line.get_label(): line.get_xydata() for line in axes.lines}
    first, start, end = date2num([fan.history_dates[0], fan.history_dates[-1], fan.dates[-1]])
    for name in ("naive (no change)", "median", "actual"):
        np.testing.assert_array_equal(lines[name][0], [start, fan.history[-1]])
    np.testing.assert_array_equal(lines["median"][-1], [end, fan.median[-1]])
    np.testing.assert_array_equal(lines["naive (no change)"][-1], [end, fan.history[-1]])
    np.testing.assert_array_equal(lines["history"][:, 1], fan.history)
    assert axes.get_xlim() == (first, end)


@pytest.mark.parametrize("days", [3, 60, 400, 1500, 10_000])
@pytest.mark.parametrize("columns", [1, 3])
def test_dates_are_labelled_over_any_span(days, columns):
    fan = make_fan(rows=2, horizon=1, point=True)
    early = fan.dates - np.timedelta64(days, "D")
    fan = replace(fan, history_dates=np.r_[early, fan.history_dates[-1:]])
    size = (9.0 if columns == 1 else 14.0, 5.0)
    axes = drawn(draw_fan, fan, columns=columns, figsize=size)
    axes.get_figure().draw_without_rendering()
    first, last = axes.get_xlim()
    shown = [tick for tick in axes.get_xticks() if first <= tick <= last]
    assert 2 <= len(shown) <= (10 if columns == 1 else 5) + 1


@pytest.mark.parametrize(("top", "scale"), [(290.0, "linear"), (310.0, "log")])
def test_prices_over_more_than_a_factor_of_three_are_drawn_on_a_logarithmic_scale(top, scale):
    history = np.linspace(100.0, top, 60)
    axes = drawn(draw_fan, make_fan(history=history, point=True, currency="USD"))
    assert axes.get_yscale() == scale
    assert axes.get_ylabel() == ("USD" if scale == "linear" else "USD, logarithmic")
    low, high = axes.get_ylim()
    assert low < 100.0
    assert high > top
    assert len([tick for tick in axes.get_yticks() if low <= tick <= high]) >= 3


def test_labels_of_a_narrow_fan_do_not_overlap():
    fan = make_fan(history=np.r_[1.0, np.full(59, 100.0)])
    axes = drawn(draw_fan, fan, layout="constrained")
    texts = [text for _, text in fan.ends()]
    boxes = [each.get_window_extent() for each in axes.texts if each.get_text() in texts]
    assert len(boxes) == 3
    for lower, upper in pairwise(boxes):
        assert upper.y0 >= lower.y1 - 1


def test_every_window_starts_on_the_price_of_its_cutoff():
    from matplotlib.dates import date2num

    walk = make_walk()
    axes = drawn(draw_walk, walk)
    lines = [line for line in axes.lines if "direction" in str(line.get_label())]
    naive = [line for line in axes.lines if line.get_label() == "naive (no change)"]
    assert len(lines) == 3
    for line, level, window in zip(lines, naive, walk.windows, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), window.median)
        np.testing.assert_array_equal(level.get_ydata(), window.median[[0, 0]])
        assert window.median[0] == walk.prices[walk.dates == window.dates[0]]
        assert line.get_label() == f"direction {'right' if window.hit else 'wrong'}"
    assert len(axes.collections) == 3
    assert axes.get_xlim() == (date2num(walk.dates[0]), date2num(walk.windows[-1].dates[-1]))


@pytest.mark.parametrize("point", [False, True])
def test_past_forecasts_are_named_once(tmp_path, point):
    walk = make_walk(point=point)
    write_picture([walk], path := tmp_path / "walk.svg")
    ElementTree.parse(path)
    words = words_of(path)
    assert {"AAPL: 3 forecasts", "by lab/1"} <= set(words)
    outcomes = {f"direction {'right' if window.hit else 'wrong'}" for window in walk.windows}
    expected = ["price", *sorted(outcomes), "naive (no change)"]
    assert words[-len(expected) :] == expected


@pytest.mark.parametrize("count", [2, 5])
def test_each_symbol_has_a_panel_and_those_left_out_are_counted(count, tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "MAX_PANELS", 4)
    fans = [make_fan(f"S{k}", rows=5, horizon=2) for k in range(count)]
    write_picture(fans, path := tmp_path / "f.svg")
    words = words_of(path)
    panels = [word for word in words if re.fullmatch(r"S\d+: next 2 sessions", word)]
    assert panels == [fan.title for fan in fans[:4]]
    more = "4 of 5 symbols; name the other 1 to draw them"
    assert (more in words) == (count > 4)


@pytest.mark.parametrize("symbol", ["$x_1$ ^ $y", "a<b&價格"])
def test_a_symbol_is_drawn_as_it_is_spelt(symbol, tmp_path):
    write_picture([make_fan(symbol)], path := tmp_path / "fan.svg")
    ElementTree.parse(path)
    write_picture([make_fan(symbol)], tmp_path / "fan.png")


@pytest.mark.parametrize(
    "fan",
    [
        make_fan(scale=1e-6),
        make_fan(scale=1e6),
        make_fan(rows=1),
        make_fan(horizon=1),
        make_fan(history=np.full(60, 5.0), point=True),
        make_fan(history=np.r_[np.nan, np.full(59, 5.0)]),
    ],
    ids=["tiny prices", "large prices", "no past", "one step", "flat", "a hole"],
)
def test_an_odd_fan_is_drawn_without_a_warning(fan, tmp_path):
    write_picture([fan], tmp_path / "fan.png")


def test_drawing_leaves_no_state_and_ignores_the_users_style(tmp_path):
    fan = make_fan()
    write_picture([fan], tmp_path / "plain.png")
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 40}):
        before, filters = dict(matplotlib.rcParams), list(warnings.filters)
        write_picture([fan], tmp_path / "styled.png")
        assert dict(matplotlib.rcParams) == before
        assert warnings.filters == filters
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_drawing_loads_no_pyplot(tmp_path):
    program = (
        "import sys; from pathlib import Path; from lstmcli.pictures.picture import write_picture; "
        "from tests.pictures.drawings import make_fan; "
        f"write_picture([make_fan()], Path({str(tmp_path / 'fan.png')!r})); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, check=False, timeout=60, capture_output=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("target", "package"), [("fan.png", "matplotlib"), ("-", "plotext")])
def test_a_missing_package_names_the_extra(target, package, monkeypatch):
    check_plot(target)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=rf"{package} .* pip install 'lstmcli\[plot\]'"):
        check_plot(target)


def test_a_broken_matplotlib_names_the_extra_too(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'lstmcli\[plot\]'"):
        write_picture([make_fan()], tmp_path / "fan.png")
