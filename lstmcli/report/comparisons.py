"""Models side by side: who is better and by more than luck, and who only copies the last price."""

from collections.abc import Sequence

from rich.console import RenderableType

from lstmcli.evaluation.comparisons import Pair
from lstmcli.evaluation.intervals import Interval
from lstmcli.evaluation.scores import Scores
from lstmcli.report.console import make_table
from lstmcli.report.numbers import number, percent

_SAME_AS_NAIVE = ("gaussian_cone", "ewma_cone", "always_up")


def pairs_tables(scores: Scores) -> list[RenderableType]:
    """Show every network beside every other model, and why a figure is missing.

    The squared errors of the cones and of always_up are those of naive and stand in the JSON alone.
    """
    shown = [
        pair for pair in scores.pairwise if pair.loss == "crps" or pair.other not in _SAME_AS_NAIVE
    ]
    table = make_table(
        "Pair by pair: skill, its 95 % interval, and Diebold-Mariano's p over all phases",
        ["", "Against", "On", "Skill", "95 % interval", "p", "Phases better"],
        left=3,
    )
    for pair in shown:
        table.add_row(
            pair.model,
            pair.other,
            "RMSE" if pair.loss == "squared" else "CRPS",
            percent(pair.skill, 1, sign=True),
            interval_text(pair.interval, sign=True),
            number(pair.test.test.p),
            f"{sum((each or 0.0) > 0.0 for each in pair.test.skills)} of {len(pair.test.skills)}",
        )
    return [table, *_reasons(shown)]


def interval_text(interval: Interval | None, *, sign: bool = False) -> str:
    """An interval of shares as "38.6 % to 90.9 %"; a dash where it is undefined."""
    if interval is None or interval.low is None or interval.high is None:
        return "-"
    return f"{percent(interval.low, 1, sign=sign)} to {percent(interval.high, 1, sign=sign)}"


def movement_table(scores: Scores) -> RenderableType:
    """Show how much each model moves over all steps, and whether it copies the last price."""
    table = make_table(
        "Does it only copy the last price? Moves over all steps",
        ["", "Size", "Spread", "Correlation with last", "with next", "of moves", "Copy"],
    )
    for name, each in scores.models.items():
        found = each.movement
        table.add_row(
            name,
            percent(found.size, 0),
            percent(found.spread, 0),
            number(found.with_last),
            number(found.with_next),
            number(found.of_moves),
            "flat line" if found.flat_line else "yes" if found.copy else "no",
        )
    return table


def _reasons(pairs: Sequence[Pair]) -> list[RenderableType]:
    """Each reason for a missing figure once."""
    found = {
        "p": [pair.test.test.why for pair in pairs],
        "95 % interval": [pair.interval.why for pair in pairs if pair.interval is not None],
    }
    reasons: dict[str, list[str]] = {}
    for column, whys in found.items():
        for why in whys:
            if why is not None and column not in reasons.setdefault(why, []):
                reasons[why].append(column)
    return [f"No {' and no '.join(columns)}: {why}." for why, columns in reasons.items()]
