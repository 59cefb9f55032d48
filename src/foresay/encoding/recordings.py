"""The features of every recording of a corpus: whole, one by one, with the time of each frame."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay import draws
from foresay.contracts import FeatureExtractor
from foresay.corpora.alignments import labels_at
from foresay.corpora.manifest import Item, Manifest
from foresay.encoding.parts import Cutting, EncodedPart
from foresay.encoding.subjects import Subject
from foresay.errors import AudioError, UserError
from foresay.progress import ProgressBar

SHORTEST = 0.025
"""Seconds."""
BATCH = 8
"""Recordings, or parts of long ones, that are encoded together."""


@dataclass(frozen=True, eq=False)
class Recording:
    """The features of one recording."""

    index: int
    """Its place in the manifest."""
    item: Item
    features: Mapping[str, Tensor]
    """Layer -> (T, D) float32."""
    centers: Mapping[str, NDArray[np.float64]]
    """Layer -> (T,) seconds: the center of each frame's receptive field."""

    def labels(self, layer: str, vocabulary: Mapping[str, int]) -> NDArray[np.int64]:
        """Phone of each frame, as its number in `vocabulary`: (T,), -1 where there is none."""
        return labels_at(self.item.phones or (), self.centers[layer], vocabulary)


def draw_recordings(manifest: Manifest, seconds: float, seed: int) -> list[int]:
    """Draw recordings at random until they last so long, and return their places in order."""
    order = draws.stream("recordings", seed).permutation(len(manifest))
    before = np.cumsum(manifest.durations[order]) - manifest.durations[order]
    return sorted(order[before < seconds].tolist())


def encode_recordings(
    subject: Subject,
    manifest: Manifest,
    device: str = "cpu",
    items: Container[int] | None = None,
    unreadable: dict[int, AudioError] | None = None,
) -> Iterator[Recording]:
    """Yield every recording, or those in the places `items` only, in the manifest's order; long ones are encoded in parts (`parts.py`).

    What lasts less than `SHORTEST` is left out. `unreadable`: takes in what cannot be read, by its place, and why; it is left out too.

    Raises:
        UserError: a layer is not finite; all recordings are that short.
        AudioError: a recording cannot be read, and there is no `unreadable`.
    """
    extractor = subject.extractor
    long_enough = np.flatnonzero(manifest.lengths(extractor.sample_rate) >= SHORTEST * extractor.sample_rate).tolist()
    if not long_enough:
        msg = f"none of the {len(manifest):,} recordings of {manifest.name} lasts {SHORTEST} s, as a frame does: is it the right one?"
        raise UserError(msg)
    places = [place for place in long_enough if items is None or place in items]
    hops = {layer: extractor.hop(layer) for layer in subject.layers}
    for index, group in groupby(_Encoding(subject, manifest, device, unreadable).parts(places), key=lambda part: part[0]):
        parts = [part for _, part in group]
        if unreadable and index in unreadable:
            continue
        features = {layer: torch.cat([part[layer] for part in parts]).float() for layer in subject.layers}
        for layer, values in features.items():
            if not values.isfinite().all():
                msg = (
                    f"layer {layer} of {subject.name} is not finite on {manifest.ids[index]}: the model has diverged, or the recording is "
                    "damaged (`foresay corpus check` says)"
                )
                raise UserError(msg)
        centers = {layer: frame_centers(extractor, hops[layer], len(values)) for layer, values in features.items()}
        yield Recording(index, manifest[index], features, centers)


def frame_centers(extractor: FeatureExtractor, hop: int, count: int) -> NDArray[np.float64]:
    """Return the center of the receptive field of each frame of a recording, `hop` samples apart, in seconds: (T,)."""
    return (extractor.first_center + hop * np.arange(count)) / extractor.sample_rate


class _Encoding(NamedTuple):
    """What is encoded by what."""

    subject: Subject
    manifest: Manifest
    device: str
    unreadable: dict[int, AudioError] | None

    def parts(self, places: Sequence[int]) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
        """Yield the parts of recordings in order, each with its recording's place: layer -> (t, D)."""
        rate = self.subject.extractor.sample_rate
        cutting, lengths = Cutting(self.subject.extractor, self.subject.layers), self.manifest.lengths(rate).tolist()
        waiting: list[tuple[int, EncodedPart]] = []
        for place in ProgressBar(places, f"encoding, {self.subject.name}", "recording"):
            if cutting.streams(lengths[place]):
                yield from self._together(waiting, cutting)
                waiting = []
                yield from self._streamed(place, lengths[place], cutting)
                continue
            for part in cutting.parts(lengths[place]):
                waiting.append((place, part))
                if len(waiting) == BATCH:
                    yield from self._together(waiting, cutting)
                    waiting = []
        yield from self._together(waiting, cutting)

    def _streamed(self, place: int, length: int, cutting: Cutting) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
        """Encode a long recording as it arrives."""
        read = partial(self.manifest.read, place, self.subject.extractor.sample_rate)
        try:
            yield from ((place, part) for part in cutting.encode(read, length, self.device))
        except AudioError as error:
            self._leave_out(place, error)

    def _together(self, parts: Sequence[tuple[int, EncodedPart]], cutting: Cutting) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
        """Encode some parts in one batch, unless that was done before."""
        readable, waveforms = [], []
        for place, part in parts:
            try:
                waveforms.append(torch.from_numpy(self.manifest.read(place, cutting.extractor.sample_rate, part.start, part.stop)))
                readable.append((place, part))
            except AudioError as error:
                self._leave_out(place, error)
        if not readable:
            return
        batch = (self.manifest.path, self.manifest.digest, tuple(readable))
        own = [part for _, part in readable]
        encoded = self.subject.kept.get(
            cutting.extractor, batch, self.subject.layers, lambda: cutting.encode_batch(own, waveforms, self.device)
        )
        for row, (place, _) in enumerate(readable):
            yield place, {layer: encoded[layer][row] for layer in self.subject.layers}

    def _leave_out(self, place: int, error: AudioError) -> None:
        if self.unreadable is None:
            raise error
        self.unreadable[place] = error
