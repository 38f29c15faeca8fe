"""What is wrong with the store, one finding a line: its date, and what to do about it.

Nothing is written and nothing is mended here; a restated history is reported, but it is no fault.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from lstmcli.errors import DataError, FileError, PartialError
from lstmcli.files.atomic import TEMPORARY_SUFFIX
from lstmcli.market.bar_checks import bar_text, jumps_by_column
from lstmcli.market.prices import Prices, price_column
from lstmcli.market.sessions import OddDays, note_doubtful, note_odd_days, odd_days
from lstmcli.market.store import (
    IMPORTED,
    read_raw,
    read_sidecar,
    read_stored,
    restatements_of,
    sidecar_fits,
    source_of,
)
from lstmcli.market.symbols import interval_option, price_path, store_folder, stray_paths
from lstmcli.market.validate import LONG_STILL, count_equal_closes
from lstmcli.runs.registry import ownership_doubt
from lstmcli.workflows.data import all_stored

Kind = Literal[
    "unreadable",
    "bad row",
    "gap",
    "no session",
    "weekdays",
    "jump",
    "still",
    "restated",
    "sidecar",
    "owner",
    "stray",
]
_NO_FAULTS = ("restated", "weekdays")


@dataclass(frozen=True)
class Finding:
    """One thing found.

    symbol, interval : whose bars; empty for what belongs to none.
    date : in ISO form, empty where there is none. next_step : a command or what to do by hand.
    """

    symbol: str
    interval: str
    kind: Kind
    date: str
    what: str
    next_step: str


@dataclass(frozen=True)
class CheckReport:
    """All that was found in `checked` series."""

    checked: int
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 for nothing but _NO_FAULTS, 4 when every series has a fault, 3 when some have."""
        faults = [each for each in self.findings if each.kind not in _NO_FAULTS]
        if not faults:
            return 0
        faulty = {(each.symbol, each.interval) for each in faults if each.symbol}
        return DataError.exit_code if len(faulty) == self.checked else PartialError.exit_code


def check_data(
    data_dir: Path, symbols: Sequence[str] = (), *, interval: str | None = None, today: date
) -> CheckReport:
    """Look through the series named, or through the whole store with what else lies in it.

    Raises DataError where nothing is stored, FileError where a folder leads out of the store.
    """
    series = all_stored(data_dir, interval, symbols)
    findings = [] if symbols else list(_strays(data_dir))
    for symbol, each in series:
        findings += _Series(data_dir, symbol, each, today).findings()
    return CheckReport(len(series), tuple(findings))


@dataclass(frozen=True)
class _Series:
    data_dir: Path
    symbol: str
    interval: str
    today: date

    def findings(self) -> list[Finding]:
        try:
            known = list(self._sidecar())
            raw = read_raw(self.data_dir, self.symbol, self.interval)
            prices = read_stored(
                self.data_dir, self.symbol, self.interval, today=self.today, mend=True
            )
        except (DataError, FileError) as error:
            where = f" ({error.where})" if error.where else ""
            what = f"{error.what}{where}: {error.why}" if error.why else f"{error.what}{where}"
            return [self._found("unreadable", "", what, error.next_step or self._again())]
        return [
            *known,
            *self._bad_rows(raw, prices),
            *self._jumps(prices),
            *self._still(prices),
            *self._gaps(prices),
        ]

    def _sidecar(self) -> Iterator[Finding]:
        facts = read_sidecar(self.data_dir, self.symbol, self.interval)
        if not source_of(facts):
            named = f"{self.symbol}{interval_option(self.interval)}"
            path = price_path(self.data_dir, self.symbol, self.interval)
            what = "no sidecar, or a damaged one: the prices are of unknown source"
            mend = f"lstmcli fetch {named} --full replaces them by Yahoo's; lstmcli data import "
            mend += f"{self.symbol}={path} --replace makes them your own."
            yield self._found("sidecar", "", what, mend)
        elif not sidecar_fits(self.data_dir, self.symbol, self.interval):
            what = "the sidecar belongs to other bars: a write was cut short, or the bars edited"
            yield self._found("sidecar", "", what, self._again())
        if doubt := ownership_doubt(price_path(self.data_dir, self.symbol, self.interval)):
            yield self._found("owner", "", doubt, "Take over the file, or remove it.")
        for day, reason in restatements_of(facts):
            what = f"the history was replaced: {reason}"
            yield self._found("restated", day, what, "Train models of before that day again.")

    def _bad_rows(self, raw: pd.DataFrame, prices: Prices) -> Iterator[Finding]:
        """Compare the file with what is read from it, column by column."""
        columns = {str(name): raw[name].to_numpy(np.float64) for name in raw}
        for day in raw.index.difference(prices.frame.index):
            row = int(np.flatnonzero(raw.index == day)[0])
            if day.date() in prices.left_out:
                what = f"impossible close: {bar_text(columns, row)}"
            elif np.isnan(columns["Close"][row]):
                what = "no price"
            else:
                what = "a bar of a period that is not over, or a second bar of one"
            yield self._found("bad row", f"{day:%Y-%m-%d}", what, self._again())
        kept = raw[~raw.index.duplicated()].reindex(prices.frame.index)
        for name in raw.columns:
            is_left = np.isfinite(prices.frame[name]) if name in prices.frame else False
            bad = kept.index[kept[name].notna() & ~pd.Series(is_left, index=kept.index)]
            # An index has no volume on any day, and a share none on a day without trade.
            bad = bad[kept.loc[bad, name] != 0] if name == "Volume" else bad
            if len(bad):
                what = f"{name} cannot be right in {len(bad)} rows and counts as missing"
                yield self._found("bad row", f"{bad[0]:%Y-%m-%d}", what, self._again())

    def _jumps(self, prices: Prices) -> Iterator[Finding]:
        columns = {str(name): prices.frame[name].to_numpy(np.float64) for name in prices.frame}
        days = np.asarray(prices.frame.index).astype("datetime64[D]")
        found = jumps_by_column(columns, price_column(prices, "auto"), self.interval)
        for name, jumps in found.items():
            for jump in jumps:
                what = f"{name} {jump.text(days)}"
                yield self._found("jump", str(days[jump.row]), what, self._again())

    def _still(self, prices: Prices) -> Iterator[Finding]:
        count = count_equal_closes(prices.frame["Close"].to_numpy(np.float64))
        if count >= LONG_STILL:
            what = f"the last {count} closes are equal: halted, pegged, or no longer updated"
            day = f"{prices.frame.index[-count]:%Y-%m-%d}"
            yield self._found("still", day, what, self._again())

    def _gaps(self, prices: Prices) -> Iterator[Finding]:
        """One finding for each run of missing sessions, and one for bars without a session."""
        index = pd.DatetimeIndex(prices.frame.index)
        odd = odd_days(index, self.symbol, self.interval, from_feed=prices.from_feed)
        unit = odd.unit.removeprefix("exchange ")
        for hole in odd.missing:
            count = f"1 {unit}" if hole.size == 1 else f"{hole.size} {unit}s up to {hole[-1]}"
            yield self._found("gap", str(hole[0]), f"{count} missing", self._again())
        if odd.extra.size:
            (note,) = note_odd_days(OddDays(extra=odd.extra))
            yield self._found("no session", str(odd.extra[0]), note.rstrip("."), self._again())
        for note in note_doubtful(odd):
            step = "Name it as Yahoo does, with its exchange (VOD.L), or leave it so."
            yield self._found("weekdays", "", note.rstrip("."), step)

    def _again(self) -> str:
        option = interval_option(self.interval)
        if read_sidecar(self.data_dir, self.symbol, self.interval).get("source") == IMPORTED:
            return f"Import a mended file: lstmcli data import {self.symbol}=FILE."
        return f"lstmcli fetch --full {self.symbol}{option} asks for it again."

    def _found(self, kind: Kind, day: str, what: str, next_step: str) -> Finding:
        return Finding(self.symbol, self.interval, kind, day, what, next_step)


def _strays(data_dir: Path) -> Iterator[Finding]:
    """Find files in the store that belong to no series, and other writers."""
    store = store_folder(data_dir)
    for path in stray_paths(data_dir):
        if path.name.endswith(TEMPORARY_SUFFIX):
            what, then = "left by a write that was cut short", "The next fetch removes it."
        elif path.suffix == ".json":
            what, then = "a sidecar without bars", "Fetch or import its symbol, or remove it."
        else:
            what, then = "no file of the store", "Move it away, or import it: lstmcli data import."
        yield Finding("", "", "stray", "", f"{path}: {what}", then)
    for folder in (data_dir, store, *sorted(path for path in store.iterdir() if path.is_dir())):
        if doubt := ownership_doubt(folder):
            what, then = f"{folder}: {doubt}", f"chmod o-w {folder}, or move the store."
            yield Finding("", "", "owner", "", what, then)
