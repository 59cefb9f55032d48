"""Balanced sampling: speakers, languages or corpora with little audio are sampled more often, those with much less often.

    share of a part  =  amount ** exponent / sum over its siblings of amount ** exponent

1 leaves amounts as they are, 0 makes all parts equal. Parts lie in parts (speakers in languages in corpora): those of the outer level
share out everything, those of an inner one what their outer one was given, as XLS-R does (arXiv:2111.09296).
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Level: TypeAlias = tuple[npt.NDArray[np.integer], float]
"""Which part each unit belongs to (units,), and the exponent."""


def balanced(amounts: npt.NDArray[np.float64], levels: Sequence[Level]) -> npt.NDArray[np.float64]:
    """Return the sampling factor of each unit: (units,), so that the sum of times x amount is that of `amounts`.

    `levels`: from the outermost inwards; parts of one number in two outer parts are two.

    Examples:
        >>> language = np.array([0, 0, 1])
        >>> (balanced(np.array([3.0, 6.0, 1.0]), [(language, 0.5)]) * np.array([3.0, 6.0, 1.0])).round(9).tolist()
        [2.5, 5.0, 2.5]
    """
    times = np.ones(len(amounts))
    outer = np.zeros(len(amounts), dtype=np.int64)
    for parts, exponent in levels:
        apart = outer * (int(parts.max(initial=0)) + 1) + parts
        _, first, inner = np.unique(apart, return_index=True, return_inverse=True)
        own, whole = np.bincount(inner, amounts), np.bincount(outer, amounts)
        powers = np.where(own > 0, own**exponent, 0.0)  # who has nothing has no share, though 0**0 is 1
        around = outer[first]  # the outer part of each inner one
        shares = powers / np.maximum(np.bincount(around, powers), np.finfo(float).tiny)[around] * whole[around]
        times *= (shares / np.where(own > 0, own, 1.0))[inner]
        outer = inner
    return times
