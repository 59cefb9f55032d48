"""CTC by trying everything: all paths of a small lattice, what each says, and how probable."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import torch

from foresay.contracts.recognition import Emissions


def collapsed(path: Sequence[int]) -> tuple[int, ...]:
    """What a path says: repetitions merged, blanks (0) dropped."""
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def log_sum(scores: Sequence[float]) -> float:
    """Of -inf too."""
    top = max(scores, default=-math.inf)
    return top if math.isinf(top) else top + math.log(sum(math.exp(score - top) for score in scores))


def every_text(rows: Sequence[Sequence[float]], combine: Callable[[Sequence[float]], float] = log_sum) -> dict[tuple[int, ...], float]:
    """Log p of each text that T frames of V log-probabilities can say: the sum over its paths, or with `max` the best of them."""
    paths: dict[tuple[int, ...], list[float]] = {}
    for path, text in _every_path(len(rows), len(rows[0])):
        score = sum(row[symbol] for row, symbol in zip(rows, path, strict=True))
        paths.setdefault(text, []).append(score)
    return {text: combine(scores) for text, scores in paths.items()}


@functools.cache
def _every_path(frames: int, symbols: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """List all paths, each with what it says."""
    return [(path, collapsed(path)) for path in itertools.product(range(symbols), repeat=frames)]


def best_path_of(rows: Sequence[Sequence[float]], text: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
    """The best path that says a text."""
    paths = [path for path, said in _every_path(len(rows), len(rows[0])) if said == text]
    return max((sum(row[symbol] for row, symbol in zip(rows, path, strict=True)), path) for path in paths)


def drawn(seed: int, utterances: int, frames: int, symbols: int, peak: float = 1.5) -> Emissions:
    """Random emissions of full length, in float32."""
    scores = peak * torch.randn(utterances, frames, symbols, generator=torch.Generator().manual_seed(seed))
    return Emissions(scores.log_softmax(-1), torch.full((utterances,), frames))
