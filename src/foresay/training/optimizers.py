r"""Optimizers and their learning-rate schedules, counted in updates.

    lr          _________
              /           \
            /               \__            `schedule`: the shape of the fall
    initial                     \____ final
           | warmup | hold  |  the rest  |

Fairseq's tri-stage schedule is `hold` with the fall `exponential` or `linear`; its polynomial decay is a fall without `hold`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn

from foresay.settings import require_not_negative, require_positive


@dataclass(frozen=True)
class OptimizerSettings:
    """Adam as the reference implementation of CPC and ACPC sets it."""

    name: Literal["adam", "adamw"] = "adam"
    """What fairseq calls Adam is `adamw`: there, too, weights decay apart from the gradient."""
    lr: float = 2e-4
    """The highest rate."""
    betas: tuple[float, ...] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    warmup: float = 0.0
    """Updates over which the rate rises linearly; below 1, that share of all updates."""
    hold: float = 0.0
    """Updates at the highest rate after that; below 1, that share of all updates."""
    schedule: Literal["constant", "linear", "polynomial", "cosine", "exponential", "noam"] = "constant"
    """After that: stay, or fall to `final` at the last update. `noam` falls with the inverse square root of the updates done,
    wherever that leads (arXiv:1706.03762, section 5.3)."""
    power: float = 2.0
    """Of the polynomial fall; 1 is the linear one."""
    initial: float = 0.0
    """Share of `lr` from which it rises."""
    final: float = 0.0
    """Share of `lr` to which it falls."""

    def __post_init__(self) -> None:
        if len(self.betas) != 2:  # noqa: PLR2004 - Adam has two
            msg = f"betas are two numbers, such as [0.9, 0.98], not {list(self.betas)}"
            raise ValueError(msg)
        if not all(0 <= beta < 1 for beta in self.betas):
            msg = f"betas are shares of the past that moments keep, from 0 to below 1, not {list(self.betas)}"
            raise ValueError(msg)
        require_not_negative(self)
        require_positive(self, "lr", "eps")
        if self.schedule == "exponential" and self.final == 0:
            msg = "an exponential fall never reaches 0: state where it ends, for example final = 0.05 (fairseq's tri-stage schedule)"
            raise ValueError(msg)

    @property
    def depends_on_length(self) -> bool:
        """Whether the rate of an update depends on how many there will be."""
        return self.schedule not in {"constant", "noam"} or 0 < self.warmup < 1 or 0 < self.hold < 1


Group: TypeAlias = dict[str, Any]
"""Parameters, `params`, with a name: they may have a rate of their own."""


def build_optimizer(settings: OptimizerSettings, parameters: Iterable[nn.Parameter | Group]) -> torch.optim.Optimizer:
    """Build the optimizer over the parameters that are trained, or over groups of them."""
    cls = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
    trained = [p for p in parameters if not isinstance(p, nn.Parameter) or p.requires_grad]
    beta1, beta2 = settings.betas
    return cls(trained, lr=settings.lr, betas=(beta1, beta2), eps=settings.eps, weight_decay=settings.weight_decay, fused=True)


def step_unless(skip: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Move the parameters, unless bool () `skip` is set: the device looks, and leaves parameters, moments and count as they are.

    Fused optimizers take this for `torch.amp.GradScaler`, under the name of what that looks for.
    """
    vars(optimizer)["found_inf"] = skip.float()
    optimizer.step()


def learning_rate(settings: OptimizerSettings, update: int, updates: int) -> float:
    """Rate of update 0, 1, … of `updates`: a pure function, so there is no schedule state to lose.

    Examples:
        >>> [learning_rate(OptimizerSettings(lr=1.0, warmup=4), update, 10) for update in (0, 1, 3, 4, 9)]
        [0.25, 0.5, 1.0, 1.0, 1.0]
    """
    warmup, hold = (round(length if length >= 1 else length * updates) for length in (settings.warmup, settings.hold))
    if update < warmup:
        return settings.lr * (settings.initial + (1 - settings.initial) * (update + 1) / warmup)
    begin = warmup + hold
    if update < begin:
        return settings.lr
    return settings.lr * _fall(settings, update, begin, updates)


def _fall(settings: OptimizerSettings, update: int, begin: int, updates: int) -> float:
    """Share of the highest rate that is left of it `update - begin` updates after its fall began."""
    left = 1 - min((update - begin) / max(updates - begin, 1), 1.0)  # share of the fall that is still to come
    match settings.schedule:
        case "constant":
            return 1.0
        case "noam":
            return math.sqrt(max(begin, 1) / (update + 1))
        case "exponential":
            return settings.final ** (1 - left)
        case "cosine":
            shape = (1 - math.cos(math.pi * left)) / 2
        case "linear":
            shape = left
        case "polynomial":
            shape = left**settings.power
    return settings.final + (1 - settings.final) * shape
