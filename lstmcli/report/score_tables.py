"""The scores of a backtest as tables, one a question."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType

from lstmcli.evaluation.scores import ModelScores, Scores
from lstmcli.evaluation.trend import CLASSES
from lstmcli.evaluation.verdict import shown_name
from lstmcli.report.tables import Column, list_table, make_table, move, number, percent, span

_SHOWN_BANDS = (0.5, 0.8, 0.95)
_CALLS = CLASSES[::-1]  # up first
_SAME_AS_NAIVE = ("gaussian_cone", "ewma_cone", "always_up")

_CHANCES: list[Column] = [
    ("Step", "step"),
    ("Chance", lambda each: percent(each.mean, 1)),
    ("In the past", lambda each: percent(each.base_rate, 1)),
    ("Rose", lambda each: percent(each.rose, 1)),
    ("Brier", lambda each: number(each.brier, 4)),
    ("Of the base rate", lambda each: number(each.brier_base, 4)),
    ("Skill", lambda each: _skill(each.skill)),
    ("Windows", "n_windows"),
]
_PAIRS: list[Column] = [
    ("Model", "model"),
    ("Against", lambda pair: shown_name(pair.other)),
    ("On", lambda pair: "RMSE" if pair.loss == "squared" else "CRPS"),
    ("Skill", lambda pair: _skill(pair.skill)),
    ("95 % interval", lambda pair: span(pair.interval, sign=True)),
    ("p", lambda pair: number(pair.test.test.p)),
    (
        "Phases better",
        lambda pair: (
            f"{sum((s or 0.0) > 0.0 for s in pair.test.skills)} of {len(pair.test.skills)}"
        ),
    ),
]
_MOVEMENTS: list[Column] = [
    ("Model", lambda each: shown_name(each.model)),
    ("Size", lambda each: percent(each.movement.size, 0)),
    ("Spread", lambda each: percent(each.movement.spread, 0)),
    ("With last price", lambda each: number(each.movement.with_last)),
    ("With next price", lambda each: number(each.movement.with_next)),
    ("Of moves", lambda each: number(each.movement.of_moves)),
    (
        "Repeats",
        lambda each: (
            "flat line" if each.movement.flat_line else "yes" if each.movement.copy else "no"
        ),
    ),
]


def score_tables(scores: Scores, over: str) -> list[RenderableType]:
    """Show every model's scores, and the first one step by step.

    over : the steps, as "steps 1 to 50".
    """
    main = scores.models[scores.model]
    # The table of pairs has the skills against the other baselines.
    against = [name for name in scores.against if name != "scaled_climatology"]
    # The squared errors of the cones and of always_up are those of naive; the JSON has them.
    pairs = [
        pair for pair in scores.pairwise if pair.loss == "crps" or pair.other not in _SAME_AS_NAIVE
    ]
    missing = [(pair.test.test.why, "p") for pair in pairs]
    missing += [(pair.interval.why, "95 % interval") for pair in pairs if pair.interval]
    chances = "Chance of a rise (Brier score: 0 is perfect; skill against the base rate)"
    title = "Pair by pair: skill, its 95 % interval, and Diebold-Mariano's p over all phases"
    copies = "Is it just repeating the last price? Size, spread and correlations of its moves"
    return [
        _scores(scores, over, against),
        list_table(title, _PAIRS, pairs, left=3, drop=["Phases better", "95 % interval"]),
        *(f"No {' and no '.join(columns)}: {why}." for why, columns in _reasons(missing).items()),
        _steps(scores, main, against),
        *_fans(scores, main),
        *(
            [list_table(chances, _CHANCES, main.chances, left=0, drop=["Of the base rate"])]
            if main.chances
            else []
        ),
        *_directions(scores, main),
        list_table(copies, _MOVEMENTS, scores.models.values(), drop=["Spread", "Size"]),
    ]


def _scores(scores: Scores, over: str, against: Sequence[str]) -> RenderableType:
    fans = scores.models[scores.model].path.crps is not None
    skills = [f"Skill vs {shown_name(name)}" for name in against]

    def cells(each: ModelScores) -> list[str]:
        two_way, test = each.direction[-1].two_way, each.tests.get("drift")
        return [
            shown_name(each.model),
            percent(each.path.rmse, 3),
            percent(each.path.mae, 3),
            number(each.path.mase),
            *([percent(each.path.crps, 3)] if fans else []),
            *(_skill(each.path.skill.get(other)) for other in against),
            number(test.test.p if test else None),
            percent(two_way.accuracy, 1),
            percent(two_way.balanced_accuracy, 1),
        ]

    return make_table(
        f"Scores over {over}, in % of the last price",
        ["Model", "RMSE", "MAE", "MASE"]
        + (["CRPS"] if fans else [])
        + skills
        + ["p vs drift", "Direction", "Balanced"],
        map(cells, scores.models.values()),
        drop=["Balanced", "MASE", "MAE", "p vs drift", *reversed(skills), "Direction"],
    )


def _reasons(found: Iterable[tuple[str | None, str]]) -> dict[str, list[str]]:
    """Return each reason for a missing figure with the figures that it explains, once each."""
    reasons: dict[str, list[str]] = {}
    for why, of in found:
        if why is not None and of not in reasons.setdefault(why, []):
            reasons[why].append(of)
    return reasons


def _shown_steps(main: ModelScores) -> list[tuple[int, int]]:
    """Return the steps shown, and the place of each in the lists of all steps."""
    return [(each.step, main.steps.step.index(each.step)) for each in main.direction]


def _steps(scores: Scores, main: ModelScores, against: Sequence[str]) -> RenderableType:
    skills = [f"Skill vs {shown_name(name)}" for name in against]
    return make_table(
        f"RMSE by step of {main.model}, in % of the last price",
        ["Step", "Model", *map(shown_name, against), *skills],
        (
            [
                step,
                percent(main.steps.rmse[at], 3),
                *(percent(scores.models[name].steps.rmse[at], 3) for name in against),
                *(_skill(main.steps.skill[name][at]) for name in against),
            ]
            for step, at in _shown_steps(main)
        ),
        left=0,
        drop=[*reversed(skills), *reversed([shown_name(name) for name in against])],
    )


def _fans(scores: Scores, main: ModelScores) -> Iterator[RenderableType]:
    """Show the fan of the first model by step against the others, and what its bands covered."""
    if main.steps.crps is None:
        return
    skills = main.steps.crps_skill
    names = [f"Skill vs {shown_name(name)}" for name in skills]
    yield make_table(
        f"CRPS by step of {main.model}, in % of the last price",
        ["Step", "Model", *names],
        (
            [
                step,
                percent(main.steps.crps[at], 3),
                *(_skill(skill[at]) for skill in skills.values()),
            ]
            for step, at in _shown_steps(main)
        ),
        left=0,
        drop=[name for name in reversed(names) if not name.endswith("past moves")],
    )
    if not main.bands:
        return
    rival = scores.models.get("scaled_climatology")
    theirs = {(band.step, band.nominal): band for band in (rival.bands if rival else ())}
    rows = []
    for band in main.bands:
        if any(abs(band.nominal - shown) < 1e-9 for shown in _SHOWN_BANDS):
            other = theirs.get((band.step, band.nominal))
            rows.append(
                [
                    band.step,
                    percent(band.nominal, 0),
                    percent(band.coverage, 1),
                    percent(band.standard_error, 1),
                    "too few" if band.good is None else "yes" if band.good else "no",
                    percent(band.width),
                    percent(other.coverage if other else None, 1),
                    percent(other.width if other else None),
                ]
            )
    yield make_table(
        "What the ranges held",
        ["Step", "Range", "Held", "+-", "Good", "Width", "Past moves held", "Past moves width"],
        rows,
        left=0,
        drop=["Past moves width", "Width"],
    )


def _directions(scores: Scores, main: ModelScores) -> Iterator[RenderableType]:
    """Show the directions, the trends and the crashes of one model at every reported step."""
    yield _two_way(main)
    reasons = _reasons((each.two_way.test.why, str(each.step)) for each in main.direction)
    yield from (
        f"No p at step{'s' * (len(steps) > 1)} {', '.join(steps)} ({why})."
        for why, steps in reasons.items()
    )
    if any(each.three_way is not None for each in main.direction):
        yield _three_way(main, scores.flat_band)
    if any(each.crash is not None for each in main.direction):
        yield _tails(main)


def _two_way(main: ModelScores) -> RenderableType:
    unchanged = any(each.two_way.n_unchanged for each in main.direction)
    return make_table(
        f"Direction called by {main.model} (p: calls and outcomes go together)",
        ["Step", "Right", "Best constant", "Which", "Balanced", "Windows"]
        + (["Unchanged"] if unchanged else [])
        + ["Right of independent", "Independent", "95 % interval", "p"],
        (
            [
                each.step,
                percent(found.accuracy, 1),
                percent(found.always_accuracy, 1),
                f"always {found.always}" if found.always else None,
                percent(found.balanced_accuracy, 1),
                found.n_windows,
                *([found.n_unchanged] if unchanged else []),
                percent(found.independent_accuracy, 1),
                found.n_independent,
                span(found.interval),
                number(found.test.p),
            ]
            for each in main.direction
            for found in [each.two_way]
        ),
        left=0,
        drop=["Right of independent", "95 % interval", "Balanced", "Which"],
    )


def _three_way(main: ModelScores, flat_band: float) -> RenderableType:
    rows: list[list[object]] = []
    for direction in main.direction:
        found = direction.three_way
        if found is None:
            continue
        head: list[object] = [
            direction.step,
            percent(found.accuracy, 1),
            percent(found.balanced_accuracy, 1),
            percent(found.always_accuracy, 1),
            f"always {found.always}",
            found.n_windows,
            found.n_independent,
        ]
        for name, row in zip(_CALLS, reversed(found.confusion), strict=True):
            rows.append([*head, name, *reversed(row)])
            head = [""] * len(head)
    return make_table(
        f"Up, flat, down (flat: within {flat_band:g} deviations)",
        ["Step", "Right", "Balanced", "Best constant", "Which", "Windows", "Independent", "Was"]
        + [f"Called {name}" for name in _CALLS],
        rows,
        left=0,
        drop=["Independent", "Balanced", "Windows", "Which"],
    )


def _tails(main: ModelScores) -> RenderableType:
    return make_table(
        "Crashes and spikes: what had been predicted?",
        ["Step", "Kind", "Windows", "Independent", "Actual move", "Predicted", "In all windows"]
        + [f"Called {name}" for name in _CALLS]
        + [f"{name.capitalize()} in all" for name in _CALLS],
        (
            [
                direction.step,
                *(each.kind, each.n_windows, each.n_independent),
                *(
                    None if moved is None else move(moved)
                    for moved in (each.actual, each.predicted, each.predicted_always)
                ),
                *(
                    percent(getattr(calls, name, None), 0)
                    for calls in (each.calls, each.calls_always)
                    for name in _CALLS
                ),
            ]
            for direction in main.direction
            for each in (direction.crash, direction.spike)
            if each is not None
        ),
        left=0,
        drop=[*(f"{name.capitalize()} in all" for name in _CALLS), "Independent", "In all windows"],
    )


def _skill(skill: float | None) -> str:
    return percent(skill, 1, sign=True)
