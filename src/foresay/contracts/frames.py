"""The features of a model, and what makes them: of waveforms, of images, of an utterance as it arrives."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from foresay.contracts.batches import Modality
from foresay.errors import UserError, nearest


@dataclass(frozen=True)
class Frames:
    """The features of a batch, by layer name: all that evaluation, units and fine-tuning need."""

    values: Mapping[str, Tensor]
    """Layer -> (B, T, D); beyond an utterance's length the values mean nothing."""
    lengths: Mapping[str, Tensor]
    """Layer -> (B,) int64, frames."""
    frame_rate: Mapping[str, float]
    """Layer -> frames per second; of images, which take no time, there is none."""


class Extractor(ABC):
    """What makes frames of something, layer by layer."""

    layer_names: tuple[str, ...]
    modalities: Sequence[Modality]
    """What it can be given."""

    def chosen(self, layers: Sequence[str] | None) -> tuple[str, ...]:
        """Check the names of layers; None is all of them.

        Raises:
            UserError: there is no such layer.
        """
        chosen = self.layer_names if layers is None else tuple(layers)
        for layer in chosen:
            if layer not in self.layer_names:
                msg = f"{type(self).__name__} has no layer {layer!r}: {nearest(layer, self.layer_names)}"
                raise UserError(msg)
        return chosen


class FeatureExtractor(Extractor, ABC):
    """From waveforms to frames. It prepares (standardises) the waveform itself.

    `features` is differentiable; the caller chooses `eval()` and `no_grad()`. In `eval()` a clip's features do not depend on its
    batch mates or on padding (1e-4).
    """

    modalities: Sequence[Modality] = ("audio",)
    sample_rate: int
    receptive_field: int
    """Samples that one frame depends on."""
    first_center: int
    """The sample at the middle of what frame 0 depends on; frame t is centred `t * sample_rate / frame_rate` later."""

    @abstractmethod
    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:
        """Frames that clips of so many samples give: (B,) -> (B,)."""

    def hop(self, layer: str) -> int:
        """Samples from each frame of a layer to the next, `sample_rate / frame_rate`: one frame more whenever a clip is so much longer."""
        counts = self.frame_count(torch.arange(8 * self.sample_rate), layer)
        before, last = counts.diff().nonzero().flatten()[-2:].tolist()
        return int(last - before)

    def size(self, layer: str) -> int:
        """D: features of each frame of a layer. The extractor is on the CPU, in `eval()`."""
        silence = torch.zeros(1, self.receptive_field + self.sample_rate)
        with torch.no_grad():
            return int(self.features(silence, torch.tensor([silence.shape[1]]), (layer,)).values[layer].shape[-1])

    def front_end(self) -> Iterable[nn.Parameter]:
        """Yield the parameters of what reads the waveform, which fine-tuning may leave as they are."""
        return ()

    @abstractmethod
    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Encode waveforms (B, S), of which `lengths` (B,) samples are real. `layers`: which to return, default all."""

    def stream(self) -> "FeatureStream":
        """Start to encode an utterance chunk by chunk.

        Raises:
            TypeError: the extractor is not causal, or was not written for it; the message says so.
        """
        msg = f"{type(self).__name__} looks at the whole utterance and cannot stream"
        raise TypeError(msg)


class ImageExtractor(Extractor, ABC):
    """From images to frames: a frame is a patch, and they come in the order in which one reads."""

    modalities: Sequence[Modality] = ("image",)

    @abstractmethod
    def image_features(self, images: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Encode images (B, 3, height, width) from 0 to 1: frames (B, P, D). `layers`: which to return, default all."""


class FeatureStream(Protocol):
    """An utterance encoded as it arrives: the frames of all pushes and `finish` together equal those of the whole."""

    def push(self, chunk: Tensor) -> Frames:
        """Take the next (B, S) samples, return the frames that they complete (perhaps none)."""

    def finish(self) -> Frames:
        """Return the last frames, which depend on the silence after the end."""
