"""Was the trend called: two ways, three ways, and in the crashes and the spikes?"""

from rich.console import RenderableType

from lstmcli.evaluation.scores import ModelScores, Scores
from lstmcli.evaluation.tails import TailWindows
from lstmcli.evaluation.trend import CLASSES, Shares
from lstmcli.report.comparisons import interval_text
from lstmcli.report.console import make_table
from lstmcli.report.numbers import move, number, percent


def direction_tables(scores: Scores, main: ModelScores) -> list[RenderableType]:
    """Show the directions, the trends and the crashes of one model at every reported step."""
    tables = [_two_way(main), *_no_test(main)]
    if any(each.three_way is not None for each in main.direction):
        tables.append(_three_way(main, scores.flat_band))
    if any(each.crash is not None for each in main.direction):
        tables.append(_tails(main))
    return tables


def _two_way(main: ModelScores) -> RenderableType:
    some_unchanged = any(each.two_way.n_unchanged for each in main.direction)
    table = make_table(
        f"Direction called by {main.model} (p: Pesaran-Timmermann)",
        ["Step", "Accuracy", "Best constant", "", "Balanced", "Windows"]
        + (["Unchanged, left out"] if some_unchanged else [])
        + ["Independent", "of", "95 % interval", "p"],
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
            str(found.n_windows),
            *([str(found.n_unchanged)] if some_unchanged else []),
            percent(found.independent_accuracy, 1),
            str(found.n_independent),
            interval_text(found.interval),
            number(found.test.p),
        )
    return table


def _no_test(main: ModelScores) -> list[RenderableType]:
    """Each reason for a missing p once, with the steps that it holds for."""
    steps: dict[str, list[str]] = {}
    for each in main.direction:
        if each.two_way.test.why is not None:
            steps.setdefault(each.two_way.test.why, []).append(str(each.step))
    return [f"No p at step {', '.join(at)}: {why}." for why, at in steps.items()]


def _three_way(main: ModelScores, flat_band: float) -> RenderableType:
    table = make_table(
        f"Trends, three ways (flat: within {flat_band:g} deviations)",
        ["Step", "Right", "Balanced", "Best constant", "", "Windows", "Independent", ""]
        + [f"called {name}" for name in reversed(CLASSES)],
        left=0,
    )
    for direction in main.direction:
        found = direction.three_way
        if found is None:
            continue
        head = [
            str(direction.step),
            percent(found.accuracy, 1),
            percent(found.balanced_accuracy, 1),
            percent(found.always_accuracy, 1),
            f"always {found.always}",
            str(found.n_windows),
            str(found.n_independent),
        ]
        for name, row in zip(reversed(CLASSES), reversed(found.confusion), strict=True):
            table.add_row(*head, f"went {name}", *(str(count) for count in reversed(row)))
            head = [""] * len(head)
    return table


def _tails(main: ModelScores) -> RenderableType:
    table = make_table(
        "Crashes and spikes: what had been predicted?",
        ["Step", "", "Windows", "Independent", "Actual move", "Predicted", "Always"]
        + ["Called up", "flat", "down", "Always up", "flat", "down"],
        left=0,
    )
    for direction in main.direction:
        for each in (direction.crash, direction.spike):
            if each is None:
                continue
            table.add_row(
                str(direction.step),
                each.kind,
                str(each.n_windows),
                str(each.n_independent),
                *("-" if m is None else move(m) for m in _moves(each)),
                *_shares(each.calls),
                *_shares(each.calls_always),
            )
    return table


def _moves(found: TailWindows) -> tuple[float | None, float | None, float | None]:
    return found.actual, found.predicted, found.predicted_always


def _shares(calls: Shares | None) -> list[str]:
    return [percent(None if calls is None else getattr(calls, name), 0) for name in CLASSES[::-1]]
