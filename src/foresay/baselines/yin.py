"""YIN: the fundamental frequency (F0, pitch) from 60 to 500 Hz and whether there is one, 100 frames per second."""

from collections.abc import Sequence
from typing import final

from torch import Tensor, nn

from foresay.audio.yin import YIN
from foresay.contracts import FeatureExtractor, Frames

LOWEST, HIGHEST = 60.0, 500.0
"""Hz: of low men's voices, and of children's and lively women's."""


@final
class PitchTrack(nn.Module, FeatureExtractor):
    """One layer, `f0 (B, T, 1)`, Hz, 0 where nothing is voiced; frames are centered where those of `logmel` are."""

    sample_rate = 16000
    layer_names = ("f0",)

    def __init__(self) -> None:
        super().__init__()
        self.yin = YIN(self.sample_rate, 160, LOWEST, HIGHEST)
        self.receptive_field, self.first_center = self.yin.receptive_field, self.yin.first_center
        self.frame_rate = self.sample_rate / self.yin.hop

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002 - there is one layer
        """Whole hops of 10 ms: (B,) -> (B,)."""
        return self.yin.frame_count(lengths)

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:
        """(B, S) -> `f0` (B, T, 1), without a gradient: the pitch is that of the best path through a whole utterance."""
        self.chosen(layers)
        return Frames({"f0": self.yin(waveforms, lengths)[..., None]}, {"f0": self.yin.frame_count(lengths)}, {"f0": self.frame_rate})
