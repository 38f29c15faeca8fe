"""The scores of a backtest in short: directions, errors as bars, and the verdict."""

import math
from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from lstmcli.arrays import Floats
from lstmcli.evaluation.direction import most_common
from lstmcli.evaluation.scores import PAST_MOVES, Scores
from lstmcli.evaluation.trend import CLASSES
from lstmcli.evaluation.verdict import Summary, Verdict, difference, judged_band, shown_name
from lstmcli.report.tables import BAD, DIM, GOOD, OWN, Prose, make_table, percent, styled

_OPEN = "yellow"  # of a verdict that is neither good nor bad
_BAR = 14  # characters of the largest error
_LABEL = 17  # characters before the first figure of a line
_LABELS = {
    "naive": "naive (no change)",
    "seasonal_naive": "a year before",
    "seasonal_drift": "a year before, grown",
}


def directions(summary: Summary, scores: Scores, moves: Floats) -> Iterator[RenderableType]:
    """Yield which directions and trends were right, and what the range held.

    moves : (N,) actual ones of the last step, NaN where it has not happened.
    """
    own = scores.models[summary.model]
    last = own.direction[-1]
    rows, three_way = list[list[str]](), last.three_way
    if windows := summary.direction_windows:
        right, always = summary.direction_right, summary.always_right
        rows.append(
            [
                "Direction right",
                *(share_of(right, windows), f'  always "{most_common(moves)}":'),
                share_of(always, windows),
            ]
        )
    if three_way is not None:
        n, classes = three_way.n_windows, [sum(row) for row in three_way.confusion]
        constant = max(range(3), key=classes.__getitem__)
        rows.append(
            [
                "Up, flat, down",
                share_of(sum(three_way.confusion[k][k] for k in range(3)), n),
                f'  always "{CLASSES[constant]}":',
                share_of(classes[constant], n),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for label, *cells in rows:
        cells = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
        yield label.ljust(_LABEL) + " ".join(cells)
    if last.two_way.n_unchanged:
        yield f"{'Unchanged'.ljust(_LABEL)}{last.two_way.n_unchanged}, left out"
    if (band := judged_band(own)) is not None:
        label = f"{100.0 * band.nominal:.3g} % range".ljust(_LABEL)
        held = f"{label}held {percent(band.coverage, 0)} of outcomes at step {band.step}"
        judged = {None: "; too few windows to judge", True: ", as it should", False: ""}
        colour = {None: "", True: GOOD, False: BAD}[band.good]
        yield styled(held + judged[band.good], colour)


def errors(
    summary: Summary, scores: Scores, over: str, called: str, *, in_line: bool = False
) -> Iterator[RenderableType]:
    """Yield the error of a model as a bar next to those of baselines, or all of them in a line.

    over : the steps, as "all 50 sessions". called : what the model is called.
    """
    own, known = scores.models[summary.model].path, scores.models
    if own.rmse is None:
        return
    hardest = min(scores.against, key=lambda name: known[name].path.rmse or math.inf)
    names = [name for name in ("naive", "drift", PAST_MOVES) if name in known]
    names += [] if hardest in names else [hardest]
    if in_line:
        rivals = (f"{shown_name(each)} {percent(known[each].path.rmse)}" for each in names)
        line = "   ".join([percent(own.rmse), *rivals])
        yield Prose("Typical error".ljust(_LABEL) + line)
        yield ""
        return
    shown: list[tuple[str | Text, str, float | None, str]] = [
        (styled(called, OWN), OWN, own.rmse, ""),
        *(
            (_LABELS.get(name, shown_name(name)), DIM, known[name].path.rmse, saved)
            for name in names
            for skill in [own.skill.get(name)]
            for saved in ["" if skill is None else difference(skill, shown_name(name))]
        ),
    ]
    most = max(rmse or 0.0 for _, _, rmse, _ in shown) or 1.0
    table = make_table(
        f"Typical error over {over} (RMSE, % of the price)",
        ["", "RMSE", "Bar", "Saved"],
        (
            [label, percent(rmse), styled("█" * round(_BAR * (rmse or 0.0) / most), colour), saved]
            for label, colour, rmse, saved in shown
        ),
        drop=["Bar", "Saved"],
    )
    table.show_header = False
    for column in table.columns[2:]:
        column.justify = "left"
    yield ""
    yield table


def verdict_lines(summary: Summary, verdict: Verdict) -> Iterator[RenderableType]:
    """Yield the word of a verdict in its colour, and its lines."""
    yield Text.assemble(("Verdict", "bold"), "  ", verdict_word(summary, verdict))
    for line in verdict.lines:
        yield Prose(line, indent=2)


def share_of(right: int, windows: int) -> str:
    """Format a count and its share: "11 of 13 (85 %)"."""
    return f"{right} of {windows} ({percent(right / windows, 0)})" if windows else "-"


def verdict_word(summary: Summary, verdict: Verdict) -> Text:
    """Return the word of a verdict for a reader, in its colour."""
    hardest = shown_name(verdict.hardest or "naive")
    if summary.verdict == "better":
        return styled("better than naive" + f" and {hardest}" * (hardest != "naive"), GOOD)
    if summary.verdict == "worse":
        return styled(f"worse than {hardest}", BAD)
    return styled("too few windows" if summary.verdict == "too few" else "not proven", _OPEN)
