"""Pictures of fans: what is in them, that they are whole, and that they never change by chance."""

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
from lstmcli.report.picture import check_plot
from lstmcli.report.plot import Fan, bands_of, draw_fan, draw_fans, tick_sessions

matplotlib = pytest.importorskip("matplotlib")

LEVELS = (0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975)
Z = np.array([-1.96, -1.28, -0.67, 0.0, 0.67, 1.28, 1.96])


def make_fan(symbol="AAPL", *, horizon=20, rows=60, known=0, point=False, scale=1.0, history=None):
    days = np.arange("2020-01-01", "2021-01-01", dtype="datetime64[D]")
    days = days[np.is_busday(days)]
    if history is None:
        history = 100.0 * np.exp(np.random.default_rng(1).normal(0, 0.01, rows).cumsum())
    last = history[-1]
    steps = np.sqrt(np.arange(1, horizon + 1))
    quantiles = scale * last * np.exp(0.01 * steps[:, None] * Z)
    actual = np.full(horizon, np.nan)
    actual[:known] = scale * last * 1.01
    return Fan(
        symbol,
        f"lab/1, {horizon} sessions after {days[rows - 1]}",
        days[:rows],
        scale * history,
        days[rows : rows + horizon],
        quantiles[:, 3],
        () if point else bands_of(LEVELS, quantiles),
        actual,
    )


def words_of(path):
    """Return what an SVG says: matplotlib writes each text as a comment beside its outlines."""
    return re.findall(r"<!-- (.*?) -->", path.read_text("utf-8"))


def test_bands_are_those_whose_two_levels_are_there():
    quantiles = np.arange(14.0).reshape(2, 7)
    found = bands_of(LEVELS, quantiles)
    assert [nominal for nominal, _, _ in found] == [0.5, 0.8, 0.95]
    for (_, low, high), (left, right) in zip(found, [(2, 4), (1, 5), (0, 6)], strict=True):
        np.testing.assert_array_equal(low, quantiles[:, left])
        np.testing.assert_array_equal(high, quantiles[:, right])


def test_bands_without_both_levels_are_left_out():
    assert bands_of((), np.empty((3, 0))) == ()
    assert [each[0] for each in bands_of((0.1, 0.5, 0.75, 0.9), np.zeros((3, 4)))] == [0.8]


def test_bands_bear_levels_that_rounding_has_touched():
    levels = tuple(np.arange(1, 20) * 0.05)  # 0.15000000000000002 and the like
    assert [each[0] for each in bands_of(levels, np.zeros((1, 19)))] == [0.5, 0.8]


@pytest.mark.parametrize(
    ("history", "horizon", "most", "expected"),
    [
        (149, 50, 9, [-125, -100, -75, -50, -25, 0, 25, 50]),
        (149, 50, 5, [-100, -50, 0, 50]),
        (0, 5, 9, [0, 1, 2, 3, 4, 5]),
        (3, 1, 2, [-2, 0]),
        (3, 1, 1, [0]),
        (0, 0, 4, [0]),
    ],
)
def test_sessions_to_label_are_even_few_and_hold_the_cutoff(history, horizon, most, expected):
    assert tick_sessions(history, horizon, most) == expected


def test_a_png_is_a_png_of_the_size_meant(tmp_path):
    path = tmp_path / "fan.png"
    draw_fans([make_fan(known=5)], path)
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    assert (width, height) == (1350, 780)


@pytest.mark.parametrize("name", ["fan.png", "fan.svg", "FAN.SVG"])
def test_the_same_fans_make_the_same_bytes(name, tmp_path):
    fans = [make_fan("A", known=3), make_fan("B")]
    draw_fans(fans, tmp_path / name)
    first = (tmp_path / name).read_bytes()
    draw_fans(fans, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first
    assert b"<dc:date>" not in first
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_picture_names_everything_in_it(tmp_path):
    draw_fans([make_fan(known=5)], path := tmp_path / "fan.svg")
    ElementTree.parse(path)
    words = words_of(path)
    assert {"AAPL", "lab/1, 20 sessions after 2020-03-24", "2020-03-24"} <= set(words)
    legend = ["history", "last close", "median", "50 % band", "80 % band", "95 % band"]
    assert words[-8:] == [*legend, "naive", "actual"]


def test_a_point_forecast_has_no_bands_and_what_has_not_happened_is_not_drawn(tmp_path):
    draw_fans([make_fan(point=True)], path := tmp_path / "fan.svg")
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


def test_more_symbols_than_panels_are_counted_in_the_title(tmp_path):
    draw_fans([make_fan(f"S{k}", rows=5, horizon=2) for k in range(14)], path := tmp_path / "f.svg")
    words = words_of(path)
    assert "The first 12 of 14 symbols" in words
    assert [word for word in words if re.fullmatch(r"S\d+", word)] == [f"S{k}" for k in range(12)]


@pytest.mark.parametrize("count", [2, 5, 12])
def test_no_picture_of_all_symbols_claims_to_leave_any_out(count, tmp_path):
    fans = [make_fan(f"S{k}", rows=5, horizon=2) for k in range(count)]
    draw_fans(fans, path := tmp_path / "f.svg")
    assert not any("The first" in word for word in words_of(path))


@pytest.mark.parametrize("symbol", ["$x_1$ ^ $y", "^GSPC", "價格", "a<b&c", "100%"])
def test_a_symbol_is_drawn_as_it_is_spelt(symbol, tmp_path):
    draw_fans([make_fan(symbol)], path := tmp_path / "fan.svg")
    ElementTree.parse(path)
    draw_fans([make_fan(symbol)], tmp_path / "fan.png")


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
    draw_fans([fan], tmp_path / "fan.png")


def test_no_state_is_left_and_no_style_of_the_users_is_taken(tmp_path):
    fan = make_fan()
    draw_fans([fan], tmp_path / "plain.png")
    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 40}):
        before, filters = dict(matplotlib.rcParams), list(warnings.filters)
        draw_fans([fan], tmp_path / "styled.png")
        assert dict(matplotlib.rcParams) == before
        assert warnings.filters == filters
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "styled.png").read_bytes()


def test_drawing_loads_no_pyplot(tmp_path):
    program = (
        "import sys; from pathlib import Path; from lstmcli.report.plot import draw_fans; "
        "from tests.report.test_plot import make_fan; "
        f"draw_fans([make_fan()], Path({str(tmp_path / 'fan.png')!r})); "
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
        draw_fans([make_fan()], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_picture_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(FileError):
        draw_fans([make_fan()], tmp_path / "file" / "fan.png")


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
        draw_fans([make_fan()], tmp_path / "fan.png")
