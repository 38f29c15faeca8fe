"""`--report`: a self-contained page that agrees with the tables and fits the screen."""

import html
import io
import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lstmcli.evaluation.verdict import difference
from lstmcli.pictures import page as page_module
from tests.command_line import Outcome, assert_one_error, in_process, succeed, walk

pytest.importorskip("matplotlib")

VOID = {"meta", "br", "img", "link", "input", "hr"}
PARTS = [
    "Forecasts and prices",
    "Single windows",
    "Predicted and actual trend",
    "Are the ranges calibrated?",
    "Does the chance of a rise beat the base rate?",
    "Skill by step",
    "All tables",
    "Origin",
    "The complete recipe",
]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""


class Page(HTMLParser):
    """What a page consists of; an element left open or closed twice is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(re.sub("</?time>", "", text))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data.strip()))

    def of(self, tag: str) -> list[str]:
        return [text for at, text in self.texts if at == tag]


def evaluate(home: Path, *options: object) -> Outcome:
    done = in_process("evaluate", *options, folder=home)
    assert done.code in (0, 3), done.err
    return done


def page_of(home: Path, *options: object) -> Page:
    evaluate(home, "--report", "page.html", *options)
    return Page((home / "page.html").read_text("utf-8"))


@dataclass(frozen=True)
class Evaluated:
    """A folder with one evaluation of the fan: its page, document and long table."""

    folder: Path
    text: str
    document: Any

    @cached_property
    def page(self) -> Page:
        return Page(self.text)


@pytest.fixture(scope="module")
def fan(trained_fan: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    folder = Path(shutil.copytree(trained_fan, tmp_path_factory.mktemp("page") / "home"))
    written = ("--report", "page.html", "--forecasts", "long.csv")
    document = json.loads(evaluate(folder, *written, "--format", "json").out)
    return Evaluated(folder, (folder / "page.html").read_text("utf-8"), document)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, where the words are what matters; a page takes a second to draw."""
    monkeypatch.setattr(page_module, "render", lambda *rest: b"<svg><g/></svg>")


def second_model(fan_home: Path) -> None:
    """Add a point model beside the fan."""
    scaling = ("window.scaling=log_return", "window.features=['close']")
    settings = (*scaling, "model.head=recursive", "train.members=1")
    options = [word for setting in settings for word in ("--set", setting)]
    succeed("train", "--config", "fan.toml", "--name", "point", *options, folder=fan_home)


def test_the_answer_comes_first_and_is_that_of_the_json(fan: Evaluated) -> None:
    summary, page = fan.document["summary"], fan.page
    title = page.of("title")[0]
    assert page.of("h1") == [title]
    assert title.startswith("one, two, 10 sessions ahead: ")
    lines = page.of("p")[1:4]
    assert (
        " ".join(lines).replace("\xa0", " ").replace("±", "+-")
        == (fan.document["verdicts"]["fan/v0001"])
    )
    names, values = (
        [each.replace("\xa0", " ") for each in page.of(tag)[:8]] for tag in ("dt", "dd")
    )
    assert names[:4] == ["Against naive", "Direction right", "Windows", "80 % range held"]
    saved = summary["skill_naive"]
    assert values[0] == difference(saved)
    right, of = summary["direction_right"], summary["direction_windows"]
    assert values[2] == f"{right} of {of} ({100 * right / of:.0f} %)"
    assert f"{summary['always_right']} of {of} " in values[3]
    assert values[4] == str(summary["windows"])


def test_the_jump_list_names_every_part_and_every_table(fan: Evaluated) -> None:
    page = fan.page
    targets = [value for name, value in page.attributes if name == "id"]
    jumps = re.findall('<a href="#([^"]+)">', fan.text)
    assert [each for each in jumps if targets.count(each) != 1] == []
    words = page.of("a")
    assert [each for each in words if each in PARTS] == PARTS
    tables = [value for name, value in page.attributes if name == "aria-label"]
    assert [each for each in words if each not in PARTS and each not in tables] == []


def test_the_page_loads_nothing_and_runs_nothing(fan: Evaluated) -> None:
    assert "://" not in fan.text
    assert not re.search(r"@import|url\((?!#)", fan.text)
    page = fan.page
    assert {"script", "link", "img", "iframe", "object", "embed"}.isdisjoint(page.tags)
    assert not [name for name, _ in page.attributes if name.startswith("on") or name == "src"]
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_every_reference_inside_a_drawing_has_its_target(fan: Evaluated) -> None:
    page = fan.page
    targets = {value for name, value in page.attributes if name == "id"}
    used = {value[1:] for name, value in page.attributes if name == "href"}
    used |= {value[5:-1] for name, value in page.attributes if name == "clip-path"}
    assert used
    assert used <= targets


def test_a_fan_has_every_part(fan: Evaluated) -> None:
    page = fan.page
    assert page.of("h2") == PARTS
    # two walks for two widths, four windows, moves; coverage, histogram and chances at two steps;
    # skills of medians and of fans
    assert page.tags.count("svg") == 4 + 4 + 1 + 6 + 2


def test_chances_of_a_rise_stand_next_to_their_base_rate(fan: Evaluated) -> None:
    found = fan.document["scores"]["models"]["fan/v0001"]["chances"]
    words = " ".join(text.replace("\xa0", " ") for _, text in fan.page.texts)
    for each in (found[-1], found[0]):
        mean, base = f"{100 * each['mean']:.1f} %", f"{100 * each['base_rate']:.1f} %"
        assert (
            f"Step {each['step']}: chance of a rise {mean} on average (in the past {base})" in words
        )
        assert (
            f"Brier score {each['brier']:.4f}, of the base rate {each['brier_base']:.4f}" in words
        )
        filled = [one["n_windows"] for one in each["reliability"]]
        assert sum(filled) == each["n_windows"]
        for place, count in enumerate(filled):
            shown = f"{10 * place} to {10 * place + 10} %: {count}"
            assert (shown in words) == (count > 0)


def test_a_point_forecast_has_no_bands_and_one_window_is_shown_once(home: Path) -> None:
    page = page_of(home, "--n-windows", "1")
    shown = [each for each in page.of("strong") if each.startswith("Latest, best, middle, worst: ")]
    assert len(shown) == 1
    assert page.of("h2") == [part for part in PARTS if not part.endswith("?")]
    assert [each for each in page.of("a") if each in PARTS] == page.of("h2")
    assert "80 % range" not in " ".join(text for _, text in page.texts)


def test_two_models_each_have_their_own(fan_home: Path) -> None:
    second_model(fan_home)
    models = ("--model", "fan", "--model", "point")
    done = evaluate(fan_home, *models, "--report", "page.html", "--format", "json")
    page = Page((fan_home / "page.html").read_text("utf-8"))
    names = list(json.loads(done.out)["verdicts"])
    heads = [each for each in page.of("h2") if ": " in each]
    assert [each.partition(":")[0] for each in heads] == names
    assert page.of("h3").count("fan/v0001") == 5  # trend, ranges, chances, skill, recipe
    assert page.of("h3").count("point/v0001") == 3
    recipes = page.of("pre")
    assert 'head = "direct"' in recipes[0]
    assert 'head = "recursive"' in recipes[1]


def test_the_tables_are_those_of_the_terminal_and_the_same_again(
    fan: Evaluated, fan_home: Path
) -> None:
    terminal = evaluate(fan_home, "--details", "--report", "page.html").out
    assert (fan_home / "page.html").read_text("utf-8") == fan.text
    cells = [cell for cell in fan.page.of("td") if cell]
    assert len(cells) > 200
    lines = " ".join(terminal.split())
    assert [cell for cell in cells if " ".join(cell.split()) not in lines] == []


def test_windows_shown_are_the_latest_best_middle_and_worst(fan: Evaluated) -> None:
    table = pd.read_csv(fan.folder / "long.csv").query("model == 'fan/v0001' and shown")
    inner = [0.1, 0.25, 0.5, 0.75, 0.9]
    gaps = [table["actual"] - table[f"q{level:g}"] for level in inner]
    losses = [
        np.maximum(level * gap, (level - 1) * gap) for level, gap in zip(inner, gaps, strict=True)
    ]
    table["crps"] = 2 * sum(losses) / len(inner) / table["last_close"]
    scores = table.groupby(["symbol", "cutoff"], sort=False)["crps"].mean().sort_values()
    rows = scores.reset_index()
    latest = table[table["cutoff"] == table["cutoff"].max()].iloc[0]
    expected = {
        "Latest": (latest["symbol"], latest["cutoff"]),
        "Best": tuple(rows.iloc[0][["symbol", "cutoff"]]),
        "Middle": tuple(rows.iloc[(len(rows) - 1) // 2][["symbol", "cutoff"]]),
        "Worst": tuple(rows.iloc[-1][["symbol", "cutoff"]]),
    }
    captions = fan.page.of("strong")
    for why, (symbol, cutoff) in expected.items():
        assert f"{why}: {symbol} from {cutoff}" in captions


def test_data_and_tools_are_named(fan: Evaluated) -> None:
    page, version = fan.page, fan.folder / "data/models/fan/v0001"
    metadata = json.loads((version / "metadata.json").read_text("utf-8"))
    assert metadata["data"]["fingerprint"] in page.of("dd")
    made = f"lstmcli {metadata['lstmcli_version']}, PyTorch {metadata['torch_version']}"
    assert [text for text in page.of("dd") if text.startswith(made)]
    assert "one, two" in page.of("dd")
    kept = (version / "config.toml").read_text("utf-8")
    assert page.of("pre") == [kept.strip()]


NAMES = ["<img src=x onerror=alert(1)>", "</svg></style><script>x", 'a&b "q" \'$x$', "價格"]


@pytest.fixture
def odd_names(fan_home: Path) -> Path:
    first = pd.read_csv(fan_home / "one.csv")
    for seed, name in enumerate(NAMES):
        first[name] = walk(len(first), seed)
    first.drop(columns="Close").to_csv(fan_home / "odd.csv", index=False)
    return fan_home


def test_names_are_shown_as_they_are_spelt_and_do_nothing(odd_names: Path) -> None:
    page = page_of(odd_names, "--csv", "odd.csv")
    assert {"script", "img"}.isdisjoint(page.tags)
    assert set(NAMES) <= set(page.of("td"))


def forecast_page(home: Path, *options: object) -> Page:
    succeed("predict", "--report", "page.html", *options, folder=home)
    return Page((home / "page.html").read_text("utf-8"))


def test_a_forecast_has_its_answer_its_fan_and_every_step(fan_home: Path) -> None:
    page = forecast_page(fan_home, "--csv", "one.csv")
    table = csv_of(fan_home, "--csv", "one.csv")
    last, end = table["last_close"].iloc[0], table.iloc[-1]
    answer = f"{end['median']:.2f} ({100 * (end['median'] / last - 1):+.1f} %)"
    assert page.of("h1") == [f"one: {answer} in 10 sessions".replace(" %", "\xa0%")]
    values = [each.replace("\xa0", " ") for each in page.of("dd")]
    assert values[0] == f"{last:.2f}"
    assert values[2] == answer
    assert values[4] == f"{end['q0.1']:.2f} to {end['q0.9']:.2f}"
    assert values[6] == f"{100 * end['probability_of_rise']:.0f} %"
    cells = page.of("td")
    assert [cell for cell in cells if re.fullmatch(r"\d{4}-\d\d-\d\d", cell)] == [*table["date"]]
    assert page.tags.count("svg") == 2  # for two widths
    assert page.of("h2") == ["The forecast", "How far to trust it", "Origin"]
    kept = json.loads((fan_home / "data/models/fan/v0001/metadata.json").read_text())
    own = kept["validation"]["models"]["network"]["rmse"]
    assert cells[cells.index("fan/v0001") + 1].replace("\xa0", " ") == f"{100 * own:.2f} %"


def csv_of(home: Path, *options: str) -> pd.DataFrame:
    done = in_process("predict", *options, "--format", "csv", folder=home)
    return pd.read_csv(io.StringIO(done.out))


def test_several_forecasts_have_a_row_each_and_a_part_each(undrawn: None, fan_home: Path) -> None:
    page = forecast_page(fan_home)
    assert page.of("h1") == ["one, two, next 10 sessions"]
    assert [each.partition(":")[0] for each in page.of("h2")[:2]] == ["one", "two"]
    assert page.of("h3")[0] == "At the last step"
    assert page.of("td")[0] == "one"


def test_a_point_forecast_has_no_range_and_past_ones_their_outcome(home: Path) -> None:
    page = forecast_page(home, "--as-of", "2018-06-01")
    assert "range" not in " ".join(page.of("dt") + page.of("th"))
    assert "Actual" in page.of("th")


def test_hindsight_is_reported_at_the_top(undrawn: None, home: Path) -> None:
    page = page_of(home, "--start", "2018-06-01")
    (said,) = [text for text in page.of("p") if "prove nothing" in text and "start" in text]
    assert page.of("p").index(said) == 1  # below what was evaluated


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("page.pdf", ("unsupported report format", ".html")),
        ("-", ("not a file",)),
        ("none/page.html", ("no such folder",)),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_page_that_cannot_be_written_stops_before_any_work(
    home: Path, command: str, target: str, words: tuple[str, ...]
) -> None:
    done = in_process(command, "--report", target, folder=home)
    assert_one_error(done, 2, *words)


def test_without_matplotlib_the_extra_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = in_process("evaluate", "--report", "page.html", folder=home)
    assert_one_error(done, 2, "matplotlib", "--report", "lstmcli[plot]")


def in_chromium(page: Path, folder: Path, width: int) -> tuple[dict[str, Any], list[str]]:
    """Measure a page in a frame `width` pixels wide; also return the requests that it made."""
    text = page.read_text("utf-8")
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)  # shows requests
    (folder / "frame.html").write_text(
        f"""<!DOCTYPE html>
<iframe style="width:{width}px;height:800px;border:0" srcdoc="{html.escape(text)}"></iframe>
<script>onload = () => {{
  const inside = document.querySelector("iframe").contentDocument, root = inside.documentElement;
  const shown = text => text.getBoundingClientRect().width > 0;
  const texts = [...inside.querySelectorAll("svg text")].filter(shown).map(text => {{
    const svg = text.ownerSVGElement, box = svg.getBoundingClientRect();
    const own = text.getBoundingClientRect();
    return {{size: parseFloat(text.style.fontSize) * box.width / svg.viewBox.baseVal.width,
      cut: Math.max(box.left - own.left, own.right - box.right,
        box.top - own.top, own.bottom - box.bottom)}};
  }});
  document.title = JSON.stringify({{wide: root.scrollWidth, room: root.clientWidth,
    texts: texts.length, smallest: Math.min(...texts.map(text => text.size)),
    cut: Math.max(...texts.map(text => text.cut))}});
}}</script>""",
        encoding="utf-8",
    )
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync"
    still = "--disable-background-networking --disable-component-update"
    done = subprocess.run(
        [CHROMIUM, *flags.split(), *still.split(), "--host-resolver-rules=MAP * ~NOTFOUND"]
        + [f"--user-data-dir={folder / 'profile'}", f"--log-net-log={folder / 'net.json'}"]
        + ["--dump-dom", (folder / "frame.html").as_uri()],
        capture_output=True,
        check=True,
        timeout=120,
    )
    (title,) = re.findall(r"<title>(.*?)</title></head>", done.stdout.decode("utf-8"))
    events = json.loads((folder / "net.json").read_text("utf-8"))["events"]
    asked = [event["params"] for event in events if "initiator" in event.get("params", {})]
    # The browser's own requests have no origin; those of a page in a file have "null".
    pages = [each["url"] for each in asked if each["initiator"] != "not an origin"]
    return json.loads(html.unescape(title)), pages


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM or sys.platform != "linux", reason="there is no Chromium here")
@pytest.mark.parametrize("width", [360, 1200])
def test_in_a_browser_nothing_is_loaded_cut_or_too_wide(odd_names: Path, width: int) -> None:
    second_model(odd_names)
    page = odd_names / "page.html"
    models = ("--model", "fan", "--model", "point")
    evaluate(odd_names, *models, "--csv", "odd.csv", "--report", page.name)
    found, requests = in_chromium(page, odd_names, width)
    assert requests == []
    assert found["texts"] > 100
    assert found["wide"] == found["room"]
    assert found["smallest"] > 10
    assert found["cut"] < 1


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM or sys.platform != "linux", reason="there is no Chromium here")
def test_the_browser_check_sees_a_request_and_what_is_too_wide(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        '<title>x</title><img src="http://lstmcli.invalid/x.png"><p style="width:900px">'
        '<svg viewBox="0 0 10 10"><text style="font-size: 5px" x="9" y="5">out</text></svg>'
    )
    found, requests = in_chromium(page, tmp_path, 360)
    assert requests == ["http://lstmcli.invalid/x.png"]
    assert found["wide"] > found["room"]
    assert found["cut"] > 1
