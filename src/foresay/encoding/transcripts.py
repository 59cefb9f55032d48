"""Every recording of a corpus as a recognizer transcribes it: text, times of words, and a confidence for each.

    recording, in parts if it is long --> encoder --> emissions of the whole --> search --> text --> forced alignment --> times
                                          --> encoded audio -------> the recognizer's own search --> text, and its times

A recording is encoded as for any measure, in parts that overlap, on one clock: an hour is transcribed as a clip is.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch

from foresay.contracts import Encoded, Hypothesis, Recognizer
from foresay.corpora.manifest import Manifest
from foresay.encoding.recordings import encode_recordings
from foresay.encoding.searches import Decoder
from foresay.encoding.subjects import Subject
from foresay.encoding.word_times import Word, words_of
from foresay.errors import AudioError

UTTERANCES = 16
"""That are searched together, at most."""
PLACES = 2**22
"""Hypotheses x frames of them, at most, whose history is kept; a long recording is searched alone."""


@dataclass(frozen=True)
class Transcript:
    """What was recognized in a recording."""

    id: str
    text: str
    duration: float
    """Seconds."""
    words: tuple[Word, ...]
    score: float
    """What it was ranked by, in nats."""
    hypotheses: tuple[Hypothesis, ...] = ()
    """Where several were asked for, those that were found, this one first."""

    @property
    def confidence(self) -> float:
        """The mean of its words' confidences; 0 where there are none."""
        return sum(word.confidence for word in self.words) / max(len(self.words), 1)


def transcribed(
    decoder: Decoder,
    manifest: Manifest,
    device: str,
    unreadable: dict[int, AudioError] | None = None,
    *,
    best: int = 1,
    items: Container[int] | None = None,
) -> Iterator[Transcript]:
    """Yield the transcript of each recording, with its `best` hypotheses; one that is too short for a frame is left out.

    `unreadable` takes in what cannot be read, by its place, and why; without it, that is an error. `items`: these places only.
    """
    for found in together(encoded_of(decoder.recognizer, manifest, device, unreadable, items), decoder.width):
        lists = decoder(padded([encoded for _, encoded in found]), best)
        for (index, encoded), hypotheses in zip(found, lists, strict=True):
            item, first = manifest[index], hypotheses[0]
            words = words_of(decoder.recognizer, encoded, first, item.duration)
            yield Transcript(item.id, first.text, item.duration, words, first.score, tuple(hypotheses) if best > 1 else ())


def together(found: Iterable[tuple[int, Encoded]], width: int) -> Iterator[list[tuple[int, Encoded]]]:
    """Put recordings together that are searched as one batch: as many as memory holds for a beam of that width."""
    batch: list[tuple[int, Encoded]] = []
    longest = 0
    for index, encoded in found:
        frames = encoded.frames.shape[1]
        if batch and (len(batch) == UTTERANCES or (len(batch) + 1) * max(longest, frames) * width > PLACES):
            yield batch
            batch, longest = [], 0
        batch.append((index, encoded))
        longest = max(longest, frames)
    if batch:
        yield batch


def padded(batch: Sequence[Encoded]) -> Encoded:
    """Join single recordings: (B, T, D)."""
    rows = [one.frames[0] for one in batch]
    return Encoded(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), torch.cat([one.lengths for one in batch]))


def encoded_of(
    recognizer: Recognizer,
    manifest: Manifest,
    device: str,
    unreadable: dict[int, AudioError] | None = None,
    items: Container[int] | None = None,
) -> Iterator[tuple[int, Encoded]]:
    """Yield the place of each recording, and the recognizer's layer (1, T, D); one that is too short for a frame is left out."""
    (layer,) = recognizer.layer_names
    for recording in encode_recordings(Subject("the recognizer", recognizer, (layer,)), manifest, device, items, unreadable):
        frames = recording.features[layer]
        if len(frames):
            yield recording.index, Encoded(frames[None], torch.tensor([len(frames)]))
