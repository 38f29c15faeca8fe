"""The scores of a backtest as tables: errors and skills, fans and bands, directions, movement."""

from collections.abc import Sequence

from rich.console import RenderableType

from lstmcli.evaluation.comparisons import Pair
from lstmcli.evaluation.scores import ModelScores, Scores
from lstmcli.evaluation.significance import Interval
from lstmcli.evaluation.trend import CLASSES, Shares, TailWindows
from lstmcli.report.console import make_table
from lstmcli.report.numbers import move, number, percent

_SHOWN_BANDS = (0.5, 0.8, 0.95)


def score_tables(scores: Scores, over: str) -> list[RenderableType]:
    """Show every model's scores, and the first one step by step. over : the steps, in words."""
    main = scores.models[scores.model]
    return [
        _scores(scores, over),
        *pairs_tables(scores),
        _steps(scores, main),
        *_fans(scores, main),
        *_chances(main),
        *direction_tables(scores, main),
        movement_table(scores),
    ]


def _rows(main: ModelScores) -> list[tuple[int, int]]:
    """The steps shown, and where each stands in the lists of all steps."""
    return [(each.step, main.steps.step.index(each.step)) for each in main.direction]


def _scores(scores: Scores, over: str) -> RenderableType:
    against = _points(scores)
    fans = scores.models[scores.model].path.crps is not None
    table = make_table(
        f"Scores over steps {over}, in % of the last price",
        ["", "Path RMSE", "Path MAE", "MASE"]
        + (["CRPS"] if fans else [])
        + [f"Skill vs {name}" for name in against]
        + ["p vs drift", "Direction", "Balanced"],
    )
    for name, each in scores.models.items():
        two_way = each.direction[-1].two_way
        test = each.tests.get("drift")
        table.add_row(
            name,
            percent(each.path.rmse, 3),
            percent(each.path.mae, 3),
            number(each.path.mase),
            *([percent(each.path.crps, 3)] if fans else []),
            *(percent(each.path.skill.get(other), 1, sign=True) for other in against),
            number(test.test.p if test else None),
            percent(two_way.accuracy, 1),
            percent(two_way.balanced_accuracy, 1),
        )
    return table


def _points(scores: Scores) -> list[str]:
    """The baselines that skills are shown against in columns; the others stand pair by pair."""
    return [name for name in scores.against if name != "scaled_climatology"]


def _fans(scores: Scores, main: ModelScores) -> list[RenderableType]:
    """Show the fan of the first model by step beside the others, and what its bands covered."""
    if main.steps.crps is None:
        return []
    table = make_table(
        "CRPS by step, in % of the last price",
        ["Step", main.model, *(f"Skill vs {name}" for name in main.steps.crps_skill)],
        left=0,
    )
    for step, at in _rows(main):
        table.add_row(
            str(step),
            percent(main.steps.crps[at], 3),
            *(percent(skill[at], 1, sign=True) for skill in main.steps.crps_skill.values()),
        )
    return [table, *([_bands(scores, main)] if main.bands else [])]


def _bands(scores: Scores, main: ModelScores) -> RenderableType:
    rival = scores.models.get("scaled_climatology")
    table = make_table(
        "What the bands covered",
        ["Step", "Band", "Covered", "+-", "Good", "Width", "Climatology covered", "Width"],
        left=0,
    )
    theirs = {(band.step, band.nominal): band for band in (rival.bands if rival else ())}
    for band in main.bands:
        if not any(abs(band.nominal - shown) < 1e-9 for shown in _SHOWN_BANDS):
            continue
        other = theirs.get((band.step, band.nominal))
        table.add_row(
            str(band.step),
            percent(band.nominal, 0),
            percent(band.coverage, 1),
            percent(band.standard_error, 1),
            "too few" if band.good is None else "yes" if band.good else "no",
            percent(band.width),
            percent(other.coverage if other else None, 1),
            percent(other.width if other else None),
        )
    return table


def _chances(main: ModelScores) -> list[RenderableType]:
    """Show the chances of a rise against the base rate; nothing for a point forecast."""
    if not main.chances:
        return []
    table = make_table(
        "Chance of a rise (Brier score: 0 is perfect; skill against the base rate)",
        ["Step", "Chance", "In the past", "Rose", "Brier", "Of the base rate", "Skill", "Windows"],
        left=0,
    )
    for each in main.chances:
        table.add_row(
            str(each.step),
            percent(each.mean, 1),
            percent(each.base_rate, 1),
            percent(each.rose, 1),
            number(each.brier, 4),
            number(each.brier_base, 4),
            percent(each.skill, 1, sign=True),
            str(each.n_windows),
        )
    return [table]


def _steps(scores: Scores, main: ModelScores) -> RenderableType:
    against = _points(scores)
    table = make_table(
        "RMSE by step, in % of the last price",
        ["Step", main.model, *against, *(f"Skill vs {name}" for name in against)],
        left=0,
    )
    models = scores.models
    for step, at in _rows(main):
        table.add_row(
            str(step),
            percent(main.steps.rmse[at], 3),
            *(percent(models[name].steps.rmse[at], 3) for name in against),
            *(percent(main.steps.skill[name][at], 1, sign=True) for name in against),
        )
    return table


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
        f"Direction called by {main.model} (p: calls and outcomes go together)",
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
