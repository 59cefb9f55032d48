"""Heads of SUPERB's tasks: what learns on top of a frozen model (arXiv:2105.01051, section 3 and appendix).

Each takes features and lengths as in `FeatureBatch`, and begins with a sum of layers and a linear layer. A head is written for itself;
`side_by_side` lets many learn at once.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from foresay.evaluation.superb.features import normalized
from foresay.evaluation.superb.layer_sum import LayerSum
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
    """HeadScores each frame, or several as one: linear, linear."""

    def __init__(self, added: LayerSum, sizes: tuple[int, int, int], *, normed: bool, stack: int = 1) -> None:
        """`sizes`: D, of the linear layer, classes C. `stack`: frames that are made one."""
        super().__init__()
        size, projected, classes = sizes
        self.sum, self.normed, self.stack = added, normed, stack
        self.projector, self.output = nn.Linear(size, projected), nn.Linear(stack * projected, classes)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002 - as every head is called
        """(B, T, L, D) -> scores (B, T // stack, C)."""
        scores: Tensor = self.output(stacked(self.projector(summed(self.sum, frames, normed=self.normed)), self.stack))
        return scores


def summed(added: LayerSum, frames: Tensor, *, normed: bool) -> Tensor:
    """Add the layers of frames (B, T, L, D), each normalized first if they are `normed`: (B, T, D)."""
    total: Tensor = added(normalized(frames) if normed else frames)
    return total


def stacked(frames: Tensor, count: int) -> Tensor:
    """Make so many frames one: (B, T, D) -> (B, T // count, count D)."""
    return frames[:, : frames.shape[1] // count * count].unflatten(1, (-1, count)).flatten(2)


class RecurrentHead(nn.Module):
    """HeadScores each frame, or one of several: linear, LSTM in both directions, linear. Not computed in one call for all heads."""

    def __init__(
        self,
        added: LayerSum,
        sizes: tuple[int, int, int],
        hidden: int,
        *,
        normed: bool,
        layers: int = 1,
        stack: int = 1,
        dropout: float = 0.0,
    ) -> None:
        """`sizes`: D, of the linear layer, classes C. `hidden`: units of each direction. `stack`: frames that are made one."""
        super().__init__()
        size, projected, classes = sizes
        self.sum, self.normed, self.stack = added, normed, stack
        self.projector = nn.Linear(size, projected)
        self.lstm = BidirectionalLSTM(stack * projected, hidden, layers, dropout)
        self.dropout, self.output = Dropout(dropout), nn.Linear(2 * hidden, classes)

    def forward(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, L, D) -> scores (B, T // stack, C)."""
        projected = stacked(self.projector(summed(self.sum, frames, normed=self.normed)), self.stack)
        scores: Tensor = self.output(self.dropout(self.lstm(projected, (lengths // self.stack).to(projected.device))))
        return scores
