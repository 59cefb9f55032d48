"""Distances between frames, each from one matrix product.

    angular      arccos(x·y / |x||y|) / π                      0 to 1; what Libri-Light, ZeroSpeech and fastabx call "cosine"
    cosine       1 - x·y / |x||y|                              0 to 2
    euclidean    |x - y| = sqrt(|x|² + |y|² - 2 x·y)
    kl           ½ Σ (p - q) (log(p + 1e-6) - log(q + 1e-6))   symmetrized Kullback-Leibler, of frames that are distributions

A frame of zeros has no direction. As in Libri-Light it is as far as can be from every other frame, and at the same place as another such.
Products are made in float64 and rounded to float32 only then: a product must not depend on the matrix it stands in, or ties would break.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from foresay.errors import UserError

KL_FLOOR = 1e-6
NOTHING = 1e-13
"""Relative to its terms, a difference of float64 numbers that is smaller than this is rounding."""
UNIT_SUM = 1e-3


class FrameDistance(ABC):
    """A distance between frames of D features."""

    def prepare(self, frames: Tensor) -> Tensor:
        """Do once what each product needs, float32: (F, D) -> (F, D)."""
        return frames

    @abstractmethod
    def between(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the distances of prepared frames (R, D) and (C, D), float64: (R, C) float32."""


class Angular(FrameDistance):
    """Angle over π."""

    def prepare(self, frames: Tensor) -> Tensor:
        """Scale every frame of (F, D) to length 1, save those of zeros."""
        lengths = torch.linalg.vector_norm(frames, dim=1, keepdim=True)
        return frames / lengths.masked_fill_(lengths == 0.0, 1.0)

    def between(self, x: Tensor, y: Tensor) -> Tensor:
        """Return angles (R, C), as shares of a straight one."""
        return self.cosines(x, y).acos_().div_(math.pi)

    def cosines(self, x: Tensor, y: Tensor) -> Tensor:
        """Return (R, C) float32 from -1 to 1."""
        cosines = (x @ y.T).float().clamp_(-1.0, 1.0)
        if (cosines == 0.0).any():  # to look for frames of zeros everywhere would take longer than the product
            zero_x, zero_y = ~x.any(dim=1), ~y.any(dim=1)
            cosines[zero_x] = -1.0
            cosines[:, zero_y] = -1.0
            cosines[zero_x[:, None] & zero_y] = 1.0
        return cosines


class Cosine(Angular):
    """One minus the cosine."""

    def between(self, x: Tensor, y: Tensor) -> Tensor:
        """Return distances (R, C) from 0 to 2."""
        return 1.0 - self.cosines(x, y)


class Euclidean(FrameDistance):
    """The length of the difference."""

    def between(self, x: Tensor, y: Tensor) -> Tensor:
        """Return distances (R, C); those that are only rounding are 0."""
        terms = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
        squares = terms - 2.0 * (x @ y.T)
        return torch.where(squares > NOTHING * terms, squares, 0.0).sqrt_().float()


class SymmetricKL(FrameDistance):
    """Half the sum of both Kullback-Leibler divergences."""

    def prepare(self, frames: Tensor) -> Tensor:
        """Refuse frames (F, D) that are no distributions."""
        if (frames < 0.0).any() or ((frames.sum(dim=1) - 1.0).abs() > UNIT_SUM).any():
            msg = (
                "the distance `kl` compares probability distributions: each frame's features must be 0 or more and sum to 1. "
                "Take posteriors (a softmax over the features), or the distance `angular`"
            )
            raise UserError(msg)
        return frames

    def between(self, x: Tensor, y: Tensor) -> Tensor:
        """Return divergences (R, C); those that are only rounding are 0."""
        log_x, log_y = (x + KL_FLOOR).log(), (y + KL_FLOOR).log()
        own = (x * log_x).sum(dim=1)[:, None] + (y * log_y).sum(dim=1)
        divergences = 0.5 * (own - x @ log_y.T - log_x @ y.T)
        return torch.where(divergences > NOTHING * own.abs(), divergences, 0.0).float()


DISTANCES: Mapping[str, FrameDistance] = {"angular": Angular(), "cosine": Cosine(), "euclidean": Euclidean(), "kl": SymmetricKL()}
"""By the names that protocols give them."""
