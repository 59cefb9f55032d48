"""Linear prediction heads: p^k = W_k c, no bias (van den Oord et al., arXiv:1807.03748, section 2.2)."""

from torch import Tensor, nn

from foresay.layers.dropout import Dropout


class LinearPredictor(nn.Module):
    """K matrices."""

    def __init__(self, context_size: int, latent_size: int, predictions: int, dropout: float) -> None:
        super().__init__()
        self.predictions = predictions
        self.dropout = Dropout(dropout)
        self.heads = nn.Linear(context_size, predictions * latent_size, bias=False)

    def forward(self, contexts: Tensor) -> Tensor:
        """(B, W, D) -> (B, K, W, D)."""
        heads: Tensor = self.heads(self.dropout(contexts))
        return heads.unflatten(-1, (self.predictions, -1)).transpose(1, 2)
