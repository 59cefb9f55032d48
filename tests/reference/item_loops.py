"""Geometry of pairs, and retrieval, by their definitions: slow loops."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def unit(vector: Array) -> Array:
    return vector / math.sqrt(sum(x * x for x in vector))


def distance(x: Array, y: Array) -> float:
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def pair_alignment(a: Array, b: Array) -> tuple[float, float]:
    """Mean squared distance of halves of one pair, and of halves of two."""
    a, b = np.array([unit(x) for x in a]), np.array([unit(x) for x in b])
    own = [distance(x, y) ** 2 for x, y in zip(a, b, strict=True)]
    others = [distance(a[i], b[j]) ** 2 for i in range(len(a)) for j in range(len(b)) if i != j]
    return mean(own), mean(others)


def modality_gap(a: Array, b: Array, labels: Sequence[int]) -> float:
    centers: dict[tuple[int, int], Array] = {}
    classes = sorted(set(labels))
    for half, vectors in enumerate((a, b)):
        for c in classes:
            own = [unit(vector) for vector, label in zip(vectors, labels, strict=True) if label == c]
            centers[half, c] = sum(own, np.zeros(a.shape[1])) / len(own)
    gap = mean([distance(centers[0, c], centers[1, c]) for c in classes])
    apart = [distance(centers[half, c], centers[half, d]) for half in (0, 1) for c in classes for d in classes if c != d]
    return gap / mean(apart)


def recall(queries: Array, candidates: Array, classes: Sequence[int], first: int) -> float:
    """Share of queries with a candidate of their class among the first; of those equally near, any may come first."""
    hits = []
    for query, wanted in zip(queries, classes, strict=True):
        cosines = [round(float(unit(query) @ unit(candidate)), 9) for candidate in candidates]
        order = sorted(set(cosines), reverse=True)
        missed, places = 1.0, first
        for cosine in order:
            tied = [classes[i] == wanted for i, other in enumerate(cosines) if other == cosine]
            draws = list(itertools.combinations(tied, min(places, len(tied))))
            missed *= mean([not any(draw) for draw in draws])
            places -= min(places, len(tied))
        hits.append(1.0 - missed)
    return mean(hits)
