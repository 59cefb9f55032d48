"""Pixels: a picture as it is, in small, as one frame of 3072 numbers."""

from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from foresay.contracts import Frames, ImageExtractor

SIDE = 32
"""As large as the pictures of CIFAR-10; of larger ones means of equal areas."""


@final
class Pixels(nn.Module, ImageExtractor):
    """One layer, `pixels (B, 1, 3072)`: red, then green, then blue, each of 32 x 32 row by row, from 0 to 1."""

    layer_names = ("pixels",)

    def image_features(self, images: Tensor, layers: Sequence[str] | None = None) -> Frames:  # noqa: ARG002 - there is one layer
        """Average (B, 3, height, width) pictures over equal areas: `pixels` (B, 1, 3072)."""
        values = functional.adaptive_avg_pool2d(images, SIDE).flatten(1)[:, None]
        return Frames({"pixels": values}, {"pixels": torch.ones(len(images), dtype=torch.int64, device=images.device)}, {})
