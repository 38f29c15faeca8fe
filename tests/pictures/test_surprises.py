"""Pictures of anomalies: order of symbols, drawings and titles."""

from pathlib import Path

import numpy as np
import pytest

from lstmcli.pictures.picture import write_picture
from lstmcli.pictures.surprises import surprises
from lstmcli.pictures.terminal_plot import text_plot
from lstmcli.workflows.anomalies import AnomalyReport, Session, Watched

DAYS = np.arange("2020-01-01", "2020-01-31", dtype="datetime64[D]")
PRICES = 100.0 + np.arange(30.0)


def session(symbol: str, day: int) -> Session:
    cutoff, date = map(str, DAYS[day - 1 : day + 1])
    return Session("mine/v0001", symbol, cutoff, date, 100.0, 90.0, -0.1, -0.02, 0.02, 0.95)


def watched(symbol: str, judged: int, price: str = "Close") -> Watched:
    low, high = 0.98 * PRICES, 1.02 * PRICES
    low[:-judged] = high[:-judged] = np.nan
    return Watched(symbol, price, "USD", DAYS, PRICES, low, high)


def report(judged: int = 20) -> AnomalyReport:
    return AnomalyReport(
        found=[session("BBB", 25)],
        latest=[session("AAA", 29), session("BBB", 29)],
        symbols=["AAA", "BBB"],
        watched=[watched("AAA", judged), watched("BBB", judged, "Adj Close")],
        judged=2 * judged,
    )


def test_symbols_with_a_surprise_come_first_with_the_number_expected_by_chance() -> None:
    first, second = surprises(report())
    assert first.title == "BBB: 95 % ranges up to 2020-01-30"
    assert first.words == "by mine/v0001; 1 of 20 moves below 0.1 %, 0.02 expected; Adj Close"
    assert second.words == "by mine/v0001; none of 20 moves below 0.1 %, 0.02 expected"
    assert np.flatnonzero(first.found).tolist() == [25]
    assert not second.found.any()
    assert first.judged.sum() == 20


@pytest.mark.parametrize("judged", [1, 20])
def test_ranges_and_surprises_are_drawn_to_files_and_in_the_terminal(
    tmp_path: Path, judged: int
) -> None:
    shown = list(surprises(report(judged)))
    write_picture(shown, tmp_path / "both.svg")
    text = (tmp_path / "both.svg").read_text("utf-8")
    write_picture(shown[1:], tmp_path / "calm.svg")
    assert text != (tmp_path / "calm.svg").read_text("utf-8")
    both, calm = text_plot(shown[:1], 80), text_plot(shown[1:], 80)
    assert both.splitlines()[-1].split("  ")[-1].endswith("surprise")
    assert "surprise" not in calm
    assert "expected range" in calm
    # All of the height is for the prices: no zero comes in with what is not there.
    rows = [line for line in calm.splitlines() if "│" in line or "┤" in line]
    assert any(set(line) - set(" │┤0123456789.,▒") for line in rows[-3:])
