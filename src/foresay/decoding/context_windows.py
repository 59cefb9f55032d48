"""Context windows: a text that is longer than a language model reads at once is read in windows that overlap (strided evaluation).

    window W = 4     <s> 71 11  8 | 30  5 | 62 71          what follows each of these places is predicted
                     <s>  .  .  .                           the first window: exactly what the model makes of so short a text
                            <s>  8  30  5                   each other one begins as texts do, and half a window later than that before;
                                   <s>   5  62 71           of what follows its first half it predicts nothing

So each symbol is predicted once, and after the first window by at least half a window of symbols before it. Of a model that looks back no
farther than that, nothing changes.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

SHORTEST = 2
"""Places of a window: where a text begins, and a symbol."""


class ContextWindow(NamedTuple):
    """Some places of a text; its begin is place 0, and its n-th symbol place n."""

    begin: int
    """The first place that is read."""
    first: int
    """The first place after which something is predicted."""
    stop: int
    """The first place that is not read."""


def context_windows(places: int, window: int) -> Iterator[ContextWindow]:
    """Cut so many places into windows of so many at most.

    >>> tuple(map(tuple, context_windows(8, 4)))
    ((0, 0, 4), (2, 4, 6), (4, 6, 8))
    """
    first = 0
    while first < places or not first:
        begin = window_of(first, window)
        stop = min(begin + window, places)
        yield ContextWindow(begin, first, stop)
        first = max(stop, 1)


def window_of(place: int, window: int) -> int:
    """Return where the window begins in which it is predicted what follows a place."""
    step = window // SHORTEST
    return max(-(-(place + 1 - window) // step), 0) * step


def in_window(symbols: Sequence[int], window: int | None) -> Sequence[int]:
    """Return those of the symbols so far by which the next one is predicted; None: all."""
    return symbols if window is None else symbols[window_of(len(symbols), window) :]
