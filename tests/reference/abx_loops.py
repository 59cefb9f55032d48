"""ABX straight from the definition, computed as Libri-Light does: elementwise products, and loops over cells, pairs and frames."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Line = tuple[str, float, float, str, str, str, str]
"""file onset offset phone previous next speaker"""
Token = tuple[Line, Array]
Key = tuple[str, str, str, str]
"""A's phone, B's phone, context, and the speakers of A and X."""


def slice_frames(features: Array, onset: float, offset: float, rate: float, *, loses_last: bool) -> Array:
    """Frame t is centered at (t + 1/2) / rate."""
    chosen = [t for t in range(len(features)) if onset - 1e-9 <= (t + 0.5) / rate <= offset + 1e-9]
    return features[chosen[:-1] if loses_last else chosen]


def angular(x: Array, y: Array) -> Array:
    """(N, D), (M, D) -> (N, M); frames of zeros are far from all but each other."""
    x, y = (
        np.divide(f, np.linalg.norm(f, axis=1, keepdims=True), where=f.any(axis=1, keepdims=True), out=np.zeros_like(f)) for f in (x, y)
    )
    cosines = np.clip((x[:, None] * y[None]).sum(axis=2), -1.0, 1.0)
    zero_x, zero_y = ~x.any(axis=1)[:, None], ~y.any(axis=1)[None]
    cosines[zero_x | zero_y] = -1.0
    cosines[zero_x & zero_y] = 1.0
    return np.arccos(cosines) / math.pi


def cosine(x: Array, y: Array) -> Array:
    return 1.0 - np.cos(angular(x, y) * math.pi)


def euclidean(x: Array, y: Array) -> Array:
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(axis=2))


def kl(p: Array, q: Array) -> Array:
    logs = np.log(p + 1e-6)[:, None] - np.log(q + 1e-6)[None]
    return 0.5 * (p[:, None] * logs).sum(axis=2) - 0.5 * (q[None] * logs).sum(axis=2)


def warp(distances: Array) -> float:
    """Cost of the best path over its cells; on the way back diagonal before left before up."""
    rows, columns = distances.shape
    cost = np.full((rows + 1, columns + 1), np.inf)
    cost[0, 0] = 0.0
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            cost[i, j] = distances[i - 1, j - 1] + min(cost[i - 1, j - 1], cost[i, j - 1], cost[i - 1, j])
    i, j, cells = rows, columns, 1
    while (i, j) != (1, 1):
        ways = [(cost[i - 1, j - 1], i - 1, j - 1), (cost[i, j - 1], i, j - 1), (cost[i - 1, j], i - 1, j)]
        _, i, j = min(ways, key=lambda way: way[0])  # the first of the least
        cells += 1
    return float(cost[rows, columns]) / cells


def cells(tokens: Sequence[Token], speaker: str, context: str) -> Iterator[tuple[Key, list[Token], list[Token], list[Token]]]:
    """Yield each cell's labels and its tokens A, B, X."""
    groups: dict[tuple[str, str, str], list[Token]] = defaultdict(list)
    for token in tokens:
        _, _, _, phone, before, after, who = token[0]
        groups[f"{before}+{after}" if context == "within" else "", who, phone].append(token)
    for (around, who, phone), a in groups.items():
        for (around_b, who_b, phone_b), b in groups.items():
            if (around_b, who_b) != (around, who) or phone_b == phone:
                continue
            if speaker == "within" and len(a) > 1:
                yield (phone, phone_b, around, f"{who} {who}"), a, b, a
            for (around_x, who_x, phone_x), x in groups.items():
                if speaker == "across" and (around_x, phone_x) == (around, phone) and who_x != who:
                    yield (phone, phone_b, around, f"{who} {who_x}"), a, b, x


def cell_error(a: Sequence[Token], b: Sequence[Token], x: Sequence[Token], distance: Callable[[Array, Array], Array]) -> float:
    """Mean over triplets: 1 where X is nearer to B, 1/2 where it is as near to both."""
    to_a = [[None if one is other else _apart(one, other, distance, a, x) for other in a] for one in x]
    to_b = [[warp(distance(one[1], other[1])) for other in b] for one in x]
    marks = [
        float(np.float32(near) > np.float32(far)) + 0.5 * float(np.float32(near) == np.float32(far))
        for row_a, row_b in zip(to_a, to_b, strict=True)
        for near in row_a
        if near is not None
        for far in row_b
    ]
    return sum(marks) / len(marks)


def _apart(one: Token, other: Token, distance: Callable[[Array, Array], Array], a: Sequence[Token], x: Sequence[Token]) -> float:
    """Within speakers each pair is warped once, the earlier token to the later."""
    if a is x and a.index(one) > a.index(other):
        one, other = other, one
    return warp(distance(one[1], other[1]))


def abx(
    features: Mapping[str, Array],
    lines: Sequence[Line],
    rate: float,
    *,
    speaker: str,
    context: str,
    distance: Callable[[Array, Array], Array] = angular,
    loses_last: bool = False,
    order: str = "librilight",
) -> float:
    """Return the error."""
    tokens = [(line, slice_frames(features[line[0]], line[1], line[2], rate, loses_last=loses_last)) for line in lines]
    tokens = [Identified(token) for token in tokens if len(token[1])]
    errors = {key: cell_error(a, b, x, distance) for key, a, b, x in cells(tokens, speaker, context)}
    return collapse(errors, speaker, order)


class Identified(tuple):
    """A token that equals only itself."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


def collapse(errors: Mapping[Key, float], speaker: str, order: str) -> float:
    """Average the cells step by step."""
    speakers: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for (phone, phone_b, _, both), error in errors.items():
        who = both if speaker == "across" and order == "cpc2" else both.split()[0]
        speakers[phone, phone_b, who].append(error)
    pairs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for (phone, phone_b, _), found in speakers.items():
        pairs[phone, phone_b].append(float(np.mean(found)))
    return float(np.mean([np.mean(found) for found in pairs.values()]))
