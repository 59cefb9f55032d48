"""Do phones lie open as segments? Boundaries where neighboring frames differ or where predictions take over, against true ones.

    train recordings -> curve of each layer -> peaks -> which span, how prominent a peak, how much earlier, for the best R-value?
    test recordings  -> the same curve      -> peaks that are as prominent -> precision, recall, F1, over-segmentation, R-value

ACPC's authors hope that boundaries of what a prediction covers are those of phones (arXiv:2104.11946, sections 1 and 4.1). The curves are
in `boundary_cues.py` and, of the layer `posterior`, in `posterior_curves.py`; the scores are in `boundaries.py`. Three numbers are tuned,
on the training corpus only. One is a delay, because predictions take over late, and contexts may foresee what comes.
Beside the models stand boundaries at equal distances, tuned alike: what is found by chance.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from time import perf_counter
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foresay.contracts import SpeechModel
from foresay.corpora.manifest import Manifest
from foresay.corpora.phones import checked_phones
from foresay.encoding.recordings import draw_recordings, encode_recordings
from foresay.encoding.subjects import Subject, with_untrained
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Where
from foresay.evaluation.segmentation.boundaries import (
    F1,
    OVER,
    PRECISION,
    R_VALUE,
    RECALL,
    count_hits,
    scores,
    true_boundaries,
)
from foresay.evaluation.segmentation.boundary_cues import Peaks, dissimilarity, peaks
from foresay.evaluation.segmentation.posterior_curves import posterior_curves
from foresay.results import Metric, Result
from foresay.settings import require_positive
from foresay.statistics.intervals import ConfidenceInterval, draw_utterances

POSTERIOR = "posterior"
"""The layer of what a model aligns itself."""
PERIODIC = "periodic boundaries"
"""The model that is chance."""

Truth = Mapping[int, NDArray[np.float64]]
"""Item -> its true boundaries."""


@dataclass(frozen=True)
class SegmentationProtocol:
    """How near is near enough, and what may be tuned."""

    name: str
    tolerance: float
    """Seconds between a boundary that was found and a true one."""
    spans: tuple[int, ...] = (1, 2, 3, 4)
    """Frames on either side of a boundary that are compared, as means."""
    shares: tuple[float, ...] = tuple(step / 20 for step in range(20))
    """Of the peaks in training, how many are too small: 0, 0.05, … 0.95."""
    delays: tuple[float, ...] = (0.0, -0.01, 0.01, -0.02, 0.02, -0.03, 0.03)
    """Seconds that what was found may be late; of equally good ones the first."""
    periods: tuple[float, ...] = tuple(step / 200 for step in range(6, 41))
    """Seconds between the boundaries of chance: 0.03, 0.035, … 0.2."""
    most_audio: float = 300.0
    """Seconds of training recordings, drawn at random: three numbers are soon tuned."""

    def __post_init__(self) -> None:
        require_positive(self, "tolerance", "spans", "periods", "most_audio")
        if not self.shares or not self.delays or not all(0 <= share < 1 for share in self.shares) or not np.isfinite(self.delays).all():
            msg = f"shares = {self.shares} are to be from 0 to 1, delays = {self.delays} seconds, and there must be one of each"
            raise ValueError(msg)


class Chosen(NamedTuple):
    """What tuning chose."""

    span: int
    threshold: float
    """The prominence that a peak must have."""
    delay: float
    """Seconds that are taken off its time."""
    r_value: float
    """In training."""


class Segmentation(Measure[SegmentationProtocol]):
    """Phone boundaries read off every layer, and off a model's own alignment."""

    name = "segmentation"
    protocols: ClassVar[Mapping[str, SegmentationProtocol]] = {
        p.name: p for p in (SegmentationProtocol("20ms", 0.02), SegmentationProtocol("10ms", 0.01))
    }
    metrics: ClassVar[Mapping[str, Metric]] = {
        R_VALUE: Metric("higher", headline=True),
        **dict.fromkeys((F1, PRECISION, RECALL), Metric("higher", "%")),
        OVER: Metric("none"),
    }

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Tune on `corpora.train`, test on `corpora.test`. A model that aligns its predictions has a further layer, `posterior`.

        Raises:
            UserError: a corpus is missing or lacks phones; a layer is not finite.
        """
        train, test = corpora.both("segmentation")
        learnt = _truth(train, draw_recordings(train, self.protocol.most_audio, seed))
        asked = _truth(test, range(len(test)))
        results = []
        for subject in with_untrained(subjects):
            where = Where("test", test, seed, perf_counter())
            tuned = {layer: self.tune(by_span, learnt) for layer, by_span in self._encode(subject, train, learnt, device).items()}
            for layer, by_span in self._encode(subject, test, asked, device).items():
                span, threshold, delay, r_value = tuned[layer]
                counts = self._counts(by_span[span], threshold, delay, asked)
                about = {"span": span, "threshold": threshold, "delay": delay, "R-value in training": r_value}
                results += self._rows(subject, layer, counts, where, asked, **about, trained_on=train.name)
        chance = Subject(PERIODIC, subjects[0].extractor, layers=())  # which uses no features
        return results + self._chance(chance, learnt, asked, train, Where("test", test, seed, perf_counter()))

    def tune(self, by_span: Mapping[int, Mapping[int, Peaks]], truth: Truth) -> Chosen:
        """Choose span, threshold and delay for the best R-value. `by_span`: span -> item -> peaks."""
        tried = []
        for span, found in by_span.items():
            prominences = np.concatenate([peaks.prominences for peaks in found.values()] or [np.zeros(0)])
            thresholds = np.unique(np.quantile(prominences, self.protocol.shares)) if len(prominences) else np.array([np.inf])
            for threshold, delay in product(thresholds.tolist(), self.protocol.delays):
                r_value = float(scores(self._counts(found, threshold, delay, truth).sum(axis=0))[R_VALUE])
                tried.append(Chosen(span, threshold, delay, r_value))
        return max(tried, key=lambda chosen: chosen.r_value)

    def _encode(self, subject: Subject, manifest: Manifest, truth: Truth, device: str) -> dict[str, dict[int, dict[int, Peaks]]]:
        """Find the peaks of the recordings whose boundaries are known: layer -> span -> item -> peaks."""
        found: dict[str, dict[int, dict[int, Peaks]]] = {layer: {span: {} for span in self.protocol.spans} for layer in subject.layers}
        for recording in encode_recordings(subject, manifest, device, truth):
            for layer in subject.layers:
                features, centers = recording.features[layer], recording.centers[layer]
                between = (centers[1:] + centers[:-1]) / 2.0
                for span in self.protocol.spans:
                    found[layer][span][recording.index] = peaks(dissimilarity(features, span), between)
        if isinstance(subject.extractor, SpeechModel) and subject.extractor.aligns:
            curves = posterior_curves(subject, manifest, truth.keys(), device)
            found[POSTERIOR] = {1: {item: peaks(curve, times) for item, curve, times in curves}}
        return found

    def _counts(self, found: Mapping[int, Peaks], threshold: float, delay: float, truth: Truth) -> NDArray[np.int64]:
        """Hits, found and true boundaries of each utterance with a truth: (U, 3)."""
        chosen = {item: times[prominences >= threshold] - delay for item, (times, prominences) in found.items()}
        return self._compared({item: chosen.get(item, np.zeros(0)) for item in truth}, truth)

    def _compared(self, found: Truth, truth: Truth) -> NDArray[np.int64]:
        tolerance = self.protocol.tolerance
        return np.array([(count_hits(found[item], true, tolerance), len(found[item]), len(true)) for item, true in truth.items()])

    def _chance(self, chance: Subject, learnt: Truth, asked: Truth, train: Manifest, where: Where) -> list[Result]:
        """Boundaries at equal distances, half a distance after the start; the distance is that of the best R-value in training."""

        def counts(manifest: Manifest, truth: Truth, period: float) -> NDArray[np.int64]:
            durations = manifest.durations
            return self._compared({item: np.arange(period / 2.0, durations[item], period) for item in truth}, truth)

        rated = {period: float(scores(counts(train, learnt, period).sum(axis=0))[R_VALUE]) for period in self.protocol.periods}
        period = max(rated, key=lambda period: rated[period])
        about = {"period": period, "R-value in training": rated[period], "trained_on": train.name}
        return self._rows(chance, "none", counts(where.corpus, asked, period), where, asked, **about)

    def _rows(
        self,
        subject: Subject,
        layer: str,
        counts: NDArray[np.int64],
        where: Where,
        truth: Truth,
        **about: Any,  # noqa: ANN401 - JSON
    ) -> list[Result]:
        """Write the scores of counts (U, 3), of the items that have a truth, down."""
        values, redrawn = scores(counts.sum(axis=0)), scores(draw_utterances(len(counts), where.seed) @ counts)
        hits, found, true = counts.sum(axis=0).tolist()
        about |= {"hits": hits, "found": found, "true": true}
        items = list(truth)
        return [
            self.row(subject, layer, name, float(value), ConfidenceInterval(redrawn[name], items), where, **about)
            for name, value in values.items()
        ]


def _truth(manifest: Manifest, items: Iterable[int]) -> Truth:
    """Find the boundaries of the items that have phone times."""
    checked_phones(manifest)
    truth = {}
    for index in items:
        item = manifest[index]
        if item.phones:
            truth[index] = true_boundaries(item.phones, item.duration)
    if not any(len(times) for times in truth.values()):
        msg = (
            f"{manifest.name} has no phone boundaries: no item of it has `phones`, a list of [start, end, label] in seconds, with a change "
            "between them. Import the corpus with phones (`foresay corpus import timit … --phones timit39`) or with alignments; until then "
            "`similarity:cosine` and `geometry:frames` work, but for their numbers about phones"
        )
        raise UserError(msg)
    return truth
