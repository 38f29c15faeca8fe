"""Fans as terminal plots: layout in UTF and ASCII, with and without colours."""

import io
import re
import sys

import numpy as np
import pytest

from lstmcli.errors import UsageError
from lstmcli.pictures.terminal_plot import HEIGHT, text_plot
from tests.pictures.drawings import make_fan, make_walk
from tests.report.screens import Terminal
from tests.rows import for_each

pytest.importorskip("plotext")


UTF = io.TextIOWrapper(io.BytesIO(), "utf-8")  # no terminal


def rising(symbol="AAPL", **how):
    """Return a fan of twice the usual width after a steady rise from 90 to 100."""
    return make_fan(symbol, width=0.02, history=np.linspace(90.0, 100.0, 60), **how)


STILL = make_fan(width=0.0, history=np.full(60, 100.0))


def test_a_fan_fits_its_width_and_names_everything_in_it():
    text = text_plot([rising(known=20)], 90, stream=UTF)
    rows = text.splitlines()
    assert len(rows) == 1 + HEIGHT + 1
    assert max(map(len, rows)) <= 90
    assert rows[0] == "AAPL: next 20 sessions, by lab/1, after 2020-03-24"
    assert rows[-1] == "⠒ history  ━ median  ▓ 50 %  ▒ 80 %  ░ 95 %  ╌ naive 100.00  x actual"
    assert "2020-03-24" in rows[-2]
    for mark in "▓▒░x":
        assert mark in "".join(rows[1:-2])


def test_bands_lie_inside_one_another_and_open_to_the_right():
    rows = text_plot([rising()], 90, stream=UTF).splitlines()[2:-3]
    columns = ["".join(row.ljust(90)[at] for row in rows).strip() for at in (70, 80, 88)]
    for column in columns:
        shades = re.sub(r"(.)\1+", r"\1", column)
        assert shades in ("░▒▓━▓▒░", "▒▓━▓▒", "▒▓━▓▒░", "░▒▓━▓▒")
    assert len(columns[0]) < len(columns[1]) < len(columns[2])


@for_each("encoding", ["ascii", "latin-1", "cp1252", None])
def test_a_stream_without_utf_gets_ascii(encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding) if encoding else io.StringIO()
    text = text_plot([rising("價", known=4)], 80, stream=stream)
    text.encode("ascii")
    assert text.startswith("?: next 20 sessions, by lab/1, after 2020-03-24")
    assert "* history  = median  # 50 %  : 80 %  . 95 %  - naive 100.00  x actual" in text


def test_colours_are_for_terminals_without_no_color(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in text_plot([rising()], 80, stream=Terminal())
    assert "\x1b[" not in text_plot([rising()], 80, stream=UTF)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in text_plot([rising()], 80, stream=Terminal())


def test_colours_change_nothing_but_colours(monkeypatch):
    import plotext

    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = text_plot([rising()], 80, stream=Terminal())
    plain = text_plot([rising()], 80, stream=UTF)
    stripped = [row.rstrip() for row in plotext.uncolorize(coloured).splitlines()]
    assert stripped == plain.splitlines()


def test_one_fan_does_not_depend_on_those_before_it():
    alone = text_plot([rising("B", scale=7.0)], 80, stream=UTF)
    after = text_plot([rising("A"), rising("B", scale=7.0)], 80, stream=UTF)
    assert after.endswith("\n\n" + alone)


def test_a_point_forecast_has_no_bands():
    text = text_plot([rising(point=True)], 80, stream=UTF)
    assert text.splitlines()[-1] == "⠒ history  ━ forecast  ╌ naive 100.00"
    assert not set(text) & set("░▒▓")


@for_each("scale", [1e-6, 1.0, 1e6])
def test_prices_of_any_size_have_round_labels(scale):
    text = text_plot([rising(scale=scale)], 80, stream=UTF)
    labels = [row.split("┤")[0].replace(",", "") for row in text.splitlines() if "┤" in row]
    prices = [float(label) / scale for label in labels]
    assert 3 <= len(prices) <= 6
    np.testing.assert_allclose(np.diff(prices), prices[1] - prices[0], rtol=1e-6)


@for_each("fan", [STILL, rising(horizon=1)], ids=["still", "one"])
@for_each("width", [1, 40, 250])
def test_an_odd_fan_or_width_is_drawn(fan, width):
    text = text_plot([fan], width, stream=UTF)
    assert max(map(len, text.splitlines()[1:-1])) <= max(width, 40)


def test_no_gaps_in_the_bands_of_a_short_forecast_on_a_wide_terminal():
    rows = text_plot([rising(horizon=3, point=False)], 200, stream=UTF).splitlines()
    widest = max(rows[1:-2], key=lambda row: row.count("░"))
    shaded = widest[widest.index("░") : widest.rindex("░") + 1]
    assert " " not in shaded


@pytest.mark.parametrize("point", [False, True])
def test_past_forecasts_are_drawn_over_the_prices(point):
    walk = make_walk(point=point)
    rows = text_plot([walk], 90, stream=UTF).splitlines()
    assert len(rows) == 1 + HEIGHT + 1
    assert max(map(len, rows)) <= 90
    assert rows[0] == "AAPL: 3 forecasts, by lab/1"
    assert rows[-1] == "⠒ price  ━ " + ("forecast" if point else "median  ▒ 80 %")
    assert ("▒" in "".join(rows[1:-1])) != point
    assert str(walk.dates[0]) in rows[-2]


def test_a_missing_plotext_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotext", None)
    with pytest.raises(UsageError, match=r"pip install 'lstmcli\[plot\]'"):
        text_plot([rising()], 80, stream=UTF)
