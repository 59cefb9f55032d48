"""Location artefact: the part of a layer's self-similarity that repeats every 2, 4 or 8 frames, the periods of CPC's strides.

ACPC's authors see a moire-like pattern in the self-similarity of CPC's latents, and suppose that they encode their location modulo 4
(arXiv:2104.11946, section 4.1, Figure 2). Stripes parallel to the diagonal are a matter of the lag, so for unit vectors x_t

    similarity of lag l:  r(l) = sum over t of cos(x_t, x_t+l)  --Fourier-->  P(f) = sum over D of |Fourier(x)(f)|^2    (Wiener-Khinchin)

       P |.
         | .            line at f = 1/8          1/4                  3/8                  1/2
         |  . .            |                      |                    |                    |
         |      . . . . . .|. . . . . . . . . . . |. . . . . . . . . . |. . . . . . . . . . |
         +---------------------------------------------------------------------------------- f (1 / frames)

    location artefact = (energy in the lines - that which the frequencies beside them suggest) / energy at all frequencies but 0

0 for white noise, about 0 for what changes smoothly, 1 for what only repeats every 2, 4 or 8 frames. The definition is ours. Lines are as
wide as windows are short, 3/64: what repeats every 7 or 9 frames is partly taken for 8.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

WINDOW = 64
"""Frames: lines are 8 bins apart, so that each has its surroundings to itself. Shorter recordings have no spectrum."""
PERIODS = (2, 4, 8)
"""Frames: products of the last strides of CPC's encoder, 2 x 2 x 2."""
BINS = {2: (32,), 4: (16, 48), 8: (8, 24, 40, 56)}
"""Of the two-sided spectrum: the harmonics of a period that are not those of a shorter one."""
FASTEST = np.arange(WINDOW // PERIODS[-1], WINDOW - WINDOW // PERIODS[-1] + 1)


def power_spectrum(features: Tensor) -> NDArray[np.float64]:
    """Two-sided power spectrum of unit vectors, summed over half-overlapping windows of 64 frames: (T, D) -> (64,). Welch 1967.

    The mean of each window is taken off. A Hann window keeps a line within a bin on either side of its own.
    """
    if len(features) < WINDOW:
        return np.zeros(WINDOW)
    window = torch.hann_window(WINDOW, device=features.device, dtype=torch.float64)
    units = functional.normalize(features.double(), dim=-1).unfold(0, WINDOW, WINDOW // 2)  # (windows, D, 64)
    changes = units - (units * window).sum(dim=-1, keepdim=True) / window.sum()
    power = torch.fft.fft(changes * window).abs().square().sum(dim=(0, 1))
    return np.asarray(power.cpu().numpy())


def location_artefact(spectra: NDArray[np.float64], period: int | None = None) -> NDArray[np.float64]:
    """Share of the energy in the lines beyond what is beside them: (..., 64) -> (...). `period`: of its lines only."""
    lines = np.array(BINS[period] if period else sum(BINS.values(), ()))
    energy = sum(spectra[..., (lines + offset) % WINDOW] for offset in (-1, 0, 1))
    # Between two bins on either side, on a logarithmic scale: so spectra of slow signals fall.
    beside = 3.0 * np.sqrt(spectra[..., lines - 2] * spectra[..., (lines + 2) % WINDOW])
    return _share((energy - beside).sum(axis=-1), spectra)


def fast_share(spectra: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the energy at periods from 2 to 8 frames, whichever: (..., 64) -> (...). 0.788 for white noise."""
    return _share(spectra[..., FASTEST].sum(axis=-1), spectra)


def one_sided(spectrum: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the energy at frequencies 1/64, 2/64, ... 1/2: (64,) -> (32,)."""
    both = spectrum[1 : WINDOW // 2 + 1] + spectrum[: WINDOW // 2 - 1 : -1]
    both[-1] /= 2.0  # 1/2 stands there once
    return np.asarray(both / spectrum[1:].sum())


def _share(energy: NDArray[np.float64], spectra: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the energy of all that changes; NaN where nothing does."""
    with np.errstate(invalid="ignore"):
        return np.asarray(energy / spectra[..., 1:].sum(axis=-1))
