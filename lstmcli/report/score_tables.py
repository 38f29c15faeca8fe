"""Scores of a backtest: a summary with error bars and a verdict, or one table per question."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from rich.console import RenderableType
from rich.text import Text

from lstmcli.arrays import Floats
from lstmcli.evaluation.bands import Band
from lstmcli.evaluation.direction import most_common
from lstmcli.evaluation.scores import PAST_MOVES, ModelScores, Scores
from lstmcli.evaluation.trend import CLASSES, Shares
from lstmcli.evaluation.verdict import Summary, Verdict, difference, judged_band, shown_name
from lstmcli.report.tables import (
    BAD,
    DIM,
    GOOD,
    OWN,
    Column,
    Prose,
    list_table,
    move,
    number,
    percent,
    record_table,
    span,
    styled,
)

_SHOWN_BANDS = (0.5, 0.8, 0.95)
_CALLS = CLASSES[::-1]  # up first
_SAME_AS_NAIVE = ("gaussian_cone", "ewma_cone", "always_up")

_OPEN = "yellow"  # colour of an inconclusive verdict
_BAR = 14  # length in characters of the bar of the largest error
_LABEL = 17  # width in characters of a line's label
_LABELS = {
    "naive": "naive (no change)",
    "seasonal_naive": "a year before",
    "seasonal_drift": "a year before, grown",
}
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


def directions(summary: Summary, scores: Scores, moves: Floats) -> Iterator[RenderableType]:
    """Yield the shares of correct directions and trends, and the coverage of the range.

    moves : (N,) actual moves at the last step, NaN if not known yet.
    """
    own = scores.models[summary.model]
    last, rows = own.direction[-1], list[list[str]]()
    if windows := summary.direction_windows:
        called, constant = summary.direction_right, most_common(moves)
        always = share_of(summary.always_right, windows)
        rows = [["Direction right", share_of(called, windows), f'  always "{constant}":', always]]
    if (three_way := last.three_way) is not None:
        counts = np.array(three_way.confusion)  # by outcome, then by call
        went = counts.sum(axis=1)
        right, always = (
            share_of(int(found), three_way.n_windows) for found in (counts.trace(), went.max())
        )
        name = CLASSES[went.argmax()]
        rows.append(["Up, flat, down", right, f'  always "{name}":', always])
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
    """Yield the errors of a model and the baselines as bars, or with `in_line` in one line.

    over : the steps, e.g. "all 50 sessions". called : the shown name of the model.
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
    most = max(known[name].path.rmse or 0.0 for name in (summary.model, *names)) or 1.0

    def cells(name: str) -> dict[str, object]:
        rmse, skill, is_own = known[name].path.rmse, own.skill.get(name), name == summary.model
        bar = "█" * round(_BAR * (rmse or 0.0) / most)
        return {
            "Model": styled(called, OWN) if is_own else _LABELS.get(name, shown_name(name)),
            "RMSE": percent(rmse),
            "Bar": styled(bar, OWN if is_own else DIM),
            "Saved": "" if skill is None else difference(skill, shown_name(name)),
        }

    title = f"Typical error over {over} (RMSE, % of the price)"
    table = record_table(title, map(cells, (summary.model, *names)), drop=["Bar", "Saved"])
    table.show_header = False
    for column in table.columns[2:]:
        column.justify = "left"
    yield ""
    yield table


def verdict_lines(summary: Summary, verdict: Verdict) -> Iterator[RenderableType]:
    """Yield the verdict: its word in colour, then its lines."""
    yield Text.assemble(("Verdict", "bold"), "  ", verdict_word(summary, verdict))
    for line in verdict.lines:
        yield Prose(line, indent=2)


def share_of(right: int, windows: int) -> str:
    """Format a count and its share: "11 of 13 (85 %)"."""
    return f"{right} of {windows} ({percent(right / windows, 0)})" if windows else "-"


def verdict_word(summary: Summary, verdict: Verdict) -> Text:
    """Return the shown word of a verdict, in its colour."""
    hardest = shown_name(verdict.hardest or "naive")
    if summary.verdict == "better":
        return styled("better than naive" + f" and {hardest}" * (hardest != "naive"), GOOD)
    if summary.verdict == "worse":
        return styled(f"worse than {hardest}", BAD)
    return styled("too few windows" if summary.verdict == "too few" else "not proven", _OPEN)


def every_table(scores: Scores, over: str) -> list[RenderableType]:
    """Show the scores of every model, and of the first model also by step.

    over : the steps, e.g. "steps 1 to 50".
    """
    main = scores.models[scores.model]
    # The table of pairs holds the skills against past moves.
    against = [name for name in scores.against if name != PAST_MOVES]
    # The cones and always_up have the squared errors of naive; only the JSON repeats them.
    pairs = [
        pair for pair in scores.pairwise if pair.loss == "crps" or pair.other not in _SAME_AS_NAIVE
    ]
    errors = {"Model": main.steps.rmse}
    errors |= {shown_name(name): scores.models[name].steps.rmse for name in against}
    missing = [(pair.test.test.why, "p") for pair in pairs]
    missing += [(pair.interval.why, "95 % interval") for pair in pairs if pair.interval]
    chances = "Chance of a rise (Brier score: 0 is perfect; skill against the base rate)"
    title = "Pair by pair: skill, its 95 % interval, and Diebold-Mariano's p over all phases"
    copies = "Is it just repeating the last price? Size, spread and correlations of its moves"
    return [
        _scores(scores, over, against),
        list_table(title, _PAIRS, pairs, left=3, drop=["Phases better", "95 % interval"]),
        *(f"No {' and no '.join(columns)}: {why}." for why, columns in _reasons(missing).items()),
        _by_step("RMSE", main, errors, {name: main.steps.skill[name] for name in against}),
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
    skills = {_skill_against(name): name for name in against}

    def cells(each: ModelScores) -> dict[str, object]:
        path, two_way, test = each.path, each.direction[-1].two_way, each.tests.get("drift")
        return {
            "Model": shown_name(each.model),
            "RMSE": percent(path.rmse, 3),
            "MAE": percent(path.mae, 3),
            "MASE": number(path.mase),
            **({"CRPS": percent(path.crps, 3)} if fans else {}),
            **{title: _skill(path.skill.get(name)) for title, name in skills.items()},
            "p vs drift": number(test.test.p if test else None),
            "Direction": percent(two_way.accuracy, 1),
            "Balanced": percent(two_way.balanced_accuracy, 1),
        }

    return record_table(
        f"Scores over {over}, in % of the last price",
        map(cells, scores.models.values()),
        drop=["Balanced", "MASE", "MAE", "p vs drift", *reversed(skills), "Direction"],
    )


def _reasons(found: Iterable[tuple[str | None, str]]) -> dict[str, list[str]]:
    """Group missing figures by reason: each reason with the figures that it explains."""
    reasons: dict[str, list[str]] = {}
    for why, of in found:
        if why is not None and of not in reasons.setdefault(why, []):
            reasons[why].append(of)
    return reasons


def _by_step(
    measure: str,
    main: ModelScores,
    errors: Mapping[str, Sequence[float | None]],
    skills: Mapping[str, Sequence[float | None]],
) -> RenderableType:
    """Show the errors of a model by step, next to those of baselines, and its skills."""
    saved = {_skill_against(each): values for each, values in skills.items()}
    places = {each.step: main.steps.step.index(each.step) for each in main.direction}
    optional = [*errors, *(title for title in saved if not title.endswith("past moves"))]
    return record_table(
        f"{measure} by step of {main.model}, in % of the last price",
        (
            {
                "Step": step,
                **{title: percent(values[at], 3) for title, values in errors.items()},
                **{title: _skill(values[at]) for title, values in saved.items()},
            }
            for step, at in places.items()
        ),
        left=0,
        drop=optional[:0:-1],  # all but the model's own
    )


def _fans(scores: Scores, main: ModelScores) -> Iterator[RenderableType]:
    """Show the CRPS of the first model by step against others, and the coverage of its bands."""
    if main.steps.crps is not None:
        yield _by_step("CRPS", main, {"Model": main.steps.crps}, main.steps.crps_skill)
    shown = [band for band in main.bands if np.isclose(band.nominal, _SHOWN_BANDS).any()]
    if not shown:
        return
    rival = scores.models.get(PAST_MOVES)
    theirs = {(band.step, band.nominal): band for band in (rival.bands if rival else ())}

    def cells(band: Band) -> dict[str, object]:
        other = theirs.get((band.step, band.nominal))
        return {
            "Step": band.step,
            "Range": percent(band.nominal, 0),
            "Held": percent(band.coverage, 1),
            "+-": percent(band.standard_error, 1),
            "Good": {None: "too few", True: "yes", False: "no"}[band.good],
            "Width": percent(band.width),
            "Past moves held": percent(other.coverage if other else None, 1),
            "Past moves width": percent(other.width if other else None),
        }

    drop = ["Past moves width", "Width"]
    yield record_table("What the ranges held", map(cells, shown), left=0, drop=drop)


def _directions(scores: Scores, main: ModelScores) -> Iterator[RenderableType]:
    """Show the directions, trends and crashes of one model at every reported step."""
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
    return record_table(
        f"Direction called by {main.model} (p: association of calls and outcomes)",
        (
            {
                "Step": each.step,
                "Right": percent(found.accuracy, 1),
                "Best constant": percent(found.always_accuracy, 1),
                "Which": f"always {found.always}" if found.always else None,
                "Balanced": percent(found.balanced_accuracy, 1),
                "Windows": found.n_windows,
                **({"Unchanged": found.n_unchanged} if unchanged else {}),
                "Right of independent": percent(found.independent_accuracy, 1),
                "Independent": found.n_independent,
                "95 % interval": span(found.interval),
                "p": number(found.test.p),
            }
            for each in main.direction
            for found in [each.two_way]
        ),
        left=0,
        drop=["Right of independent", "95 % interval", "Balanced", "Which"],
    )


def _three_way(main: ModelScores, flat_band: float) -> RenderableType:
    rows: list[dict[str, object]] = []
    for direction in main.direction:
        if (found := direction.three_way) is None:
            continue
        head: dict[str, object] = {
            "Step": direction.step,
            "Right": percent(found.accuracy, 1),
            "Balanced": percent(found.balanced_accuracy, 1),
            "Best constant": percent(found.always_accuracy, 1),
            "Which": f"always {found.always}",
            "Windows": found.n_windows,
            "Independent": found.n_independent,
        }
        for name, row in zip(_CALLS, reversed(found.confusion), strict=True):
            rows.append({**head, "Was": name, **_called(reversed(row))})
            head = dict.fromkeys(head, "")
    title = f"Up, flat, down (flat: within {flat_band:g} deviations)"
    return record_table(title, rows, left=0, drop=["Independent", "Balanced", "Windows", "Which"])


def _tails(main: ModelScores) -> RenderableType:
    in_all = [f"{name.capitalize()} in all" for name in _CALLS]

    def shares(calls: Shares | None) -> list[str]:
        return [percent(getattr(calls, name, None), 0) for name in _CALLS]

    return record_table(
        "Crashes and spikes: actual and predicted moves",
        (
            {
                "Step": direction.step,
                "Kind": each.kind,
                "Windows": each.n_windows,
                "Independent": each.n_independent,
                "Actual move": move(each.actual),
                "Predicted": move(each.predicted),
                "In all windows": move(each.predicted_always),
                **_called(shares(each.calls)),
                **dict(zip(in_all, shares(each.calls_always), strict=True)),
            }
            for direction in main.direction
            for each in (direction.crash, direction.spike)
            if each is not None
        ),
        left=0,
        drop=[*in_all, "Independent", "In all windows"],
    )


def _called(cells: Iterable[object]) -> dict[str, object]:
    return dict(zip([f"Called {name}" for name in _CALLS], cells, strict=True))


def _skill_against(name: str) -> str:
    return f"Skill vs {shown_name(name)}"


def _skill(skill: float | None) -> str:
    return percent(skill, 1, sign=True)
