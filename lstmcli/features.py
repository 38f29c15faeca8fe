"""Inputs that a network can read at each bar: columns of the bars, and the user's own inputs.

An own input is written `KIND:NAME[:TRANSFORM][@LAG]`, e.g. `column:RSI@5` for a column of the file
five bars earlier, or `symbol:^VIX:log` for the closes of another series.
"""

import re
from typing import NamedTuple

BAR_FEATURES = ("close", "open", "high", "low", "volume", "month")
TRANSFORMS = ("zscore", "level", "log", "change")
MOST_LAG = 1000  # bars
_OWN_INPUT = re.compile(
    rf"(column|symbol):([^\s:@](?:.*?[^\s:@])??)(?::({'|'.join(TRANSFORMS)}))?(?:@([0-9]{{1,4}}))?"
)


class OwnInput(NamedTuple):
    """An input from outside the bars, written `KIND:NAME[:TRANSFORM][@LAG]`.

    kind : "column" of the file, or "symbol", the closes of another series. transform : one of
    TRANSFORMS. lag : bars. text : the input as written in the settings.
    """

    kind: str
    name: str
    transform: str
    lag: int
    text: str

    @property
    def column(self) -> str:
        """The column of the price table that holds this input."""
        return f"{self.kind}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> "OwnInput":
        """Read `column:RSI@5` or `symbol:^VIX:log`; raises ValueError for anything else."""
        found = _OWN_INPUT.fullmatch(text)
        if found is None or not text.isprintable() or int(found[4] or 0) > MOST_LAG:
            raise ValueError(
                f"expected {', '.join(BAR_FEATURES)}, column:NAME or symbol:NAME, the last two "
                f"optionally with one of :{', :'.join(TRANSFORMS)} and a lag of @1 to @{MOST_LAG}"
            )
        return cls(found[1], found[2], found[3] or TRANSFORMS[0], int(found[4] or 0), text)
