"""Do frames fall into clusters, and are the clusters phones? k-means with K = 8 … 512 centers: Figure 4 of the ACPC paper.

    train corpus -> layer (N, D) -> k-means with each K
    test corpus  -> layer (N, D) -> nearest centers -> inertia, agreement with phones, clusters in use

The code behind Figure 4 was never published; its caption gives the measures: the mean squared distance to the assigned center, and NMI with
aligned phones, over all frames. How many and which K is ours, and that clusters are found on one corpus and tested on another. `k50` has
the K of the reference code (criterion/clustering), `k50-cosine` also its length normalization.

Inertia has the unit of the features squared: across models only *relative* inertia compares, to that of one center for all.
A row holds the mean over all K (for `curve`, equal steps of log K: the area under the curve), its details the curve.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from foresay.corpora.manifest import Manifest
from foresay.corpora.phones import checked_phones
from foresay.encoding.fitted_clusters import draw_frames, fit_clusters, layers_together
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject, with_untrained
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.quantizers.kmeans import KMeans
from foresay.results import NO_RANK, NO_RANK_SHARE, Metric, Result
from foresay.settings import require_positive
from foresay.statistics.cluster_scores import contingency, rate_agreement, rate_distances, rate_use
from foresay.statistics.estimates import Estimate, mean

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class ClusterProtocol:
    """Which clusters, found how."""

    name: str
    clusters: tuple[int, ...]
    """K, one or several."""
    spherical: bool = False
    """Whether only the directions of features count."""
    frames: int = 500_000
    """At most about so many are drawn at random to find clusters with: a thousand for each of 512, and of 100 Hz 83 minutes."""
    restarts: int = 3

    def __post_init__(self) -> None:
        require_positive(self, "clusters", "frames", "restarts")


CURVE = ClusterProtocol("curve", (8, 16, 32, 64, 128, 256, 512))
K50 = ClusterProtocol("k50", (50,))
K50_COSINE = replace(K50, name="k50-cosine", spherical=True)


class Clusters(Measure[ClusterProtocol]):
    """Inertia, agreement with phones and use of k-means clusters of every layer."""

    name = "clusters"
    protocols: ClassVar[Mapping[str, ClusterProtocol]] = {p.name: p for p in (CURVE, K50, K50_COSINE)}
    metrics: ClassVar[Mapping[str, Metric]] = {
        **dict.fromkeys(("inertia", "relative inertia", "effective clusters"), NO_RANK),
        "NMI": Metric("higher", headline=True),
        "PNMI": Metric("higher"),
        "phone purity": Metric("higher", "%"),
        **dict.fromkeys(("cluster purity", "share of clusters used"), NO_RANK_SHARE),
    }

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Find clusters on `corpora.train`, or where it is missing on `corpora.test`, and rate them on `corpora.test`.

        A corpus without phones still gives inertia and use.

        Raises:
            UserError: there are fewer frames than clusters; a layer is not finite.
        """
        test, train = corpora.test, corpora.train or corpora.test
        vocabulary = {label: number for number, label in enumerate(checked_phones(test))}
        about = {"phones": len(vocabulary), "trained_on": train.name}
        if not vocabulary:
            about["missing"] = f"{test.name} has no phone times: without them NMI, PNMI and purities cannot be computed"
        results = []
        for subject in with_untrained(subjects):
            for some in layers_together(subject, self.protocol.frames):
                where = Where("test", test, seed, perf_counter())
                drawn = draw_frames(some, train, self.protocol.frames, seed, device)
                fitted = {layer: self._fit(frames, seed, f"{subject.name}, {layer}") for layer, frames in drawn.items()}
                for layer, coded in code_recordings(some, test, vocabulary, fitted, device).items():
                    counts = {"train_frames": len(drawn[layer]), **coded.counts}
                    for metric, curve in self._curves(coded, seed).items():
                        whole = mean(curve.values())
                        details = {**about, **counts, **_points(curve)}
                        row = self.row(subject, layer, metric, whole.value, whole.interval, where, **details)
                        results.append(replace(row, arrays=self._table(coded, vocabulary)) if metric == "NMI" else row)
        return results

    def _table(self, coded: "CodedFrames", vocabulary: Mapping[str, int]) -> dict[str, NDArray[Any]]:
        """How often the most clusters meet each phone: what P(phone | code) is drawn of."""
        most = max(self.protocol.clusters)
        return {"contingency": contingency(coded.codes[most], coded.labels, most, len(vocabulary)), "phones": np.array(list(vocabulary))}

    def _fit(self, frames: Tensor, seed: int, title: str) -> dict[int, KMeans]:
        numbers = dict.fromkeys((1, *self.protocol.clusters))  # one center for all: what inertia is relative to
        return fit_clusters(frames, numbers, spherical=self.protocol.spherical, restarts=self.protocol.restarts, seed=seed, title=title)

    def _curves(self, coded: "CodedFrames", seed: int) -> dict[str, dict[int, Estimate]]:
        """Rate the codes of each K: metric -> K -> its number."""
        curves: dict[str, dict[int, Estimate]] = {}
        for count in self.protocol.clusters:
            codes, distances = coded.codes[count], coded.distances[count]
            rated = {
                **rate_distances(distances, coded.distances[1], coded.utterances, seed),
                **rate_agreement(codes, coded.labels, coded.utterances, count, seed),
                **rate_use(codes, coded.utterances, count, seed),
            }
            for metric, number in rated.items():
                curves.setdefault(metric, {})[count] = number
        return curves


class CodedFrames(NamedTuple):
    """N frames of a corpus, and their clusters for each K."""

    utterances: Integers
    """(N,) places in the manifest."""
    labels: Integers
    """(N,) phones, -1 where there is none."""
    codes: dict[int, Integers]
    """K -> (N,)."""
    distances: dict[int, NDArray[np.float32]]
    """K -> (N,) squared, to the nearest center."""

    @property
    def counts(self) -> dict[str, int]:
        """How many frames there are."""
        return {"frames": len(self.utterances), "labelled_frames": int((self.labels >= 0).sum())}


def code_recordings(
    subject: Subject, manifest: Manifest, vocabulary: Mapping[str, int], fitted: Mapping[str, Mapping[int, KMeans]], device: str
) -> dict[str, CodedFrames]:
    """Encode a corpus and name the cluster of each frame of each layer."""
    found: dict[str, list[CodedFrames]] = {layer: [] for layer in subject.layers}
    for recording in encode_recordings(subject, manifest, device):
        for layer, features in recording.features.items():
            nearest = {count: kmeans.nearest(features) for count, kmeans in fitted[layer].items()}
            found[layer].append(
                CodedFrames(
                    np.full(len(features), recording.index),
                    recording.labels(layer, vocabulary),
                    {count: codes.cpu().numpy() for count, (codes, _) in nearest.items()},
                    {count: squares.cpu().numpy() for count, (_, squares) in nearest.items()},
                )
            )
    return {layer: _joined(parts) for layer, parts in found.items()}


def _joined(parts: Sequence[CodedFrames]) -> CodedFrames:
    """Put the frames of all recordings together."""
    utterances, labels, codes, distances = zip(*parts, strict=True)
    return CodedFrames(
        np.concatenate(utterances),
        np.concatenate(labels),
        {count: np.concatenate([part[count] for part in codes]) for count in codes[0]},
        {count: np.concatenate([part[count] for part in distances]) for count in distances[0]},
    )


def _points(curve: Mapping[int, Estimate]) -> dict[str, list[int] | list[float] | list[tuple[float, float]]]:
    """What is drawn of a curve: K, numbers, and intervals where there are any."""
    intervals = [(i[0], i[1]) for number in curve.values() if (i := number.interval)]
    return {"clusters": list(curve), "values": [number.value for number in curve.values()], "intervals": intervals}
