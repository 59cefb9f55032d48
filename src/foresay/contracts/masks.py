"""Masks of fine-tuning: what is left out of a padded batch, and the extractors that leave it out themselves."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from foresay.contracts.batches import sent
from foresay.contracts.frames import FeatureExtractor


class Packing(NamedTuple):
    """Which frames of a padded batch are real: nothing but attention need compute the others."""

    rows: Tensor
    """(N,) int64, in order: the real ones among all B x T."""
    shape: tuple[int, int]
    """B, T."""

    def packed(self, frames: Tensor) -> Tensor:
        """(B, T, …) -> (N, …)."""
        return frames.flatten(0, 1).index_select(0, self.rows)

    def padded(self, frames: Tensor) -> Tensor:
        """(N, …) -> (B, T, …), 0 where there is none."""
        size, time = self.shape
        return frames.new_zeros(size * time, *frames.shape[1:]).index_copy(0, self.rows, frames).unflatten(0, (size, time))


class Masks(NamedTuple):
    """What fine-tuning leaves out of a batch, where the waveforms are."""

    frames: Tensor
    """(B, T) bool."""
    channels: Tensor
    """(B, D) bool."""
    real: Tensor | None = None
    """(N,) int64, in order: the frames that are not padding among all B x T, so that padding need not be computed; None: all may be."""


def real_frames(counts: Sequence[int], device: torch.device) -> Tensor | None:
    """Number the frames of a padded batch that are real among all B x T: (N,); None: all are."""
    longest = max(counts)
    if min(counts) == longest:
        return None
    return sent(torch.cat([torch.arange(count) + row * longest for row, count in enumerate(counts)]), device)


class MaskableExtractor(FeatureExtractor):
    """An extractor that is fine-tuned with masks on what its blocks, or its first layers, are given (arXiv:2006.11477, appendix B)."""

    masked_size: int
    """D: the channels that can be masked."""

    def masked_frames(self, lengths: Tensor) -> Tensor:
        """Frames that can be masked in clips of so many samples, those of its first layer: (B,) -> (B,)."""
        return self.frame_count(lengths, self.layer_names[0])

    @abstractmethod
    def masked_features(
        self, waveforms: Tensor, lengths: Tensor, masks: Masks, layers: Sequence[str], kept: Tensor | None = None
    ) -> Mapping[str, Tensor]:
        """Encode waveforms (B, S) as `features` does, but for what is masked: a layer -> (B, T, D). It is made to be compiled.

        `lengths` (B,) lies where the waveforms are; the longest clip is as long as them. `kept` (L,), on the CPU: the blocks that are run.
        """

    @abstractmethod
    def kept_layers(self, update: tuple[int, int]) -> Tensor | None:
        """Draw the blocks that an update, (seed, step), runs (LayerDrop): (L,) bool on the CPU; None: all."""

    def set_dropout(self, *, dropout: float, activation_dropout: float, layer_drop: float) -> None:
        """Drop otherwise than in the pre-training, where it has these; `dropout`: all but the activations and whole blocks."""
