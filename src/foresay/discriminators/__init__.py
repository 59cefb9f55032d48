"""Discriminators: networks that learn to distinguish recorded waveforms from synthesized ones. One network, one file, one class."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from foresay.errors import UserError


class Discriminator(nn.Module, ABC):
    """Built as `Discriminator(width)`: the share of the paper's channels that its layers have."""

    @abstractmethod
    def forward(self, waveforms: Tensor) -> list[list[Tensor]]:
        """(B, S) -> of each of those that it is made of what its layers give, (B, …) each, the scores last."""


def share_of(channels: int, width: float, name: str, groups: int = 1) -> int:
    """Return a share of the channels that a discriminator has in a paper; its convolutions divide them into groups.

    >>> share_of(128, 0.25, "multi-scale", 16)
    32

    Raises:
        UserError: there are none left, or they cannot be divided so.
    """
    found = round(channels * width)
    if found and found % groups == 0:
        return found
    above = groups * (found // groups + 1)
    fitting = " or ".join(f"{some / channels:g}" for some in (above - groups, above) if some)
    msg = (
        f"discriminator_width = {width:g} makes {found} of the {channels} channels of a {name} discriminator, and they must be "
        f"{f'a multiple of {groups}' if groups > 1 else 'at least one'}: set model.discriminator_width to {fitting}"
    )
    raise UserError(msg)
