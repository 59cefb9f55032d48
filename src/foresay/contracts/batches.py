"""What one training step is given."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple, Self, TypeAlias

import torch
from torch import Tensor

from foresay.errors import UserError

Modality: TypeAlias = Literal["audio", "image"]
Need: TypeAlias = Literal["audio", "image", "labels", "text"]
"""What a model can need of every utterance."""


class Audio(NamedTuple):
    """The audio of a batch."""

    waveforms: Tensor
    """(B, S) float32, zero beyond each length."""
    lengths: Tensor
    """(B,) int64 on the CPU, samples."""


@dataclass(frozen=True)
class Batch:
    """What one step is given. Only `ids` is always there."""

    ids: tuple[str, ...]
    waveforms: Tensor | None = None
    """(B, S) float32, zero beyond each length."""
    lengths: Tensor | None = None
    """(B,) int64 on the CPU, samples."""
    keys: Tensor | None = None
    """(B,) int64 on the CPU: the source of everything random that is drawn for an utterance (negatives, masks, mixing) in this step.
    A function of (seed, step, place in the global batch), so the draw is the same on one device and on eight."""
    speakers: Tensor | None = None
    """(B,) int64."""
    speaker_names: tuple[str, ...] | None = None
    """Who speaks in each utterance, by the manifest."""
    labels: Tensor | None = None
    """(B, T) int64 on the CPU: the classes of frames; -1: none."""
    text: tuple[str, ...] | None = None
    """The transcript of each utterance."""
    images: Tensor | None = None
    """(B, 3, height, width) float32 from 0 to 1: red, green, blue."""
    targets: Tensor | None = None
    """(B, S) float32: another version of the same waveforms, whose latents are to be predicted; None: the waveforms themselves."""

    @property
    def audio(self) -> Audio:
        """The waveforms and their lengths.

        Raises:
            UserError: there are none.
        """
        if self.waveforms is None or self.lengths is None:
            msg = "this batch has no audio (waveforms and lengths), which the model needs: give it recordings, or a model of pictures"
            raise UserError(msg)
        return Audio(self.waveforms, self.lengths)

    @property
    def drawn_by(self) -> Tensor:
        """The keys (B,).

        Raises:
            UserError: there are none.
        """
        if self.keys is None:
            msg = "this batch has no keys to draw anything from: BatchLoader gives them, or set Batch.keys to any (B,) integers"
            raise UserError(msg)
        return self.keys

    def to(self, device: torch.device | str) -> Self:
        """Send every tensor but keys, lengths and labels, which shape the computation: were they there, the step would wait for them."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in {"keys", "lengths", "labels"}}
        moved: dict[str, Any] = {name: sent(value, device) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **moved)


def sent(values: Tensor, device: torch.device | str) -> Tensor:
    """Send a tensor (…, D) from the CPU to a device without waiting for what is computed there, by way of pinned memory."""
    there = torch.device(device)
    return values.pin_memory().to(there, non_blocking=True) if there.type == "cuda" and not values.is_cuda else values.to(there)
