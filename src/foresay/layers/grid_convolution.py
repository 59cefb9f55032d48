"""A convolution over a grid, of pixels or of time and frequency, normalized cell by cell."""

import torch.nn.functional as F
from torch import Tensor, nn


class GridConvolution(nn.Module):
    """Convolution (3 x 3, zeros around) -> norm over the channels of each cell -> ReLU: (B, D, height, width) -> (B, D', height', width').

    A cell is normalized by itself: what it says depends on nothing beyond its own field of view, neither on the rest of the picture nor on
    the batch. A stride of s keeps every s-th cell, from the first: ceil(height / s).
    """

    def __init__(self, channels_in: int, channels: int, stride: tuple[int, int]) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels, kernel_size=3, stride=stride, padding=1)
        self.norm = nn.LayerNorm(channels)

    def forward(self, cells: Tensor) -> Tensor:
        """Convolve, normalize, rectify: (B, D, height, width) -> (B, D', height', width')."""
        return F.relu(self.norm(self.convolution(cells).movedim(1, -1))).movedim(-1, 1)
