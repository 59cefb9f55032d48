"""The loss scale of fp16: gradients below 6e-8 vanish in half precision, so the loss is multiplied before they are computed.

    gradient overflows        scale / 2, and the update is left out: how a scale is found, not a fault
    2,000 updates without     scale x 2

Micikevicius et al., "Mixed Precision Training" (arXiv:1710.03740, section 3.2), with the numbers of `torch.amp.GradScaler`. That one
decides whether an update is done from its gradient alone; here the loss has a say, and all devices agree. Nothing waits for the device.
"""

import torch
from torch import Tensor

INITIAL, MOST = 2.0**16, 2.0**24
PATIENCE = 2000
"""Updates without an overflow after which the scale is doubled."""


class LossScale:
    """The scale, on the device. Of other precisions than fp16 it is 1, and does not move."""

    def __init__(self, device: torch.device, *, moves: bool) -> None:
        self.moves = moves
        self.scale = torch.full((), INITIAL if moves else 1.0, device=device)
        self.calm = torch.zeros((), dtype=torch.int32, device=device)
        """Updates since the scale moved."""

    def overflowed(self, loss: Tensor, norm: Tensor) -> Tensor:
        """Say whether the scale is to blame that a gradient's norm () is not finite: then the loss () is, and there is a scale. bool ()."""
        return loss.isfinite() & ~norm.isfinite() & (self.scale > 1)

    def move(self, overflowed: Tensor) -> None:
        """Take in whether an update's gradient overflowed, bool ()."""
        if not self.moves:
            return
        calm = torch.where(overflowed, 0, self.calm + 1)
        grows = calm >= PATIENCE
        factor = torch.where(overflowed, 0.5, torch.where(grows, 2.0, 1.0))
        self.scale = (self.scale * factor).clamp(max=MOST)
        self.calm = torch.where(grows, 0, calm)

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"scale": float(self.scale), "calm": int(self.calm)}

    def load(self, state: dict[str, float]) -> None:
        """Go on with what a checkpoint kept."""
        self.scale.fill_(state["scale"])
        self.calm.fill_(state["calm"])
