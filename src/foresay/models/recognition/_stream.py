"""The emissions of an utterance as it arrives."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from foresay.contracts import FeatureStream, Frames


class Head(NamedTuple):
    """What a recognizer does with the frames of its encoder."""

    chosen: Callable[[Mapping[str, Tensor], Tensor], Tensor]  # layers (B, T, D), counts (B,) -> (B, T, D)
    stacked: Callable[[Tensor], Tensor]  # (B, T, D) -> (B, T // stack, stack x D)
    scores: Callable[[Tensor, Tensor], Tensor]  # (B, T, D), counts (B,) -> (B, T, V), not normalized


class EmissionStream:
    """What a recognizer emits, chunk by chunk (`FeatureStream`). Frames that fill no stack yet wait for the next chunk."""

    def __init__(self, encoder: FeatureStream, head: Head, layer: str, stack: int, rate: float) -> None:
        """`layer`: the name of the emissions; `rate`: frames of them a second."""
        self._encoder, self._head, self._layer, self._stack, self._rate = encoder, head, layer, stack, rate
        self._waiting: Tensor | None = None

    def push(self, chunk: Tensor) -> Frames:
        """Take the next (B, S) samples, return the emissions that they complete (perhaps none)."""
        return self._emit(self._encoder.push(chunk))

    def finish(self) -> Frames:
        """Return the last emissions."""
        return self._emit(self._encoder.finish())

    def _emit(self, frames: Frames) -> Frames:
        values = self._head.chosen(frames.values, next(iter(frames.lengths.values())))
        values = values if self._waiting is None else torch.cat([self._waiting, values], dim=1)
        whole = self._head.stacked(values)
        self._waiting = values[:, whole.shape[1] * self._stack :]
        counts = torch.full((len(whole),), whole.shape[1], device=whole.device)
        scores = self._head.scores(whole, counts).float().log_softmax(-1)
        return Frames({self._layer: scores}, {self._layer: counts}, {self._layer: self._rate})


def refuse_looking_ahead(**used: bool) -> None:
    """Refuse to stream where something is used that needs the whole utterance: TypeError, which names it."""
    if ahead := [name for name, is_used in used.items() if is_used]:
        msg = f"model.{ahead[0]} looks at the whole utterance, and a recognizer with it cannot stream"
        raise TypeError(msg)
