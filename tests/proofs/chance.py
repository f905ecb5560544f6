"""Tests of chance: what is so improbable that it cannot be by chance alone."""

import math
from collections.abc import Sequence

ALPHA = 1e-6
"""How probable it may be that chance alone fails a proof."""


def p_of_even_spread(counts: Sequence[int]) -> float:
    """How probable it is that two equal chances give counts as uneven as these: chi-square, one degree of freedom."""
    first, second = counts
    mean = (first + second) / 2
    return math.erfc(math.sqrt(((first - mean) ** 2 + (second - mean) ** 2) / mean / 2))
