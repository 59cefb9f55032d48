"""Chirps: waveforms whose pitch is known at every sample."""

import math

import torch
from torch import Tensor

RATE = 16_000


def chirp(begin: float, end: float, seconds: float, harmonics: int) -> tuple[Tensor, Tensor]:
    """Glide from one pitch to another, in Hz: (S,) samples of so many harmonics, each weaker than the last, and the pitch of each."""
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    rate = math.log(end / begin) / seconds
    hertz = begin * torch.exp(rate * time)
    cycles = begin * time if begin == end else (hertz - begin) / rate
    waveform = sum((torch.sin(2 * torch.pi * n * cycles) / n for n in range(1, harmonics + 1)), start=torch.zeros_like(time))
    return (0.1 * waveform).float(), hertz.float()
