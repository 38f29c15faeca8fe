"""The verdict on one model's backtest: three lines and a summary, from fixed rules.

Claims form two chains, each at half of 5 % one-sided: errors against naive, then against the
hardest baseline, then symbol by symbol; the fan against past moves, then symbol by symbol. A claim
is made only if the previous claim of its chain holds, so the chance of any false claim on a screen
is at most 5 % (a fixed sequence, Maurer, Hothorn & Lehmacher 1995).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from lstmcli.evaluation.backtest import Backtest
from lstmcli.evaluation.bands import Band
from lstmcli.evaluation.comparisons import SIGNIFICANT, Loss, LossTest, SymbolTest
from lstmcli.evaluation.direction import direction_hits, most_common
from lstmcli.evaluation.scores import PAST_MOVES, ModelScores, Scores
from lstmcli.evaluation.significance import MIN_WINDOWS
from lstmcli.printable import count_of, first_few

Word = Literal["better", "not proven", "worse", "too few"]
Claim = Literal["better", "worse"] | None
SHOWN_NAMES = {
    PAST_MOVES: "past moves",
    "seasonal_naive": "the same month a year before",
    "seasonal_drift": "the same month a year before and its growth",
}
_SAME = 5e-4  # smaller skills are shown as no difference
_HALF = 0.5
_MOST_NAMES = 5


@dataclass(frozen=True)
class Verdict:
    """Verdict on one model: a word, and a line each on errors, direction, and ranges or copying.

    hardest : the baseline with the lowest error; the word compares the model with it.
    """

    word: Word
    lines: tuple[str, ...]
    hardest: str | None = None

    def __str__(self) -> str:
        return " ".join(self.lines)


@dataclass(frozen=True)
class Summary:
    """The main figures of one model's evaluation: the top of the JSON of `evaluate`.

    symbols, windows : their numbers. n_independent : windows that share no day. rmse, naive_rmse :
    over whole paths, in units of the last price. skill_naive : 1 - rmse / naive_rmse. p_naive : of
    that difference, None if there is no test. direction_right, always_right : number of the
    `direction_windows` at the last step that the model, and the best constant answer, called
    correctly; all three exclude windows after which the price is unchanged.
    """

    model: str
    symbols: int
    windows: int
    n_independent: int
    rmse: float | None
    naive_rmse: float | None
    skill_naive: float | None
    p_naive: float | None
    verdict: Word
    direction_right: int
    direction_windows: int
    always_right: int


def summary(result: Backtest, scores: Scores, model: str) -> Summary:
    """Summarise the scores of one model of a backtest."""
    own, naive = scores.models[model], scores.models["naive"]
    moves = result.actual[:, -1]
    hits = direction_hits(result.forecasts[model].median[:, -1], moves)
    moved = int(np.count_nonzero(~np.isnan(hits)))
    constant = moves > 0.0 if most_common(moves) == "up" else moves < 0.0
    return Summary(
        model=model,
        symbols=scores.n_symbols,
        windows=scores.n_windows,
        n_independent=scores.n_independent,
        rmse=own.path.rmse,
        naive_rmse=naive.path.rmse,
        skill_naive=own.path.skill.get("naive"),
        p_naive=own.tests["naive"].test.p,
        verdict=verdict(scores, model).word,
        direction_right=int(np.nansum(hits)),
        direction_windows=moved,
        always_right=int(np.count_nonzero(constant)),
    )


def verdict(scores: Scores, model: str | None = None) -> Verdict:
    """Judge a model, by default the network of the report, in plain ASCII."""
    own = scores.models[scores.model if model is None else model]
    if own.path.rmse is None:
        nothing = f"Cannot judge {own.model}: no window has an outcome yet."
        return Verdict("too few", (nothing,))
    rivals = [name for name in scores.against if name != own.model]
    # Naive, and the baseline with the lowest error, which may also be naive.
    first = "naive" if "naive" in rivals else next(iter(rivals), None)
    hardest = min(rivals, key=lambda name: scores.models[name].path.rmse or 0.0, default=None)
    claims = {name: _claim(test, own.path.skill[name]) for name, test in own.tests.items()}
    word: Word = "too few"
    lines: list[str] = []
    if first is not None and hardest is not None:
        proven = claims[first] == claims[hardest] == "better"
        if scores.n_independent >= MIN_WINDOWS:
            word = "better" if proven else "worse" if claims[hardest] == "worse" else "not proven"
        level = own.tests[first].level if proven else None
        errors = _errors(own, scores, first, hardest, claims)
        lines.append(" ".join([errors, *_symbols(own.symbol_tests, "naive", level)]))
    lines.append(_direction(own))
    lines += _ranges(own) if own.bands else _copy(own, claims.get("naive"))
    return Verdict(word, tuple(lines), hardest)


@dataclass(frozen=True)
class Contribution:
    """Whether a feature helps: the recipe with and without it, on the same windows.

    loss : "crps" for fans, else "rmse". change : relative increase of the loss without the feature,
    mean over the seeds; None if undefined. p : the largest p-value of the seeds, because all seeds
    must show the effect; None if there is no test. n_seeds : fits of each recipe.
    """

    feature: str
    loss: Literal["crps", "rmse"]
    change: float | None
    p: float | None
    n_independent: int
    n_seeds: int
    verdict: Literal["helps", "harms", "not proven", "too few"]

    def __str__(self) -> str:
        if self.change is None:
            return f"Without {self.feature}: no error to compare."
        words = "the same"
        if abs(self.change) >= _SAME:
            words = f"{_size(self.change)} {'higher' if self.change > 0 else 'lower'}"
        on = f"{count_of(self.n_independent, 'independent window')}, {self.n_seeds} seeds"
        tested = f"{p_value(self.p)}, {on}" if self.p is not None else on
        last = {
            "helps": "it helps",
            "harms": "it harms",
            "not proven": "not proven that it helps",
            "too few": f"too few to say, a test needs {MIN_WINDOWS} (--refits N takes more)",
        }[self.verdict]
        return (
            f"Without {self.feature} the error is {words} ({self.loss.upper()}; {tested}): {last}."
        )


def contribution(scores: Scores, pairs: Sequence[tuple[str, str]], feature: str) -> Contribution:
    """Judge a feature by pairs of a recipe with and without it, one pair per seed."""
    known = {(each.model, each.other, each.loss): each.test for each in scores.pairwise}
    loss: Loss = "crps" if (*pairs[0], "crps") in known else "squared"
    tests = [replace(known[one, other, loss], level=SIGNIFICANT) for one, other in pairs]
    changes = [
        each.skill / (1.0 - each.skill)
        for each in tests
        if each.skill is not None and each.skill < 1.0
    ]
    change = float(np.mean(changes)) if len(changes) == len(pairs) else None
    ps = [each.test.p for each in tests if each.test.p is not None]
    claims = {each.claim for each in tests}
    word: Literal["helps", "harms", "not proven", "too few"] = "not proven"
    if scores.n_independent < MIN_WINDOWS:
        word = "too few"
    elif change is not None and abs(change) >= _SAME and claims in ({"better"}, {"worse"}):
        word = "helps" if claims == {"better"} else "harms"
    return Contribution(
        feature=feature,
        loss="crps" if loss == "crps" else "rmse",
        change=change,
        p=max(ps) if len(ps) == len(pairs) else None,
        n_independent=scores.n_independent,
        n_seeds=len(pairs),
        verdict=word,
    )


def difference(skill: float, rival: str = "") -> str:
    """Return a skill in words: "8.2 % less error", plus "than naive" if a rival is given."""
    if abs(skill) < _SAME:
        return "the same error" + f" as {rival}" * bool(rival)
    words = f"{_size(skill)} {'less' if skill > 0.0 else 'more'} error"
    return words + f" than {rival}" * bool(rival)


def _size(share: float) -> str:
    return f"{100.0 * abs(share):.{1 if abs(share) < 0.1 else 0}f} %"


def percent(share: float) -> str:
    """Format a share of 1 as a percentage with four significant digits: "3.323 %"."""
    return f"{100.0 * share:.4g} %"


def p_value(p: float) -> str:
    """Format a p-value with two significant digits: "p = 0.20", "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:#.2g}"


def _claim(test: LossTest, skill: float | None) -> Claim:
    """Return the claim if both the test over all phases and the shown windows support it."""
    if skill is None or abs(skill) < _SAME or (skill > 0.0) != (test.claim == "better"):
        return None
    return test.claim


def _errors(
    own: ModelScores, scores: Scores, first: str, hardest: str, claims: Mapping[str, Claim]
) -> str:
    """Compare with naive first, then with the hardest baseline, in one line."""
    parts = [_against(own, first, claims[first])]
    if hardest != first:
        allowed = claims[first] == "better" or claims[hardest] == "worse"
        claim = claims[hardest] if allowed else None
        parts.append(_against(own, hardest, claim, f"{shown_name(hardest)}, the hardest"))
    n, several = scores.n_independent, scores.n_symbols > 1
    sample = count_of(n, "date" if several else "forecast")
    sample += " that do not overlap" * (scores.n_cutoffs > n)
    sample += f", {scores.n_symbols} symbols" * several
    sample += f"; a test needs {MIN_WINDOWS}" * (n < MIN_WINDOWS)
    head = {"better": "Better than", "worse": "Worse than", None: "Against"}[claims[first]]
    return f"{head} {shown_name(first)}: {'; '.join(parts)}, on {sample}."


def _against(own: ModelScores, rival: str, claim: Claim, named: str = "") -> str:
    """Describe the difference in error and its p-value.

    claim : the allowed claim, or None. named : the rival in words, if the text is to name it.
    """
    skill, test = own.path.skill[rival], own.tests[rival]
    if skill is None and own.path.rmse:
        return f"some error, while {shown_name(rival)} has none"
    words = difference(skill or 0.0, named)
    if skill is None or abs(skill) < _SAME or test.test.p is None:
        return words
    if claim is not None:
        return f"{words} ({p_value(test.test.p)})"
    return f"{words}, which may be chance ({_why(test)})"


def _why(test: LossTest) -> str:
    """Return why a difference is not claimed: its p-value, or phases that disagree."""
    p = p_value(test.test.p or 0.0)
    if test.test.p is not None and test.test.p < test.level and test.claim is None:
        signs = [each is not None and each > 0.0 for each in test.skills]
        return f"{p}, but better in {sum(signs)} of {len(signs)} phases"
    return p


def _symbols(tests: dict[str, SymbolTest], rival: str, level: float | None) -> list[str]:
    """Name the symbols that a joint test finds better, if the claim over all symbols holds.

    level : two-sided level of that claim; None if it is not made.
    """
    if level is None:
        return []
    found = [name for name, each in tests.items() if each.p is not None and each.p < level / 2.0]
    if not found:
        return []
    return [
        f"Symbol by symbol, better than {shown_name(rival)} on {len(found)} of {len(tests)}: "
        f"{first_few(found, _MOST_NAMES)} (joint test)."
    ]


def _copy(own: ModelScores, claim: Claim) -> list[str]:
    """Report that a model repeats the last price, unless it clearly beats naive."""
    found = own.movement
    if (own.path.skill.get("naive") or 0.0) > _HALF or claim == "better":
        return []
    if found.flat_line:
        return ["Its forecasts hardly move: in effect they repeat the last price."]
    if not found.copy:
        return []
    if found.of_moves is None:
        return ["Its predicted moves never change."]
    correlation = f"correlation {found.of_moves:+.2f}"
    return [f"No evidence that predicted moves follow the actual ones ({correlation})."]


def _direction(own: ModelScores) -> str:
    two_way = own.direction[-1].two_way
    apart = f"; unchanged windows left out: {two_way.n_unchanged}" if two_way.n_unchanged else ""
    if two_way.always_accuracy is None or two_way.accuracy is None:
        return f"No direction: {two_way.why}{apart}."
    if two_way.up_predicted in (0.0, 1.0) and two_way.n_windows > 1:
        call = "up" if two_way.up_predicted else "down"
        return f"This model has no view on direction: it always says {call}{apart}."
    gap = two_way.accuracy - two_way.always_accuracy
    words = (
        "as often as" if abs(gap) < _SAME else "more often than" if gap > 0.0 else "less often than"
    )
    sentence = (
        f'Direction: right {words} always saying "{two_way.always}" '
        f"({100.0 * two_way.accuracy:.1f} % against {100.0 * two_way.always_accuracy:.1f} %"
        f"{', mean over dates' if own.symbols else ''}{apart})"
    )
    if gap < _SAME:
        return f"{sentence}."
    if two_way.test.p is None:
        return f"{sentence}; {two_way.test.why}."
    return f"{sentence}; {p_value(two_way.test.p)} on {two_way.test.n} dates."


def _ranges(own: ModelScores) -> list[str]:
    """Compare the whole fan with past moves, and judge the coverage of its range."""
    judged, level = judged_band(own), None
    assert judged is not None, "it has bands"
    if (against := fan_against(own, PAST_MOVES)) is None:
        return [f"Range of outcomes: {describe_band(judged)}."]
    if _claim(own.crps_tests[PAST_MOVES], own.path.crps_skill[PAST_MOVES]) == "better":
        level = own.crps_tests[PAST_MOVES].level
    words = f"{against.removesuffix('.')}; {describe_band(judged)}."
    return [" ".join([words, *_symbols(own.symbol_crps_tests, PAST_MOVES, level)])]


def fan_against(own: ModelScores, rival: str) -> str | None:
    """Compare the whole fan with a rival's in one sentence; None if either has no fan."""
    test, skill = own.crps_tests.get(rival), own.path.crps_skill.get(rival)
    if test is None or skill is None:
        return None
    claim, words = _claim(test, skill), difference(skill, shown_name(rival))
    head = f"{claim.capitalize()} ranges of outcomes" if claim else "Range of outcomes"
    if test.test.p is None:
        return f"{head}: {words}, not proven."
    if claim is None:
        return f"{head}: {words}, which may be chance ({_why(test)})."
    return f"{head}: {words} ({p_value(test.test.p)})."


def judged_band(own: ModelScores) -> Band | None:
    """Return the 80 % band, or the nearest to it, at the last step with enough windows.

    If no step has enough windows to judge it, the last step is used. None for a point forecast.
    """
    if not own.bands:
        return None
    nominal = min((band.nominal for band in own.bands), key=lambda each: (abs(each - 0.8), -each))
    bands = [band for band in own.bands if band.nominal == nominal]
    return max(bands, key=lambda each: (each.good is not None, each.step))


def describe_band(band: Band) -> str:
    """Describe a band's coverage: "the 80 % range held 76.0 % +- 5.9 at step 5, calibrated"."""
    error = "" if band.standard_error is None else f" +- {100.0 * band.standard_error:.1f}"
    held = f"the {100.0 * band.nominal:.3g} % range held {100.0 * band.coverage:.1f} %{error}"
    good = {None: "too few windows to judge", True: "calibrated", False: "not calibrated"}
    return f"{held} at step {band.step}, {good[band.good]}"


def shown_name(rival: str) -> str:
    """Return the name of a baseline as shown on screens."""
    return SHOWN_NAMES.get(rival, rival)
