"""A corpus as an estimator goes through it, pass by pass."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from foresay import progress
from foresay.contracts import FeatureExtractor, Recorded, Transcribed
from foresay.corpora.item import UNKNOWN, Transcript, transcript_of
from foresay.corpora.manifest import Manifest
from foresay.encoding.fitted_clusters import draw_frames
from foresay.encoding.recordings import draw_recordings, encode_recordings
from foresay.encoding.subjects import Subject
from foresay.errors import AudioError

SHOWN = 8


@dataclass(frozen=True)
class CorpusPasses:
    """The passes over a manifest (`FitData`). Recordings that cannot be read are left out."""

    manifest: Manifest
    seed: int
    device: str = "cpu"
    left_out: dict[str, str] = field(default_factory=dict)
    """Utterances with a transcript that nothing was learnt from: id, and why."""
    log: Callable[[dict[str, Any]], object] = dict
    """Where a pass is logged, nowhere if nothing is said."""

    def texts(self) -> Iterator[str]:
        """Go through the texts of the items that have one, in order."""
        return (item.text for item in self.manifest if item.text)

    def utterances(self, encoder: FeatureExtractor, layer: str, transcript: Transcript) -> Iterator[Transcribed]:
        """Go through the recordings that have a transcript, with their frames of a layer."""
        texts = {place: text for place, item in enumerate(self.manifest) if item.audio and (text := transcript_of(item, transcript))}
        unreadable: dict[int, AudioError] = {}
        for recording in encode_recordings(_subject(encoder, layer), self.manifest, self.device, texts, unreadable):
            yield Transcribed(self.manifest[recording.index].id, recording.features[layer], texts[recording.index])
        for place, error in unreadable.items():
            self.leave_out(self.manifest[place].id, str(error))
        if self.left_out:
            reasons = Counter(why.partition(":")[0] for why in self.left_out.values())
            counted = "; ".join(f"{why} ({count:,})" for why, count in reasons.most_common(SHOWN))
            self.note(f"{len(self.left_out):,} of {len(texts):,} utterances are left out: {counted}")

    def speakers(self) -> Sequence[str]:
        """Return the names of those who speak, sorted."""
        return sorted({self.manifest.speakers[code] for code in self.manifest.speaker_codes})

    def recordings(self, encoder: FeatureExtractor, layer: str, *, hours: float) -> Iterator[Recorded]:
        """Go through the recordings, or as many as last about so many hours, drawn at random, with their frames of a layer."""
        drawn = draw_recordings(self.manifest, 3600 * hours, self.seed)
        unreadable: dict[int, AudioError] = {}
        for recording in encode_recordings(_subject(encoder, layer), self.manifest, self.device, set(drawn), unreadable):
            item = recording.item
            yield Recorded(item.id, item.speaker or UNKNOWN, recording.features[layer])
        self._leave_out_all(unreadable, len(drawn))

    def leave_out(self, name: str, why: str) -> None:
        """Note that nothing can be learnt from the utterance of this id."""
        self.left_out[name] = why

    def note(self, line: str) -> None:
        """Say what the user should know."""
        progress.say(line)

    def passed(self, number: int, count: int, numbers: Mapping[str, float]) -> None:
        """Say and log what is known after a pass."""
        self.note(f"pass {number} of {count}: {', '.join(f'{name} {value:.5g}' for name, value in numbers.items())}")
        self.log({"kind": "train", "step": number, **numbers})

    def frames(self, encoder: FeatureExtractor, layer: str, *, hours: float, most: int) -> Tensor:
        """Draw about `most` frames of a layer, from about so many `hours` of the corpus: (N, D) float32."""
        drawn = draw_recordings(self.manifest, 3600 * hours, self.seed)
        unreadable: dict[int, AudioError] = {}
        subject = _subject(encoder, layer)
        found = draw_frames(subject, self.manifest, most, self.seed, self.device, drawn, unreadable)[layer]
        self._leave_out_all(unreadable, len(drawn))
        return found

    def _leave_out_all(self, unreadable: Mapping[int, AudioError], asked: int) -> None:
        """Note which of so many recordings that were asked for cannot be read."""
        for place, error in unreadable.items():
            self.leave_out(self.manifest[place].id, str(error))
        if unreadable:
            first = min(unreadable.items())[1]
            self.note(f"{len(unreadable):,} of {asked:,} recordings cannot be read and are left out; the first: {first}")


def _subject(encoder: FeatureExtractor, layer: str) -> Subject:
    """Name an encoder by its kind: of a model with several parts, passes say whose they are."""
    return Subject(type(encoder).__name__, encoder, (layer,))
