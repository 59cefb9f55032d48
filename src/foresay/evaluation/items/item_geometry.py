"""How do items lie on the unit sphere: those of one class, those of one modality, the two halves of a pair?

    alignment_audio      mean of |x - y|^2, x and y sounds of one class          0: a class is a point; 2: classes are noise
    relative alignment   that / mean of |x - y|^2, x and y any two sounds        1: classes are no nearer than chance
    uniformity_audio     log mean of exp(-2 |x - y|^2), any two sounds           0: all alike; about -4: all over the sphere
    anisotropy_audio     mean of x . y, any two sounds                           1: one direction
    ..._image            the same of pictures
    pair_alignment       mean of |x - y|^2, x a sound and y its own picture      relative: / x and y of different pairs
    modality_gap         how far the modalities of a class lie apart, in distances between classes

Alignment and uniformity are those of Wang and Isola 2020 (arXiv:2005.10242), with items of one class for their positive pairs. Nothing is
learnt. Intervals: items are drawn again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional

from foresay.contracts import Extractor
from foresay.encoding.subjects import Subject, with_untrained
from foresay.evaluation.geometry.geometry import on_sphere
from foresay.evaluation.items.items import NOUNS, ItemProtocol, item_labels, item_vectors, shared_modalities
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.layers.pooling import Pooling
from foresay.results import NO_RANK, Metric, Result
from foresay.settings import require_positive
from foresay.statistics.estimates import CELLS, Estimate, Statistic
from foresay.statistics.intervals import draw_utterances


@dataclass(frozen=True)
class ItemGeometryProtocol(ItemProtocol):
    """How much is drawn."""

    pairs: int = 100_000
    """Of items of one modality; the two halves of a pair are all taken."""

    def __post_init__(self) -> None:
        require_positive(self, "pairs")


class ItemGeometry(Measure[ItemGeometryProtocol]):
    """Alignment and uniformity of whole items, and how far the modalities lie apart."""

    name = "item_geometry"
    protocols: ClassVar[Mapping[str, ItemGeometryProtocol]] = {
        "mean": ItemGeometryProtocol("mean", "mean"),
        "last": ItemGeometryProtocol("last", "last"),
    }
    metrics: ClassVar[Mapping[str, Metric]] = dict.fromkeys(
        (
            *(f"{of}_{modality}" for modality in NOUNS for of in ("alignment", "relative_alignment", "uniformity", "anisotropy")),
            *("pair_alignment", "relative_pair_alignment", "modality_gap"),
        ),
        NO_RANK,
    )

    def serves(self, model: Extractor, corpora: Corpora) -> bool:
        """Whether the corpus has anything that the model can be given."""
        return bool(shared_modalities(model, corpora.test))

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Encode `corpora.test`; nothing is trained.

        Raises:
            UserError: an item has no class, or lacks a half; there is one item only; a layer is not finite.
        """
        test = corpora.test
        labels = np.unique(item_labels(test), return_inverse=True)[1].reshape(-1)
        pooling: Pooling = self.protocol.pooling
        results = []
        for subject in with_untrained(subjects):
            where = Where("test", test, seed, perf_counter(), Population("items", test.ids))
            vectors = item_vectors(subject, test, pooling, device)
            for layer in subject.layers:
                for modality, layers in vectors.items():
                    for found in on_sphere(layers[layer], labels, np.arange(len(test)), self.protocol.pairs, seed):
                        metric = f"{found.metric}_{modality}".replace(" ", "_")
                        about = {"items": len(test), "pairs": self.protocol.pairs, "dimensions": layers[layer].shape[1]}
                        results.append(self.row(subject, layer, metric, found.value, found.interval, where, **about))
                if len(vectors) > 1 and vectors["audio"][layer].shape == vectors["image"][layer].shape:
                    across = pair_geometry(vectors["audio"][layer], vectors["image"][layer], labels, seed)
                    results += [self.row(subject, layer, f.metric, f.value, f.interval, where, **f.details) for f in across]
        return results


def pair_geometry(audio: Tensor, image: Tensor, labels: ArrayLike, seed: int = 0) -> list[Statistic]:
    """Measure how the halves (N, D) and (N, D) of pairs of classes (N,) lie to each other, as unit vectors a and b.

    pair_alignment is the mean of |a_i - b_i|^2; relative_pair_alignment that divided by the mean of |a_i - b_j|^2 over i != j.

    modality_gap, with the means A_c and B_c of the sounds and the pictures of class c:

        mean over c of |A_c - B_c|  /  mean over c != d of (|A_c - A_d| + |B_c - B_d|) / 2

    0: sounds and pictures of a class lie around one point; 1: the modality matters as much as the class. The distances below the line are
    of one modality at a time, for the means of both together may coincide where classes lie the other way round in the other modality.
    It is missing where there is one class, and where those of neither modality lie apart.
    """
    a, b = (functional.normalize(half.double(), dim=-1) for half in (audio, image))
    classes = torch.as_tensor(np.asarray(labels, dtype=np.int64))
    together = (a * b).sum(dim=-1)

    def pairs(weights: Tensor) -> Tensor:
        return 2.0 - 2.0 * (weights @ together) / weights.sum(dim=1)

    def others(weights: Tensor) -> Tensor:
        products = ((weights @ a) * (weights @ b)).sum(dim=1) - weights.square() @ together
        return 2.0 - 2.0 * products / (weights.sum(dim=1).square() - weights.square().sum(dim=1))

    def gap(weights: Tensor) -> Tensor:
        at_once = max(1, CELLS // len(classes.unique()) ** 2)
        return torch.cat([gaps(part) for part in weights.split(at_once)])

    def gaps(weights: Tensor) -> Tensor:
        means = [_class_means(half, classes, weights) for half in (a, b)]
        apart = torch.stack([torch.cdist(m, m).sum(dim=(1, 2)) / (m.shape[1] * (m.shape[1] - 1)) for m in means]).mean(dim=0)
        return (means[0] - means[1]).norm(dim=-1).mean(dim=1) / apart

    metrics: dict[str, Callable[[Tensor], Tensor]] = {
        "pair_alignment": pairs,
        "relative_pair_alignment": lambda weights: pairs(weights) / others(weights),
        "modality_gap": gap,
    }
    everything = torch.ones(1, len(a), dtype=torch.float64)
    weights = torch.cat([everything, torch.from_numpy(draw_utterances(len(a), seed))])
    about = {"items": len(a), "classes": len(classes.unique()), "dimensions": a.shape[1]}
    findings = []
    for metric, statistic in metrics.items():
        values = statistic(weights).numpy()
        value, redrawn = float(values[0]), values[1:]
        if np.isfinite(value):
            # Means of fewer different items lie further apart, so that draws are moved to the number, as `Estimate` does.
            found = Estimate(value, redrawn if np.isfinite(redrawn).all() else np.zeros(0), np.arange(len(a)))
            findings.append(Statistic(metric, value, found.interval, about))
    return findings


def _class_means(vectors: Tensor, classes: Tensor, weights: Tensor) -> Tensor:
    """Mean of each class of (N, D) vectors, by n weightings (n, N): (n, C, D); not a number where a class was not drawn."""
    members = functional.one_hot(classes).double()  # (N, C)
    sums = torch.stack([(weights * member) @ vectors for member in members.T], dim=1)
    return sums / (weights @ members)[..., None]
