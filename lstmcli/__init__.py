"""Stock forecasts from the shell and from Python; the API is `lstmcli.workflows`."""

__version__ = "0.2.0"
