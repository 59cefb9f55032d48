"""PyTorch's recurrent networks (LSTM, GRU, Elman) wherever they run: under autocast on a CPU, they compute in float32.

CPUs have no recurrent networks in fp16. In bf16, processors without AVX-512 refuse the LSTM, and take five times as long for the GRU.
"""

from typing import Any

import torch
from torch import Tensor, nn


def recur(network: nn.Module, frames: Tensor, state: object = None) -> tuple[Tensor, Any]:
    """Run a network over frames (B, T, D), going on from `state` (None: from zero): its outputs (B, T, H), and the state after them."""
    if frames.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            return network(frames.float(), state)
    return network(frames, state)
