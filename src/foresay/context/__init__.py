"""Context networks: what has been heard up to a frame, in one vector (CPC's g_ar). One network, one file, one class.

A context is causal, and goes on from a state: heard chunk by chunk it gives what it gives for the whole.
"""

from abc import ABC, abstractmethod
from typing import TypeAlias

from torch import Tensor, nn

State: TypeAlias = Tensor | tuple[Tensor, ...]


class Context(nn.Module, ABC):
    """Built as `Context(latent_size, size, layers)`."""

    def __init__(self, latent_size: int, size: int, layers: int) -> None:
        super().__init__()
        self.latent_size, self.size, self.layers = latent_size, size, layers

    @abstractmethod
    def forward(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Contexts (B, T, D) of the latents (B, T, D), going on from `state` (None: from nothing), and the state after them."""
