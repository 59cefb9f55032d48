"""Adversarial losses of waveforms: least squares (LSGAN), and feature matching.

Mao et al., "Least Squares Generative Adversarial Networks" (arXiv:1611.04076); feature matching: MelGAN (arXiv:1910.06711, eq. 4); both as
in HiFi-GAN (arXiv:2010.05646, eq. 1 to 4).

    discriminator:  (D(recorded) - 1)^2 + D(synthesized)^2          generator:  (D(synthesized) - 1)^2
    feature matching:  |layer of D(recorded) - layer of D(synthesized)|, a mean over each layer, all layers added up

What a discriminator gives is a list for each of those that it is made of: what its layers give, (B, …) each, the scores last.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from foresay.contracts import Term


def discriminator_loss(recorded: Sequence[Sequence[Tensor]], synthesized: Sequence[Sequence[Tensor]]) -> Term:
    """Distance of scores (B, …) from 1 of what was recorded, from 0 of what is synthesized: a mean over utterances."""
    real, made = (
        torch.stack([_mean((layers[-1] - goal).square()) for layers in given]) for given, goal in ((recorded, 1), (synthesized, 0))
    )
    return Term((real + made).sum(), real.shape[1])


def generator_loss(synthesized: Sequence[Sequence[Tensor]]) -> Term:
    """Distance from 1 of the scores (B, …) of what is synthesized: a mean over utterances."""
    made = torch.stack([_mean((layers[-1] - 1).square()) for layers in synthesized])
    return Term(made.sum(), made.shape[1])


def feature_matching(recorded: Sequence[Sequence[Tensor]], synthesized: Sequence[Sequence[Tensor]], weight: float) -> Term:
    """Distance of what the layers give of both, (B, …) each: a mean over utterances. What was recorded is not moved."""
    distances = torch.stack(
        [
            _mean((real.detach() - made).abs())
            for reals, mades in zip(recorded, synthesized, strict=True)
            for real, made in zip(reals[:-1], mades[:-1], strict=True)
        ]
    )
    return Term(distances.sum(), distances.shape[1], weight)


def _mean(values: Tensor) -> Tensor:
    """(B, …) -> (B,)."""
    return values.flatten(1).mean(1)
