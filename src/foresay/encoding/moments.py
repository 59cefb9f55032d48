"""Frames drawn at random, at the same moments of a corpus for every model and layer: differences between models are then not chance."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from foresay import draws
from foresay.corpora.manifest import Manifest
from foresay.encoding.labelled_frames import LabelledFrames
from foresay.encoding.recordings import Recording

GRID = 0.01
"""Seconds between moments that may be drawn: the frame period of CPC, whose frames are then drawn once at most."""


class Moments:
    """At most `most` moments, uniform over all that was recorded, none twice."""

    def __init__(self, manifest: Manifest, most: int, seed: int) -> None:
        ends = np.cumsum(np.floor(manifest.durations / GRID).astype(np.int64))
        total = int(ends[-1])
        random = draws.stream("moments", seed)
        chosen = np.sort(random.choice(total, size=min(most, total), replace=False, shuffle=False))
        self._items = np.searchsorted(ends, chosen, side="right")
        begins = ends - np.diff(ends, prepend=0)
        self._times = (chosen - begins[self._items] + 0.5) * GRID

    def __len__(self) -> int:
        return len(self._times)

    def frames(self, recording: Recording, layer: str, vocabulary: Mapping[str, int]) -> LabelledFrames:
        """Return the n frames nearest to this recording's moments; a label is that at the frame's center, -1 where there is none."""
        centers = recording.centers[layer]
        times = self._times[self._items == recording.index] if len(centers) else np.zeros(0)
        places = np.searchsorted((centers[1:] + centers[:-1]) / 2.0, times)
        labels = recording.labels(layer, vocabulary)[places]
        features = recording.features[layer].cpu()[torch.from_numpy(places)]
        return LabelledFrames(features, torch.from_numpy(labels), torch.full((len(places),), recording.index))


def join(parts: Sequence[LabelledFrames]) -> LabelledFrames:
    """Put the frames of all recordings together: (N, D)."""
    features, labels, utterances = (torch.cat(columns) for columns in zip(*parts, strict=True))
    return LabelledFrames(features, labels, utterances)
