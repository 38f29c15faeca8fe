"""Of which price returns, bands and chances are: one plain phrase below a table."""

from collections.abc import Iterable

ADJUSTED = "Adj Close"


def price_basis(columns: Iterable[str]) -> str:
    """Say what the columns that are forecast mean; with Adj Close, how to get the quoted price."""
    names = sorted(set(columns))
    if ADJUSTED not in names:
        return f"Returns of {' and '.join(names)}, applied to the last close."
    where = "" if len(names) == 1 else f" where it is forecast, and not of {names[1]}"
    return (
        f"Returns include dividends ({ADJUSTED}){where}, applied to the last close; for the quoted "
        "price, predict and evaluate a model of: lstmcli train --set data.price=close --name NAME."
    )
