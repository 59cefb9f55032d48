"""Self-similarity, its spectrum and pairs of frames, by their definitions: slow loops."""

import cmath
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def cosine(a: Array, b: Array) -> float:
    norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / norms if norms else 0.0


def spectrum_of_self_similarity(features: Array, window: int = 64) -> list[float]:
    """Fourier transform of the diagonals of the self-similarity of each half-overlapping window, whose frames a Hann window weighs."""
    total = [0.0] * window
    units = [frame / (math.sqrt(sum(x * x for x in frame)) or 1.0) for frame in features]
    weights = [0.5 - 0.5 * math.cos(2 * math.pi * t / window) for t in range(window)]
    for first in range(0, len(features) - window + 1, window // 2):
        part = units[first : first + window]
        mean = sum(w * x for w, x in zip(weights, part, strict=True)) / sum(weights)
        frames = [w * (x - mean) for w, x in zip(weights, part, strict=True)]
        similarity = [[float(a @ b) for b in frames] for a in frames]
        for bin_ in range(window):
            for lag in range(-window + 1, window):
                diagonal = sum(similarity[t][t + lag] for t in range(window) if 0 <= t + lag < window)
                total[bin_] += (diagonal * cmath.exp(-2j * math.pi * bin_ * lag / window)).real
    return total


def pairs_of(labels: Sequence[int], utterances: Sequence[int], kind: str) -> dict[tuple[int, int], float]:
    """How likely each ordered pair is: the first uniform over frames that have a partner, the second over its partners."""
    frames = range(len(labels))
    partners = {
        i: [
            j
            for j in frames
            if utterances[i] != utterances[j]
            and (kind == "any" or (labels[i] >= 0 and labels[j] >= 0 and (labels[i] == labels[j]) == (kind == "same phone")))
        ]
        for i in frames
    }
    having = [i for i in frames if partners[i]]
    return {(i, j): 1.0 / len(having) / len(partners[i]) for i in having for j in partners[i]}
