"""The whole backtest of one model in a few plain words, from fixed rules.

A model beats drift only where Diebold-Mariano says so at 5 % on windows that do not overlap; a
lower error alone is called what it is. Another baseline is mentioned where it was the harder one.
"""

from lstmcli.evaluation.bands import TOLERANCE
from lstmcli.evaluation.direction import TwoWay
from lstmcli.evaluation.movement import Movement
from lstmcli.evaluation.scores import ModelScores, Scores
from lstmcli.evaluation.significance import SignificanceTest

SIGNIFICANT = 0.05
_HARDEST_FAN = "scaled_climatology"
_SAME = 5e-4
_LOOSE = 0.05


def verdict(scores: Scores, model: str | None = None) -> str:
    """Say in plain ASCII what the scores of a model (the network, unless named) are worth."""
    return " ".join(sentences(scores, model))


def sentences(scores: Scores, model: str | None = None) -> tuple[str, ...]:
    """The same, a sentence each: errors, whether it copies, direction, fan, bands, symbols."""
    name = scores.model if model is None else model
    own = scores.models[name]
    if own.path.rmse is None:
        return (f"Nothing to judge {name} by: none of its windows has its outcome yet.",)
    return (
        *_errors(own, scores),
        *_copy(own.movement),
        _direction(own.direction[-1].two_way),
        *_fan(own),
        *_bands(own),
        *_symbols(own),
    )


def percent(share: float) -> str:
    """A share of 1 as a percentage with four significant digits: 0.03323 is "3.323 %"."""
    return f"{100.0 * share:.4g} %"


def p_value(p: float) -> str:
    """A p-value with two significant digits: "p = 0.41", "p < 0.001"."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _errors(own: ModelScores, scores: Scores) -> list[str]:
    """One sentence on each baseline that matters; the first says the sample as well."""
    rivals = _rivals(scores, own)
    if not rivals:
        error = percent(own.path.rmse or 0.0)
        return [f"{_sample(scores)} {own.model} has a path RMSE of {error}; no baseline."]
    first, *others = rivals
    return [
        f"{_sample(scores)} {_against(own, scores, first, first=True)}.",
        *(f"{_capital(_against(own, scores, other, first=False))}." for other in others),
    ]


def _copy(found: Movement) -> list[str]:
    if found.flat_line:
        return ["Its forecasts hardly move: in effect it copies the last price."]
    if not found.copy:
        return []
    link = (
        "its predicted moves never change"
        if found.of_moves is None
        else "its predicted moves correlate with the actual ones no more than luck would "
        f"({_rounded(found.of_moves, 2):+.2f})"
    )
    return [
        f"No sign that it does more than copy the last price: correlation {found.with_last:.3f} "
        f"with the last price, {found.with_next:.3f} with the next, and {link}."
    ]


def _rivals(scores: Scores, own: ModelScores) -> list[str]:
    """Drift first; then baselines that were harder, or that it cannot claim as well."""
    present = [name for name in scores.against if name != own.model]
    main = "drift" if "drift" in present else next(iter(present), None)
    if main is None:
        return []
    others = [
        name
        for name in present
        if name != main
        and (
            _rmse(scores, name) < _rmse(scores, main)
            or (
                _standing(own, main) in ("beats", "ahead")
                and _standing(own, name) not in ("beats", _standing(own, main))
            )
        )
    ]
    return [main, *others]


def _standing(own: ModelScores, rival: str) -> str:
    """One of same, beats, loses, level (tested), ahead, behind (too little to test)."""
    test, skill = own.tests[rival], own.path.skill[rival] or 0.0
    if abs(skill) < _SAME:
        return "same"
    if test.p is None:
        return "ahead" if skill > 0.0 else "behind"
    if test.p < SIGNIFICANT and test.statistic is not None:
        # The test sees the windows that do not overlap, the skill all; a claim needs both.
        if test.statistic < 0.0 and skill > 0.0:
            return "beats"
        if test.statistic > 0.0 and skill < 0.0:
            return "loses"
    return "level"


def _against(own: ModelScores, scores: Scores, rival: str, *, first: bool) -> str:
    standing = _standing(own, rival)
    subject = own.model if first else "it"
    claim = {
        "beats": f"{subject} beats {rival}",
        "loses": f"{subject} is significantly worse than {rival}",
        "level": f"there is no evidence that {subject} beats {rival}",
        "ahead": f"{subject} has a lower error than {rival}, which proves nothing yet",
        "behind": f"{subject} does not beat {rival}",
        "same": f"{subject} has the same error as {rival}",
    }[standing]
    own_rmse = f"path RMSE {percent(own.path.rmse or 0.0)} of the last price against "
    skill = own.path.skill[rival]
    errors = (
        f"{own_rmse if first else ''}{percent(_rmse(scores, rival))} "
        f"(skill {_skill(skill)}); {_test(own.tests[rival])}"
    )
    return f"{claim}: {errors}"


def _test(test: SignificanceTest) -> str:
    if test.p is None:
        return test.why or "no test"
    return f"Diebold-Mariano {p_value(test.p)} on {test.n} independent windows"


def _sample(scores: Scores) -> str:
    windows = f"{scores.n_independent} independent windows"
    if scores.n_independent == 1:
        windows = "1 independent window"
    if scores.n_symbols > 1:
        return f"On {windows} ({scores.n_cutoffs} cutoffs, {scores.n_symbols} symbols)"
    if scores.n_cutoffs > scores.n_independent:
        return f"On {windows} ({scores.n_cutoffs} cutoffs)"
    return f"On {windows}"


def _direction(two_way: TwoWay) -> str:
    apart = f"; unchanged windows left out: {two_way.n_unchanged}" if two_way.n_unchanged else ""
    if two_way.always_accuracy is None:
        return f"No direction: {two_way.why}{apart}."
    constant = f"(always {two_way.always}, {_rate(two_way.always_accuracy)}{apart})"
    if two_way.accuracy is None:
        return f"No direction: {two_way.why}; the best constant answer {constant}."
    gap = two_way.accuracy - two_way.always_accuracy
    words = "equals" if abs(gap) < _SAME else "is above" if gap > 0.0 else "is below"
    sentence = f"Direction {_rate(two_way.accuracy)} {words} the best constant answer {constant}"
    if words != "is above":
        return f"{sentence}."
    if two_way.test.p is None:
        return f"{sentence}; {two_way.test.why}."
    return f"{sentence}; Pesaran-Timmermann {p_value(two_way.test.p)}."


def _fan(own: ModelScores) -> list[str]:
    """One sentence on the whole fan against the hardest of the baseline fans."""
    test = own.crps_tests.get(_HARDEST_FAN)
    skill = own.path.crps_skill.get(_HARDEST_FAN)
    if test is None or skill is None:
        return []
    if test.p is None or test.p >= SIGNIFICANT:
        claim = f"There is no evidence that its fan beats {_HARDEST_FAN}"
    elif skill > 0.0 and (test.statistic or 0.0) < 0.0:
        claim = f"Its fan beats {_HARDEST_FAN}"
    elif skill < 0.0 and (test.statistic or 0.0) > 0.0:
        claim = f"Its fan is significantly worse than {_HARDEST_FAN}"
    else:
        claim = f"There is no evidence that its fan beats {_HARDEST_FAN}"
    return [f"{claim} (CRPS skill {_skill(skill)}; {_test(test)})."]


def _bands(own: ModelScores) -> list[str]:
    """One sentence on the 80 % band of the last step, or on the widest, where there is a fan."""
    last = [band for band in own.bands if band.step == own.direction[-1].step]
    if not last:
        return []
    band = next((each for each in last if abs(each.nominal - 0.8) < 1e-6), last[0])
    error = "" if band.standard_error is None else f" +- {100.0 * band.standard_error:.1f}"
    quality = "Bands calibrated" if band.good else "Bands not calibrated"
    off = abs(band.coverage - band.nominal)
    if band.good and off > TOLERANCE and (band.standard_error or 0.0) > _LOOSE:
        quality = "Too few windows to judge the bands"
    nominal, coverage = 100.0 * band.nominal, 100.0 * band.coverage
    return [f"{quality}: {nominal:.3g} % covers {coverage:.1f} %{error}."]


def _symbols(own: ModelScores) -> list[str]:
    """One sentence on the symbols tested one by one, with Holm's correction."""
    parts = []
    for rival, tests in (
        ("drift", [(each.drift, each.drift_holm) for each in own.symbol_tests.values()]),
        (
            _HARDEST_FAN,
            [(each.climatology, each.climatology_holm) for each in own.symbol_tests.values()],
        ),
    ):
        tested = [(test, p) for test, p in tests if test is not None and p is not None]
        if not tested:
            continue
        found = [test.statistic or 0.0 for test, p in tested if p < SIGNIFICANT]
        better, worse = sum(each < 0.0 for each in found), sum(each > 0.0 for each in found)
        loss = "CRPS " if rival == _HARDEST_FAN else ""
        parts.append(f"{loss}better than {rival} on {better} of {len(tested)}, worse on {worse}")
    return [f"Symbol by symbol (Holm): {'; '.join(parts)}."] if parts else []


def _rmse(scores: Scores, name: str) -> float:
    return scores.models[name].path.rmse or 0.0


def _rate(share: float) -> str:
    return f"{100.0 * share:.1f} %"


def _skill(skill: float | None) -> str:
    if skill is None:
        return "undefined"
    shown = _rounded(100.0 * skill, 1)
    return f"{shown:+.1f} %" if abs(shown) < 10.0 else f"{100.0 * skill:+.0f} %"


def _rounded(number: float, digits: int) -> float:
    return round(number, digits) + 0.0  # no "-0.0"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
