"""Recurrent context: what has been heard up to a frame, in one vector (CPC's g_ar)."""

from typing import Literal, TypeAlias

from torch import Tensor, nn

State: TypeAlias = Tensor | tuple[Tensor, Tensor]

NETWORKS = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}


class RecurrentContext(nn.Module):
    """An LSTM, GRU or RNN of any depth over the latents; the context is the output of its last layer."""

    def __init__(self, kind: Literal["lstm", "gru", "rnn"], latent_size: int, context_size: int, layers: int) -> None:
        super().__init__()
        self.size = context_size
        self.network = NETWORKS[kind](latent_size, context_size, layers, batch_first=True)

    def forward(self, latents: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Contexts (B, T, D) of the latents (B, T, D), going on from `state` (None: from zero), and the state after them."""
        contexts, state = self.network(latents, state)
        return contexts, state
