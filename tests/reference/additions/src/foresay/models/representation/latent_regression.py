"""Latent regression: predict the latent a few frames ahead by its mean squared error.

An addition for `tests/house/test_additions.py`: the smallest model that keeps the contract.

    waveform (B, S) --> encoder --> z (B, T, D) --> context (LSTM) --> c (B, T, D) --> linear head --> z_{t+k}
"""

from dataclasses import dataclass

from torch import nn

from foresay.context.recurrent import LSTM
from foresay.contracts import Batch, Losses, Term
from foresay.encoders.strided_convolutions import StridedConvolutions
from foresay.models.representation._encoder_and_context import CausalModel
from foresay.settings import require_positive


@dataclass(frozen=True)
class LatentRegressionSettings:
    """A small network."""

    sample_rate: int = 16_000
    channels: int = 64
    context_size: int = 64
    ahead: int = 3
    """k: frames from a context to the latent that it predicts."""

    def __post_init__(self) -> None:
        require_positive(self, "sample_rate", "channels", "context_size", "ahead")


class LatentRegression(CausalModel):
    """Predicts latents by regression."""

    def __init__(self, settings: LatentRegressionSettings) -> None:
        s = settings
        encoder = StridedConvolutions(s.channels, (10, 8, 4, 4, 4), (5, 4, 2, 2, 2), (3, 2, 1, 1, 1), "channel", 1)
        super().__init__(encoder, LSTM(s.channels, s.context_size, 1), s.sample_rate)
        self.settings = settings
        self.head = nn.Linear(s.context_size, s.channels)

    def forward(self, batch: Batch, step: int, phase: str = "train") -> Losses:
        """Mean squared error of equally long windows."""
        waveforms, _ = batch.audio
        _, positions = self.counted(waveforms, self.settings.ahead)
        latents = self.encoder(waveforms)  # (B, T, D)
        contexts, _ = self.context(latents)  # (B, T, D)
        errors = (self.head(contexts[:, :positions]) - latents[:, self.settings.ahead :].detach()).square().mean(dim=-1)
        return Losses({"regression": Term(errors.sum(), errors.numel())}, {})
