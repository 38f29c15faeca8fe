"""How what was kept differs from what is asked for, in words: the settings of a run, or a study."""

import json
from collections.abc import Mapping
from typing import Any

_MOST = 3
_LONGEST_VALUE = 50


def differences(kept: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Name the keys whose JSON values differ, "a 1, not 2; b ..."; empty where none does.

    `data` is a fingerprint, which tells nobody anything, and is called other data.
    """
    keys = [key for key in {**asked, **kept} if kept.get(key) != asked.get(key)]
    told = [
        "other data"
        if key == "data"
        else f"{key} {_short(kept.get(key))}, not {_short(asked.get(key))}"
        for key in keys[:_MOST]
    ]
    more = len(keys) - len(told)
    if more:
        told.append("1 more difference" if more == 1 else f"{more} more differences")
    return "; ".join(told)


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."
