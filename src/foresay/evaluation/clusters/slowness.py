"""How slowly do features change? A phone lasts some 80 ms: what is to name it need not change with every frame.

    cosine change       mean of 1 - cos(x_t, x_t+1)
    relative change     root mean square of |x_t+1 - x_t|, relative to that of |x - y| for any two frames
    run length          mean length in ms of a run: consecutive frames to which k-means gives the same code
    bits per second     entropy of the codes of runs, in bits, times runs per second

Relative change is 0 for what never changes and 1 for what keeps nothing from one frame to the next; its square is, but for a factor, the
slowness of slow feature analysis (Wiskott and Sejnowski, Neural Computation 2002). Bits per second are those of the deduplicated code: what
it takes to send each run once, by itself (the bitrate of the Zero Resource Speech Challenge 2019, arXiv:1904.11469, of runs).

The first two depend on the frame rate, the others on K, which the protocol states. Slow is no merit by itself: silence is the slowest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from time import perf_counter
from typing import ClassVar, NamedTuple

import numpy as np
from torch import Tensor
from torch.nn import functional

from foresay.encoding.fitted_clusters import draw_frames, fit_clusters, layers_together
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject, with_untrained
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.results import NO_RANK, Metric, Result
from foresay.settings import require_positive
from foresay.statistics.cluster_scores import entropy
from foresay.statistics.estimates import Estimate, Floats, estimate


@dataclass(frozen=True)
class SlownessProtocol:
    """How codes are made."""

    name: str
    clusters: int
    """K."""
    frames: int = 500_000
    """At most about so many are drawn at random to find clusters with."""
    restarts: int = 3

    def __post_init__(self) -> None:
        require_positive(self, "clusters", "frames", "restarts")


K50, K100 = SlownessProtocol("k50", 50), SlownessProtocol("k100", 100)


class Changes(NamedTuple):
    """How a recording changes, in sums that can be added to those of others."""

    turned: float
    """Sum over its pairs of consecutive frames of 1 - cos."""
    moved: float
    """Sum over its pairs of |x_t+1 - x_t|^2."""
    pairs: float
    spread: float
    """Sum over its frames of their squared distance to a point that is the same for all."""
    frames: float
    seconds: float
    runs: Floats
    """(K,) by their code."""
    offsets: Floats
    """(D,) sum over its frames of what they differ by from that point: with it the spread about the mean of any recordings is known."""


class Slowness(Measure[SlownessProtocol]):
    """Change per frame, run length and bitrate of every layer."""

    name = "slowness"
    protocols: ClassVar[Mapping[str, SlownessProtocol]] = {p.name: p for p in (K50, K100)}
    metrics: ClassVar[Mapping[str, Metric]] = {
        **dict.fromkeys(("cosine change", "relative change"), NO_RANK),
        "run length": Metric("none", "ms"),
        "bits per second": Metric("none"),
    }

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Find codes on `corpora.train`, or where it is missing on `corpora.test`, and rate `corpora.test`. No labels are needed.

        Raises:
            UserError: there are fewer frames than clusters; a layer is not finite.
        """
        test, train = corpora.test, corpora.train or corpora.test
        results = []
        for subject in with_untrained(subjects):
            for some in layers_together(subject, self.protocol.frames):
                where = Where("test", test, seed, perf_counter())
                fitted, points = {}, {}
                for layer, frames in draw_frames(some, train, self.protocol.frames, seed, device).items():
                    title, clusters = f"{subject.name}, {layer}", self.protocol.clusters
                    fitted[layer] = fit_clusters(frames, (clusters,), restarts=self.protocol.restarts, seed=seed, title=title)[clusters]
                    points[layer] = frames.mean(
                        dim=0
                    )  # from near the frames squares are small, and so is what is lost of their differences
                names: list[str] = []
                changes: dict[str, list[Changes]] = {layer: [] for layer in some.layers}
                for recording in encode_recordings(some, test, device):
                    names.append(recording.item.id)
                    for layer, features in recording.features.items():
                        codes, duration = fitted[layer].assign(features), recording.item.duration
                        changes[layer].append(sum_changes(features, codes, self.protocol.clusters, points[layer], duration))
                for layer in some.layers:
                    results += self._rows(subject, layer, changes[layer], where._replace(over=Population("utterances", names)), train.name)
        return results

    def _rows(self, subject: Subject, layer: str, changes: Sequence[Changes], where: Where, trained_on: str) -> list[Result]:
        frames, seconds = (sum(getattr(change, name) for change in changes) for name in ("frames", "seconds"))
        about = {"clusters": self.protocol.clusters, "trained_on": trained_on, "frames": int(frames), "frames_per_second": frames / seconds}
        rated = rate_changes(changes, where.seed)
        return [self.row(subject, layer, metric, number.value, number.interval, where, **about) for metric, number in rated.items()]


def sum_changes(features: Tensor, codes: Tensor, clusters: int, point: Tensor, seconds: float) -> Changes:
    """Sum the changes of a recording's frames (T, D), of K = `clusters` codes (T,). `point` (D,): any. Two frames of zeros are alike."""
    units = functional.normalize(features.double(), dim=-1)
    turned, moved = (float(frames.diff(dim=0).square().sum()) for frames in (units, features.double()))
    first = functional.pad(codes.diff() != 0, (1, 0), value=True)[: len(codes)]
    runs = codes[first].bincount(minlength=clusters).double().cpu().numpy()
    offsets = features.double() - point.double()
    sums = offsets.sum(dim=0).cpu().numpy()
    # |u - v|^2 = 2 - 2 cos(u, v)
    return Changes(turned / 2.0, moved, max(0, len(codes) - 1), float(offsets.square().sum()), len(codes), seconds, runs, sums)


def rate_changes(changes: Sequence[Changes], seed: int = 0) -> dict[str, Estimate]:
    """Rate recordings by their changes."""
    clusters = len(changes[0].runs)
    return estimate(np.stack([np.hstack(change) for change in changes]), lambda sums: _rates(sums, clusters), seed)


def _rates(sums: Floats, clusters: int) -> dict[str, Floats]:
    """From n sums of all changes, (n, 6 + K + D)."""
    turned, moved, pairs, spread, frames, seconds = sums[:, :6].T
    codes, offsets = np.split(sums[:, 6:], [clusters], axis=1)
    runs = codes.sum(axis=1)
    about_mean = spread / frames - np.square(offsets / frames[:, None]).sum(axis=1)
    apart = 2.0 * np.maximum(about_mean, 0.0)  # the mean of |x - y|^2 of these very frames
    return {
        "cosine change": turned / np.maximum(pairs, 1.0),
        "relative change": np.sqrt(np.divide(moved / np.maximum(pairs, 1.0), apart, out=np.zeros_like(apart), where=apart > 0)),
        "run length": 1000.0 * seconds / runs,
        "bits per second": entropy(codes) / log(2.0) * runs / seconds,
    }
