"""YIN frame by frame and lag by lag, and the best path through its dips by trying them one after the other: plain NumPy."""

import math

import numpy as np
from numpy.typing import NDArray


def difference(stretch: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """Return d of lags 0 to longest + 1: the mean squared difference, over its mean for all lags from 1 to this one."""
    size = len(stretch)
    means = [float(np.mean((stretch[: size - lag] - stretch[lag:]) ** 2)) for lag in range(longest + 2)]
    found = [1.0]
    for lag in range(1, longest + 2):
        before = sum(means[1 : lag + 1]) / lag
        found.append(means[lag] / before if before > 0 else 1.0)
    return np.array(found)


def dips(d: NDArray[np.float64], shortest: int, longest: int, most: int) -> list[tuple[float, float]]:
    """Return the deepest local minima: lag, with its fraction, and depth."""
    found = []
    for lag in range(shortest, longest + 1):
        if d[lag] < d[lag - 1] and d[lag] <= d[lag + 1]:
            a, b = (d[lag - 1] + d[lag + 1]) / 2 - d[lag], (d[lag + 1] - d[lag - 1]) / 2
            found.append((lag - b / (2 * a), float(d[lag])))
    return sorted(found, key=lambda dip: dip[1])[:most]


def best_path(
    frames: list[list[tuple[float, float]]], shortest: int, *, unvoiced: float, octave: float, jump: float, switch: float
) -> list[float]:
    """Return the lag of each frame on the cheapest path, 0 where it is unvoiced: all ways to reach each state, one by one."""

    def own(state: tuple[float, float] | None) -> float:
        return unvoiced if state is None else state[1] + octave * math.log2(state[0] / shortest)

    def move(one: tuple[float, float] | None, other: tuple[float, float] | None) -> float:
        if one is None or other is None:
            return 0.0 if one is other else switch
        return jump * abs(math.log2(one[0] / other[0]))

    paths: list[tuple[float, list[tuple[float, float] | None]]] = [(0.0, [None])]
    for found in frames:
        paths = [
            min(((cost + move(path[-1], state) + own(state), [*path, state]) for cost, path in paths), key=lambda way: way[0])
            for state in [*found, None]
        ]
    _, best = min(((cost + move(path[-1], None), path) for cost, path in paths), key=lambda way: way[0])
    return [0.0 if state is None else state[0] for state in best[1:]]
