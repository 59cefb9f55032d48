"""A map of a layer: t-SNE of phones or of single frames, for a report to draw. What is near on it was near in the layer; far says little.

    phones    points are means of the frames of one spoken phone          frames    points are single frames
    unit vectors (N, D) --> t-SNE, perplexity 30 (van der Maaten and Hinton 2008) --> (N, 2), in `details` with the phones

How far the map can be trusted is its value: trustworthiness (Venna and Kaski 2001), from 0 to 1. It is 1 where every point's ten nearest on
the map were among its ten nearest in the layer, and less, the further away they were there. The map itself proves nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from foresay import draws
from foresay.corpora.manifest import Manifest
from foresay.corpora.phones import checked_phones
from foresay.encoding.labelled_frames import UNLABELLED, LabelledFrames
from foresay.encoding.moments import Moments, join
from foresay.encoding.recordings import Recording, encode_recordings
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.extras import optional
from foresay.progress import going_on
from foresay.results import NO_RANK, Metric, Result
from foresay.settings import require_positive
from foresay.statistics.estimates import Statistic

NEIGHBORS = 10
PERPLEXITY = 30.0
TRUST = "trustworthiness of the map"
FEWEST = 4 * NEIGHBORS
"""Points; of fewer, a map shows nothing."""


@dataclass(frozen=True)
class MapProtocol:
    """What the points are."""

    name: str
    of: Literal["phones", "frames"]
    points: int = 1000
    """At most; drawn at random, the same for every model."""

    def __post_init__(self) -> None:
        require_positive(self, "points")


class TSNE(Measure[MapProtocol]):
    """A map of points of every layer, and how far it can be trusted."""

    name = "tsne"
    protocols: ClassVar[Mapping[str, MapProtocol]] = {
        "phones": MapProtocol("phones", "phones"),
        "frames": MapProtocol("frames", "frames"),
    }
    metrics: ClassVar[Mapping[str, Metric]] = {TRUST: NO_RANK}

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Encode `corpora.test`; nothing is fitted but the map.

        Raises:
            UserError: there are too few points, or no phones where they are asked for; scikit-learn is missing; a layer is not finite.
        """
        test = corpora.test
        phones = checked_phones(test)
        vocabulary = {label: number for number, label in enumerate(phones)}
        drawn = _Spoken(test, self.protocol.points, seed) if self.protocol.of == "phones" else Moments(test, self.protocol.points, seed)
        results = []
        for subject in with_untrained(subjects):
            where = Where("test", test, seed, perf_counter())
            points: dict[str, list[LabelledFrames]] = {layer: [] for layer in subject.layers}
            for recording in encode_recordings(subject, test, device):
                for layer in subject.layers:
                    points[layer].append(drawn.frames(recording, layer, vocabulary))
            for layer in subject.layers:
                features, labels, _ = join(points[layer])
                found = make_map(features, labels, phones, seed)
                results.append(self.row(subject, layer, found.metric, found.value, found.interval, where, **found.details))
        return results


def make_map(features: Tensor, labels: ArrayLike, phones: Sequence[str], seed: int = 0) -> Statistic:
    """Lay points (N, D) of phones (N,), -1 where there is none, out on a plane.

    Details: `points` (N, 2), `labels` (N,) and what they stand for, `phones`.

    Raises:
        UserError: there are fewer than 40 points, or scikit-learn is missing.
    """
    if len(features) < FEWEST:
        msg = f"a map needs {FEWEST} points or more, but there are {len(features)}: give a larger corpus"
        raise UserError(msg)
    manifold = _manifold()
    units = functional.normalize(features.double(), dim=-1).numpy()
    perplexity = min(PERPLEXITY, (len(units) - 1) / 3.0)
    # Principal components are the better start, but points that are all alike have none.
    start = "pca" if float(units.std(axis=0).max()) > 0 else "random"
    with going_on(f"t-SNE of {len(units):,} points"):
        places: NDArray[np.float32] = manifold.TSNE(perplexity=perplexity, init=start, random_state=seed).fit_transform(units)
        trust = float(manifold.trustworthiness(units, places, n_neighbors=NEIGHBORS))
    details = {
        "points": [[round(float(x), 2), round(float(y), 2)] for x, y in places],
        "labels": np.asarray(labels).tolist(),
        "phones": list(phones),
        "perplexity": perplexity,
    }
    return Statistic(TRUST, trust, None, details)


class _Spoken:
    """Phones as they were spoken, drawn at random; a point is the mean of the frames whose centers lie in one."""

    def __init__(self, manifest: Manifest, most: int, seed: int) -> None:
        spoken = [(index, place) for index, item in enumerate(manifest) for place in range(len(item.phones or ()))]
        if not spoken:
            msg = f"{manifest.name} has no phone times, so no phones can be drawn: import it with phones, or draw frames (`tsne:frames`)"
            raise UserError(msg)
        chosen = draws.stream("phones of a map", seed).permutation(len(spoken))[:most]
        self._chosen: dict[int, list[int]] = {}
        for index, place in sorted(spoken[i] for i in chosen):
            self._chosen.setdefault(index, []).append(place)

    def frames(self, recording: Recording, layer: str, vocabulary: Mapping[str, int]) -> LabelledFrames:
        """Points (n, D) of this recording. A phone that no frame lies in has none."""
        points = list(self._points(recording, layer, vocabulary))
        features = recording.features[layer]
        means = torch.stack([point for point, _ in points]) if points else features[:0]
        labels = torch.tensor([label for _, label in points], dtype=torch.int64)
        return LabelledFrames(means.cpu(), labels, torch.full_like(labels, recording.index))

    def _points(self, recording: Recording, layer: str, vocabulary: Mapping[str, int]) -> Iterator[tuple[Tensor, int]]:
        phones = recording.item.phones or ()
        for place in self._chosen.get(recording.index, ()):
            first, last = np.searchsorted(recording.centers[layer], [phones[place].start, phones[place].end])
            if last > first:
                yield recording.features[layer][first:last].mean(dim=0), vocabulary.get(phones[place].label, UNLABELLED)


def _manifold() -> Any:  # noqa: ANN401 - a module
    with optional("sklearn", "eval", "a map (t-SNE)"):
        import sklearn.manifold  # noqa: PLC0415 - an extra
    return sklearn.manifold
