"""Picture files: what is in them, that they are whole, and that they never change by chance."""

import re
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from lstmcli.errors import FileError, UsageError
from lstmcli.report import picture
from lstmcli.report.picture import check_plot, draw_fan, draw_walk, write_picture
from tests.report.drawings import make_fan, make_walk

matplotlib = pytest.importorskip("matplotlib")


def words_of(path):
    """Return what an SVG says: matplotlib writes each text as a comment beside its outlines."""
    return re.findall(r"<!-- (.*?) -->", path.read_text("utf-8"))


def test_a_png_is_a_png_of_the_size_meant(tmp_path):
    path = tmp_path / "fan.png"
    write_picture([make_fan(known=5)], path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (1350, 780)


@pytest.mark.parametrize(
    "shown",
    [
        [make_fan("A", known=3), make_fan("B")],
        [make_walk("A"), make_walk("B", windows=1)],
    ],
    ids=["fans", "walks"],
)
@pytest.mark.parametrize("name", ["fan.png", "fan.svg", "FAN.SVG"])
def test_the_same_forecasts_make_the_same_bytes(shown, name, tmp_path):
    write_picture(shown, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    write_picture(shown, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first
    assert b"<dc:date>" not in first
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_picture_names_everything_in_it(tmp_path):
    write_picture([make_fan(known=5)], path := tmp_path / "fan.svg")
    ElementTree.parse(path)
    words = words_of(path)
    assert {"AAPL", "lab/1, 20 sessions after 2020-03-24", "2020-03-24"} <= set(words)
    legend = ["history", "last close", "median", "50 % band", "80 % band", "95 % band"]
    assert words[-8:] == [*legend, "naive", "actual"]


def test_a_point_forecast_has_no_bands_and_what_has_not_happened_is_not_drawn(tmp_path):
    write_picture([make_fan(point=True)], path := tmp_path / "fan.svg")
    assert words_of(path)[-4:] == ["history", "last close", "median", "naive"]


def test_every_label_of_the_axis_is_a_session_and_the_right_one():
    from matplotlib.figure import Figure

    fan = make_fan(rows=60, horizon=20)
    axes = Figure().add_subplot()
    draw_fan(axes, fan, most_ticks=9)
    sessions = np.concatenate([fan.history_dates, fan.dates]).astype(str)
    for tick, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
        assert label.get_text() == sessions[59 + int(tick)]
    assert axes.get_xlim() == (-59, 20)


def test_lines_start_at_the_last_close_and_end_where_the_forecast_does():
    from matplotlib.figure import Figure

    fan = make_fan(known=5)
    axes = Figure().add_subplot()
    draw_fan(axes, fan, most_ticks=9)
    lines = {line.get_label(): line.get_xydata() for line in axes.lines}
    for name in ("naive", "median", "actual", "last close"):
        np.testing.assert_array_equal(lines[name][0], [0, fan.history[-1]])
    np.testing.assert_array_equal(lines["median"][-1], [20, fan.median[-1]])
    np.testing.assert_array_equal(lines["naive"][-1], [20, fan.history[-1]])
    np.testing.assert_array_equal(lines["history"][:, 1], fan.history)


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
def test_past_forecasts_are_named_once(tmp_path, point):
    write_picture([make_walk(point=point)], path := tmp_path / "walk.svg")
    ElementTree.parse(path)
    words = words_of(path)
    assert {"AAPL", "lab/1, 3 windows"} <= set(words)
    legend = ["price", "median", *([] if point else ["80 % band"]), "cutoff"]
    assert words[-len(legend) :] == legend


def test_more_symbols_than_panels_are_counted_in_the_title(tmp_path):
    write_picture(
        [make_fan(f"S{k}", rows=5, horizon=2) for k in range(14)], path := tmp_path / "f.svg"
    )
    words = words_of(path)
    assert "The first 12 of 14 symbols" in words
    assert [word for word in words if re.fullmatch(r"S\d+", word)] == [f"S{k}" for k in range(12)]


@pytest.mark.parametrize("count", [2, 5, 12])
def test_no_picture_of_all_symbols_claims_to_leave_any_out(count, tmp_path):
    fans = [make_fan(f"S{k}", rows=5, horizon=2) for k in range(count)]
    write_picture(fans, path := tmp_path / "f.svg")
    assert not any("The first" in word for word in words_of(path))


@pytest.mark.parametrize("symbol", ["$x_1$ ^ $y", "^GSPC", "價格", "a<b&c", "100%"])
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


def test_no_state_is_left_and_no_style_of_the_users_is_taken(tmp_path):
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
        "import sys; from pathlib import Path; from lstmcli.report.picture import write_picture; "
        "from tests.report.drawings import make_fan; "
        f"write_picture([make_fan()], Path({str(tmp_path / 'fan.png')!r})); "
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, check=False, timeout=60, capture_output=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["fan.pdf", "fan", "fan.jpeg"])
def test_another_kind_of_file_is_refused_before_any_work(name, tmp_path):
    with pytest.raises(UsageError, match=r"expected \.png or \.svg"):
        write_picture([make_fan()], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(FileError):
        write_picture([make_fan()], tmp_path / "file" / "fan.png")


@pytest.mark.parametrize(("target", "package"), [("fan.png", "matplotlib"), ("-", "plotext")])
def test_a_missing_package_names_the_extra(target, package, monkeypatch):
    check_plot(target)
    monkeypatch.setattr(picture.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=rf"{package} .* pip install 'lstmcli\[plot\]'"):
        check_plot(target)


def test_a_broken_matplotlib_names_the_extra_too(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "check_plot", lambda _: None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"pip install 'lstmcli\[plot\]'"):
        write_picture([make_fan()], tmp_path / "fan.png")
