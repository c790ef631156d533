"""Intervals of an estimate whose variance has two parts, p and power by them."""

import numpy as np
from scipy import optimize, stats
from scipy.special import ndtr

POWER = 0.8
LARGEST = 1.0  # difference that measures can have
# Of the differences of two rounds, by the training images that they share. Linear models show
# -0.03 to 0.05; test/(test + train), taken where nothing was measured, would be 0.1 to 0.25.
ROUND_CORRELATION = 0.05
_NODES = 400  # of the integral over what the variance between repetitions turns out to be


def weighting(confidence: float | np.ndarray) -> np.ndarray:
    """Return the exponent of the mean of two quantiles: 1.25 up to 95 %, rising to 2 at 99 %.

    With two seeds, 1 (Cochran's) lets up to 6.1 % of intervals at 95 % miss, and 2 (Banerjee's)
    never more than 5 % and as few as 1.2 %; at 99 % whatever is below 2 misses too often:
    docs/statistics.md.
    """
    return 1.25 + 0.75 * np.clip((np.asarray(confidence) - 0.95) / 0.04, 0, 1)


def rounds_variance(between: float | np.ndarray, num_rounds: int) -> np.ndarray:
    """Return the variance of a mean over rounds that share training images.

    Rounds test on other images and train largely on the same ones. With the correlation
    ROUND_CORRELATION the variance is between/R times (1 + (R - 1) rho) / (1 - rho): the form of
    Nadeau and Bengio's correction, with a correlation that was measured.

    Args:
        between: variance of the rounds' values (ddof 1), any shape.
        num_rounds: R, at least 2.

    Source: Nadeau and Bengio 2003 (doi:10.1023/A:1024068626366); docs/statistics.md.
    """
    rho = ROUND_CORRELATION
    return np.asarray(between) / num_rounds * (1 + (num_rounds - 1) * rho) / (1 - rho)


def half_width(
    confidence: float | np.ndarray,
    shared: float | np.ndarray,
    df_shared: float | np.ndarray,
    repeated: float | np.ndarray,
    df_repeated: float | np.ndarray,
) -> np.ndarray:
    """Return half the width of the interval of an estimate whose variance has two parts.

    The quantile is a mean of two t quantiles, each weighted by its part of the variance: the
    power mean with the exponent `weighting`; all arguments are broadcast. With one part it is
    Student's.

    Args:
        confidence: in 0..1.
        shared, repeated: the two parts, not both 0.
        df_shared, df_repeated: of their estimates.

    Source: exponent 1, Cochran 1964, Approximate significance levels of the Behrens-Fisher test
    (doi:10.2307/2527971); 2, Banerjee 1960, Sankhya 22.
    """
    tail, exponent = (1 + np.asarray(confidence)) / 2, weighting(confidence)
    total = np.asarray(shared) + np.asarray(repeated)
    mean = np.zeros(np.broadcast(total, tail).shape)
    for part, df in ((shared, df_shared), (repeated, df_repeated)):
        weight = np.divide(part, total, out=np.zeros_like(mean), where=total > 0)
        quantile = np.where(weight > 0, stats.t.ppf(tail, df), 0.0)
        mean = mean + weight * quantile**exponent
    return mean ** (1 / exponent) * np.sqrt(total)


def p_value(
    estimate: float, shared: float, df_shared: float, repeated: float, df_repeated: float
) -> float:
    """Return the p of no difference: one minus the confidence whose interval ends at 0."""
    if shared + repeated <= 0:
        return float("nan") if estimate == 0 else 0.0

    def gap(log_p: float) -> float:
        width = half_width(1 - np.exp(log_p), shared, df_shared, repeated, df_repeated)
        return abs(estimate) - float(width)

    if gap(0.0) <= 0:
        return 1.0
    if gap(-34.0) >= 0:  # where 1 - p is 1 in doubles
        return float(np.exp(-34.0))
    return float(np.exp(optimize.brentq(gap, -34.0, 0.0)))


def satterthwaite(shared: float, df_shared: float, repeated: float, df_repeated: float) -> float:
    """Return degrees of freedom of a sum of two variances. Source: doi:10.2307/3002019."""
    parts = [(shared, df_shared), (repeated, df_repeated)]
    noise = sum(part**2 / df for part, df in parts if part > 0)
    return float("inf") if noise == 0 else (shared + repeated) ** 2 / noise


def power_of(
    difference: float | np.ndarray,
    shared: float,
    df_shared: float,
    repeated: float,
    df_repeated: float,
    confidence: float = 0.95,
) -> np.ndarray:
    """Return the chance that a true difference is found, on its own side of 0.

    Args:
        difference: the truth, any shape.
        shared, repeated: true variances of the estimate, see `half_width`.
        df_shared, df_repeated: of their estimates.
        confidence: of the interval that decides.
    """
    widths, scale = _widths(shared, df_shared, repeated, df_repeated, confidence)
    size = np.abs(difference)[..., None]
    return ndtr((size - widths) / scale).mean(axis=-1) if scale else np.sign(size[..., 0])


def detectable(
    shared: float,
    df_shared: float,
    repeated: float,
    df_repeated: float,
    confidence: float = 0.95,
    power: float = POWER,
) -> float:
    """Return the smallest true difference that is found with this chance, see `power_of`."""
    widths, scale = _widths(shared, df_shared, repeated, df_repeated, confidence)
    if scale == 0:
        return 0.0

    def lacks(difference: float) -> float:
        return float(ndtr((difference - widths) / scale).mean()) - power

    return float(optimize.brentq(lacks, 0.0, float(widths.max()) + 10 * scale))


def _widths(
    shared: float, df_shared: float, repeated: float, df_repeated: float, confidence: float
) -> tuple[np.ndarray, float]:
    """Return what half an interval's width turns out to be, equally likely, and the true SD."""
    ratio = np.ones(1)
    if repeated > 0:
        middle = (np.arange(_NODES) + 0.5) / _NODES
        ratio = stats.chi2.ppf(middle, df_repeated) / df_repeated
    widths = half_width(confidence, shared, df_shared, repeated * ratio, df_repeated)
    return widths, float(np.sqrt(shared + repeated))
