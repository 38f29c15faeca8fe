"""A thousand fetches by night: each draws what goes wrong, and after each the store is looked at.

Stories of 25 runs share a folder and a feed that goes on and restates. What is drawn: a kill or a
disk error at a step, a full disk, a read-only folder, two runs at once, a rate limit, a feed that
fails, breaks off or answers nothing. After every run all bars are wholly those of before or those
of now, the exit code is right, what is told to be fresh is what the feed says, the lock is free.

`pytest tests/faults/test_campaign.py -m slow -s` runs all of it and prints what happened.
"""

import errno
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import common_exit_code
from tests.forked_runs import NOBODY, DiskFault, ForkServer, Run
from tests.store_state import holds, is_free, sidecar_fits, strays
from tests.yahoo_stand_in import Fault, StandIn, dividend, random_walk, split

SYMBOLS = ("AAPL", "BRK-B", "^GSPC")
FETCH = ("fetch", *SYMBOLS, "--rate", "100", "--max-wait", "0.5", "--format", "json")
STORY = 25  # runs that share a folder
FIRST_ROWS, ROWS = 30, 400
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS)
BROKEN: tuple[Fault, ...] = ("500", "503", "html", "blank", "truncated", "cut", "reset")
NOTHING: tuple[Fault, ...] = ("empty", "null", "404")

Trouble = Literal[
    "none",
    "kill",
    "disk error",
    "disk full",
    "read-only",
    "two at once",
    "rate limit",
    "broken answers",
    "no answers",
    "kill and broken answers",
]


@dataclass
class Tally:
    """What happened, and what should not have."""

    runs: int = 0
    kills: int = 0
    disk_errors: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    corrupt: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        def listed(counts: Counter[Any]) -> str:
            return ", ".join(f"{count} {name}" for name, count in counts.most_common())

        return (
            f"{self.runs} runs: {listed(self.troubles)}\n"
            f"{self.kills} killed on the way, {self.disk_errors} disk errors met\n"
            f"exit codes: {', '.join(f'{n} x {code}' for code, n in sorted(self.codes.items()))}\n"
            f"symbols: {listed(self.statuses)}\n"
            f"{len(self.corrupt)} corrupt files, {len(self.wrong)} wrong exit codes, "
            f"{len(self.stale)} symbols silently stale"
        )


@dataclass
class Feed:
    """What Yahoo says as the nights go by."""

    yahoo: StandIn
    random: np.random.Generator
    bars: dict[str, pd.DataFrame]
    shown: dict[str, int]

    def go_on(self) -> None:
        """Some sessions later: new bars, the first of them with a split or dividend at times."""
        for symbol in SYMBOLS:
            new = int(self.random.integers(0, 4))
            day = str(self.bars[symbol].index[self.shown[symbol]].date())
            event = self.random.random()
            if new and event < 0.15:
                ratio = float(self.random.choice([0.1, 1.5, 2.0, 4.0]))
                self.bars[symbol] = split(self.bars[symbol], day, ratio)
            elif new and event < 0.3:
                paid = 0.02 * self.bars[symbol]["Close"].iloc[self.shown[symbol]]
                self.bars[symbol] = dividend(self.bars[symbol], day, paid)
            self.shown[symbol] = min(self.shown[symbol] + new, ROWS - 1)
            self.yahoo.serve(symbol, self.truth(symbol))

    def truth(self, symbol: str) -> pd.DataFrame:
        return self.bars[symbol][: self.shown[symbol]]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
@pytest.mark.parametrize("runs", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_35_no_fault_corrupts_a_file_or_leaves_a_symbol_silently_stale(
    runs: int,
    yahoo: StandIn,
    forks: ForkServer,
    place: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tally = Tally()
    for story, length in enumerate(lengths(runs)):
        random = np.random.default_rng([20_240_601, story])
        bars = {
            symbol: random_walk(ROWS, price=float(random.uniform(5, 500))) for symbol in SYMBOLS
        }
        feed = Feed(yahoo, random, bars, dict.fromkeys(SYMBOLS, FIRST_ROWS))
        folder = place / f"story-{story}"
        folder.mkdir()
        for number in range(length):
            trouble = get_args(Trouble)[random.integers(len(get_args(Trouble)))]
            if number == length - 1:
                trouble = "none"  # after every story, all is well in the end
            one_night(f"story {story} run {number}", trouble, feed, forks, folder, tally)
    with capsys.disabled():
        if runs > 100:
            print(f"\n{tally}")  # noqa: T201
    assert tally.runs == runs
    problems = tally.corrupt + tally.wrong + tally.stale
    assert not problems, "\n\n".join(problems)
    assert tally.kills > 0


def lengths(runs: int) -> Iterator[int]:
    for begun in range(0, runs, STORY):
        yield min(STORY, runs - begun)


def one_night(
    name: str, trouble: Trouble, feed: Feed, forks: ForkServer, folder: Path, tally: Tally
) -> None:
    """Let the feed go on, fetch in trouble, and look at what is there."""
    feed.go_on()
    before, lying_about = stored(folder), set(strays(folder))
    fault = draw_disk_fault(trouble, feed.random)
    feed.yahoo.faults.clear()
    feed.yahoo.always.clear()
    draw_feed_faults(trouble, feed)
    if trouble == "two at once":
        run = two_at_once(name, feed, forks, folder, tally)
    elif trouble == "read-only":
        run = read_only(forks, folder)
    else:
        run = forks.run(*FETCH, folder=folder, fault=fault)
    tally.runs += 1
    tally.troubles[trouble] += 1
    tally.codes[run.code] += 1
    told = f"{name}, {trouble}, {fault}: exit {run.code}\n{run.err}{run.out}"
    hit = fault is not None and fault.at <= len(run.steps)
    look_at_files(told, feed, before, folder, tally)
    if run.code == -signal.SIGKILL:
        tally.kills += 1
        if not (hit or trouble == "two at once"):
            tally.wrong.append(told)
        return
    tally.disk_errors += hit
    left = set(strays(folder))
    if left - lying_about or (left and run.out and not hit) or "Traceback" in run.err:
        tally.wrong.append(f"strays or a traceback: {left} {told}")
    if fault and hit and run.code == 0 and not harmless(run, fault):
        tally.wrong.append(f"a disk error that is not told: {told}")
    look_at_report(told, run, trouble, hit, feed, before, folder, tally)


def draw_disk_fault(trouble: Trouble, random: np.random.Generator) -> DiskFault | None:
    at = int(random.integers(1, 40))
    if trouble.startswith("kill"):
        return DiskFault("kill", at)
    if trouble in ("disk error", "disk full"):
        lasting = trouble == "disk full"
        number = errno.ENOSPC if lasting else int(random.choice(ERRORS))
        return DiskFault("error", at, number, lasting)
    return None


def draw_feed_faults(trouble: Trouble, feed: Feed) -> None:
    random = feed.random
    for symbol in SYMBOLS:
        if trouble == "rate limit":
            feed.yahoo.faults[symbol] = ["429"] * int(random.integers(0, 6))
        elif trouble.endswith("broken answers"):
            drawn = random.choice(BROKEN, size=int(random.integers(0, 4)))
            feed.yahoo.faults[symbol] = [str(each) for each in drawn]  # type: ignore[misc]
        elif trouble == "no answers" and random.random() < 0.5:
            feed.yahoo.always[symbol] = NOTHING[random.integers(len(NOTHING))]


def two_at_once(name: str, feed: Feed, forks: ForkServer, folder: Path, tally: Tally) -> Run:
    """While one run waits for an answer another one comes; the first is killed or left alone."""
    feed.yahoo.faults[SYMBOLS[0]] = ["hang"]
    lock = folder / "data/prices/.lock"
    first = forks.start(*FETCH, folder=folder)
    deadline = time.monotonic() + 20.0
    while is_free(lock) and time.monotonic() < deadline:
        time.sleep(0.005)
    second = forks.run(*FETCH, folder=folder)
    if second.code != 5 or second.out:
        tally.wrong.append(f"{name}: the second of two runs: exit {second.code}\n{second.err}")
    if feed.random.random() < 0.5:
        os.kill(first, signal.SIGKILL)
    return forks.wait(first)


def read_only(forks: ForkServer, folder: Path) -> Run:
    """Run as somebody who may look but not write."""
    (folder / "data/prices/1d").mkdir(parents=True, exist_ok=True)
    for path in ("data", "data/prices", "data/prices/1d"):
        (folder / path).chmod(0o555)
    run = forks.run(*FETCH, folder=folder, user=NOBODY)
    for path in ("data", "data/prices", "data/prices/1d"):
        (folder / path).chmod(0o755)
    return run


def stored(folder: Path) -> dict[str, bytes]:
    files = {name: folder / f"data/prices/1d/{name}.csv" for name in SYMBOLS}
    return {name: path.read_bytes() for name, path in files.items() if path.exists()}


def look_at_files(
    told: str, feed: Feed, before: dict[str, bytes], folder: Path, tally: Tally
) -> None:
    """Every file of bars is the one of before or what the feed says; every sidecar is JSON."""
    now = stored(folder)
    if missing := before.keys() - now.keys():
        tally.corrupt.append(f"{missing} lost: {told}")
    for name in SYMBOLS:
        if name in now and now[name] != before.get(name) and not is_whole(now[name], feed, name):
            tally.corrupt.append(f"{name}: {told}")
    for path in folder.glob("data/prices/1d/*.json"):
        try:
            json.loads(path.read_bytes())
        except ValueError:
            tally.corrupt.append(f"{path.name}: {told}")
    if not is_free(folder / "data/prices/.lock"):
        tally.wrong.append(f"the lock is held: {told}")


def is_whole(data: bytes, feed: Feed, symbol: str) -> bool:
    try:
        return holds(data, feed.truth(symbol))
    except (AssertionError, ValueError):
        return False


def look_at_report(
    told: str,
    run: Run,
    trouble: Trouble,
    hit: bool,
    feed: Feed,
    before: dict[str, bytes],
    folder: Path,
    tally: Tally,
) -> None:
    """The exit code follows from the results, and each result is true."""
    if not run.out:
        one_line = run.err.startswith("lstmcli: error: ") and run.err.count("\n") == 1
        if run.code != 1 or not one_line or not (hit or trouble == "read-only"):
            tally.wrong.append(told)
        return
    results = json.loads(run.out)["results"]
    codes = [each["exit_code"] for each in results if each["status"] == "failed"]
    expected = 0 if not codes else 3 if len(codes) < len(results) else common_exit_code(codes)
    if run.code != expected or not set(codes) <= possible(trouble, hit):
        tally.wrong.append(told)
    now = stored(folder)
    for result, name in zip(results, SYMBOLS, strict=True):
        tally.statuses[result["status"]] += 1
        if result["status"] == "failed":
            if now.get(name) != before.get(name) and not hit:
                tally.wrong.append(f"{name} failed and changed: {told}")
        elif name not in now or not is_whole(now[name], feed, name):
            tally.stale.append(f"{name}: {told}")
        elif not sidecar_fits(folder / f"data/prices/1d/{name}.csv"):
            tally.corrupt.append(f"sidecar of {name}: {told}")


def possible(trouble: Trouble, hit: bool) -> set[int]:
    """The codes that a symbol may fail with."""
    if trouble in ("rate limit", "broken answers"):
        return {6}
    if trouble == "no answers":
        return {4}
    if trouble.endswith("broken answers"):
        return {6}
    return {1} if hit or trouble == "read-only" else set()


def harmless(run: Run, fault: DiskFault) -> bool:
    """Whether all that the disk refused was to make a folder that is there, or to clear one up."""
    refused = run.steps[fault.at - 1 :] if fault.lasting else run.steps[fault.at - 1 : fault.at]
    return all(step.startswith(("mkdir", "remove")) for step in refused)
