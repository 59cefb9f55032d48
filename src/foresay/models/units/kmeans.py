"""k-means units: the index of the nearest cluster center for each frame of an encoder's layer.

Hsu et al., "HuBERT" (arXiv:2106.07447), section II-C: labels to be predicted; Lakhotia et al., "On Generative Spoken Language Modeling from
Raw Audio" (arXiv:2102.01192), section 3.1: units of a language model.

    waveform (B, S) --> encoder --> layer (B, T, D) --> nearest of V centers --> units (B, 1, T)

It is an estimator: one pass over part of a corpus draws frames, and k-means (`quantizers/kmeans.py`) finds the centers among them.
"""

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from foresay import draws
from foresay.contracts import Estimator, FeatureExtractor, FitData, Tokenizer
from foresay.errors import UserError, nearest
from foresay.fingerprint import of_model
from foresay.quantizers.kmeans import KMeans
from foresay.settings import require_positive

MOST_CLUSTERS = 2**16


@dataclass(frozen=True)
class KMeansUnitsSettings:
    """Which frames are clustered, and into how many clusters."""

    layer: str
    """Of the encoder."""
    clusters: int
    """V."""
    hours: float = 100.0
    """Clusters are found in about so many hours of the corpus, drawn at random."""
    frames: int = 1_000_000
    """And in about so many of their frames at most."""
    moved: bool = True
    """False: the centers are frames drawn at random, and are not moved (an ablation)."""

    def __post_init__(self) -> None:
        require_positive(self, "clusters", "hours", "frames")
        if not 1 < self.clusters < MOST_CLUSTERS:
            msg = f"clusters = {self.clusters}: it takes more than one cluster and fewer than {MOST_CLUSTERS:,}"
            raise ValueError(msg)


class KMeansUnits(Estimator, Tokenizer):
    """An encoder, and the centers of clusters of one of its layers."""

    def __init__(self, settings: KMeansUnitsSettings, encoder: FeatureExtractor) -> None:
        """`encoder`: any extractor of frames from audio; it is not trained.

        Raises:
            UserError: it has no such layer.
        """
        super().__init__()
        if settings.layer not in encoder.layer_names:
            msg = f"the encoder has no layer {settings.layer!r} to find clusters in: {nearest(settings.layer, encoder.layer_names)}"
            raise UserError(msg)
        self.settings, self.encoder, self.layer, self.vocabulary = settings, encoder, settings.layer, settings.clusters
        self.kmeans = KMeans(settings.clusters, encoder.size(settings.layer))

    def fit(self, data: FitData) -> None:
        """Find the centers in frames drawn from a corpus.

        Raises:
            UserError: there are fewer frames than clusters.
        """
        s = self.settings
        frames = data.frames(self.encoder, s.layer, hours=s.hours, most=s.frames)
        if len(frames) < s.clusters:
            msg = (
                f"{len(frames):,} frames are too few to find {s.clusters} clusters in: give more audio, raise hours or frames, or lower "
                "clusters"
            )
            raise UserError(msg)
        self.kmeans.to(frames.device)
        if s.moved:
            self.kmeans.fit(frames, seed=data.seed)
        else:
            drawn = draws.stream("centers", data.seed).choice(len(frames), s.clusters, replace=False)
            self.kmeans.centers.copy_(frames[torch.from_numpy(drawn).to(frames.device)])

    @functools.cached_property
    def fingerprint(self) -> str:
        """Digest of the encoder and the centers, worked out once: what was fitted or loaded does not change."""
        return of_model(self)

    @property
    def centers(self) -> Tensor:
        """Those of the clusters: (V, D)."""
        return self.kmeans.centers

    @torch.no_grad()
    def quantize(self, frames: Tensor) -> Tensor:
        """Return the nearest centers of frames: (N, D) -> (N, 1) int64."""
        return self.kmeans.assign(frames)[:, None]
