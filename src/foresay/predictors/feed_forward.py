"""Feed-forward prediction heads: one hidden ReLU layer as wide as the latents, for each of the K predictions."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from foresay.layers.dropout import Dropout


class FeedForwardPredictor(nn.Module):
    """K networks of two layers."""

    def __init__(self, context_size: int, latent_size: int, predictions: int, dropout: float) -> None:
        super().__init__()
        self.predictions = predictions
        self.dropout = Dropout(dropout)
        self.hidden = nn.Linear(context_size, predictions * latent_size)
        self.weight = nn.Parameter(torch.empty(predictions, latent_size, latent_size).uniform_(-1, 1) / latent_size**0.5)
        self.bias = nn.Parameter(torch.zeros(predictions, 1, latent_size))

    def forward(self, contexts: Tensor) -> Tensor:
        """(B, W, D) -> (B, K, W, D)."""
        hidden = self.dropout(F.relu(self.hidden(contexts))).unflatten(-1, (self.predictions, -1)).transpose(1, 2)  # (B, K, W, D)
        return hidden @ self.weight + self.bias
