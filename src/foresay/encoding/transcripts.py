"""Every recording of a corpus as a recognizer transcribes it: text, times of words, and a confidence for each.

    recording, in parts if it is long --> encoder --> emissions of the whole --> best path --> text --> forced alignment --> times

A recording is encoded as for any measure, in parts that overlap, on one clock: an hour is transcribed as a clip is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from foresay.contracts import Emissions, Hypothesis, Recognizer
from foresay.corpora.manifest import Manifest
from foresay.decoding.alignment import Span, align, spans, word_spans
from foresay.decoding.greedy import best_path
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.subjects import Subject
from foresay.errors import AudioError


@dataclass(frozen=True)
class Word:
    """A word in time."""

    text: str
    start: float
    end: float
    """Seconds from the beginning of the recording."""
    confidence: float
    """0 to 1."""


@dataclass(frozen=True)
class Transcript:
    """What was recognized in a recording."""

    id: str
    text: str
    duration: float
    """Seconds."""
    words: tuple[Word, ...]
    score: float
    """log p, in nats."""

    @property
    def confidence(self) -> float:
        """The mean of its words' confidences; 0 where there are none."""
        return sum(word.confidence for word in self.words) / max(len(self.words), 1)


def transcribed(
    recognizer: Recognizer, manifest: Manifest, device: str, unreadable: dict[int, AudioError] | None = None
) -> Iterator[Transcript]:
    """Yield the transcript of each recording, by the best path; one that is too short for a frame is left out.

    `unreadable` takes in what cannot be read, by its place, and why; without it, that is an error.
    """
    for index, emissions in emissions_of(recognizer, manifest, device, unreadable):
        (found,) = best_path(emissions, recognizer.text_of)
        item = manifest[index]
        yield Transcript(item.id, found.text, item.duration, words_of(recognizer, emissions, found), found.score)


def emissions_of(
    recognizer: Recognizer, manifest: Manifest, device: str, unreadable: dict[int, AudioError] | None = None
) -> Iterator[tuple[int, Emissions]]:
    """Yield the place of each recording, and its emissions (1, T, V); one that is too short for a frame has none and is left out."""
    (layer,) = recognizer.layer_names
    for recording in encode_recordings(Subject("the recognizer", recognizer, (layer,)), manifest, device, None, unreadable):
        scores = recording.features[layer]
        if len(scores):
            yield recording.index, Emissions(scores[None], torch.tensor([len(scores)]))


def words_of(recognizer: Recognizer, emissions: Emissions, hypothesis: Hypothesis) -> tuple[Word, ...]:
    """Align a transcript with the emissions (1, T, V) that it was found in: its words in time."""
    if not hypothesis.tokens:
        return ()
    labels = [hypothesis.tokens]
    (symbols,) = spans(align(emissions, labels), emissions, labels)
    found = symbols if recognizer.boundary is None else word_spans(symbols, recognizer.boundary)
    return tuple(_in_seconds(recognizer, span) for span in found)


def _in_seconds(recognizer: Recognizer, span: Span) -> Word:
    hop = recognizer.hop(recognizer.layer_names[0]) / recognizer.sample_rate
    first = recognizer.first_center / recognizer.sample_rate
    start, end = first + (span.begin - 0.5) * hop, first + (span.end - 0.5) * hop
    return Word(recognizer.text_of(span.symbols), max(start, 0.0), end, span.confidence)
