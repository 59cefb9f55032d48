"""Optimizers and their learning-rate schedules, counted in updates."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn


@dataclass(frozen=True)
class OptimizerSettings:
    """Adam as the reference implementation of CPC and ACPC sets it."""

    name: Literal["adam", "adamw"] = "adam"
    lr: float = 2e-4
    betas: tuple[float, ...] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    warmup: float = 0.0
    """Updates over which the rate rises linearly; below 1, that share of all updates."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """After the warm-up: stay, or fall to zero at the last update."""


def build_optimizer(settings: OptimizerSettings, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Build the optimizer over the parameters that are trained."""
    cls = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.name]
    trained = [p for p in parameters if p.requires_grad]
    beta1, beta2 = settings.betas
    return cls(trained, lr=settings.lr, betas=(beta1, beta2), eps=settings.eps, weight_decay=settings.weight_decay, fused=True)


def learning_rate(settings: OptimizerSettings, update: int, updates: int) -> float:
    """Rate of update 0, 1, … of `updates`: a pure function, so there is no schedule state to lose.

    Examples:
        >>> [learning_rate(OptimizerSettings(lr=1.0, warmup=4), update, 10) for update in (0, 1, 3, 4, 9)]
        [0.25, 0.5, 1.0, 1.0, 1.0]
    """
    warmup = round(settings.warmup if settings.warmup >= 1 else settings.warmup * updates)
    if update < warmup:
        return settings.lr * (update + 1) / warmup
    if settings.schedule == "constant":
        return settings.lr
    progress = min((update - warmup) / max(updates - warmup, 1), 1.0)
    return settings.lr * (1 - progress if settings.schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2)
