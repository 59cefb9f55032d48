"""A corpus as an estimator goes through it, pass by pass."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from foresay.contracts import FeatureExtractor
from foresay.corpora.item import Transcript, transcript_of
from foresay.corpora.manifest import Manifest
from foresay.encoding.fitted_clusters import draw_frames
from foresay.encoding.recordings import draw_recordings, encode_recordings
from foresay.encoding.subjects import Subject
from foresay.errors import AudioError


@dataclass(frozen=True)
class CorpusPasses:
    """The passes over a manifest (`FitData`). Recordings that cannot be read are left out."""

    manifest: Manifest
    seed: int
    device: str = "cpu"

    def texts(self) -> Iterator[str]:
        """Go through the texts of the items that have one, in order."""
        return (item.text for item in self.manifest if item.text)

    def utterances(self, encoder: FeatureExtractor, layer: str, transcript: Transcript) -> Iterator[tuple[Tensor, str]]:
        """Go through the recordings that have a transcript: frames of a layer (T, D) float32, and the transcript."""
        texts = {place: text for place, item in enumerate(self.manifest) if item.audio and (text := transcript_of(item, transcript))}
        unreadable: dict[int, AudioError] = {}
        for recording in encode_recordings(Subject("the encoder", encoder, (layer,)), self.manifest, self.device, texts, unreadable):
            yield recording.features[layer], texts[recording.index]

    def frames(self, encoder: FeatureExtractor, layer: str, *, hours: float, most: int) -> Tensor:
        """Draw about `most` frames of a layer, from about so many `hours` of the corpus: (N, D) float32."""
        drawn = draw_recordings(self.manifest, 3600 * hours, self.seed)
        unreadable: dict[int, AudioError] = {}
        subject = Subject("the encoder", encoder, (layer,))
        return draw_frames(subject, self.manifest, most, self.seed, self.device, drawn, unreadable)[layer]
