"""Term weighted value by its definition, at every threshold there is."""

from collections.abc import Sequence


def value(scores: Sequence[Sequence[float]], relevant: Sequence[Sequence[bool]], threshold: float, beta: float) -> float:
    total, queries = 0.0, 0
    for row, held in zip(scores, relevant, strict=True):
        targets = sum(held)
        if not targets:
            continue
        misses = sum(h and s < threshold for s, h in zip(row, held, strict=True))
        false_alarms = sum(not h and s >= threshold for s, h in zip(row, held, strict=True))
        others = len(row) - targets
        total += 1 - misses / targets - beta * (false_alarms / others if others else 0.0)
        queries += 1
    return total / queries


def maximum(scores: Sequence[Sequence[float]], relevant: Sequence[Sequence[bool]], beta: float) -> float:
    thresholds = {score for row in scores for score in row} | {float("inf"), float("-inf")}
    return max(value(scores, relevant, threshold, beta) for threshold in thresholds)
