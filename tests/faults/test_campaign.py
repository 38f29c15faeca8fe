"""A thousand nightly fetches with random faults; the store is checked after each.

Series of 25 runs share a folder and a feed that adds and restates bars. The faults: a kill or a
disk error at a step, a full disk, a read-only folder, two concurrent runs, a rate limit, a lost
sidecar; a feed that fails, stops midway or answers nothing, or answers for another symbol, in
another currency, with holes in a restated history, with prices times 100, with yesterday's bars or
half of today's. The test keeps the true prices. After every run each stored value is the previous
or the true one, or the run has reported the fault; no row is lost, the exit code is right, the lock
is free.

`pytest tests/faults/test_campaign.py -m slow -s` runs all of it and prints what happened.
"""

import errno
import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from lstmcli.errors import common_exit_code
from tests.faults.nightly_feed import (
    FIRST_ROWS,
    SYMBOLS,
    Feed,
    Trouble,
    draw_answers,
    draw_feed_faults,
    sessions,
)
from tests.forked_runs import NOBODY, DiskFault, ForkServer, Run
from tests.store_state import holds, is_free, sidecar_fits, strays, table
from tests.yahoo_stand_in import StandIn

FETCH = ("fetch", *SYMBOLS, "--rate", "100", "--max-wait", "0.5", "--format", "json")
STORY = 25  # runs that share a folder
ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS)


@dataclass
class Tally:
    """What happened, and what should not have."""

    runs: int = 0
    kills: int = 0
    disk_errors: int = 0
    troubles: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    corrupt: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
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
            f"said: {listed(self.said)}\n"
            f"{len(self.corrupt)} values stored wrong without a word, {len(self.lost)} rows lost, "
            f"{len(self.wrong)} wrong exit codes or notes, {len(self.stale)} symbols silently stale"
        )


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux")
@pytest.mark.parametrize("runs", [15, pytest.param(1000, marks=pytest.mark.slow)])
def test_no_fault_corrupts_a_file_or_leaves_a_symbol_silently_stale(
    runs: int, yahoo: StandIn, forks: ForkServer, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Tally()
    for story, length in enumerate(lengths(runs)):
        random = np.random.default_rng([20_240_601, story])
        bars = {symbol: sessions(float(random.uniform(5, 500))) for symbol in SYMBOLS}
        feed = Feed(yahoo, random, bars, dict.fromkeys(SYMBOLS, FIRST_ROWS))
        folder = place / f"story-{story}"
        folder.mkdir()
        for number in range(length):
            trouble = get_args(Trouble)[random.integers(len(get_args(Trouble)))]
            if number == length - 1:
                trouble = "none"  # after every story, all is well in the end
            one_night(f"story {story} run {number}", trouble, feed, forks, folder, tally)
        assert not feed.said
    with capsys.disabled():
        if runs > 100:
            print(f"\n{tally}")  # noqa: T201
    assert tally.runs == runs
    problems = tally.corrupt + tally.lost + tally.wrong + tally.stale
    assert not problems, "\n\n".join(problems)
    assert tally.kills > 0


def lengths(runs: int) -> Iterator[int]:
    for begun in range(0, runs, STORY):
        yield min(STORY, runs - begun)


def one_night(
    name: str, trouble: Trouble, feed: Feed, forks: ForkServer, folder: Path, tally: Tally
) -> None:
    """Let the feed go on, fetch in trouble, and look at what is there."""
    feed.go_on(restate=trouble == "restatement with holes")
    before, lying_about = stored(folder), set(strays(folder))
    fault = draw_disk_fault(trouble, feed.random)
    feed.yahoo.faults.clear()
    feed.yahoo.always.clear()
    draw_feed_faults(trouble, feed)
    draw_answers(trouble, feed, before)
    unknown = lose_sidecars(feed, before, folder) if trouble == "lost sidecar" else set()
    if trouble == "two at once":
        run = two_at_once(name, feed, forks, folder, tally)
    elif trouble == "read-only":
        run = read_only(feed, forks, folder)
    else:
        run = forks.run(*FETCH, folder=folder, fault=fault, now=feed.now)
    tally.runs += 1
    tally.troubles[trouble] += 1
    tally.codes[run.code] += 1
    told = f"{name}, {trouble}, {fault}: exit {run.code}\n{run.err}{run.out}"
    hit = fault is not None and fault.at <= len(run.steps)
    look_at_files(told, trouble, run, feed, before, folder, tally)
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
    if unknown:
        bring_back(told, unknown, feed, forks, folder, tally)


def draw_disk_fault(trouble: Trouble, random: np.random.Generator) -> DiskFault | None:
    at = int(random.integers(1, 40))
    if trouble.startswith("kill"):
        return DiskFault("kill", at)
    if trouble in ("disk error", "disk full"):
        lasting = trouble == "disk full"
        number = errno.ENOSPC if lasting else int(random.choice(ERRORS))
        return DiskFault("error", at, number, lasting)
    return None


def lose_sidecars(feed: Feed, before: dict[str, bytes], folder: Path) -> set[str]:
    """Remove or damage some sidecars; returns the symbols that are of unknown source now."""
    unknown = {name for name in SYMBOLS if name in before and feed.random.random() < 0.5}
    for name in sorted(unknown):
        path = folder / f"data/prices/1d/{name}.json"
        if feed.random.random() < 0.5:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[: int(feed.random.integers(0, 40))])
    return unknown


def bring_back(
    told: str, unknown: set[str], feed: Feed, forks: ForkServer, folder: Path, tally: Tally
) -> None:
    """Fetch bars of unknown source as the message says, and find the truth."""
    if told.count("of unknown source") < len(unknown):
        tally.wrong.append(f"{unknown} not refused: {told}")
    names = sorted(unknown)
    run = forks.run("fetch", *names, "--full", *FETCH[4:], folder=folder, now=feed.now)
    now = stored(folder)
    if run.code or not all(is_one_of(now[name], feed, name, [feed.truth(name)]) for name in names):
        tally.wrong.append(f"--full: {run.err}{run.out} after {told}")
    for name in names:
        feed.said.pop(name, None)


def two_at_once(name: str, feed: Feed, forks: ForkServer, folder: Path, tally: Tally) -> Run:
    """While one run waits for an answer another one comes; the first is killed or left alone."""
    feed.yahoo.faults[SYMBOLS[0]] = ["hang"]
    lock = folder / "data/prices/.lock"
    first = forks.start(*FETCH, "--full", folder=folder, now=feed.now)
    deadline = time.monotonic() + 20.0
    while is_free(lock) and time.monotonic() < deadline:
        time.sleep(0.005)
    second = forks.run(*FETCH, folder=folder, now=feed.now)
    if second.code != 5 or second.out:
        tally.wrong.append(f"{name}: the second of two runs: exit {second.code}\n{second.err}")
    if feed.random.random() < 0.5:
        os.kill(first, signal.SIGKILL)
    return forks.wait(first)


def read_only(feed: Feed, forks: ForkServer, folder: Path) -> Run:
    """Run as somebody who may look but not write."""
    (folder / "data/prices/1d").mkdir(parents=True, exist_ok=True)
    for path in ("data", "data/prices", "data/prices/1d"):
        (folder / path).chmod(0o555)
    run = forks.run(*FETCH, folder=folder, user=NOBODY, now=feed.now)
    for path in ("data", "data/prices", "data/prices/1d"):
        (folder / path).chmod(0o755)
    return run


def stored(folder: Path) -> dict[str, bytes]:
    files = {name: folder / f"data/prices/1d/{name}.csv" for name in SYMBOLS}
    return {name: path.read_bytes() for name, path in files.items() if path.exists()}


def allowed(trouble: Trouble, feed: Feed, symbol: str) -> list[pd.DataFrame]:
    """What a run may store that has been answered so: true bars, if not all of them."""
    truth = feed.truth(symbol)
    if symbol in feed.served:
        if trouble == "stale":
            return [truth, feed.before[symbol]]
        if trouble == "half a session":
            return [truth, truth[:-1]]
    return [truth]


def look_at_files(
    told: str,
    trouble: Trouble,
    run: Run,
    feed: Feed,
    before: dict[str, bytes],
    folder: Path,
    tally: Tally,
) -> None:
    """Every file of bars is the one of before or true, or its fault is said; no row is gone."""
    now = stored(folder)
    if missing := before.keys() - now.keys():
        tally.corrupt.append(f"{missing} lost: {told}")
    for name in now:
        known = pd.DatetimeIndex(table(before[name]).index if name in before else [])
        if len(gone := known.difference(pd.DatetimeIndex(table(now[name]).index))):
            tally.lost.append(f"{name} lost {gone}: {told}")
        if now[name] == before.get(name):
            continue
        if trouble == "hundredfold" and name in feed.served:
            note_said(run, feed, name, known[:-1], now[name], tally)
        if not is_one_of(now[name], feed, name, allowed(trouble, feed, name)):
            tally.corrupt.append(f"{name}: {told}")
        elif is_one_of(now[name], feed, name, allowed(trouble, feed, name), strictly=True):
            feed.said.pop(name, None)
    for path in folder.glob("data/prices/1d/*.json"):
        try:
            json.loads(path.read_bytes())
        except ValueError:
            if trouble != "lost sidecar":
                tally.corrupt.append(f"{path.name}: {told}")
    if not is_free(folder / "data/prices/.lock"):
        tally.wrong.append(f"the lock is held: {told}")


def note_said(
    run: Run, feed: Feed, name: str, known: pd.DatetimeIndex, data: bytes, tally: Tally
) -> None:
    """Keep which new bars a run has said to jump; others that do are not said, but wrong."""
    truth, odd = feed.truth(name), table(data)
    moved = (odd["Close"] / truth["Close"].reindex(odd.index) - 1.0).abs() > 1e-3
    if not moved.any() or len(odd.index[moved].intersection(known)):
        return
    (result,) = [each for each in json.loads(run.out)["results"] if each["symbol"] == name]
    if re.search(r"Close (moves by|is) x", result["note"]):
        tally.said["jumps of new bars"] += 1
        feed.said[name] = feed.said.get(name, set()) | set(odd.index[moved])


def is_one_of(
    data: bytes, feed: Feed, symbol: str, frames: list[pd.DataFrame], *, strictly: bool = False
) -> bool:
    but = set() if strictly else feed.said.get(symbol, set())
    try:
        return any(holds(data, bars, but=but & set(bars.index), shares=1.0) for bars in frames)
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
            tally.said[f"{trouble}: {result['failure']}"] += 1
            if now.get(name) != before.get(name) and not hit:
                tally.wrong.append(f"{name} failed and changed: {told}")
        elif name not in now or not is_one_of(now[name], feed, name, allowed(trouble, feed, name)):
            tally.stale.append(f"{name}: {told}")
        elif not sidecar_fits(folder / f"data/prices/1d/{name}.csv"):
            tally.corrupt.append(f"sidecar of {name}: {told}")
        else:
            look_at_note(told, result, feed, table(now[name]), tally)


def look_at_note(
    told: str, result: dict[str, Any], feed: Feed, bars: pd.DataFrame, tally: Tally
) -> None:
    """A run says that it lacks sessions where it does, and which rows it had to carry over."""
    name = result["symbol"]
    lacking = int((feed.truth(name).index > bars.index[-1]).sum())
    if lacking != result["behind"] or bool(lacking) != ("stale: " in result["note"]):
        tally.wrong.append(f"{name} lacks {lacking} sessions: {told}")
    tally.said["stale"] += bool(lacking)
    served = feed.served.get(name)
    if served is None or result["status"] != "restated":
        return
    carried = served.index[served["Close"].isna()].intersection(bars.index)
    kept = re.search(r"kept and adjusted like those around: (\d+)", result["note"])
    if len(carried) != int(kept[1] if kept else 0):
        tally.wrong.append(f"{name} kept {len(carried)} rows: {told}")
    tally.said["kept rows"] += len(carried)


def possible(trouble: Trouble, hit: bool) -> set[int]:
    """The codes that a symbol may fail with."""
    if trouble in ("rate limit", "wrong symbol") or trouble.endswith("broken answers"):
        return {6}
    if trouble in ("no answers", "other currency", "hundredfold", "lost sidecar"):
        return {4}
    if trouble == "restatement with holes":
        return {4}
    return {1} if hit or trouble == "read-only" else set()


def harmless(run: Run, fault: DiskFault) -> bool:
    """Whether a run may do without all that the disk refused.

    That is to make a folder that is there, to clear one up, and the data folder's record of runs.
    """
    refused = run.steps[fault.at - 1 :] if fault.lasting else run.steps[fault.at - 1 : fault.at]
    paths = [Path(step.partition(" ")[2]) for step in refused]
    return all(
        step.startswith(("mkdir", "remove")) or "data" in (path.name, path.parent.name)
        for step, path in zip(refused, paths, strict=True)
    )
