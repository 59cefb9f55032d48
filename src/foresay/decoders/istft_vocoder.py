"""Source-filter vocoder by inverse STFT: ConvNeXt blocks say how pulses at the pitch and noise are filtered, frame by frame.

    frames (B, T, D) --> ConvNeXt --> cepstra (B, T, 2 x C) --> minimum-phase filters (B, T, 2, F)
    pitch (B, S) Hz  --> pulses, band-limited (B, S) --> STFT --> x filter of the pulses --+
                         white noise (B, S) --------> STFT --> x filter of the noise ---(+)--> inverse STFT --> waveform (B, S)

Vocos (Siuzdak, arXiv:2306.00814) predicts magnitude and phase of each frame of a spectrogram, all at the rate of frames, which makes it
fast; its phases come from a discriminator. Here they come from the source, so that a spectral loss suffices: pulses at the given pitch,
as in neural source-filter models (Wang et al., arXiv:1904.12088; in the spectrogram: HiFTNet, arXiv:2309.09493), and noise, filtered
apart (DDSP, arXiv:2001.04643). A filter is given by its cepstrum, which makes it minimum-phase, as a vocal tract nearly is (Oppenheim,
"Speech analysis-synthesis system based on homomorphic filtering", JASA 1969).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.decoders import Generator
from foresay.layers.convnext import ConvNeXt

AT_FIRST = 0.01
"""What filters multiply a source of power 1 by, at first: speech is not that loud, and it would take hundreds of updates to find out."""


class ISTFTVocoder(Generator):
    """From frames, pitch and noise to a waveform; the sizes are those of Vocos."""

    decay: Tensor

    def __init__(
        self,
        inputs: int,
        sample_rate: int,
        *,
        size: int = 512,
        blocks: int = 8,
        inner: int = 1536,
        coefficients: int = 128,
        hop: int = 160,
        fft: int = 1024,
    ) -> None:
        """`inputs`: D of the frames; `coefficients`: C, of each filter's cepstrum; `fft`: samples of a filter's transform."""
        super().__init__()
        if not coefficients < fft // 2 or fft < 4 * hop:
            msg = f"a transform of {fft} samples holds no filter of {coefficients} coefficients with windows of {2 * hop} samples"
            raise ValueError(msg)
        self.sample_rate, self.hop = sample_rate, hop
        self.first = nn.Conv1d(inputs, size, 7, padding=3)
        self.blocks = ConvNeXt(size, blocks, inner)
        self.cepstra = nn.Linear(size, 2 * coefficients)
        nn.init.normal_(self.cepstra.weight, std=0.02)
        nn.init.zeros_(self.cepstra.bias)
        nn.init.constant_(self.cepstra.bias[::coefficients], math.log(AT_FIRST))
        # As those of resonances fall: or else an update would move all of them alike, and the loss rises.
        self.register_buffer("decay", 1 / torch.arange(1, coefficients + 1), persistent=False)
        self.filters = MinimumPhase(coefficients, fft)
        self.frames = OverlappingFrames(hop, fft)

    def forward(self, frames: Tensor, real: Tensor, hertz: Tensor, noise: Tensor) -> Tensor:
        """(B, T, D), (B, T, 1), (B, T hop), (B, T hop) -> (B, T hop)."""
        states = self.blocks(self.first((frames * real).transpose(1, 2)).transpose(1, 2), real)
        with torch.autocast(frames.device.type, enabled=False):
            of_pulses, of_noise = self.filters(self.cepstra(states).float().unflatten(-1, (2, -1)) * self.decay).unbind(2)
            source = pulses(hertz, self.sample_rate)
            spectra = of_pulses * self.frames(source) + of_noise * self.frames(noise)  # (B, T, F) each
            return self.frames.joined(spectra * real)  # of frames beyond an utterance, half a hop would lie in it


class OverlappingFrames(nn.Module):
    """STFT and its inverse: frames of two hops under a Hann window, whose sum is 1, with room behind them for what a filter adds.

    Frame t is centered at sample (t + 1/2) hop; over the first and the last half hop a waveform rises from silence, and falls back.
    """

    window: Tensor

    def __init__(self, hop: int, fft: int) -> None:
        super().__init__()
        self.hop, self.fft = hop, fft
        self.register_buffer("window", torch.hann_window(2 * hop, periodic=True).clone(), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, T hop) -> (B, T, fft // 2 + 1) complex."""
        stretches = F.pad(waveforms, (self.hop // 2, self.hop - self.hop // 2)).unfold(1, 2 * self.hop, self.hop)
        return torch.fft.rfft(stretches * self.window, self.fft)

    def joined(self, spectra: Tensor) -> Tensor:
        """Add frames up: (B, T, fft // 2 + 1) complex -> (B, T hop)."""
        count, first = spectra.shape[1], self.hop // 2
        stretches = torch.fft.irfft(spectra, self.fft).transpose(1, 2)  # (B, fft, T)
        added = F.fold(stretches, (1, (count - 1) * self.hop + self.fft), (1, self.fft), stride=(1, self.hop))
        return added[:, 0, 0, first : first + count * self.hop]


class MinimumPhase(nn.Module):
    """Filters by their cepstra.

    A cepstrum that is 0 before quefrency 0 is that of a minimum-phase filter: log H is its Fourier transform.
    """

    cosines: Tensor
    sines: Tensor

    def __init__(self, coefficients: int, fft: int) -> None:
        super().__init__()
        angles = 2 * math.pi * torch.arange(coefficients)[:, None] * torch.arange(fft // 2 + 1) / fft
        self.register_buffer("cosines", angles.cos(), persistent=False)
        self.register_buffer("sines", angles.sin(), persistent=False)

    def forward(self, cepstra: Tensor) -> Tensor:
        """(…, C) -> H (…, fft // 2 + 1) complex."""
        return torch.polar((cepstra @ self.cosines).exp(), -(cepstra @ self.sines))


def pulses(hertz: Tensor, sample_rate: int) -> Tensor:
    """Make pulses at a pitch (B, S) in Hz, 0 where nothing is voiced, without aliasing: (B, S), of power 1 where they are voiced.

    They are the sum of all harmonics below half the sample rate, cos p + cos 2p + … + cos np = (sin((n + 1/2) p) / sin(p / 2) - 1) / 2.
    Of a pitch above half the sample rate, which nobody means, there is one harmonic, an alias.
    """
    cycles = (hertz.double() / sample_rate).cumsum(1) % 1.0
    count = torch.where(hertz > 0, (sample_rate / 2) // hertz.clamp(min=1.0), 1.0).clamp(min=1.0).double()
    half = math.pi * cycles
    top, bottom = torch.sin((2 * count + 1) * half), torch.sin(half)
    near = bottom.abs() < 1e-6  # noqa: PLR2004 - where both vanish, the ratio is 2 n + 1
    ratio = torch.where(near, 2 * count + 1, top / torch.where(near, 1.0, bottom))
    return torch.where(hertz > 0, (ratio - 1) / (2 * count).sqrt(), 0.0).to(hertz.dtype)
