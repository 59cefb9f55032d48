"""Heads of SUPERB's tasks: what learns on top of a frozen model (arXiv:2105.01051, section 3 and appendix).

Each takes features and lengths as in `FeatureBatch`, and begins with a sum of layers and a linear layer. A head is written for itself;
`side_by_side` lets many learn at once.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from foresay.evaluation.superb.features import normalized
from foresay.evaluation.superb.layer_sum import LayerSum
from foresay.evaluation.superb.spec_augment import FeatureAugmentation, augmented
from foresay.layers.bidirectional_lstm import BidirectionalLSTM
from foresay.layers.dropout import Dropout


class PooledHead(nn.Module):
    """Classifies an utterance: linear, mean over time, linear. Mean and linear layer change places, so that the mean is taken once.

    `deviation`: another head, mean and deviation over time, linear, ReLU, linear.
    """

    def __init__(self, added: LayerSum, sizes: tuple[int, int, int], *, normed: bool, deviation: bool = False) -> None:
        """`sizes`: D, of the linear layer, classes C."""
        super().__init__()
        size, hidden, classes = sizes
        self.sum, self.normed, self.deviation = added, normed, deviation
        self.projector, self.output = nn.Linear((1 + deviation) * size, hidden), nn.Linear(hidden, classes)

    def forward(self, pooled: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002 - as every head is called
        """(B, 2, 2, L, D) -> scores (B, C)."""
        added = self.sum(pooled[:, int(self.normed)])  # (B, 2, D)
        hidden = F.relu(self.projector(added.flatten(1))) if self.deviation else self.projector(added[:, 0])
        scores: Tensor = self.output(hidden)
        return scores


class FrameHead(nn.Module):
    """Scores each frame: linear, linear."""

    def __init__(self, added: LayerSum, sizes: tuple[int, int, int], *, normed: bool) -> None:
        """`sizes`: D, of the linear layer, classes C."""
        super().__init__()
        size, projected, classes = sizes
        self.sum, self.normed = added, normed
        self.projector, self.output = nn.Linear(size, projected), nn.Linear(projected, classes)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002 - as every head is called
        """(B, T, L, D) -> scores (B, T, C)."""
        scores: Tensor = self.output(self.projector(summed(self.sum, frames, normed=self.normed)))
        return scores


def summed(added: LayerSum, frames: Tensor, *, normed: bool) -> Tensor:
    """Add the layers of frames (B, T, L, D), each normalized first if they are `normed`: (B, T, D)."""
    total: Tensor = added(normalized(frames) if normed else frames)
    return total


class RecurrentHead(nn.Module):
    """Scores each frame: linear, LSTM in both directions, linear. Not computed in one call for all heads."""

    def __init__(
        self,
        added: LayerSum,
        sizes: tuple[int, int, int],
        hidden: int,
        *,
        normed: bool,
        layers: int = 1,
        dropout: float = 0.0,
        augment: FeatureAugmentation | None = None,
    ) -> None:
        """`sizes`: D, of the linear layer, classes C. `hidden`: units of each direction. `dropout`: of what each LSTM returns.

        `augment`: of the added layers, in training.
        """
        super().__init__()
        size, projected, classes = sizes
        self.sum, self.normed, self.augment = added, normed, augment
        self.projector = nn.Linear(size, projected)
        self.lstm = BidirectionalLSTM(projected, hidden, layers, dropout)
        self.dropout, self.output = Dropout(dropout), nn.Linear(2 * hidden, classes)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, L, D) -> scores (B, T, C)."""
        lengths, added = lengths.to(frames.device), summed(self.sum, frames, normed=self.normed)
        if self.augment and self.training:
            added = augmented(added, lengths, self.augment)
        scores: Tensor = self.output(self.dropout(self.lstm(self.projector(added), lengths)))
        return scores
