"""Stock forecasts from the shell and from Python: `import lstmcli as lc`, then `lc.train("AAPL")`.

The functions come from `lstmcli.api`, which is imported on first use.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

_NAMES = ("anomalies", "evaluate", "fetch", "forecast", "load_model", "predict", "train")

if TYPE_CHECKING:
    from lstmcli.api import anomalies as anomalies
    from lstmcli.api import evaluate as evaluate
    from lstmcli.api import fetch as fetch
    from lstmcli.api import forecast as forecast
    from lstmcli.api import load_model as load_model
    from lstmcli.api import predict as predict
    from lstmcli.api import train as train


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        from lstmcli import api

        return getattr(api, name)
    raise AttributeError(f"module 'lstmcli' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES} - {"TYPE_CHECKING", "Any"})
