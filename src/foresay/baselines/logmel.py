"""Log-mel spectrogram: 80 bands, 25 ms windows, 100 frames per second."""

from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from foresay.audio.spectrogram import LogMelSpectrogram
from foresay.contracts import FeatureExtractor, Frames


@final
class LogMel(nn.Module, FeatureExtractor):
    """One layer, `logmel (B, T, 80)`; frames are centered where CPC's are."""

    sample_rate = 16000
    layer_names = ("logmel",)

    def __init__(self) -> None:
        super().__init__()
        self.spectrogram = LogMelSpectrogram(self.sample_rate, bands=80)
        self.receptive_field = self.spectrogram.receptive_field
        self.first_center = self.spectrogram.first_center
        self.frame_rate = self.sample_rate / self.spectrogram.hop

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002 - there is one layer
        """Whole hops of 10 ms: (B,) -> (B,)."""
        return self.spectrogram.frame_count(lengths)

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:  # noqa: ARG002
        """(B, S) -> `logmel` (B, T, 80), natural logarithms of energies; no normalization over time, so a frame is what it saw."""
        values = self.spectrogram(waveforms, lengths)
        return Frames({"logmel": values}, {"logmel": self.spectrogram.frame_count(lengths)}, {"logmel": self.frame_rate})
