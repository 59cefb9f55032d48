"""What a recognizer makes of an utterance as it arrives: its one layer, be it emissions or encoded audio."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch
from torch import Tensor

from foresay.contracts import FeatureStream, Frames

Head: TypeAlias = Callable[[Mapping[str, Tensor], Tensor], Tensor]
"""What a recognizer makes of layers of its encoder (B, T n, D), of which (B,) stacks of n frames are real: (B, T, V)."""


class StreamedLayer(NamedTuple):
    """The one layer of a recognizer."""

    name: str
    made_of: Sequence[str]
    """Layers of the encoder."""
    stack: int
    """Their frames that make one of it."""
    rate: float
    """Frames of it a second."""


class LayerStream:
    """The layer of a recognizer, chunk by chunk (`FeatureStream`). Frames that fill no stack yet wait for the next chunk."""

    def __init__(self, encoder: FeatureStream, head: Head, layer: StreamedLayer) -> None:
        self._encoder, self._head, self._layer = encoder, head, layer
        self._waiting: dict[str, Tensor] = {}

    def push(self, chunk: Tensor) -> Frames:
        """Take the next (B, S) samples, return the frames that they complete (perhaps none)."""
        return self._go_on(self._encoder.push(chunk))

    def finish(self) -> Frames:
        """Return the last frames."""
        return self._go_on(self._encoder.finish())

    def _go_on(self, frames: Frames) -> Frames:
        name, made_of, stack, rate = self._layer
        come = {layer: frames.values[layer] for layer in made_of}
        come = {layer: torch.cat([self._waiting[layer], new], 1) if self._waiting else new for layer, new in come.items()}
        size, length, _ = come[made_of[0]].shape
        whole = length // stack
        self._waiting = {layer: values[:, whole * stack :] for layer, values in come.items()}
        counts = torch.full((size,), whole, device=come[made_of[0]].device)
        made = self._head({layer: values[:, : whole * stack] for layer, values in come.items()}, counts)
        return Frames({name: made}, {name: counts}, {name: rate})


def refuse_looking_ahead(**used: bool) -> None:
    """Refuse to stream where something is used that needs the whole utterance: TypeError, which names it."""
    if ahead := [name for name, is_used in used.items() if is_used]:
        msg = f"model.{ahead[0]} looks at the whole utterance, and a recognizer with it cannot stream"
        raise TypeError(msg)
