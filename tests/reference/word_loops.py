"""sSIMI by its definition, over dictionaries and lists."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import spearmanr


def correlation(
    pairs: Sequence[tuple[str, str, float]], tokens: Mapping[str, Sequence[tuple[str, Sequence[float]]]], *, voices: bool
) -> float:
    """100 x Spearman of -score and mean distance; a token is (voice, vector); with `voices` only pairs of one voice count."""
    distances = []
    for one, other, _ in pairs:
        found = [
            math.dist(a, b)
            for voice, a in (tokens[one] if voices else tokens[one][:10])
            for other_voice, b in (tokens[other] if voices else tokens[other][:10])
            if not voices or voice == other_voice
        ]
        distances.append(sum(found) / len(found))
    return 100 * float(spearmanr(-np.array([score for *_, score in pairs]), distances)[0])
