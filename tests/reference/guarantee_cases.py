"""Limits with a guarantee, as mapie chooses them; exact binomial limits and evidence, as scipy computes them."""

import json
import warnings
from pathlib import Path

import numpy as np
from mapie.risk_control.methods import find_best_predict_param, get_r_hat_plus
from mapie.risk_control._base_controller import ltt_procedure
from scipy import integrate, stats

HERE = Path(__file__).parent
random = np.random.default_rng(5)


def draw(n, ties):
    scores = random.beta(2, 2, n).astype(np.float32)
    # Scores with few digits meet each other often.
    return np.round(scores, 1 if ties else 4).astype(np.float32).clip(np.float32(0.05), 1)


def short(number):
    """The shortest digits that are this 32-bit number."""
    return float(str(number))


def best(losses, limits, level, delta, method):
    """The last limit, from the strictest on, at which the rate is held; `losses` is (panels, limits), falling or rising."""
    if method == "exact-binomial":
        means = losses.mean(axis=0, keepdims=True)
        counts = np.full_like(means, len(losses))
        valid, _ = ltt_procedure(means, np.array([[level]]), delta, counts, True, "fixed_sequence")
        return limits[valid[0]] if len(valid[0]) else None
    _, bound = get_r_hat_plus(losses, limits, "crc", None, None, None)
    if (bound >= level).all():
        return None
    return find_best_predict_param(limits, bound, np.array([level]))


def case(n, level, delta, ties, method):
    defective, good = draw(n, ties), draw(n, ties)
    # A panel passes below the limit, and fails from the limit on.
    passes = np.unique(np.append(defective, np.float32(1)))
    review = best((defective[:, None] < passes).astype(float), passes, level, delta, method)
    fails = np.unique(np.append(np.nextafter(good, np.float32(2)), np.float32(0)))
    fail = best((good[:, None] >= fails).astype(float), fails, level, delta, method)
    return {
        "method": method,
        "level": level,
        "confidence": 1 - delta,
        "defective": [short(s) for s in defective],
        "good": [short(s) for s in good],
        "review": None if review is None else short(max(review)),
        "fail": None if fail is None else short(min(fail)),
    }


cases = []
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for method in ["exact-binomial", "conformal-risk"]:
        for n in [20, 59, 61, 125, 300]:
            # No level at which conformal risk control is at the limit to the digit: mapie wants less than the level.
            for level, delta in [(0.0501, 0.05), (0.1003, 0.1), (0.0101, 0.05), (0.2507, 0.01)]:
                for ties in [False, True]:
                    cases.append(case(n, level, delta, ties, method))

limits = []
for count, of in [(0, 1), (0, 59), (2, 125), (7, 275), (12, 13), (13, 13), (150, 10000), (0, 0)]:
    low, high = (0.0, 1.0) if of == 0 else stats.binomtest(count, of).proportion_ci(0.95, "exact")
    limits.append({"count": count, "of": of, "low": float(low), "high": float(high)})

evidence = []
for count, of, level in [(0, 0, 0.05), (0, 30, 0.01), (5, 40, 0.05), (12, 300, 0.01), (30, 400, 0.05), (3, 4, 0.3)]:
    ratio = lambda p: np.exp(stats.binom.logpmf(count, of, p) - stats.binom.logpmf(count, of, level))  # noqa: B023, E731
    points = sorted({level, max(level, count / max(of, 1)), 1})
    value = sum(integrate.quad(ratio, a, b, epsabs=0, epsrel=1e-12, limit=500)[0] for a, b in zip(points, points[1:]))
    evidence.append({"count": count, "of": of, "level": level, "log": float(np.log(value / (1 - level)))})

found = {"calibrations": cases, "limits": limits, "evidence": evidence}
(HERE / "guarantee.json").write_text(json.dumps(found, separators=(",", ":")) + "\n")
print(len(cases), "calibrations,", sum(c["review"] is not None for c in cases), "with a pass limit")
