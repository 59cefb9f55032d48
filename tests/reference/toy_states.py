"""A recognizer by states whose audio spells them: each 160 samples of 0.1 are state 1, of 0.2 state 2, and so on."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from foresay.contracts import FeatureExtractor, Frames, StateRecognizer, Topology
from foresay.text.vocabulary import Orthography, Vocabulary

FRAME = 160
SYMBOLS = ("<sil>", "a", "b", "t")
STATES = ((0,), (1, 2), (3,), (4, 5))
PRONUNCIATIONS = {"at": (("a", "t"),), "bat": (("b", "a", "t"),), "tab": (("t", "a", "b"),), "ba": (("b", "a"),)}


class ToyStates(StateRecognizer):
    """Phones of one or two states, and perhaps a lexicon of its own."""

    symbols = SYMBOLS
    units = "phones"
    writing = Orthography(Vocabulary(SYMBOLS, "phones"), "plain", "refuse")
    sample_rate = 16000
    receptive_field, first_center = FRAME, FRAME // 2
    scale = 0.5

    def __init__(self, pronunciations: Mapping[str, tuple[tuple[str, ...], ...]] | None = None) -> None:
        super().__init__()
        self.pronunciations = pronunciations

    @property
    def topology(self) -> Topology:
        """It is likelier to stay than to go on."""
        return Topology(STATES, torch.full((6,), 0.6).log(), torch.full((6,), 0.4).log())

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002 - there is one
        """Frames do not overlap: (B,) -> (B,)."""
        return lengths // FRAME

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:  # noqa: ARG002 - there is one
        """Say how far each frame of waveforms (B, S), of which `lengths` (B,) samples are real, is from each state: (B, T, 6)."""
        frames = waveforms[:, FRAME // 2 :: FRAME, None] * 10 - torch.arange(6)
        counts = self.frame_count(lengths, "likelihoods")
        return Frames({"likelihoods": -6 * frames**2}, {"likelihoods": counts}, {"likelihoods": 100.0})


def spoken(states: Sequence[int]) -> Tensor:
    """Speak states, a frame each: (1, S)."""
    return (torch.tensor(states) / 10).repeat_interleave(FRAME)[None]


class ToyLevels(FeatureExtractor):
    """Frames of 160 samples as bumps on a scale of six; `late`: each is centred so many samples later than those of the recognizer."""

    layer_names = ("levels",)
    sample_rate = 16000
    receptive_field = FRAME

    def __init__(self, late: int = 0, frame: int = FRAME) -> None:
        self.first_center, self.frame = FRAME // 2 + late, frame

    def frame_count(self, lengths: Tensor, layer: str) -> Tensor:  # noqa: ARG002 - there is one
        """Frames do not overlap: (B,) -> (B,)."""
        return (lengths - self.first_center + self.frame // 2) // self.frame

    def features(self, waveforms: Tensor, lengths: Tensor, layers: Sequence[str] | None = None) -> Frames:  # noqa: ARG002 - there is one
        """Encode the middle of each frame of waveforms (B, S), of which `lengths` (B,) samples are real: (B, T, 6)."""
        counts = self.frame_count(lengths, "levels")
        middle = waveforms[:, self.first_center :: self.frame, None][:, : int(counts.max())] * 10
        return Frames({"levels": (-((middle - torch.arange(6)) ** 2)).exp()}, {"levels": counts}, {"levels": self.sample_rate / self.frame})
