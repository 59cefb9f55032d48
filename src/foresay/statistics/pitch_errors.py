"""Errors of pitch, frame by frame: VDE, GPE, FFE, and how far pitches lie apart in cents.

    voicing decision error (VDE)   frames that one side has as voiced and the other not, of all frames         Nakatani et al. 2008
    gross pitch error (GPE)        pitches more than 20 % off, of the frames that are voiced on both sides     Rabiner et al. 1976
    F0 frame error (FFE)           frames with either error, of all frames                                     Chu and Alwan, ICASSP 2009
    F0 RMSE                        root of the mean squared difference, in cents, of frames voiced on both sides

A cent is the hundredth part of a semitone. Speech resynthesis is rated by VDE and FFE in Polyak et al. (arXiv:2104.00355), section 4.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

GROSS = 0.2
"""Share of the reference by which a pitch is off grossly."""
CENTS = 1200.0
"""Of an octave."""


class PitchErrors(NamedTuple):
    """What is counted; of several utterances, each number is summed."""

    frames: int
    """Of both."""
    voiced: int
    """On both sides."""
    voicing: int
    """Voicing decision errors."""
    gross: int
    """Gross errors."""
    squares: float
    """Of differences where both are voiced, in cents, summed."""

    @property
    def vde(self) -> float:
        """A share of all frames."""
        return self.voicing / self.frames

    @property
    def gpe(self) -> float:
        """A share of the frames that are voiced on both sides; not a number, where there are none."""
        return self.gross / self.voiced if self.voiced else float("nan")

    @property
    def ffe(self) -> float:
        """A share of all frames."""
        return (self.voicing + self.gross) / self.frames

    @property
    def rmse(self) -> float:
        """In cents; not a number, where no frame is voiced on both sides."""
        return float(np.sqrt(self.squares / self.voiced)) if self.voiced else float("nan")


def count_pitch_errors(reference: ArrayLike, pitch: ArrayLike) -> PitchErrors:
    """Compare pitch (T,) with a reference (T,), in Hz, 0 where unvoiced.

    Examples:
        >>> errors = count_pitch_errors([0.0, 100.0, 100.0, 100.0], [0.0, 100.0, 130.0, 0.0])
        >>> errors.vde, errors.gpe, errors.ffe
        (0.25, 0.5, 0.5)
    """
    true, found = np.asarray(reference, dtype=np.float64), np.asarray(pitch, dtype=np.float64)
    if true.shape != found.shape or true.ndim != 1:
        msg = f"pitch is compared frame by frame, and these have {true.shape} and {found.shape} frames"
        raise ValueError(msg)
    both = (true > 0) & (found > 0)
    ratio = found[both] / true[both]
    return PitchErrors(
        frames=len(true),
        voiced=int(both.sum()),
        voicing=int(((true > 0) != (found > 0)).sum()),
        gross=int((np.abs(ratio - 1) > GROSS).sum()),
        squares=float(np.square(CENTS * np.log2(ratio)).sum()),
    )
