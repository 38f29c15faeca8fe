"""The scores of a backtest as tables: errors and skills, fans and bands, directions, movement."""

from rich.console import RenderableType

from lstmcli.evaluation.scores import ModelScores, Scores
from lstmcli.report.comparisons import movement_table, pairs_tables
from lstmcli.report.console import make_table
from lstmcli.report.directions import direction_tables
from lstmcli.report.numbers import number, percent

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
