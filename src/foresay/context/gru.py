"""Gated recurrent units: the context of the first CPC, one layer (arXiv:1807.03748, section 3.1)."""

from torch import nn

from foresay.context._recurrent import RecurrentContext


class GRUContext(RecurrentContext):
    """`nn.GRU` over the latents."""

    kind = nn.GRU
