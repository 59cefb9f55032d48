"""A speaker verifier of fixed vectors: linear discriminant analysis, in closed form, and cosines with the means of known speakers.

    recording --> layer (T, D) --> mean and deviation over time (2D,) --> whitened within speakers --> cosine with each speaker's mean (K,)

In whitened space two recordings of one speaker differ alike in all directions, so that the angle between vectors says who speaks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from foresay.corpora.manifest import Manifest
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject
from foresay.errors import UserError

SHRINKAGE = 0.1
"""Share of the covariance within speakers that is taken to be the same in all directions: there are few recordings, and many of these."""

Vectors = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Verifier:
    """What was learnt of K speakers."""

    speakers: tuple[str, ...]
    """Sorted."""
    center: Vectors
    """(D,)."""
    whitening: Vectors
    """(D, D)."""
    means: Vectors
    """(K, D), of length 1, in whitened space."""

    @classmethod
    def fit(cls, vectors: Vectors, speakers: Sequence[str]) -> Self:
        """Learn from vectors (N, D) of recordings and who speaks in them.

        Raises:
            UserError: there are fewer than two speakers, or hardly more recordings than speakers.
        """
        names, codes = np.unique(np.asarray(speakers), return_inverse=True)
        if len(names) < 2 or len(vectors) < 2 * len(names):  # noqa: PLR2004 - of one recording alone nothing is known of a speaker
            msg = (
                f"a verifier learns from several recordings of several speakers, and these are {len(vectors):,} of {len(names)}: give "
                "another --train-corpus, and say in it who speaks"
            )
            raise UserError(msg)
        means = np.stack([vectors[codes == code].mean(axis=0) for code in range(len(names))])
        residuals = vectors - means[codes]
        scale = np.maximum(residuals.std(axis=0), 1e-10)  # a feature that never changes says nothing, but must not divide by zero
        within = (residuals / scale).T @ (residuals / scale) / (len(vectors) - len(names))
        spread = np.trace(within) / len(scale) + 1e-10  # where all recordings of a speaker are the same, there is none
        shrunk = (1 - SHRINKAGE) * within + SHRINKAGE * spread * np.eye(len(scale))
        whitening = np.linalg.inv(np.linalg.cholesky(shrunk)).T / scale[:, None]
        center = means.mean(axis=0)
        return cls(tuple(map(str, names)), center, whitening, _normalized((means - center) @ whitening))

    def scores(self, vectors: Vectors) -> Vectors:
        """Return the cosines of vectors (N, D) with each speaker: (N, K)."""
        return np.asarray(_normalized((vectors - self.center) @ self.whitening) @ self.means.T)


def vectors_of(subject: Subject, manifest: Manifest, device: str) -> dict[int, Vectors]:
    """Make a vector (2D,) of each recording, the mean and the deviation over time of the subject's one layer, by its place."""
    (layer,) = subject.layers
    found = {}
    for recording in encode_recordings(subject, manifest, device):
        frames = recording.features[layer].double().cpu().numpy()
        if len(frames):
            found[recording.index] = np.concatenate([frames.mean(axis=0), frames.std(axis=0)])
    return found


def _normalized(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-10))
