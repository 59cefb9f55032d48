"""YIN: the fundamental frequency of waveforms, or that there is none, by the best path through the dips of a difference function.

de Cheveigné and Kawahara, "YIN, a fundamental frequency estimator for speech and music" (JASA 2002), steps 1 to 3 and 5: the mean
difference d(tau) between a stretch of the waveform and itself, tau samples later, over its mean for all shorter lags: near 0 at a period
and its multiples, near 1 where nothing repeats. Instead of step 4, the first dip below a threshold, and 6, the best one nearby, the
pitch is the best path through the dips of all frames, as in Boersma, "Accurate short-term analysis of the fundamental frequency" (1993).

    waveform (B, S) --> stretches (B, T, N) --> d(tau) (B, T, lags) --> C dips, or unvoiced (B, T, C + 1) --> best path --> Hz (B, T)
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from foresay.contracts.batches import sent

WINDOW = 0.025
"""s: what is compared with itself at the longest lag; more at shorter ones (the paper's window)."""
CANDIDATES = 8
"""C: dips of a frame that a path may choose from, the deepest."""
AT_ONCE = 4096
"""Frames, for they take memory."""

UNVOICED = 0.5
"""What a frame without pitch costs; one with pitch costs what d is at its dip. This and the next were chosen on real speech, so that
pitch is most as Praat's (`benchmarks/pitch.py`)."""
OCTAVE = 0.005
"""What each octave below the highest pitch costs: a multiple of the period is as good as the period."""
JUMP = 0.35
"""What an octave up or down from a frame to the next costs; of the costs of paths, this and the next are Boersma's."""
SWITCH = 0.14
"""What it costs to begin or to end a voiced stretch."""
STEP = 0.01
"""s: from frame to frame, for which these hold; of other steps, in proportion."""
QUIET = 1e-4
"""A frame of less power than this share of the loudest one's is unvoiced: 40 dB below."""


class _Dips(NamedTuple):
    """The candidates of each frame."""

    lags: Tensor
    """(…, C) samples, with fractions."""
    depths: Tensor
    """(…, C) d there; infinite: there are fewer."""


class YIN(nn.Module):
    """The pitch of a frame every `hop` samples. It looks at whole utterances: the best path is known at their end."""

    def __init__(self, sample_rate: int, hop: int, lowest: float, highest: float) -> None:
        """`lowest`, `highest`: Hz, what is looked for."""
        super().__init__()
        self.sample_rate, self.hop = sample_rate, hop
        self.shortest, self.longest = math.floor(sample_rate / highest), math.ceil(sample_rate / lowest)
        self.receptive_field = (round(WINDOW * sample_rate) + self.longest) // 2 * 2 + 1
        """Samples of a frame's stretch, its center the middle one."""
        self.first_center = hop // 2 - 1
        self.fft = 2 ** math.ceil(math.log2(self.receptive_field + self.longest + 2))

    def frame_count(self, lengths: Tensor) -> Tensor:
        """Whole hops: (B,) samples -> (B,) frames."""
        return lengths // self.hop

    @torch.no_grad()
    def forward(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """(B, S) waveforms of which `lengths` (B,) samples are real -> Hz (B, T), 0 where nothing is voiced and beyond an utterance.

        There is silence around each utterance.
        """
        samples = waveforms.shape[1]
        count = samples // self.hop
        if not count:
            return waveforms.new_zeros(len(waveforms), 0)
        lengths = sent(lengths, waveforms.device)
        inside = torch.arange(samples, device=waveforms.device) < lengths[:, None]
        left = self.receptive_field // 2 - self.first_center
        right = (count - 1) * self.hop + self.receptive_field - left - samples
        stretches = functional.pad(torch.where(inside, waveforms, 0.0), (left, right)).unfold(1, self.receptive_field, self.hop)
        real = torch.arange(count, device=waveforms.device) < self.frame_count(lengths)[:, None]
        pieces = stretches.split(max(1, AT_ONCE // len(waveforms)), dim=1)
        power = torch.where(real, torch.cat([piece.square().mean(-1) for piece in pieces], dim=1), 0.0)
        loud = power > QUIET * power.amax(1, keepdim=True)  # no frame of digital silence is
        lags, depths = (torch.cat(parts, dim=1) for parts in zip(*(self._dips(self.difference(piece)) for piece in pieces), strict=True))
        return self._path(_Dips(lags, depths.masked_fill(~loud[..., None], torch.inf)))

    def difference(self, stretches: Tensor) -> Tensor:
        """Compare stretches (…, N) with themselves at each lag: d (…, longest + 2), from lag 0, where it is 1.

        The two parts that are compared lie symmetrically about the middle of the stretch, whatever the lag.
        """
        size, lags = stretches.shape[-1], self.longest + 2
        spectrum = torch.fft.rfft(stretches, self.fft)
        products = torch.fft.irfft(spectrum.real.square() + spectrum.imag.square(), self.fft)[..., :lags]
        energy = functional.pad(stretches.square().cumsum(-1), (1, 0))
        lag = torch.arange(lags, device=stretches.device)
        first, second = energy[..., size - lag], energy[..., -1:] - energy[..., lag]
        mean = (first + second - 2 * products).clamp(min=0) / (size - lag)
        before = mean[..., 1:].cumsum(-1) / lag[1:]
        return functional.pad(torch.where(before > 0, mean[..., 1:] / before, 1.0), (1, 0), value=1.0)

    def _dips(self, difference: Tensor) -> _Dips:
        """Find the deepest local minima of d (…, lags), and where a parabola through each and its neighbors is lowest (step 5)."""
        before, here, after = (difference[..., self.shortest + shift : self.longest + 1 + shift] for shift in (-1, 0, 1))
        depths, found = torch.where((here < before) & (here <= after), here, torch.inf).topk(CANDIDATES, largest=False)
        left, right = before.gather(-1, found), after.gather(-1, found)
        curvature = left - 2 * depths + right
        fraction = torch.where(depths.isfinite(), (left - right) / (2 * curvature), 0.0)
        return _Dips(found + self.shortest + fraction, depths)

    def _path(self, dips: _Dips) -> Tensor:
        """Return the pitch (B, T) of the cheapest path through the dips of all frames. Before and after an utterance it is unvoiced."""
        height = torch.log2(self.longest / dips.lags)  # (B, T, C) octaves above the lowest pitch
        costs = dips.depths + OCTAVE * (math.log2(self.longest / self.shortest) - height)
        costs = functional.pad(costs, (0, 1), value=UNVOICED)
        scale = STEP * self.sample_rate / self.hop
        moves = scale * JUMP * (height[:, :-1, :, None] - height[:, 1:, None, :]).abs()
        moves = functional.pad(moves, (0, 1, 0, 1), value=scale * SWITCH)
        moves[..., -1, -1] = 0.0
        edge = functional.pad(torch.full_like(height[:, 0], scale * SWITCH), (0, 1))
        total, came = edge + costs[:, 0], list[Tensor]()
        for step, cost in zip(moves.unbind(1), costs[:, 1:].unbind(1), strict=True):
            best, origin = (total[:, :, None] + step).min(1)
            total = best + cost
            came.append(origin)
        state = (total + edge).argmin(1, keepdim=True)
        states = [state]
        for origin in reversed(came):
            state = origin.gather(1, state)
            states.append(state)
        chosen = torch.stack(states[::-1], 1)  # (B, T, 1)
        return functional.pad(self.sample_rate / dips.lags, (0, 1)).gather(2, chosen)[..., 0]
