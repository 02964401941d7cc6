"""Several processes in one: the weighted average of e-values is an e-value."""

import math
from collections.abc import Sequence

from rampway.core.evidence.mixture import log_sum

_ROUNDING = 1e-9


def log_average(parts: Sequence[tuple[float, float]]) -> float:
    """Return log(sum w_i * E_i): an e-value again, whatever the dependence of the E_i.

    Linearity of the mean is all it takes; for processes, when all are looked at together
    (Ramdas, Grünwald, Vovk & Shafer, arXiv 2210.01948). It costs log(1 / w_i) nats when only
    process i moves.

    Args:
        parts: (weight, log E_i); weights above 0 that sum to at most 1.

    Raises:
        ValueError: other weights: what they give is no e-value.
    """
    weights = [weight for weight, _ in parts]
    if any(not weight > 0 for weight in weights) or sum(weights) > 1 + _ROUNDING:
        raise ValueError(f"weights {weights}; expected all above 0 and a sum of at most 1")
    return log_sum([math.log(weight) + log_e for weight, log_e in parts])
