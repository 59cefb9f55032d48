"""How does a layer fill its space? Alignment and uniformity on the unit sphere, anisotropy, effective rank.

    alignment        mean of |x - y|^2, x and y frames of one phone in different utterances      0: a phone is a point; 2: phones are noise
    relative         alignment / mean of |x - y|^2, x and y frames of any phones                 1: phones are no nearer than chance
    uniformity       log mean of exp(-2 |x - y|^2), x and y any frames                           0: all alike; about -4: all over the sphere
    anisotropy       mean of x . y, x and y any frames                                           1: one direction
    effective rank   exp of the entropy of the singular values of all frames                     1 ... D: directions that are used

All but the last are of unit vectors (Wang and Isola 2020, arXiv:2005.10242; their positive pairs are two views of a sample, ours two
frames of a phone), the last is of frames as they are, less their mean (Roy and Vetterli 2007). Alignment alone says little, for what maps
everything to one point has the best; relative alignment minds that. These two need phone times.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from foresay.corpora.phones import checked_phones
from foresay.encoding.labelled_frames import LabelledFrames
from foresay.encoding.moments import Moments, join
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.geometry.frame_pairs import Indices, cosines, draw_pairs, paired, redrawn_means
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.results import FEWEST, NO_RANK, Metric, Result
from foresay.settings import require_positive
from foresay.statistics.estimates import Estimate, Statistic
from foresay.statistics.intervals import ConfidenceInterval, draw_utterances

SHARPNESS = 2.0
"""t of Wang and Isola's uniformity."""
RANK_DRAWS = 100
"""Of utterances, for the interval of the effective rank: each takes a spectral decomposition."""
CELLS = 2**24
"""Numbers of the utterances' covariances that are held at once."""


@dataclass(frozen=True)
class GeometryProtocol:
    """How much is drawn."""

    name: str = "frames"
    frames: int = 20_000
    """Moments, the same for every model."""
    pairs: int = 100_000

    def __post_init__(self) -> None:
        require_positive(self, "frames", "pairs")


class Geometry(Measure[GeometryProtocol]):
    """Alignment, uniformity, anisotropy and effective rank of single frames."""

    name = "geometry"
    protocols: ClassVar[Mapping[str, GeometryProtocol]] = {"frames": GeometryProtocol()}
    metrics: ClassVar[Mapping[str, Metric]] = dict.fromkeys(
        ("alignment", "relative alignment", "uniformity", "anisotropy", "effective rank"), NO_RANK
    )

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Encode `corpora.test`; nothing is trained.

        Raises:
            UserError: there is one recording only; a layer is not finite.
        """
        test = corpora.test
        vocabulary = {label: number for number, label in enumerate(checked_phones(test))}
        moments = Moments(test, self.protocol.frames, seed)
        results = []
        for subject in with_untrained(subjects):
            where = Where("test", test, seed, perf_counter())
            drawn: dict[str, list[LabelledFrames]] = {layer: [] for layer in subject.layers}
            for recording in encode_recordings(subject, test, device):
                for layer in subject.layers:
                    drawn[layer].append(moments.frames(recording, layer, vocabulary))
            for layer in subject.layers:
                found = geometry(*join(drawn[layer]), self.protocol.pairs, seed)
                results += [self.row(subject, layer, f.metric, f.value, f.interval, where, **f.details) for f in found]
        return results


def geometry(features: Tensor, labels: ArrayLike, utterances: ArrayLike, pairs: int, seed: int = 0) -> list[Statistic]:
    """Measure frames (N, D) of phones (N,), -1 where there is none, and utterances (N,). Without phones there is no alignment.

    Raises:
        UserError: all frames are of one utterance.
    """
    findings = on_sphere(features, labels, utterances, pairs, seed)
    # Entropies fall with fewer different utterances, so that draws are moved to the number.
    rank = Estimate(effective_rank(features), redrawn_ranks(features, utterances, seed), np.unique(np.asarray(utterances)))
    return [*findings, Statistic("effective rank", rank.value, rank.interval, findings[0].details)]


def on_sphere(features: Tensor, labels: ArrayLike, utterances: ArrayLike, pairs: int, seed: int = 0) -> list[Statistic]:
    """Measure all but the effective rank, of the directions of features (N, D) only.

    Raises:
        UserError: all frames are of one utterance.
    """
    positive, anyone = (draw_pairs(labels, utterances, kind, pairs, seed) for kind in ("same phone", "any"))
    if anyone is None:
        msg = "pairs of frames are of different recordings, but only one could be encoded: give a corpus of two or more"
        raise UserError(msg)
    about = {"frames": len(features), "pairs": pairs, "dimensions": features.shape[1]}
    findings = []

    def find(metric: str, value: Any, redrawn: NDArray[np.float64], drawn: Indices) -> None:  # noqa: ANN401 - NumPy's float or ours
        findings.append(Statistic(metric, float(value), ConfidenceInterval(redrawn, drawn), about))

    apart, all_of_them = 2.0 - 2.0 * cosines(features, anyone), paired(utterances, anyone)  # squared distances of unit vectors
    if positive is not None:
        near, alike = 2.0 - 2.0 * cosines(features, positive), paired(utterances, positive)
        find("alignment", near.mean(), redrawn_means(near, positive, utterances, seed), alike)
        # As far apart as chance has those that have a phone: silence without a label is in no pair above the line.
        phones = draw_pairs(labels, utterances, "any phone", pairs, seed)
        assert phones is not None  # noqa: S101 - two of one phone are two of any
        chance = 2.0 - 2.0 * cosines(features, phones)
        if chance.any():
            both = paired(utterances, positive, phones)  # drawn once for what stands above the line and below it
            redrawn_near, redrawn = (redrawn_means(*of, utterances, seed, both) for of in ((near, positive), (chance, phones)))
            find("relative alignment", near.mean() / chance.mean(), redrawn_near / redrawn, both if len(alike) >= FEWEST else alike)
    attracted = np.exp(-SHARPNESS * apart)
    find("uniformity", np.log(attracted.mean()), np.log(redrawn_means(attracted, anyone, utterances, seed)), all_of_them)
    find("anisotropy", 1.0 - apart.mean() / 2.0, 1.0 - redrawn_means(apart, anyone, utterances, seed) / 2.0, all_of_them)
    return findings


def effective_rank(features: Tensor) -> float:
    """Exponential of the entropy of the singular values of frames (N, D) less their mean; 0 where all frames are equal."""
    centered = features.double() - features.double().mean(dim=0)
    return float(_ranks((centered.T @ centered)[None])[0])


def redrawn_ranks(features: Tensor, utterances: ArrayLike, seed: int) -> NDArray[np.float64]:
    """Effective rank in each draw of utterances: (draws,)."""
    centered = features.double() - features.double().mean(dim=0)  # or squares would be large, and their difference small
    _, codes, sizes = np.unique(np.asarray(utterances), return_inverse=True, return_counts=True)
    parts = centered[torch.from_numpy(np.argsort(codes, kind="stable"))].split(sizes.tolist())
    drawn = torch.from_numpy(draw_utterances(len(parts), seed, RANK_DRAWS))
    dimensions = features.shape[1]
    squares = centered.new_zeros(RANK_DRAWS, dimensions**2)
    for some in np.array_split(np.arange(len(parts)), ceil(len(parts) * dimensions**2 / CELLS)):
        squares += drawn[:, some] @ torch.stack([(parts[i].T @ parts[i]).flatten() for i in some])
    sums = drawn @ torch.stack([part.sum(dim=0) for part in parts])
    counts = drawn @ torch.from_numpy(sizes).double()
    means = sums / counts[:, None]
    return _ranks(squares.view(-1, dimensions, dimensions) - sums[:, :, None] * means[:, None, :]).numpy()


def _ranks(covariances: Tensor) -> Tensor:
    """Effective ranks from D x D matrices of squares, whose eigenvalues are squared singular values: (n, D, D) -> (n,)."""
    squares = torch.linalg.eigvalsh(covariances)
    resolution = squares[..., -1:] * squares.shape[-1] * torch.finfo(squares.dtype).eps  # below it stands rounding, whose root is large
    values = torch.where(squares > resolution, squares, 0.0).sqrt()
    shares = values / values.sum(dim=-1, keepdim=True)
    return torch.where(values.sum(dim=-1) > 0, torch.special.entr(shares).sum(dim=-1).exp(), 0.0)
