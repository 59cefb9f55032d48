"""Recurrent contexts: PyTorch's own networks over the latents; the context is the output of the last layer."""

from abc import ABC
from typing import ClassVar

from torch import Tensor, nn

from foresay.context import Context, State
from foresay.layers.recurrence import recur

__all__ = ["GRU", "LSTM", "RNN"]


class Recurrent(Context, ABC):
    """A recurrent network of any depth."""

    kind: ClassVar[type[nn.LSTM] | type[nn.GRU] | type[nn.RNN]]

    def __init__(self, latent_size: int, size: int, layers: int) -> None:
        super().__init__(latent_size, size, layers)
        self.network = self.kind(latent_size, size, layers, batch_first=True)

    def forward(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Contexts (B, T, D) of the latents (B, T, D), going on from `state` (None: from zero), and the state after them."""
        return recur(self.network, latents, state)


class GRU(Recurrent):
    """Gated recurrent units: the context of the first CPC, one layer (arXiv:1807.03748, section 3.1)."""

    kind = nn.GRU


class LSTM(Recurrent):
    """Long short-term memory: the context of the ACPC paper, two layers (arXiv:2104.11946, section 4)."""

    kind = nn.LSTM


class RNN(Recurrent):
    """Simple (Elman) recurrent network, with tanh."""

    kind = nn.RNN
