"""Discriminators: networks that learn to distinguish recorded waveforms from synthesized ones. One network, one file, one class."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Discriminator(nn.Module, ABC):
    """Built as `Discriminator(width)`: the share of the paper's channels that its layers have."""

    @abstractmethod
    def forward(self, waveforms: Tensor) -> list[list[Tensor]]:
        """(B, S) -> of each of those that it is made of what its layers give, (B, …) each, the scores last."""
