"""Subsequence dynamic time warping of a query and a document, cell by cell."""

import math
from collections.abc import Sequence

Frames = Sequence[Sequence[float]]


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    norms = math.sqrt(sum(x * x for x in a) * sum(x * x for x in b))
    return 1 - (sum(x * y for x, y in zip(a, b, strict=True)) / norms if norms else 0.0)


def score(query: Frames, document: Frames, *, exponential: bool, scaled: bool) -> float:
    table = [[math.exp(cosine(q, d)) - 1 if exponential else cosine(q, d) for d in document] for q in query]
    if scaled:
        for row in table:
            least, most = min(row), max(row)
            row[:] = [(value - least) / max(most - least, 1e-9) for value in row]
    cost = [table[0]]
    for i in range(1, len(query)):
        cost.append([table[i][j] + min(cost[i - 1][j - step] for step in range(3) if j >= step) for j in range(len(document))])
    return -min(cost[-1]) / len(query)
