"""Beam search of an utterance whose frames come in chunks: the beam is carried on, and what is certain comes out.

chunk --> the same steps, frame by frame, as of the whole --> all prefixes that are left begin alike: that much is certain
|
what lies before is forgotten, so that an hour takes no more memory than a minute
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor

from foresay.contracts.recognition import Encoded, Hypothesis, StablePrefix
from foresay.decoding.history import History, emitted
from foresay.errors import at_least


class Prefixes(Protocol):
    """K prefixes of B utterances, each (B, K)."""

    @property
    def total(self) -> Tensor:
        """Log p of the symbols given the audio, -inf where a place is free: (B, K)."""

    @property
    def bonus(self) -> Tensor:
        """All else that they are ranked by: (B, K)."""

    @property
    def name(self) -> Tensor:
        """A mix of all symbols: (B, K)."""

    def without(self, given_up: Tensor) -> Self:
        """Free the places (B, K) of some."""


Beam = TypeVar("Beam", bound=Prefixes)


class FrameSearch(Protocol[Beam]):
    """A beam search that goes on frame by frame (`PrefixBeam`, `TransducerFrameBeam`)."""

    def checked(self, chunk: Encoded) -> Encoded:
        """Return a chunk of one utterance (1, t, D) that can be searched, or refuse it: UserError."""

    def begin(self, encoded: Encoded) -> Beam:
        """Begin with the empty prefix."""

    def step(self, beam: Beam, frame: Tensor, history: History) -> Beam:
        """Go on by one frame (B, D), and write down where the prefixes came from, and up to n symbols that each added."""

    def found(self, beam: Beam, history: History, text_of: Callable[[Sequence[int]], str], best: int) -> list[list[Hypothesis]]:
        """End the sentences, and return at most `best` hypotheses of each utterance, the best first."""


class PrefixStream(Generic[Beam]):
    """The search of one utterance, chunk by chunk (`SearchStream`)."""

    def __init__(self, search: FrameSearch[Beam], text_of: Callable[[Sequence[int]], str], delay: int | None = None) -> None:
        """Begin to search.

        Args:
            search: what a frame is gone on by.
            text_of: writes symbols as text.
            delay: frames after which a symbol is certain: what differs from the best prefix before that is given up. None: nothing is
                given up, and the result is that of the whole; but then one doubtful symbol may keep all after it from being certain.

        Raises:
            UserError: the delay is no number of frames.
        """
        if delay is not None:
            at_least(1, delay=delay)
        self._search, self._text_of, self._delay = search, text_of, delay
        self._beam: Beam | None = None
        self._history = History()
        self._names: list[Tensor] = []
        """(1, K) of each of the last `delay` frames: what the prefixes of the beam were then called."""
        self._tokens: tuple[int, ...] = ()
        self._frames: tuple[int, ...] = ()
        self._settled = 0

    @torch.no_grad()
    def push(self, encoded: Encoded) -> StablePrefix:
        """Go on by the frames of a chunk (1, t, D).

        Raises:
            UserError: they are none of one utterance that can be searched.
        """
        chunk = self._search.checked(encoded)
        beam = self._search.begin(chunk) if self._beam is None else self._beam
        for frame in chunk.frames.transpose(0, 1):
            beam = self._search.step(beam, frame, self._history)
            if self._delay is not None:
                beam = self._without_the_old(beam, self._delay)
        self._beam = beam
        added = self._history.settle(beam.total > -torch.inf)
        if added:
            tokens, frames = emitted(torch.stack(added, -1))
            self._tokens += tokens
            self._frames += tuple(self._settled + frame for frame in frames)
            self._settled += len(added[0])
        return StablePrefix(self._text_of(self._tokens), self._tokens, self._frames)

    def finish(self) -> Hypothesis:
        """Return the best hypothesis of the whole."""
        if self._beam is None:
            return Hypothesis(self._text_of(()), 0.0)
        ((best,),) = self._search.found(self._beam, self._history, self._text_of, 1)
        tokens = self._tokens + best.tokens
        frames = self._frames + tuple(self._settled + frame for frame in best.frames)
        return replace(best, text=self._text_of(tokens), tokens=tokens, frames=frames)

    def _without_the_old(self, beam: Beam, delay: int) -> Beam:
        """Give up the prefixes that were not, `delay` frames ago, what the best one was."""
        parents = self._history.parents
        self._names = [*(names.gather(1, parents) for names in self._names), beam.name]
        if len(self._names) <= delay:
            return beam
        oldest, *self._names = self._names
        best = (beam.total + beam.bonus).argmax(1, keepdim=True)
        return beam.without(oldest != oldest.gather(1, best))
