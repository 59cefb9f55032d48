"""Decoders: from frames to waveforms. One network, one file, one class."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Generator(nn.Module, ABC):
    """What makes a waveform of frames. Built as `Generator(inputs, sample_rate, option=…)`; `inputs` is D."""

    hop: int
    """Samples of each frame."""

    @abstractmethod
    def forward(self, frames: Tensor, real: Tensor, hertz: Tensor, noise: Tensor) -> Tensor:
        """Synthesize.

        Args:
            frames: (B, T, D).
            real: (B, T, 1), 1 within an utterance's length and 0 beyond it: what lies there is not looked at.
            hertz: (B, T hop), the pitch of each sample; 0 where nothing is voiced.
            noise: (B, T hop), of variance 1: all that is random.

        Returns:
            (B, T hop)
        """
