"""Every recording of a corpus as a subject hears it: whole, one by one, with the time of each frame."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from foresay.contracts import Frames
from foresay.corpora.alignments import labels_at
from foresay.corpora.batches import load_windows
from foresay.corpora.manifest import Item, Manifest
from foresay.corpora.sampling import recording_windows
from foresay.errors import UserError
from foresay.evaluation.measure import Subject
from foresay.progress import ProgressBar

LONGEST = 30.0
"""Seconds heard at once; of a longer recording, each such part by itself."""
SHORTEST = 0.025
BATCH = 8


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
    """Yield every recording, or those in the places `items` only, in the manifest's order.

    Raises:
        UserError: a layer is not finite.
    """
    rate = subject.extractor.sample_rate
    windows = recording_windows(manifest, round(LONGEST * rate), rate, round(SHORTEST * rate))
    windows = [window for window in windows if items is None or window.segments[0].item in items]
    parts: list[tuple[int, dict[str, tuple[Tensor, NDArray[np.float64]]]]] = []
    for first in ProgressBar(range(0, len(windows), BATCH), f"encoding, {subject.name}", "batch"):
        batch = windows[first : first + BATCH]
        heard = load_windows(manifest, batch, rate).to(device)
        assert heard.waveforms is not None  # noqa: S101 - windows have audio
        assert heard.lengths is not None  # noqa: S101
        with torch.no_grad():
            frames = subject.extractor.features(heard.waveforms, heard.lengths, subject.layers)
        for row, window in enumerate(batch):
            (item, start, _) = window.segments[0]
            parts.append((item, {layer: _part(subject, layer, frames, row, start) for layer in subject.layers}))
        last = parts[-1][0]  # the next batch may go on with it
        yield from _joined(subject, manifest, [part for part in parts if part[0] != last])
        parts = [part for part in parts if part[0] == last]
    yield from _joined(subject, manifest, parts)


def _part(subject: Subject, layer: str, frames: Frames, row: int, start: int) -> tuple[Tensor, NDArray[np.float64]]:
    extractor, count = subject.extractor, int(frames.lengths[layer][row])
    centers = (start + extractor.first_center) / extractor.sample_rate + np.arange(count) / frames.frame_rate[layer]
    return frames.values[layer][row, :count].float(), centers


def _joined(
    subject: Subject, manifest: Manifest, parts: list[tuple[int, dict[str, tuple[Tensor, NDArray[np.float64]]]]]
) -> Iterator[Recording]:
    for index, group in groupby(parts, key=lambda part: part[0]):
        layers = [part for _, part in group]
        features = {layer: torch.cat([part[layer][0] for part in layers]) for layer in subject.layers}
        for layer, values in features.items():
            if not values.isfinite().all():
                msg = (
                    f"layer {layer} of {subject.name} is not finite on {manifest.ids[index]}: the model has diverged, or the recording is "
                    "damaged (`foresay corpus check` tells)"
                )
                raise UserError(msg)
        centers = {layer: np.concatenate([part[layer][1] for part in layers]) for layer in subject.layers}
        yield Recording(index, manifest[index], features, centers)
