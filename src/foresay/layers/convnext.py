"""ConvNeXt blocks in one dimension: convolutions in time, channel by channel, and a network on each frame.

Liu et al., "A ConvNet for the 2020s" (arXiv:2201.03545); in one dimension: Siuzdak, "Vocos" (arXiv:2306.00814), section 3.2.

    x (B, T, D) --> x + scale * Linear(GELU(Linear(norm(depthwise convolution(x)))))     each block
"""

import torch.nn.functional as F
from torch import Tensor, nn


class ConvNeXt(nn.Module):
    """A stack of blocks, and a norm after the last."""

    def __init__(self, size: int, blocks: int, inner: int, kernel: int = 7) -> None:
        """`inner`: features between the two linear layers; `kernel`: frames that a block looks at, an odd number."""
        super().__init__()
        self.blocks = nn.ModuleList(ConvNeXtBlock(size, inner, kernel, 1 / blocks) for _ in range(blocks))
        self.norm = nn.LayerNorm(size)

    def forward(self, frames: Tensor, real: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D). `real` (B, T, 1), 1 within an utterance's length and 0 beyond it: what lies there is not looked at."""
        for block in self.blocks:
            frames = block(frames, real)
        return self.norm(frames)


class ConvNeXtBlock(nn.Module):
    """One block."""

    def __init__(self, size: int, inner: int, kernel: int, scale: float) -> None:
        """`scale`: what each channel of its output is multiplied by, at first (the paper: 1e-6; Vocos: 1 / blocks)."""
        super().__init__()
        self.in_time = nn.Conv1d(size, size, kernel, padding=kernel // 2, groups=size)
        self.norm = nn.LayerNorm(size)
        self.widened, self.narrowed = nn.Linear(size, inner), nn.Linear(inner, size)
        self.scale = nn.Parameter(self.in_time.weight.new_full((size,), scale))

    def forward(self, frames: Tensor, real: Tensor) -> Tensor:
        """(B, T, D), (B, T, 1) -> (B, T, D)."""
        mixed = self.in_time((frames * real).transpose(1, 2)).transpose(1, 2)
        return frames + self.scale * self.narrowed(F.gelu(self.widened(self.norm(mixed))))
