"""k-means fitted on the features that a model extracts from a corpus."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from foresay import draws
from foresay.corpora.manifest import Manifest
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject
from foresay.errors import AudioError
from foresay.progress import ProgressBar
from foresay.quantizers.kmeans import KMeans

FRAMES_HELD = 1_000_000
"""Of all layers that are drawn in one pass: 4 GB where D = 1024."""


def fit_clusters(
    frames: Tensor, clusters: Iterable[int], *, spherical: bool = False, restarts: int, seed: int, title: str
) -> dict[int, KMeans]:
    """Fit k-means with each number of clusters on frames (N, D), where they are."""
    fitted = {}
    for count in ProgressBar(list(clusters), f"k-means, {title}", "K"):
        fitted[count] = KMeans(count, frames.shape[1], spherical=spherical).to(frames.device)
        fitted[count].fit(frames, seed=seed, restarts=restarts)
    return fitted


def draw_frames(
    subject: Subject,
    manifest: Manifest,
    most: int,
    seed: int,
    device: str,
    items: Sequence[int] | None = None,
    unreadable: dict[int, AudioError] | None = None,
) -> dict[str, Tensor]:
    """Encode a corpus, or the recordings in the places `items` only, and keep about `most` frames of each layer: (N, D) float32.

    They are drawn at random, alike in layers of one clock; all, if there are not so many. `unreadable`: as of `encode_recordings`.

    Raises:
        AudioError: no recording can be read.
    """
    extractor = subject.extractor
    lengths = torch.from_numpy(manifest.lengths(extractor.sample_rate))
    lengths = lengths if items is None else lengths[list(items)]
    shares = {layer: most / max(1, int(extractor.frame_count(lengths, layer).sum())) for layer in subject.layers}
    random = {layer: draws.stream("frames", seed) for layer in subject.layers}
    kept: dict[str, list[Tensor]] = {layer: [] for layer in subject.layers}
    for recording in encode_recordings(subject, manifest, device, None if items is None else set(items), unreadable):
        for layer, features in recording.features.items():
            drawn = torch.from_numpy(random[layer].random(len(features)) < shares[layer])
            kept[layer].append(features[drawn.to(features.device)])
    if unreadable and not any(kept.values()):
        raise min(unreadable.items())[1]
    return {layer: torch.cat(kept.pop(layer)) for layer in subject.layers}


def layers_together(subject: Subject, frames: int) -> list[Subject]:
    """Take as many layers of a subject at once as `frames` frames of each may be held of: fewer passes, and bounded memory."""
    count = max(1, FRAMES_HELD // frames)
    return [replace(subject, layers=subject.layers[first : first + count]) for first in range(0, len(subject.layers), count)]
