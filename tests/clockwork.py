"""Time that passes only when someone sleeps, so that tests of long pauses take none."""

import threading
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from lstmcli.market.refresh import Task
from lstmcli.market.throttle import Gate


@dataclass
class Clockwork:
    """A clock and the sleep that moves it; shared by threads, it never goes back."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.slept.append(seconds)
            self.now += seconds

    def gate(self, **options: Any) -> Gate:
        """A gate that runs by this clock, with a rate that hinders nobody."""
        options = {"rate": 1000.0, "max_wait": 600.0, "timeout": None, **options}
        return Gate(clock=self.clock, sleep=self.sleep, random=Random(7), **options)

    def task(self, now: datetime) -> Task:
        """The settings of a plain run of daily bars, through a gate of this clock."""
        return Task(Path(), "1d", None, None, False, False, False, now, self.gate(rate=1e9))
