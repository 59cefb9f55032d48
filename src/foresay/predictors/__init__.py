"""Prediction heads: from a context to K predictions of what comes next. One kind, one file, one class.

They serve training only and are of no use afterwards.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Predictor(nn.Module, ABC):
    """Built as `Predictor(context_size, latent_size, predictions, dropout)`."""

    @abstractmethod
    def forward(self, contexts: Tensor) -> Tensor:
        """Predict from contexts: (B, W, D) -> (B, K, W, D)."""
