"""CSV files in the formats and states in which they occur in practice."""

import pytest

from lstmcli.errors import DataError, UsageError
from tests.reading.files import CLOSES, DAYS, VOLUMES, opened, read, rows
from tests.rows import for_each

HEADER = "Date,Close,Volume"
LINES = [
    f"{day},{close},{volume:.0f}" for day, close, volume in zip(DAYS, CLOSES, VOLUMES, strict=True)
]
PLAIN = rows(HEADER, *LINES)
GERMAN = PLAIN.replace(",", ";").replace(".", ",")

SHAPES: dict[str, str | bytes] = {
    "plain": PLAIN,
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "bars": PLAIN.replace(",", "|"),
    "decimal commas": GERMAN,
    "decimal commas and tabs": GERMAN.replace(";", "\t"),
    "Excel says its separator": "sep=;\n" + GERMAN,
    "all quoted": '"' + PLAIN.replace(",", '","').replace("\n", '"\n"').removesuffix('"'),
    "UTF-16": PLAIN.encode("utf-16"),
    "UTF-16, big end first": "\ufeff".encode("utf-16-be") + PLAIN.encode("utf-16-be"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "UTF-16 without a mark, big end first": PLAIN.encode("utf-16-be"),
    "Excel's Unicode text": PLAIN.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
    "latin-1": PLAIN.replace("Volume", "Volum\xe9").encode("latin-1"),
    "Windows-1252": GERMAN.replace("Volume", "Volume \u20ac").encode("cp1252"),
    "comments": "# by a program\n#\n" + PLAIN.replace("\n2024-01-04", "\n# split\n2024-01-04"),
    "a footer": PLAIN + '"Downloaded from Barchart.com as of 06-16-2023, 05:11am CDT"\n',
    "a footer without an end": PLAIN + "\nSource: stooq.com",
    "two footers": PLAIN + "All prices in dollars\nData provided by nobody\n",
    "BOM, CRLF": b"\xef\xbb\xbf" + PLAIN.replace("\n", "\r\n").encode(),
    "blanks at the end": PLAIN + "  \n \n ",
    "blank lines": PLAIN.replace("\n", "\n\n"),
}


@for_each("shape", SHAPES)
def test_the_same_table_is_read_from_other_csv_dialects(shape: str) -> None:
    found = read(SHAPES[shape])
    assert list(map(str, found.texts[0].to_pylist())) == DAYS
    assert found.numbers.T.tolist() == [CLOSES, VOLUMES]


@for_each(
    ("shape", "note"),
    [
        ("semicolons", "CSV separated by ';'"),
        ("tabs", "CSV separated by 'tab'"),
        ("UTF-16", "UTF-16"),
        ("latin-1", "Windows-1252"),
        ("comments", "Skipped comment lines: 3."),
        ("a footer", "'Downloaded from Barchart.com as of 06-16-2023, 05:11am CDT'"),
        ("two footers", "'All prices in dollars'; 'Data provided by nobody'"),
    ],
)
def test_unusual_formats_are_noted(shape: str, note: str) -> None:
    assert note in " ".join(opened(SHAPES[shape]).notes)


def test_neither_a_plain_file_nor_requested_marks_give_notes() -> None:
    assert opened(PLAIN).notes == read(PLAIN).notes == ()
    assert read(GERMAN).notes == ("Numbers were read with decimal commas.",)
    table = opened(GERMAN, ";", ",")
    assert table.notes == table.read([0], [1, 2]).notes == ()


def test_comments_and_blank_lines_count_in_line_numbers() -> None:
    text = rows("# one", "", HEADER, LINES[0], "#", LINES[1], "", LINES[2])
    assert read(text).lines.tolist() == [4, 6, 8]
    assert list(map(str, read(text).texts[0].to_pylist())) == DAYS[:3]
    assert read("sep=,\n" + text).lines.tolist() == [5, 7, 9]


def test_a_column_or_value_that_begins_with_a_hash_is_not_a_comment() -> None:
    assert opened(rows("#,Date,Close", "1,2024-01-02,5")).head[0] == ["#", "Date", "Close"]
    assert len(read(rows("Name,Close", "#N/A,1", "x,2")).lines) == 2


@for_each(
    "text",
    [
        rows("Date|Close,USD", "2024-01-02|1,5", "2024-01-03|2,5"),
        rows("Date;Close\tUSD", "2024-01-02;1\t5"),
    ],
)
def test_two_separators_that_fit_are_refused_with_the_option(text: str) -> None:
    with pytest.raises(DataError, match=r"cannot detect the separator.*Pass --sep '.' or --sep"):
        opened(text)


def test_of_two_separators_the_one_that_fits_most_lines_is_used() -> None:
    for last in ("2024-01-03;2", "2024-01-03;2;3"):
        table = opened(rows("Date;Close, adjusted", "2024-01-02;1", last))
        assert table.head[0] == ["Date", "Close, adjusted"]


def test_the_error_for_a_wrong_separator_names_the_right_one() -> None:
    with pytest.raises(DataError, match=r"one column when it is split at ','.*--sep ';'"):
        opened(GERMAN, ",")
    with pytest.raises(UsageError, match="unknown separator"):
        opened(PLAIN, ":")
    with pytest.raises(UsageError, match="unknown decimal mark"):
        opened(PLAIN, "", ";")


@for_each(
    ("line", "what"),
    [
        ("2024-01-09;1", r"too short \(stdin line 7\): found 2 fields, the header has 3 in a CSV"),
        ("2024-01-09;1;2;3", r"longer than the header \(stdin line 7\).*pass --sep and --decimal"),
        ("2024-01-09;1;2;", r"longer than the header \(stdin line 7\): found 4 fields"),
        ("# 9", None),
        ("June 16", r"too short \(stdin line 7\)"),
        ("16 December", r"too short \(stdin line 7\)"),
        ("TOTAL", r"too short \(stdin line 7\)"),
    ],
)
def test_every_line_must_have_the_fields_of_the_header(line: str, what: str | None) -> None:
    text = GERMAN + line + "\n"
    if what is None:
        assert len(read(text).lines) == 5
        return
    with pytest.raises(DataError, match=what):
        read(text)


@for_each("cut", ["2024-01-0", "16 Decem", "Tuesday 16 Decem", "2024-01-09;18"])
def test_a_cut_last_line_is_not_a_footer(cut: str) -> None:
    with pytest.raises(DataError, match="the last line is cut"):
        read(GERMAN + cut)


def test_a_last_row_cut_within_its_name_is_not_a_footer() -> None:
    text = rows("Name,Close", "Apple Inc,1", "Apple Inc,2")
    with pytest.raises(DataError, match="the last line is cut"):
        read(text + "Apple Comp")


def test_the_row_below_a_very_long_header_decides_the_separator() -> None:
    names = ",".join(f"S;{i:05d}" for i in range(20_000))
    text = f"Date,{names}\n2024-01-02{',1' * 20_000}\n"
    assert len(opened(text).head[0]) == 20_001


def test_a_footer_within_the_rows_is_refused() -> None:
    with pytest.raises(DataError, match=r"too short \(stdin line 3\)"):
        read(rows(HEADER, LINES[0], "Prices below are adjusted", *LINES[1:]))


@for_each(
    "page",
    [
        "<!DOCTYPE html>\n<html><body>Date,Close</body></html>\n", "\n  <html>\n", "<HTML>\n",
        '<?xml version="1.0"?>\n<error/>', "<head><title>503, Service</title>", "\ufeff<html>",
        "<!-- cached --><p>x",
    ],
)  # fmt: skip
def test_a_web_page_is_reported_as_such(page: str) -> None:
    with pytest.raises(DataError, match="it is a web page"):
        opened(page)


@for_each(
    "header",
    [
        "<TICKER>,<PER>,<DATE>,<CLOSE>",
        "<DATE>\t<OPEN>\t<CLOSE>\t<VOL>",
        "<DATE>;<A>;<B>;<C>",
        "<P>,<Adj Close>,<B>,<C>",
        "<Date Time>;<A>;<B>;<C>",
    ],
)
def test_names_in_angle_brackets_are_not_a_web_page(header: str) -> None:
    sep = header.replace("<", ">").split(">")[2]
    table = opened(header + "\n" + sep.join(["1", "2", "3", "4"]) + "\n")
    assert table.head[0] == header.split(sep)


def test_forecasts_are_refused_as_prices() -> None:
    with pytest.raises(DataError, match="forecasts are not prices"):
        opened("model,symbol,cutoff,step,date,median\nbase,SPX,2024-01-02,1,2024-01-03,5\n")
