"""Odd values of contradictory bars, compared with a brute-force search."""

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lstmcli.market.bar_checks import BAR, bar_text, find_odd_values, have_different_bases

Columns = dict[str, NDArray[np.float64]]


def consistent(rows: int, seed: int = 0) -> Columns:
    generator = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(generator.normal(0, 0.01, rows)))
    opened = close * np.exp(generator.normal(0, 0.005, rows))
    return {
        "Open": opened,
        "High": np.maximum(opened, close) * np.exp(abs(generator.normal(0, 0.005, rows))),
        "Low": np.minimum(opened, close) * np.exp(-abs(generator.normal(0, 0.005, rows))),
        "Close": close,
    }


def bar(**values: float) -> Columns:
    """Return a bar between two bars of 100, 101, 99, 100, with the same values by default."""
    usual = {"Open": 100.0, "High": 101.0, "Low": 99.0, "Close": 100.0}
    return {
        name: np.array([usual[name], values.get(name, usual[name]), usual[name]]) for name in BAR
    }


def odd_names(columns: Columns, row: int = 1) -> set[str]:
    return {name for name, mask in find_odd_values(columns).items() if mask[row]}


def in_order(values: dict[str, float]) -> bool:
    """Return whether no available value contradicts another by more than 1e-4."""
    low, high = values.get("Low", 0.0), values.get("High", np.inf)
    inside = [values[name] for name in ("Open", "Close") if name in values]
    return all(low <= each * 1.0001 and each <= high * 1.0001 for each in [*inside, high, low])


def slow_odd_names(columns: Columns, row: int) -> set[str]:
    """Find the odd values of one bar by trying all removals, smallest first."""

    def present(at: int) -> dict[str, float]:
        return {
            name: float(values[at])
            for name, values in columns.items()
            if np.isfinite(values[at]) and values[at] > 0
        }

    values = present(row)
    if in_order(values):
        return set()
    good = [at for at in range(columns["Close"].size) if in_order(present(at))]
    good = [at for at in good if "Close" in present(at)]
    around = [*[at for at in good if at < row][-1:], *[at for at in good if at > row][:1]]
    middle = np.median(np.log(list(values.values())))
    if around:
        middle = np.mean([np.log(columns["Close"][at]) for at in around])
    for size in (1, 2):
        found = []
        for removed in combinations([name for name in BAR if name in columns], size):
            rest = {name: value for name, value in values.items() if name not in removed}
            far = sum(abs(np.log(values[name]) - middle) for name in removed if name in values)
            if in_order(rest):
                found.append((far, removed))
        if found:
            return set(max(found, key=lambda each: each[0])[1])
    raise AssertionError("two removals always restore order")


def test_contradictions_below_a_ten_thousandth_are_rounding() -> None:
    assert odd_names(bar(High=100 * (1 - 0.9e-4))) == set()
    assert odd_names(bar(High=100 * (1 - 1.2e-4))) == {"High"}


def test_of_two_candidates_the_value_farther_from_the_neighbours_is_odd() -> None:
    assert odd_names(bar(Close=104.0)) == {"Close"}
    assert odd_names(bar(Open=95.0, Low=94.0, High=96.0, Close=97.0)) == {"High"}


def test_a_single_bar_is_compared_with_its_own_median() -> None:
    for name in ("Close", "Open"):
        columns = {each: values[1:2] for each, values in bar(**{name: 50.0}).items()}
        assert odd_names(columns, 0) == {name}


def test_missing_values_and_columns_cause_no_contradiction() -> None:
    assert odd_names(bar(High=np.nan, Low=np.nan, Close=50.0)) == set()
    assert odd_names(bar(High=-1.0, Low=0.0)) == set()
    part = {name: values for name, values in bar(Close=150.0).items() if name in ("High", "Close")}
    assert odd_names(part) == {"Close"}
    assert odd_names({"Close": np.array([1.0, 2.0, 3.0])}) == set()


@given(st.integers(0, 10_000))
def test_odd_values_equal_those_of_a_brute_force_search(seed: int) -> None:
    generator = np.random.default_rng(seed)
    columns = consistent(12, seed)
    for name in generator.choice(BAR, generator.integers(0, 2), replace=False):
        if name != "Close":
            del columns[str(name)]
    for values in columns.values():
        wrong = generator.random(12) < 0.25
        values[wrong] *= np.exp(generator.normal(0, 0.5, int(wrong.sum())))
        if values is not columns["Close"]:
            values[generator.random(12) < 0.1] = generator.choice([np.nan, 0.0, -1.0, np.inf])
    for row in range(12):
        assert odd_names(columns, row) == slow_odd_names(columns, row), row


def test_many_contradictory_bars_mean_columns_of_different_bases() -> None:
    columns = consistent(400)
    columns["Close"][:19] *= 0.5
    assert not have_different_bases(find_odd_values(columns))
    columns["Close"][:21] = columns["Open"][:21] * 0.5
    assert have_different_bases(find_odd_values(columns))
    few = {name: values[:12] for name, values in bar(Close=50.0).items()}
    assert not have_different_bases(find_odd_values(few))


def test_the_text_of_a_bar_lists_its_available_values() -> None:
    assert bar_text(bar(Close=50.0, High=np.nan), 1) == "Close 50 with Open 100, Low 99"
