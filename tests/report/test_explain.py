"""The tables of an explanation, and sentences that agree with the numbers."""

import json

import numpy as np

from lstmcli.arrays import Floats
from lstmcli.forecasting.explain import Effect, Explanation, Gate
from lstmcli.report.explain import explain_document, explain_tables, readings
from lstmcli.report.output import tables_text

BARS = 60


def an_explanation(
    alone: Floats, with_older: Floats | None = None, *, steps: tuple[int, ...] = (1, 5, 20, 50)
) -> Explanation:
    """Return one in which the width moves so, by bar from the oldest, the same at each step."""
    bars = len(alone)
    older = np.cumsum(alone) if with_older is None else with_older
    columns = (1, len(steps))
    zeros = np.zeros((bars, len(steps)))
    return Explanation(
        symbol="AAA",
        dates=np.arange("2020-01-01", bars, dtype="datetime64[D]"),
        steps=steps,
        median=Effect(zeros, zeros),
        width=Effect(np.tile(alone[:, None], columns), np.tile(older[:, None], columns)),
        gates=(Gate(1, "forget", np.linspace(0, 1, bars)), Gate(2, "output", np.full(bars, 0.25))),
    )


def rows_of(text: str, title: str) -> list[list[str]]:
    """Return the cells of the rows of one table."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(title)) + 2
    cells = []
    for line in lines[start:]:
        if not line.strip():
            break
        cells.append(line.replace(" %", "%").split())
    return cells


def shown(found: Explanation, unit: str = "session") -> str:
    return tables_text(explain_tables([found], unit))


def test_late_bars_have_a_row_each_and_older_ones_share_rows() -> None:
    for bars, last, rows in (
        (7, "7", 7),
        (60, "51-60", 15),
        (249, "201-249", 18),
        (5000, "4001-5000", 25),
    ):
        found = rows_of(shown(an_explanation(np.full(bars, 0.01))), "AAA: how the width")
        assert [row[0] for row in found[:7]] == [str(back) for back in range(1, 8)]
        assert (found[-1][0], len(found)) == (last, rows)


def test_a_shared_row_shows_the_strongest_of_its_bars_and_the_newest_with_all_before() -> None:
    alone = np.zeros(BARS)
    alone[BARS - 13], alone[BARS - 17] = 0.02, -0.03  # 13 and 17 back
    older = np.arange(BARS) / 1000.0
    row = rows_of(shown(an_explanation(alone, older)), "AAA: how the width")[10]
    assert row == [
        "11-20",
        str(np.datetime64("2020-01-01") + np.timedelta64(BARS - 11, "D")),
        *["-3.00%"] * 4,
        "+4.90%",
    ]


def test_gates_are_shown_by_thirds() -> None:
    (forget, output) = rows_of(
        shown(an_explanation(np.full(BARS, 0.01))), "AAA: how open the gates"
    )
    assert output == ["2", "output", "0.250", "0.250", "0.250", "0.250"]
    thirds = np.linspace(0, 1, BARS).reshape(3, 20).mean(axis=1)
    assert forget == ["1", "forget", *(f"{third:.3f}" for third in thirds), "1.000"]


def test_a_network_without_gates_is_reported() -> None:
    found = an_explanation(np.full(24, 0.01))
    bare = Explanation(found.symbol, found.dates, found.steps, found.median, found.width, ())
    assert "AAA: this network has no gates; it reads 24 months." in shown(bare, "month")


def test_the_reading_names_the_strongest_bar_and_what_is_left_of_it() -> None:
    alone = np.zeros(BARS)
    alone[BARS - 3] = -0.05
    older = np.zeros(BARS)
    older[BARS - 20 :] = 0.04  # masking up to the 20th bar back, or more
    older[BARS - 25 : BARS - 20] = 0.001
    (median, width) = readings(an_explanation(alone, older), "session")
    assert median == "AAA: no bar moves the median at step 20, nor do all together."
    assert width == (
        "AAA: the bar of 2020-02-27 (3 back) moves the width of the 80 % band at step 20 most, by "
        "-5.00 %. Masking all but the latest 20 sessions moves it by +0.10 %, all 60 by +4.00 %."
    )


def test_an_early_effect_that_comes_back_late_counts_from_the_early_one() -> None:
    older = np.zeros(BARS)
    older[5], older[-1] = 0.01, 0.05
    (_, width) = readings(an_explanation(np.full(BARS, 0.01), older), "month")
    assert "Masking all but the latest 55 months moves it by 0.00 %, all 60 by +5.00 %." in width


def test_a_memory_without_an_end_in_the_window_is_not_called_short() -> None:
    (_, width) = readings(an_explanation(np.full(BARS, 0.01), np.full(BARS, 0.02)), "session")
    assert (
        "Even the oldest counts: masked alone it moves it by +2.00 %, all 60 by +2.00 %." in width
    )


def test_a_short_horizon_is_explained_at_its_last_step() -> None:
    found = an_explanation(np.full(24, 0.01), steps=(1, 5, 12))
    assert "at step 12 most" in readings(found, "month")[1]
    assert "at step 12. Masking" in shown(found, "month")


def test_without_any_effect_there_is_no_table() -> None:
    text = shown(an_explanation(np.zeros(BARS)))
    assert "how the" not in text.replace("how the gates", "")
    assert text.count("no bar moves") == 2


def test_the_document_has_every_bar_and_is_json() -> None:
    found = an_explanation(np.linspace(-0.1, 0.1, BARS))
    document = json.loads(json.dumps(explain_document(found, "session"), allow_nan=False))
    assert set(document) == {"dates", "steps", "median", "width_80", "gates", "readings"}
    assert len(document["dates"]) == len(document["gates"][0]["openness"]) == BARS
    assert np.shape(document["width_80"]["alone"]) == (BARS, 4)
    assert document["gates"][1]["gate"] == "output"
