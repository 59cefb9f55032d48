"""Exponential moving averages of weights: teachers (data2vec, DinoSR), and models that generalize better than their last update.

average  <-  decay x average  +  (1 - decay) x weights             after every update
"""

import copy
from collections.abc import Container, Mapping
from typing import Any

import torch
from torch import Tensor, nn


@torch.no_grad()
def follow(average: Mapping[str, Tensor], weights: Mapping[str, Tensor], decay: float, learnt: Container[str] | None = None) -> None:
    """Let each tensor (…, D) of `average` follow that of the same name, in place.

    What is not among the `learnt` (None: all are), such as a queue of latents, or holds no fractions, such as a counter, is copied.
    """
    for name, value in average.items():
        if value.is_floating_point() and (learnt is None or name in learnt):
            value.lerp_(weights[name].to(value.dtype), 1 - decay)
        else:
            value.copy_(weights[name])


def early(decay: float, update: int) -> float:
    """Decay of update 0, 1, …: lower at first, so that the untrained weights are soon forgotten.

    Examples:
        >>> [round(early(0.999, update), 3) for update in (0, 8, 90, 100_000)]
        [0.1, 0.5, 0.91, 0.999]
    """
    return min(decay, (1 + update) / (10 + update))


def rising(first: float, last: float, update: int, updates: int) -> float:
    """Decay of update 0, 1, … that rises evenly from `first` to `last` over `updates`, and stays (data2vec, arXiv:2202.03555, section 3.3).

    Examples:
        >>> [round(rising(0.999, 0.9999, update, 30_000), 5) for update in (0, 15_000, 30_000, 99_000)]
        [0.999, 0.99945, 0.9999, 0.9999]
    """
    return first + (last - first) * min(update / max(updates, 1), 1.0)


class MovingAverage(nn.Module):
    """A copy of a module that is not trained but follows it, always in `eval()` mode: a teacher.

    Its weights are part of the state of the module it is put into, and so survive a resume. Make it before weights are shared out (FSDP).
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = copy.deepcopy(module).requires_grad_(requires_grad=False).eval()

    def follow(self, module: nn.Module, decay: float) -> None:
        """Move towards the weights of `module`; call it after every update."""
        follow(self.module.state_dict(), module.state_dict(), decay)

    def forward(self, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever the module takes and gives
        """Ask the average."""
        with torch.no_grad():
            return self.module(*arguments, **options)

    def train(self, mode: bool = True) -> "MovingAverage":  # noqa: ARG002, FBT001, FBT002 - PyTorch's signature; a teacher has no dropout
        """Stay in `eval()` mode."""
        return super().train(mode=False)
