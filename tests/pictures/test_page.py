"""Drawings in a page: no URLs, no ids of their own, colours that follow the dark theme."""

import re
import xml.etree.ElementTree as ElementTree
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

from lstmcli.pictures import drawing, page
from lstmcli.pictures.drawing import COLOURS
from lstmcli.pictures.fans import Moves
from lstmcli.pictures.page import inline
from lstmcli.report.tables import make_table
from tests.pictures.drawings import make_fan, make_walk
from tests.rows import for_each

pytest.importorskip("matplotlib")

STYLE = (page._TEMPLATES / "page.css").read_text("utf-8")
FAN = make_fan(known=5)
MOVES = np.linspace(-5.0, 9.0, 30)
SIZE = (340, 225)


def make_moves(predicted, actual):
    names = tuple(f"window {place}" for place in range(len(predicted)))
    return Moves(predicted, actual, names, ("1 %", "2 %", "3 %", "4 %"), 1)


DRAWINGS: dict[str, tuple[Any, ...]] = {
    "fan": (partial(drawing.draw_fan, shared=[FAN, make_fan(scale=2.0)], values=True), FAN),
    "walk": (partial(drawing.draw_walk, values=True), make_walk()),
    "skill": (drawing.draw_skill, {"naive": [0.1, None, -0.2], "drift": [0.1, 0.1, 0.1]}),
    "one step": (drawing.draw_skill, {"naive": [0.1]}),
    "no bands": (drawing.draw_coverage, [], []),
    "histogram": (drawing.draw_pit, [0.0, 0.5, 1.0], [0.4, 0.6]),
    "moves": (drawing.draw_moves, make_moves(MOVES, -MOVES)),
    "no moves": (drawing.draw_moves, make_moves(MOVES[:0], MOVES[:0])),
    "still": (drawing.draw_moves, make_moves(0 * MOVES, MOVES)),
}


@cache
def drawn(name):
    draw, *data = DRAWINGS[name]
    return inline(draw, SIZE, *data)


def parsed(name):
    return ElementTree.fromstring(f"<svg>{drawn(name)}</svg>")


@for_each("name", DRAWINGS)
def test_a_drawing_has_no_address_no_style_sheet_and_no_named_group(name):
    assert "://" not in drawn(name)
    assert {element.tag for element in parsed(name)} == {"g", "defs"}
    assert not list(parsed(name).iter("style"))
    assert not [group.attrib for group in parsed(name).iter("g") if "id" in group.attrib]


@for_each("name", DRAWINGS)
def test_every_colour_of_a_drawing_follows_the_theme(name):
    styles = [element.get("style", "") for element in parsed(name).iter()]
    found = set(re.findall(r"[\w-]+: #[0-9a-fA-F]*", "; ".join(styles)))
    assert found
    # The rules of page.css find colours so, and only so.
    paints = ("fill", "stroke")
    assert found <= {f"{kind}: {colour}" for kind in paints for colour in COLOURS.values()}
    assert not re.search(r"rgb|(fill|stroke): [a-z]", "; ".join(styles).replace(": none", ""))


def test_every_colour_has_its_dark_twin():
    assert '[style*="fill: {{ colour }}"] { fill: var(--{{ name }}) !important; }' in STYLE
    assert '[style*="stroke: {{ colour }}"] { stroke: var(--{{ name }}) !important; }' in STYLE
    _, dark = STYLE.split("prefers-color-scheme: dark")
    assert [name for name in COLOURS if f"--{name}:" not in dark] == []


def test_two_drawings_share_an_id_only_for_the_same_content():
    named: dict[Any, set[bytes]] = {}
    for name in DRAWINGS:
        for element in parsed(name).iter():
            if "id" in element.attrib:
                named.setdefault(element.get("id"), set()).add(ElementTree.tostring(element))
    assert len(named) > len(DRAWINGS)
    assert [name for name, meanings in named.items() if len(meanings) > 1] == []
    draw, *data = DRAWINGS["fan"]
    assert inline(draw, SIZE, *data) == drawn("fan")


def test_texts_are_escaped_and_not_read_as_formulas():
    def draw(axes):
        axes.text(0, 0, "<b> $x$ & 'y'", parse_math=False)

    root = ElementTree.fromstring(f"<svg>{inline(draw, SIZE)}</svg>")
    assert "<b> $x$ & 'y'" in [element.text for element in root.iter("text")]


def test_a_value_cannot_inject_markup_or_reorder_the_text():
    assert page._dated("<b> \u202e 2020-01-02") == r"&lt;b&gt; \u202e <time>2020-01-02</time>"


@for_each(
    ("words", "expected"),
    [
        ("5 % &amp; more", "5~% &amp; more"),
        ("69.2 % +- 8.2", "69.2~%~±~8.2"),
        ("(p = 0.06)", "(p~=~0.06)"),
        ("p &lt; 0.001", "p~&lt;~0.001"),
        ("from 5 to 6", "from 5 to 6"),
    ],
)
def test_a_number_and_its_sign_stay_on_one_line(words, expected):
    assert page._unbroken(words) == expected.replace("~", "&nbsp;")


def texts_of(name):
    return [each.text for each in parsed(name).iter("title")]


def test_a_browser_shows_the_values_as_tooltips():
    assert texts_of("fan") == FAN.steps()
    assert texts_of("walk") == list(map(str, make_walk().windows))
    skills = ["+10.0 % against naive, +10.0 % against drift", "+nan", "-20.0 % against naive"]
    for step, (found, words) in enumerate(zip(texts_of("skill"), skills, strict=True), start=1):
        assert found.startswith(f"step {step}: {words}")
    assert texts_of("histogram") == ["40.0 % of the outcomes", "60.0 % of the outcomes"]
    assert sorted(texts_of("moves")) == sorted(DRAWINGS["moves"][1].names)


def test_texts_are_left_aligned_and_numbers_right_aligned():
    rows = [["a", "1", "always up", "-"], ["b", "-2.5 %", "-", "1 to 2"]]
    table = make_table("", ["", "Number", "Words", "Range"], rows)
    assert [page._is_numeric(column) for column in table.columns] == [False, True, False, True]
