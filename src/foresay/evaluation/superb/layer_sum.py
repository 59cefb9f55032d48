"""Weighted sum of the layers of a model, the weights learnt (Yang et al., "SUPERB", arXiv:2105.01051, section 3), or one layer alone.

features (…, L, D) --> softmax(w) --> (…, D)              w begins at 0: all layers alike
w = 0 for one layer and -inf for the others: their share is 0, and so is
every gradient of w: one layer alone is a start that learning never leaves
"""

import torch
from torch import Tensor, nn


class LayerSum(nn.Module):
    """Adds layers."""

    def __init__(self, layers: int, only: int | None = None) -> None:
        """`layers`: L. `only`: the layer that counts; None: all, as they are learnt."""
        super().__init__()
        alone = [] if only is None else [layer for layer in range(layers) if layer != only]
        self.weights = nn.Parameter(torch.zeros(layers).index_fill(0, torch.tensor(alone, dtype=torch.int64), -torch.inf))

    @property
    def shares(self) -> Tensor:
        """What each layer counts: (L,), 1 in all."""
        return self.weights.softmax(0)

    def forward(self, features: Tensor) -> Tensor:
        """(…, L, D) -> (…, D)."""
        return torch.einsum("l,...ld->...d", self.shares, features)
