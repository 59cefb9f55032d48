"""Units as frames: a tokenizer beside the layer it quantizes, so that ABX, probes and all measures of frames are measures of units too.

    waveform (B, S) --> encoder --> its layer (B, T, D) --> units (B, T) --> layer `units`: one of V is 1, the others 0 (B, T, V)

What quantizing loses, or removes, is the difference between the two layers.
"""

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional

from foresay.contracts import FeatureExtractor, FeatureStream, Frames, Tokenizer
from foresay.errors import UserError

UNITS = "units"


class UnitFrames(nn.Module, FeatureExtractor):
    """The layer that is quantized, as it is, under its own name, and one-hot vectors of its units, `units`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """`tokenizer`: of one level.

        Raises:
            UserError: it has several.
        """
        super().__init__()
        if tokenizer.levels != 1:
            msg = f"this tokenizer gives {tokenizer.levels} symbols to each frame, and those of one level can be measured as frames"
            raise UserError(msg)
        self.tokenizer, self.layer_names = tokenizer, (tokenizer.layer, UNITS)
        encoder = tokenizer.encoder
        self.sample_rate, self.receptive_field, self.first_center = encoder.sample_rate, encoder.receptive_field, encoder.first_center

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002 - both have as many
        """Frames that clips of so many samples give: (B,) -> (B,)."""
        return self.tokenizer.encoder.frame_count(lengths, self.tokenizer.layer)

    def size(self, layer: str) -> int:
        """D of the layer, V of its units."""
        return self.tokenizer.vocabulary if layer == UNITS else self.tokenizer.encoder.size(layer)

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """Encode waveforms (B, S), of which `lengths` (B,) samples are real: (B, T, D) and (B, T, V)."""
        return self.quantized(self.tokenizer.encoder.features(waveforms, lengths, (self.tokenizer.layer,)), self.chosen(layers))

    def stream(self) -> FeatureStream:
        """Start to encode an utterance chunk by chunk.

        Raises:
            TypeError: the encoder cannot.
        """
        return _UnitStream(self, self.tokenizer.encoder.stream())

    def quantized(self, encoded: Frames, layers: Sequence[str]) -> Frames:
        """Return these layers of what the encoder gives: its frames (B, T, D), and their units (B, T, V)."""
        frames, layer = encoded.values[self.tokenizer.layer], self.tokenizer.layer
        values: Mapping[str, Tensor] = {layer: frames}
        if UNITS in layers:
            ids = self.tokenizer.quantize(frames.flatten(0, 1))[:, 0].unflatten(0, frames.shape[:2])
            values = {layer: frames, UNITS: functional.one_hot(ids, self.tokenizer.vocabulary).float()}
        lengths, frame_rate = encoded.lengths[layer], encoded.frame_rate[layer]
        return Frames({name: values[name] for name in layers}, dict.fromkeys(layers, lengths), dict.fromkeys(layers, frame_rate))


class _UnitStream:
    """An utterance in units as it arrives."""

    def __init__(self, frames: UnitFrames, stream: FeatureStream) -> None:
        self._frames, self._stream = frames, stream

    def push(self, chunk: Tensor) -> Frames:
        """Take the next (B, S) samples, return the frames that they complete (perhaps none)."""
        return self._frames.quantized(self._stream.push(chunk), self._frames.layer_names)

    def finish(self) -> Frames:
        """Return the last frames."""
        return self._frames.quantized(self._stream.finish(), self._frames.layer_names)
