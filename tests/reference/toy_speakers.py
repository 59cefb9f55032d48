"""Two speakers by their names."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from foresay.contracts import SpeakerEncoder
from foresay.errors import UserError


@dataclass(frozen=True)
class ToySpeakersSettings:
    names: tuple[str, ...] = ("anna", "ben")


class ToySpeakers(SpeakerEncoder):
    def __init__(self, settings: ToySpeakersSettings) -> None:
        super().__init__()
        self.settings, self.names, self.size = settings, settings.names, len(settings.names)

    def of_names(self, names: Sequence[str]) -> Tensor:
        if unknown := [name for name in names if name not in self.names]:
            msg = f"there is no voice {unknown[0]!r}: known are {', '.join(self.names)}"
            raise UserError(msg)
        return torch.eye(self.size)[[self.names.index(name) for name in names]]

    def of_audio(self, waveforms: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002
        msg = f"voices are known by name only: {', '.join(self.names)}"
        raise UserError(msg)

    def of_batch(self, names: Sequence[str], waveforms: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002
        return self.of_names(names)
