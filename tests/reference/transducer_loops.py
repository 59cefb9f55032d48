"""The transducer by trying everything, and by two plain loops: every order of blanks and labels, one node after the other."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from reference.ctc_loops import log_sum

Rows: TypeAlias = Sequence[Sequence[Sequence[float]]]
"""Log p of V symbols at T x (U + 1) nodes."""


def every_alignment(frames: int, symbols: int) -> Iterator[tuple[int, ...]]:
    """Each way to write symbols: the frame of each, in order; blanks in between, the last step is a blank."""
    yield from itertools.combinations_with_replacement(range(frames), symbols)


def alignment_score(rows: Rows, text: Sequence[int], alignment: Sequence[int]) -> float:
    """Log p of one alignment."""
    score, written = 0.0, 0
    for t in range(len(rows)):
        while written < len(text) and alignment[written] == t:
            score += rows[t][written][text[written]]
            written += 1
        score += rows[t][written][0]
    return score


def text_score(rows: Rows, text: Sequence[int]) -> float:
    """Log p of a text: the sum over all alignments."""
    return log_sum([alignment_score(rows, text, one) for one in every_alignment(len(rows), len(text))])


def best_alignment_of(rows: Rows, text: Sequence[int]) -> tuple[int, ...]:
    """The likeliest alignment."""
    return max(every_alignment(len(rows), len(text)), key=lambda one: alignment_score(rows, text, one))


def shares(rows: Rows, text: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Share of all alignments that take each blank and each label arc: (T, U + 1) twice, float64."""
    blank, label = torch.zeros(2, len(rows), len(text) + 1, dtype=torch.float64)
    total = text_score(rows, text)
    for alignment in every_alignment(len(rows), len(text)):
        share = math.exp(alignment_score(rows, text, alignment) - total)
        for u, t in enumerate(alignment):
            label[t, u] += share
        for t in range(len(rows)):
            blank[t, sum(one <= t for one in alignment)] += share
    return blank, label


def double_loop(log_probabilities: Tensor, text: Sequence[int]) -> Tensor:
    """Loss of one utterance (T, U + 1, V), node by node, with a graph for its gradient: ()."""
    frames, symbols = log_probabilities.shape[0], len(text)
    alpha: dict[tuple[int, int], Tensor] = {(0, 0): log_probabilities.new_zeros(())}
    for t in range(frames):
        for u in range(symbols + 1):
            ways = []
            if t:
                ways.append(alpha[t - 1, u] + log_probabilities[t - 1, u, 0])
            if u:
                ways.append(alpha[t, u - 1] + log_probabilities[t, u - 1, text[u - 1]])
            if ways:
                alpha[t, u] = ways[0] if len(ways) == 1 else torch.logaddexp(*ways)
    return -(alpha[frames - 1, symbols] + log_probabilities[frames - 1, symbols, 0])


def every_transcript(
    joint: Callable[[int, tuple[int, ...]], Sequence[float]], frames: int, symbols: int, most: int
) -> dict[tuple[int, ...], float]:
    """Log p of each text of at most so many symbols; `joint` scores V symbols in a frame, after a prefix."""
    texts = (text for count in range(most + 1) for text in itertools.product(range(1, symbols), repeat=count))
    return {text: text_score([[joint(t, text[:u]) for u in range(len(text) + 1)] for t in range(frames)], text) for text in texts}


def windowed_score(rows: Rows, text: Sequence[int], begins: Sequence[int], positions: int) -> float:
    """Log p of a text by those alignments alone whose nodes lie within a window of each frame, from a position on."""
    kept = []
    for alignment in every_alignment(len(rows), len(text)):
        nodes = [(t, u) for t in range(len(rows)) for u in range(sum(one < t for one in alignment), sum(one <= t for one in alignment) + 1)]
        if all(begins[t] <= u < begins[t] + positions for t, u in nodes):
            kept.append(alignment_score(rows, text, alignment))
    return log_sum(kept)
