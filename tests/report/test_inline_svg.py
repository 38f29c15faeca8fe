"""Drawings inside a page: no address, no font, no colour that a dark screen cannot change."""

import re
import xml.etree.ElementTree as ElementTree
from functools import cache

import numpy as np
import pytest

from lstmcli.report.charts import calibration_chart, moves_chart, pit_chart, skill_chart
from lstmcli.report.inline_svg import VARIABLES, inline_svg
from lstmcli.report.picture import INK

pytest.importorskip("matplotlib")

MOVES = np.linspace(-5.0, 9.0, 30)
CHARTS = {
    "skill": (skill_chart, [[0.1, None, -0.2], []], "a skill"),
    "one step": (skill_chart, [[0.1]], "a skill"),
    "no bands": (calibration_chart, [], [], "nothing"),
    "histogram": (pit_chart, [0.0, 0.5, 1.0], [0.4, 0.6], "halves"),
    "moves": (moves_chart, MOVES, -MOVES, ["1 %", "2 %", "3 %", "4 %"], "moves"),
    "no moves": (moves_chart, MOVES[:0], MOVES[:0], ["-"] * 4, "no moves"),
    "still": (moves_chart, 0 * MOVES, MOVES, ["-"] * 4, "no forecast moves"),
}


@cache
def drawn(name):
    chart, *figures = CHARTS[name]
    return chart(*figures)


@pytest.mark.parametrize("name", CHARTS)
def test_a_chart_is_one_element_without_addresses_fonts_or_fixed_colours(name):
    svg = drawn(name)
    assert ElementTree.fromstring(svg).tag == "svg"
    assert "://" not in svg
    assert "font-family" not in svg
    assert "<style" not in svg
    assert not re.search(r"#[0-9a-fA-F]{6}\b", svg)
    assert not re.search(r' (d|x|y)="[^"]*\.\d{3}', svg)


def test_every_colour_is_defined_in_the_style_of_the_page():
    import lstmcli.report.html as html

    style = html._STYLE.read_text("utf-8")
    light, dark = style.split("prefers-color-scheme: dark")
    for variable in VARIABLES.values():
        assert f"{variable}:" in light
        assert f"{variable}:" in dark


def test_texts_and_labels_are_escaped_and_no_formula():
    def draw(figure):
        figure.add_subplot().text(0, 0, "<b> $x$ & 'y'", color=INK, parse_math=False)

    svg = inline_svg(draw, 'a "label" <i>')
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == 'a "label" <i>'
    assert "<b> $x$ & 'y'" in [element.text for element in root.iter("text")]


def test_two_drawings_share_no_id_unless_they_are_the_same():
    def ids(svg):
        return set(re.findall(r'id="([^"]+)"', svg))

    assert ids(drawn("skill"))
    assert not ids(drawn("skill")) & ids(drawn("moves"))
    assert skill_chart([[0.1, None, -0.2], []], "a skill") == drawn("skill")


def test_a_number_on_an_axis_keeps_its_digits():
    def draw(figure):
        axes = figure.add_subplot()
        axes.set_yticks([0.12345], ["0.12345"])

    texts = [element.text for element in ElementTree.fromstring(inline_svg(draw, "x")).iter("text")]
    assert "0.12345" in texts
