"""Context networks: one vector that summarizes the latents up to a frame (CPC's g_ar). One network, one file, one class.

A context is causal and carries a state: encoding chunk by chunk gives the same as encoding the whole.
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
