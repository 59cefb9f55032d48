"""Every recording of a corpus as a subject hears it: whole, one by one, with the time of each frame."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay.contracts import FeatureExtractor
from foresay.corpora.alignments import labels_at
from foresay.corpora.batches import load_windows
from foresay.corpora.manifest import Item, Manifest
from foresay.corpora.sampling import Segment, Window
from foresay.errors import UserError
from foresay.evaluation.measure import Subject
from foresay.evaluation.parts import Cutting, Part
from foresay.progress import ProgressBar

SHORTEST = 0.025
"""Seconds."""
BATCH = 8
"""Recordings, or parts of long ones, that are encoded together."""


@dataclass(frozen=True, eq=False)
class Recording:
    """What a subject heard of one recording."""

    index: int
    """Its place in the manifest."""
    item: Item
    features: Mapping[str, Tensor]
    """Layer -> (T, D) float32."""
    centers: Mapping[str, NDArray[np.float64]]
    """Layer -> (T,) seconds: the middle of what each frame sees."""

    def labels(self, layer: str, vocabulary: Mapping[str, int]) -> NDArray[np.int64]:
        """Phone of each frame, as its number in `vocabulary`: (T,), -1 where there is none."""
        return labels_at(self.item.phones or (), self.centers[layer], vocabulary)


def draw_recordings(manifest: Manifest, seconds: float, seed: int) -> list[int]:
    """Draw recordings at random until they last so long, and return their places in order."""
    order = np.random.default_rng(seed).permutation(len(manifest))
    before = np.cumsum(manifest.durations[order]) - manifest.durations[order]
    return sorted(order[before < seconds].tolist())


def hear_recordings(subject: Subject, manifest: Manifest, device: str = "cpu", items: Container[int] | None = None) -> Iterator[Recording]:
    """Yield every recording, or those in the places `items` only, in the manifest's order; long ones are encoded in parts (`parts.py`).

    What lasts less than `SHORTEST` is left out.

    Raises:
        UserError: a layer is not finite.
    """
    extractor = subject.extractor
    lengths = manifest.lengths(extractor.sample_rate)
    places = [int(place) for place in np.flatnonzero(lengths >= SHORTEST * extractor.sample_rate) if items is None or place in items]
    for index, group in groupby(_encoded(subject, manifest, places, device), key=lambda part: part[0]):
        parts = [part for _, part in group]
        features = {layer: torch.cat([part[layer] for part in parts]).float() for layer in subject.layers}
        for layer, values in features.items():
            if not values.isfinite().all():
                msg = (
                    f"layer {layer} of {subject.name} is not finite on {manifest.ids[index]}: the model has diverged, or the recording is "
                    "damaged (`foresay corpus check` tells)"
                )
                raise UserError(msg)
        centers = {layer: frame_centers(extractor, layer, len(values)) for layer, values in features.items()}
        yield Recording(index, manifest[index], features, centers)


def frame_centers(extractor: FeatureExtractor, layer: str, count: int) -> NDArray[np.float64]:
    """Return the middle of what each of a recording's frames sees, in seconds: (T,)."""
    return (extractor.first_center + extractor.hop(layer) * np.arange(count)) / extractor.sample_rate


def _encoded(subject: Subject, manifest: Manifest, places: Sequence[int], device: str) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
    """Yield the parts of recordings in order, each with its recording's place: layer -> (t, D)."""
    rate = subject.extractor.sample_rate
    cutting, lengths = Cutting(subject.extractor, subject.layers), manifest.lengths(rate).tolist()
    waiting: list[tuple[int, Part]] = []
    for place in ProgressBar(places, f"encoding, {subject.name}", "recording"):
        length = lengths[place]
        if cutting.streams(length):
            yield from _batch(subject, manifest, waiting, cutting, device)
            waiting = []
            read = partial(manifest.read, place, rate)
            yield from ((place, part) for part in cutting.encode(read, length, device))
            continue
        for part in cutting.parts(length):
            waiting.append((place, part))
            if len(waiting) == BATCH:
                yield from _batch(subject, manifest, waiting, cutting, device)
                waiting = []
    yield from _batch(subject, manifest, waiting, cutting, device)


def _batch(
    subject: Subject, manifest: Manifest, parts: Sequence[tuple[int, Part]], cutting: Cutting, device: str
) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
    """Encode some parts together."""
    if not parts:
        return
    extractor = subject.extractor
    windows = [Window(int(manifest.speaker_codes[place]), (Segment(place, part.start, part.stop),)) for place, part in parts]
    heard = load_windows(manifest, windows, extractor.sample_rate).to(device)
    assert heard.waveforms is not None  # noqa: S101 - windows have audio
    assert heard.lengths is not None  # noqa: S101
    with torch.no_grad():
        frames = extractor.features(heard.waveforms, heard.lengths, subject.layers)
    for row, (place, part) in enumerate(parts):
        counts = {layer: int(frames.lengths[layer][row]) for layer in subject.layers}
        yield place, {layer: part.own(frames.values[layer][row, : counts[layer]], hop) for layer, hop in cutting.hops.items()}
