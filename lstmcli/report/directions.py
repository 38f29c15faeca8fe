"""Was the trend called: two ways, three ways, and in the crashes and the spikes?"""

from rich.console import RenderableType

from lstmcli.evaluation.direction import TwoWay
from lstmcli.evaluation.scores import ModelScores, Scores
from lstmcli.evaluation.tails import TailWindows
from lstmcli.evaluation.trend import CLASSES, ThreeWay
from lstmcli.report.console import make_table
from lstmcli.report.numbers import move, percent


def direction_tables(scores: Scores, main: ModelScores) -> list[RenderableType]:
    """Show the directions of one model at every reported step, and the trends at the last."""
    last = main.direction[-1]
    tables = [_two_way(main)]
    if last.three_way is not None:
        tables += [_confusion(last.three_way, last.step, scores.flat_band)]
    tails = [each for each in (last.crash, last.spike) if each is not None]
    if tails:
        tables.append(_tails(tails, last.step))
    return tables


def _two_way(main: ModelScores) -> RenderableType:
    table = make_table(
        f"Direction called by {main.model}",
        ["Step", "Accuracy", "Best constant", "", "Balanced", "Independent", "of", "95 % interval"],
        left=0,
    )
    for direction in main.direction:
        found = direction.two_way
        table.add_row(
            str(direction.step),
            percent(found.accuracy, 1),
            percent(found.always_accuracy, 1),
            f"always {found.always}" if found.always else "-",
            percent(found.balanced_accuracy, 1),
            percent(found.independent_accuracy, 1),
            str(found.n_independent),
            _interval(found),
        )
    return table


def _interval(found: TwoWay) -> str:
    interval = found.interval
    if interval.low is None or interval.high is None:
        return "-"
    return f"{percent(interval.low, 1)} to {percent(interval.high, 1)}"


def _confusion(found: ThreeWay, step: int, flat_band: float) -> RenderableType:
    table = make_table(
        f"Trend at step {step}: {percent(found.accuracy, 1)} right, balanced "
        f"{percent(found.balanced_accuracy, 1)}; always {found.always} is right in "
        f"{percent(found.always_accuracy, 1)} (flat: within {flat_band:g} deviations)",
        ["Windows", *(f"called {name}" for name in reversed(CLASSES))],
    )
    for name, row in zip(reversed(CLASSES), reversed(found.confusion), strict=True):
        table.add_row(f"went {name}", *(str(count) for count in reversed(row)))
    return table


def _tails(tails: list[TailWindows], step: int) -> RenderableType:
    table = make_table(
        f"Crashes and spikes over {step} steps: what had been predicted?",
        ["", "Windows", "Actual move", "Predicted", "Always", "Called up", "flat", "down"]
        + ["Always up", "flat", "down"],
    )
    for each in tails:
        calls, always = each.calls, each.calls_always
        table.add_row(
            each.kind,
            str(each.n_windows),
            "-" if each.actual is None else move(each.actual),
            "-" if each.predicted is None else move(each.predicted),
            "-" if each.predicted_always is None else move(each.predicted_always),
            *(
                percent(None if calls is None else getattr(calls, name), 0)
                for name in reversed(CLASSES)
            ),
            *(
                percent(None if always is None else getattr(always, name), 0)
                for name in reversed(CLASSES)
            ),
        )
    return table
