"""`evaluate --plot`: past forecasts and prices, as a file or in the terminal."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.command_line import succeed

pytest.importorskip("matplotlib")


def test_a_picture_is_drawn_in_addition_to_the_table(fan_home: Path) -> None:
    done = succeed("evaluate", "--plot", "walk.svg", folder=fan_home)
    assert "\nVerdict  " in done.out
    ElementTree.parse(fan_home / "walk.svg")
    words = re.findall(r"<!-- (.*?) -->", (fan_home / "walk.svg").read_text("utf-8"))
    titles = [word for word in words if word.endswith(" forecasts of 10 sessions")]
    assert [word.partition(":")[0] for word in titles] == ["one", "two"]
    assert {"price", "naive (no change)"} <= set(words)
    succeed("evaluate", "--plot", "walk.png", folder=fan_home)
    assert (fan_home / "walk.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--step-size", "1"), "8 forecasts of 5 sessions"),
        (("--step-size", "20"), "2 forecasts of 5 sessions"),
        (("--start", "2017-08-01"), "the last 40 of 54 forecasts of 5 sessions"),
    ],
)
def test_windows_drawn_do_not_overlap_and_are_counted(
    home: Path, options: tuple[str, ...], words: str
) -> None:
    done = succeed("evaluate", "--plot", "-", *options, folder=home)
    assert f"prices: {words}, by tiny/v0001; direction right in " in done.out
    assert "\nVerdict  " in done.out
