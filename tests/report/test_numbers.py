"""How figures are written for a reader."""

import math

from lstmcli.report.tables import move, number, percent, price
from tests.rows import for_each


@for_each(
    ("value", "text"),
    [
        (2901.519999, "2,901.52"),
        (1234567.891, "1,234,567.89"),
        (10.0, "10.00"),
        (9.876543, "9.87654"),
        (0.0123456789, "0.0123457"),
        (0.00001234, "1.234e-05"),
    ],
)
def test_price_keeps_two_decimals_or_six_digits(value: float, text: str) -> None:
    assert price(value) == text


def test_percent_is_a_share_of_one_hundred_or_a_dash() -> None:
    assert percent(0.034751, 3) == "3.475 %"
    assert percent(0.5, 0) == "50 %"
    assert percent(0.041, 1, sign=True) == "+4.1 %"
    assert percent(-0.041, 1, sign=True) == "-4.1 %"
    assert percent(None) == percent(math.nan) == "-"


def test_number_is_rounded_or_a_dash() -> None:
    assert number(5.5741) == "5.574"
    assert number(None) == "-"


def test_move_is_a_log_move_in_percent_of_the_price() -> None:
    assert move(math.log(1.05)) == "+5.00 %"
    assert move(math.log(0.5)) == "-50.00 %"
