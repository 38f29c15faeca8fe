"""The few distribution functions that the tests need, so that scipy is no dependency at run time.

Scalar functions on plain floats, accurate to about 1e-12; the project's tests hold them against
scipy to 1e-10.
"""

import math

_MAX_TERMS = 10_000
_TINY = 1e-300


def normal_sf(x: float) -> float:
    """P(Z > x) for a standard normal Z."""
    return 0.5 * math.erfc(x / math.sqrt(2.0))


def student_t_two_sided(t: float, df: float) -> float:
    """P(|T| > |t|) for Student's t with `df` degrees of freedom."""
    if math.isinf(t):
        return 0.0
    # Abramowitz & Stegun (1964), 26.7.1. Of the two equal forms the one that loses no digits to
    # cancellation is taken: near t = 0 the argument of the first rounds to one.
    square = t * t
    if square < df:
        return 1.0 - beta_cdf(square / (df + square), 0.5, df / 2.0)
    return beta_cdf(df / (df + square), df / 2.0, 0.5)


def student_t_quantile(confidence: float, df: float) -> float:
    """The t that Student's t with `df` degrees of freedom stays within, in size, so often."""
    x = beta_quantile(1.0 - confidence, df / 2.0, 0.5)  # Abramowitz & Stegun (1964), 26.7.1
    return math.sqrt(df * (1.0 - x) / x)


def chi2_sf(x: float, df: int) -> float:
    """P(X > x) for a chi-squared X with a whole number of degrees of freedom."""
    half = x / 2.0
    if half <= 0.0:
        return 1.0
    # Abramowitz & Stegun (1964), 26.4.4 and 26.4.5: a finite sum for whole degrees of freedom.
    total = math.erfc(math.sqrt(half)) if df % 2 else math.exp(-half)
    for k in range(3 if df % 2 else 4, df + 1, 2):
        total += math.exp((k / 2.0 - 1.0) * math.log(half) - half - math.lgamma(k / 2.0))
    return total


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    log_front = (
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    # The continued fraction converges fast on this side only; the other is its mirror.
    if x < (a + 1.0) / (a + b + 2.0):
        return math.exp(log_front) * _beta_fraction(x, a, b) / a
    return 1.0 - math.exp(log_front) * _beta_fraction(1.0 - x, b, a) / b


def beta_quantile(level: float, a: float, b: float) -> float:
    """The x at which I_x(a, b) equals `level`, by bisection."""
    low, high = 0.0, 1.0
    while high - low > 1e-15:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if beta_cdf(middle, a, b) < level:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _beta_fraction(x: float, a: float, b: float) -> float:
    # DLMF 8.17.22, evaluated by Lentz's algorithm as modified by Thompson & Barnett (1986).
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, _MAX_TERMS):
        even = m * (b - m) * x / ((a + 2 * m - 1.0) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1.0))
        change = 1.0
        for coefficient in (even, odd):
            d = 1.0 / _away_from_zero(1.0 + coefficient * d)
            c = _away_from_zero(1.0 + coefficient / c)
            change = c * d
            value *= change
        if abs(change - 1.0) < 1e-16:
            break
    return value


def _away_from_zero(x: float) -> float:
    return x if abs(x) > _TINY else _TINY
