"""k-means fitted on what a subject hears of a corpus."""

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
    layer: str,
    manifest: Manifest,
    most: int,
    seed: int,
    device: str,
    items: Sequence[int] | None = None,
    unreadable: dict[int, AudioError] | None = None,
) -> Tensor:
    """Hear a corpus, or the recordings in the places `items` only, and keep about `most` of the frames: (N, D) float32.

    They are drawn at random; all, if there are not so many. `unreadable`: as of `encode_recordings`.
    """
    extractor = subject.extractor
    lengths = torch.from_numpy(manifest.lengths(extractor.sample_rate))
    lengths = lengths if items is None else lengths[list(items)]
    share = most / max(1, int(extractor.frame_count(lengths, layer).sum()))
    random = draws.stream("frames", seed)
    kept = []
    for recording in encode_recordings(
        replace(subject, layers=(layer,)), manifest, device, None if items is None else set(items), unreadable
    ):
        features = recording.features[layer]
        drawn = torch.from_numpy(random.random(len(features)) < share)
        kept.append(features[drawn.to(features.device)])
    return torch.cat(kept)
