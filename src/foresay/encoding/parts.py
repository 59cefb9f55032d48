"""Recordings of any length, encoded in parts that overlap: together they give the frames of one even clock, that of the whole.

    recording      |------------------------------------------------------------------|
    parts          [=== own ===|context)
                        (context|=== own ===|context)
                                  (     context     |===== own =======================]      the last one reaches back as far as others

A part begins where a frame of the whole would, so its frames are the whole's; those of the context are dropped. The receptive field of a
frame fits into the context: if a model has no other context, its frames are those of the whole. A model that can stream goes on from part
to part, and its frames always are. Attention and norms over time cover the part and its context: of longer recordings they take no more
memory.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from foresay.contracts import FeatureExtractor, FeatureStream

PART = 30.0
"""Seconds of a part of its own."""
CONTEXT = 3.0
"""Seconds of context on either side, or a frame's receptive field if that is more. So what lasts 36 s at most, as all utterances of
LibriSpeech do, is encoded whole."""

Read: TypeAlias = Callable[[int, int], NDArray[np.float32]]
"""Reads a recording from one sample to another, at the model's rate."""


class EncodedPart(NamedTuple):
    """A stretch of a recording, and which of its frames are kept."""

    start: int
    """Sample from which it is encoded; a frame of the whole begins there."""
    stop: int
    begin: int
    """Sample from which its frames are kept."""
    end: int | None
    """None: up to the last frame."""

    def own(self, frames: Tensor, hop: int) -> Tensor:
        """Keep the frames that are not those of the context: (T, D) -> (t, D)."""
        first = (self.begin - self.start) // hop
        return frames[first:] if self.end is None else frames[first : first + (self.end - self.begin) // hop]


class Cutting:
    """How recordings are cut for some layers of a model."""

    def __init__(self, extractor: FeatureExtractor, layers: Sequence[str]) -> None:
        self.extractor = extractor
        self.hops = {layer: extractor.hop(layer) for layer in layers}
        """Layer -> samples from one frame to the next."""
        rate, grid = extractor.sample_rate, math.lcm(*self.hops.values())
        self.size = max(round(PART * rate) // grid, 1) * grid
        context = -(-max(round(CONTEXT * rate), extractor.receptive_field) // grid) * grid
        self.longest = self.size + 2 * context
        """Samples that are encoded at once."""
        self._context, self._grid = context, grid

    def parts(self, length: int) -> list[EncodedPart]:
        """Cut a recording of so many samples."""
        if length <= self.longest:
            return [EncodedPart(0, length, 0, None)]
        parts = []
        for begin in range(0, length, self.size):
            end = begin + self.size
            stop = min(end + self._context, length)
            start = max(0, -((self.longest - stop) // self._grid) * self._grid)
            parts.append(EncodedPart(start, stop, begin, end if end < length else None))
        return parts

    def streams(self, length: int) -> bool:
        """Whether a recording of so many samples is better encoded as it arrives."""
        return length > self.longest and _stream(self.extractor) is not None

    @torch.no_grad()
    def encode_batch(self, parts: Sequence[EncodedPart], waveforms: Sequence[Tensor], device: str) -> Mapping[str, list[Tensor]]:
        """Encode parts of recordings side by side, each (S,): layer -> the frames (t, D) of each."""
        lengths = torch.tensor([len(waveform) for waveform in waveforms], device=device)
        frames = self.extractor.features(pad_sequence(list(waveforms), batch_first=True).to(device), lengths, list(self.hops))
        return {
            layer: [
                part.own(values[:count], hop)
                for part, values, count in zip(parts, frames.values[layer], frames.lengths[layer].tolist(), strict=True)
            ]
            for layer, hop in self.hops.items()
        }

    @torch.no_grad()
    def encode(self, read: Read, length: int, device: str) -> Iterator[Mapping[str, Tensor]]:
        """Encode one recording, part after part: layer -> (t, D), which joined are (T, D)."""
        stream = _stream(self.extractor) if length > self.longest else None
        if stream is None:
            for part in self.parts(length):
                waveform = torch.from_numpy(read(part.start, part.stop))[None].to(device)
                frames = self.extractor.features(waveform, torch.tensor([waveform.shape[1]], device=device), list(self.hops))
                yield {layer: part.own(frames.values[layer][0, : int(frames.lengths[layer][0])], hop) for layer, hop in self.hops.items()}
            return
        for start in range(0, length, self.size):
            pushed = stream.push(torch.from_numpy(read(start, min(start + self.size, length)))[None].to(device))
            yield {layer: pushed.values[layer][0] for layer in self.hops}
        rest = stream.finish()
        yield {layer: rest.values[layer][0] for layer in self.hops}


def _stream(extractor: FeatureExtractor) -> FeatureStream | None:
    """Start to encode as audio arrives; None if the extractor looks ahead."""
    try:
        return extractor.stream()
    except TypeError:  # how a model says that it is not causal
        return None
