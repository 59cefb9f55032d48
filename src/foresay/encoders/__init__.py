"""From waveforms to latent frames. One encoder, one file, one class."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Encoder(nn.Module, ABC):
    """Hears (B, S) waveforms as (B, T, D) latents; frame t sees `receptive_field` samples from `first_sample` + t `downsampling` on."""

    channels: int
    """D."""
    downsampling: int
    """Samples from one frame to the next."""
    receptive_field: int
    first_sample: int
    """Where frame 0's view begins; negative: it begins in the zero padding."""

    @abstractmethod
    def frame_count(self, lengths: Tensor) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""

    @abstractmethod
    def forward(self, waveforms: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Encode (B, S) waveforms; with `lengths` (B,), as if each clip were encoded alone. -> (B, T, D)."""

    def after_step(self) -> None:
        """Move on, after each update."""
