"""Another pitch at the same times: stretch the waveform with a phase vocoder, then play it as much faster.

    waveform ──frames every hop / ratio──► spectra ──turned, laid every hop──► longer by the ratio ──soxr──► as long as before

What was said at a time is still said then. Formants move with the pitch, as in SoX's `pitch`, which CPC2 used (arXiv:2007.00991).
"""

import numpy as np
import numpy.typing as npt
import soxr

from foresay.audio.read import Waveform

# Long enough to resolve the harmonics of a deep voice, short enough for the burst of a stop. Of 32 to 64 ms it distorts speech least.
_FRAME = 0.04  # s
_OVERLAP = 4  # frames over each sample; Hann windows, used twice, then sum up to 3/8 of them


def shift_pitch(waveform: Waveform, cents: float, sample_rate: int) -> Waveform:
    """Return (S,) samples whose pitch is `cents` hundredths of a semitone higher."""
    ratio = 2 ** (cents / 1200)
    longer = _stretch(waveform, ratio, round(_FRAME * sample_rate / _OVERLAP))
    shifted: Waveform = soxr.resample(longer, ratio, 1.0, quality="HQ")
    return shifted[: len(waveform)]


def _stretch(waveform: Waveform, ratio: float, hop: int) -> Waveform:
    """Return at least S * ratio samples of the same pitch; what was at sample n is at n * ratio."""
    size = _OVERLAP * hop
    window = np.hanning(size + 1)[:-1]
    count = int(np.ceil(len(waveform) * ratio / hop)) + 3
    centers = np.rint(np.arange(-1, count - 1) * hop / ratio).astype(np.int64)  # the first frame's lies before the sound
    padded = np.pad(waveform, (3 * hop + size // 2, 3 * hop + size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)
    spectra, before = (np.fft.rfft(frames[centers + 3 * hop - lag] * window).astype(np.complex64) for lag in (0, hop))
    turned = np.fft.irfft(spectra * _turns(spectra, before), size) * window.astype(np.float32)
    laid = np.zeros((count + _OVERLAP - 1, hop), dtype=np.float32)
    for quarter in range(_OVERLAP):
        laid[quarter : quarter + count] += turned[:, quarter * hop : (quarter + 1) * hop]
    return laid.ravel()[size // 2 + hop :] / np.float32(_OVERLAP * 3 / 8)


def _turns(spectra: npt.NDArray[np.complexfloating], before: npt.NDArray[np.complexfloating]) -> npt.NDArray[np.complexfloating]:
    """Return how to turn each frame's phases so that it continues the one laid before it: (frames, bins) of modulus 1.

    A peak goes on from the phase that it has there, as fast as it turns in the waveform: from `before`, a hop earlier, to the frame itself.
    The bins around it turn along, which keeps the shape of the wave: the identity phase locking of Laroche and Dolson, "Improved phase
    vocoder time-scale modification of audio" (1999).
    """
    steps = spectra[:-1] * before[1:].conj()
    modulus = np.abs(steps)
    silent = modulus == 0
    steps[silent] = modulus[silent] = 1
    steps *= 1 / modulus
    turns = np.ones_like(spectra)
    for now, (step, peak) in enumerate(zip(steps, _nearest_peaks(np.abs(spectra[1:])), strict=True), start=1):
        turns[now] = (turns[now - 1] * step)[peak]
    return turns


def _nearest_peaks(size: npt.NDArray[np.floating]) -> npt.NDArray[np.intp]:
    """Find the peak to which each bin belongs: (frames, bins). Every frame has one, be it at the edge."""
    bins = np.arange(size.shape[1], dtype=np.int16)
    far = np.int16(2 * len(bins))
    rises = size[:, 1:] >= size[:, :-1]
    peak = np.ones(size.shape, dtype=bool)
    peak[:, 1:] = rises
    peak[:, :-1] &= ~rises
    below = np.maximum.accumulate(np.where(peak, bins, -far), axis=1)
    above = np.minimum.accumulate(np.where(peak, bins, far)[:, ::-1], axis=1)[:, ::-1]
    return np.where(bins - below <= above - bins, below, above).astype(np.intp)
