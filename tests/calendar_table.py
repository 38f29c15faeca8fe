"""Writes and checks the table of exchange sessions that ships: `lstmcli/market/sessions.npz`.

    python -m tests.calendar_table

Run it in an environment with pandas 2, under which exchange_calendars can make all its calendars,
whenever a newer exchange_calendars has recorded more holidays.
"""

import sys
import warnings
from importlib.metadata import version

import numpy as np

from lstmcli.arrays import Days
from lstmcli.market.calendars import FIRST_TRUSTED, LAST_KNOWN, TABLE, library_sessions

# Calendars with holidays that are announced a year or a few ahead, and that go on without them
# after the year given. All others follow rules, or end where the library says so.
RECORDED_UNTIL = {
    "XIDX": 2025, "XKAR": 2025, "XBEL": 2025, "XTAI": 2026, "XPHS": 2027, "XKLS": 2029,
    "XBKK": 2029, "AIXK": 2049, "XIST": 2049, "XNZE": 2049,
}  # fmt: skip


def names() -> list[str]:
    """Return the exchanges' calendars of the library, each once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import exchange_calendars
    every = exchange_calendars.get_calendar_names(include_aliases=False)
    return sorted(set(every) - {"24/5", "24/7"})


def made(name: str) -> tuple[Days, np.datetime64] | None:
    """Return a calendar's sessions and the last day whose holidays are known, None if it fails."""
    found = library_sessions(name)
    if found is None:
        return None
    recorded = np.datetime64(f"{RECORDED_UNTIL.get(name, 2100)}-12-31", "D")
    return found[0], min(found[1], recorded)


def write() -> None:
    """Write the table of all calendars; fail where one cannot be made."""
    rows = {name: made(name) for name in names()}
    known = {name: row for name, row in rows.items() if row is not None}
    if missing := sorted(rows.keys() - known.keys()):
        sys.exit(f"cannot make {', '.join(missing)}: use pandas 2")
    every_day = np.arange(FIRST_TRUSTED, LAST_KNOWN + 1)
    np.savez_compressed(
        TABLE,
        names=np.array(list(known)),
        first=np.array([sessions[0] for sessions, _ in known.values()]),
        known_until=np.array([until for _, until in known.values()]),
        sessions=np.packbits([np.isin(every_day, days) for days, _ in known.values()], axis=1),
        version=np.array(version("exchange_calendars")),
    )


if __name__ == "__main__":
    write()
