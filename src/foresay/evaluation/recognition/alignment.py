"""Alignment of a recognizer: how far the words of known texts, as it finds them, are from where they are spoken.

alignment:words      a manifest with texts and true times of words (of phones, for a recognizer of phones); beside it words laid out evenly
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from foresay.contracts import Extractor, Recognizer
from foresay.corpora.item import Interval
from foresay.corpora.manifest import Manifest
from foresay.encoding.subjects import Subject
from foresay.encoding.text_alignment import known_times, known_transcript, text_alignment
from foresay.encoding.transcripts import encoded_of
from foresay.errors import UserError
from foresay.evaluation.measure import Corpora, Measure, Population, Where
from foresay.results import Metric, Result
from foresay.statistics.aligned_words import Fit, fit, uniform
from foresay.statistics.intervals import bootstrap

EVEN = "even words"
"""As long as their letters, over the whole recording."""
ERROR, NEAR, INSIDE = "boundary error", "share within 20 ms", "share in the right word"


TOLERANCE = 0.02
"""Seconds: what forced alignment is compared by in the literature on TIMIT."""


@dataclass(frozen=True)
class AlignmentProtocol:
    """There is nothing to choose."""

    name: str


class AlignmentOfTexts(Measure[AlignmentProtocol]):
    """Errors of the times of words, over all utterances whose words have times."""

    name = "alignment"
    protocols: ClassVar[Mapping[str, AlignmentProtocol]] = {"words": AlignmentProtocol("words")}
    metrics: ClassVar[Mapping[str, Metric]] = {
        ERROR: Metric("lower", "ms", headline=True),
        NEAR: Metric("higher", "%"),
        INSIDE: Metric("higher", "%"),
    }

    def serves(self, model: Extractor, corpora: Corpora) -> bool:  # noqa: ARG002 - whatever the corpus
        """Whether it is a recognizer."""
        return isinstance(model, Recognizer)

    def __call__(self, subjects: Sequence[Subject], corpora: Corpora, *, seed: int = 0, device: str = "cpu") -> list[Result]:
        """Find the texts of `corpora.test` in its audio; what cannot be found is left out and counted.

        Raises:
            UserError: a model is no recognizer, or no words of the corpus have times that it could be compared with.
        """
        test, rows, every = corpora.test, list[Result](), dict[int, tuple[Interval, ...]]()
        for subject in subjects:
            if not isinstance(subject.model, Recognizer):
                msg = f"{subject.name} recognizes no text: times of words are found by recognizers (foresay finetune ctc-tiny …)"
                raise UserError(msg)
            started, true = perf_counter(), _true(subject.model, test)
            found = {place: fit(times, _array(true[place])) for place, times in _found(subject.model, test, device, true)}
            if not found:
                msg = f"{subject.name} finds none of the texts of {test.name}: are they in its symbols, and of this audio?"
                raise UserError(msg)
            every |= {place: true[place] for place in found}
            rows += self._rows(subject, subject.model.layer_names[0], found, Where("test", test, seed, started), len(true) - len(found))
        even = Subject(EVEN, subjects[0].extractor, layers=())  # which uses no features
        laid = {place: uniform([one.label for one in true], float(test.durations[place])) for place, true in every.items()}
        fits = {place: fit(times, _array(every[place])) for place, times in laid.items()}
        return rows + self._rows(even, "none", fits, Where("test", test, seed, perf_counter()), 0)

    def _rows(self, subject: Subject, layer: str, fits: Mapping[int, Fit], where: Where, left: int) -> list[Result]:
        where = where._replace(over=Population("utterances", [where.corpus.ids[place] for place in fits]))
        several = list(fits.values())
        edges, errors = np.array([one.errors.size for one in several]), np.array([1000 * one.errors.sum() for one in several])
        shared, spoken = np.array([one.shared for one in several]), np.array([one.spoken for one in several])
        near = np.array([(one.errors < TOLERANCE).sum() for one in several])
        about = {"utterances": len(several), "words": int(edges.sum()) // 2, "left out": left}
        return [
            self.row(subject, layer, metric, float(parts.sum() / of.sum()), bootstrap(parts, of, seed=where.seed), where, **about)
            for metric, parts, of in ((ERROR, errors, edges), (NEAR, near, edges), (INSIDE, shared, spoken))
        ]


def _true(recognizer: Recognizer, manifest: Manifest) -> dict[int, tuple[Interval, ...]]:
    """Return the true times of the utterances that have them, and a transcript."""
    times = {place: known_times(recognizer, item) for place, item in enumerate(manifest) if known_transcript(recognizer, item)}
    true = {place: one for place, one in times.items() if one}
    if not true:
        msg = (
            f"{manifest.name} has no texts whose words have times (`words`, lists of [start, end, word] in seconds; `phones`, for a "
            "recognizer of phones): import the corpus with alignments, or make some (`foresay corpus align`)"
        )
        raise UserError(msg)
    return true


def _found(
    recognizer: Recognizer, manifest: Manifest, device: str, true: Mapping[int, tuple[Interval, ...]]
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Find texts: the places of those that are found, and begins and ends of as many words as have true ones (W, 2)."""
    for place, encoded in encoded_of(recognizer, manifest, device, items=true):
        item = manifest[place]
        try:
            words = text_alignment(recognizer, encoded, known_transcript(recognizer, item), item.duration).words
        except UserError:  # a symbol or a word that the recognizer lacks, or too few frames
            continue
        if len(words) == len(true[place]):
            yield place, np.array([(word.start, word.end) for word in words])


def _array(intervals: Sequence[Interval]) -> NDArray[np.float64]:
    return np.array([one[:2] for one in intervals], dtype=np.float64)
