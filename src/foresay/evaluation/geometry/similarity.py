"""Self-similarity: cosines of random, of consecutive, of equal and of different phones' frames, and their location artefact.

ACPC pulls frames that one prediction covers together: consecutive frames should be more alike than CPC's, random ones have a second mode
(arXiv:2104.11946, section 4.1, Figure 3). Each row is a mean, with the histogram it is the mean of in `details`.
Location artefact: see `location_artefact.py`. Phone times are needed for the rows about phones only.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional

from foresay.corpora.phones import checked_phones
from foresay.encoding.labelled_frames import LabelledFrames
from foresay.encoding.moments import Moments, join
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.geometry.frame_pairs import Kind, cosines, draw_pairs, paired, redrawn_means
from foresay.evaluation.geometry.location_artefact import PERIODS, WINDOW, fast_share, location_artefact, one_sided, power_spectrum
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.results import NO_RANK, NO_RANK_SHARE, Metric, Result
from foresay.settings import require_positive
from foresay.statistics.estimates import Statistic
from foresay.statistics.intervals import ConfidenceInterval, bootstrap, draw_utterances

BINS = 100
"""Of a histogram from -1 to 1."""
PAIRS: Mapping[str, Kind] = {
    "cosine of random frames": "any",
    "cosine within phones": "same phone",
    "cosine between phones": "other phone",
}
CONSECUTIVE, ARTEFACT, FAST = "cosine of consecutive frames", "location artefact share", "fast change share"
ALONE = "pairs of frames are of different recordings, but only one could be encoded: give a corpus of two or more"


@dataclass(frozen=True)
class SimilarityProtocol:
    """How much is drawn. Consecutive frames and spectra are of the whole corpus."""

    name: str = "cosine"
    frames: int = 20_000
    """Moments, the same for every model, whose frames make pairs."""
    pairs: int = 100_000
    """Of each kind."""

    def __post_init__(self) -> None:
        require_positive(self, "frames", "pairs")


class Similarity(Measure[SimilarityProtocol]):
    """Cosines of pairs of frames, and the location artefact of the self-similarity."""

    name = "similarity"
    protocols: ClassVar[Mapping[str, SimilarityProtocol]] = {"cosine": SimilarityProtocol()}
    metrics: ClassVar[Mapping[str, Metric]] = {
        **dict.fromkeys((*PAIRS, CONSECUTIVE), NO_RANK),
        **dict.fromkeys((ARTEFACT, FAST), NO_RANK_SHARE),
    }

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Encode `corpora.test`; nothing is trained.

        Raises:
            UserError: there is one recording only; a layer is not finite.
        """
        test, protocol = corpora.test, self.protocol
        vocabulary = {label: number for number, label in enumerate(checked_phones(test))}
        moments = Moments(test, protocol.frames, seed)
        results = []
        for subject in with_untrained(subjects):
            where = Where("test", test, seed, perf_counter())
            drawn: dict[str, list[LabelledFrames]] = {layer: [] for layer in subject.layers}
            changes = {layer: _Changes(len(test)) for layer in subject.layers}
            for recording in encode_recordings(subject, test, device):
                for layer in subject.layers:
                    drawn[layer].append(moments.frames(recording, layer, vocabulary))
                    changes[layer].add(recording.index, recording.features[layer])
            for layer in subject.layers:
                found = [*pair_cosines(*join(drawn[layer]), protocol.pairs, seed), *changes[layer].findings(seed)]
                results += [self.row(subject, layer, f.metric, f.value, f.interval, where, **f.details) for f in found]
        return results


def pair_cosines(features: Tensor, labels: ArrayLike, utterances: ArrayLike, pairs: int, seed: int = 0) -> list[Statistic]:
    """Cosines of random frames and, where frames have labels, of frames of the same phone and of different phones.

    `features` (N, D); `labels` (N,), -1 where there is no phone; `utterances` (N,).

    Raises:
        UserError: all frames are of one utterance.
    """
    findings = []
    for metric, kind in PAIRS.items():
        drawn = draw_pairs(labels, utterances, kind, pairs, seed)
        if drawn is None and kind == "any":
            raise UserError(ALONE)
        if drawn is not None:
            found = cosines(features, drawn)
            redrawn = ConfidenceInterval(redrawn_means(found, drawn, utterances, seed), paired(utterances, drawn))
            findings.append(
                Statistic(metric, float(found.mean()), redrawn, {"frames": len(features), **_about(len(found), histogram(found))})
            )
    return findings


def consecutive_cosines(features: Tensor) -> NDArray[np.float64]:
    """Cosines of each frame and the next: (T, D) -> (T - 1,)."""
    units = functional.normalize(features.float(), dim=-1)
    return np.asarray((units[:-1] * units[1:]).sum(dim=-1).double().cpu().numpy())


def histogram(found: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count cosines (N,) in 100 bins from -1 to 1: (100,)."""
    return np.histogram(np.clip(found, -1.0, 1.0), bins=BINS, range=(-1.0, 1.0))[0]


class _Changes:
    """What becomes of one frame in the next ones: of one layer, utterance by utterance (U)."""

    def __init__(self, utterances: int) -> None:
        self._histogram = np.zeros(BINS, dtype=np.int64)
        self._sums, self._counts = np.zeros((2, utterances))
        self._spectra = np.zeros((utterances, WINDOW))

    def add(self, utterance: int, features: Tensor) -> None:
        found = consecutive_cosines(features)
        self._histogram += histogram(found)
        self._sums[utterance], self._counts[utterance] = found.sum(), len(found)
        self._spectra[utterance] = power_spectrum(features)

    def findings(self, seed: int) -> Iterator[Statistic]:
        """Cosine of consecutive frames; location artefact and fast change, unless no utterance is long enough, or nothing changes."""
        pairs = int(self._counts.sum())
        if pairs:
            mean = float(self._sums.sum() / pairs)
            yield Statistic(CONSECUTIVE, mean, bootstrap(self._sums, self._counts, seed=seed), _about(pairs, self._histogram))
        long_enough = np.flatnonzero(self._spectra[:, 1:].sum(axis=-1) > 0)
        if len(long_enough):
            spectra = self._spectra[long_enough]
            whole, redrawn = spectra.sum(axis=0), draw_utterances(len(spectra), seed) @ spectra
            about = {"recordings": len(spectra), "window": WINDOW}
            periods = {str(period): float(location_artefact(whole, period)) for period in PERIODS}
            artefact, fast = (ConfidenceInterval(statistic(redrawn), long_enough) for statistic in (location_artefact, fast_share))
            yield Statistic(ARTEFACT, float(location_artefact(whole)), artefact, {**about, "periods": periods})
            yield Statistic(FAST, float(fast_share(whole)), fast, {**about, "spectrum": one_sided(whole).tolist()})


def _about(pairs: int, counts: NDArray[np.int64]) -> dict[str, Any]:
    return {"pairs": pairs, "histogram": {"from": -1.0, "to": 1.0, "counts": counts.tolist()}}
