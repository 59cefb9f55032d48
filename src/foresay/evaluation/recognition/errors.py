"""What a recognizer gets wrong: frequent errors and words, and its rate by length, by speaker and by how often training had a word.

Errors of an utterance are those of its alignment of words, so that those of all groups of length, or of all speakers, add up to those
of the corpus. By frequency, words of the references are counted that were not recognized; insertions belong to none.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foresay.contracts import Recognizer
from foresay.corpora.manifest import Manifest
from foresay.evaluation.recognition.kept import Group, KeptErrors, Unit
from foresay.statistics.intervals import bootstrap
from foresay.statistics.word_errors import Compared, Piece, frequent_errors, pieces, spread, words_by_errors

LISTED = 25
"""Of the most frequent errors of each kind, and of words: as many as Table 11 of wav2vec 2.0 has."""
LENGTHS = 5
"""Groups of utterances of about one length."""
FREQUENCIES = (0, 1, 10, 100, 1000)
"""How often the training text has the words of a group, at least."""
SOUNDS = 12
"""Utterances whose sound is kept, at equally spaced quantiles of their error rates."""
LONGEST = 20.0
"""Seconds of such an utterance, at most."""

Integers = NDArray[np.int64]


class Found(NamedTuple):
    """What was found, beside the rates."""

    details: dict[str, Any]
    """Of a result's line."""
    arrays: dict[str, NDArray[Any]]
    """Of its artifact."""


def find_errors(
    pairs: Sequence[Compared],
    manifest: Manifest,
    training: Mapping[str, int] | None,
    *,
    sample_rate: int,
    unit: Unit = "word",
    seed: int = 0,
) -> Found:
    """Look for what is wrong in the transcripts of a corpus. `training`: how often the training text has each word, if that is known.

    Raises:
        AudioError: a recording whose sound is to be kept cannot be read.
    """
    cut = [pieces(pair.reference.split(), pair.hypothesis.split(), compounds=unit == "word") for pair in pairs]
    errors = np.array([sum(piece.errors for piece in utterance) for utterance in cut])
    words = np.array([len(pair.reference.split()) for pair in pairs])
    groups = {"length": list(_by_length(errors, words, seed))}
    speakers = [pair.speaker for pair in pairs]
    if len(set(speakers)) < len(pairs):
        groups["speaker"] = sorted(_by_label(speakers, errors, words, seed), key=lambda group: -group.rate)
    if training is not None:
        groups["frequency"] = list(_by_frequency(cut, training, seed))
    sounds = _sounds(pairs, errors, words, manifest, sample_rate)
    details = {**frequent_errors(cut, LISTED), "frequently_wrong": [list(word) for word in words_by_errors(cut, training)[:LISTED]]}
    return Found(details, KeptErrors(pairs, groups, sounds, sample_rate, unit).arrays())


def count_words(recognizer: Recognizer, texts: Iterable[str] | None) -> Counter[str] | None:
    """Count the words of transcripts as the recognizer writes them; None: nobody knows any."""
    return None if texts is None else Counter(word for text in texts for word in recognizer.normalized(text).split())


def _by_length(errors: Integers, words: Integers, seed: int) -> Iterator[Group]:
    """Divide utterances into about equal parts by their numbers of words."""
    shares = np.arange(1, LENGTHS + 1) / LENGTHS
    ends = np.unique(np.quantile(words[words > 0], shares, method="inverted_cdf")) if words.any() else words[:0]
    first = int(words[words > 0].min(initial=ends[-1])) if len(ends) else 0
    for end in ends.tolist():
        inside = (words >= first) & (words <= end)
        yield _group(f"{first} to {end}" if first < end else str(end), errors * inside, words * inside, seed)
        first = end + 1


def _by_label(labels: Sequence[str], errors: Integers, words: Integers, seed: int) -> Iterator[Group]:
    names = np.array(labels)
    for label in dict.fromkeys(labels):
        own = names == label
        if words[own].any():
            yield _group(label, errors[own], words[own], seed)


def _by_frequency(cut: Sequence[Sequence[Piece]], training: Mapping[str, int], seed: int) -> Iterator[Group]:
    counts = np.zeros((2, len(cut), len(FREQUENCIES)), dtype=np.int64)  # errors and words
    for place, utterance in enumerate(cut):
        for piece in utterance:
            for word in piece.said:
                column = int(np.searchsorted(FREQUENCIES, training.get(word, 0), side="right")) - 1
                counts[:, place, column] += (piece.errors > 0, 1)
    for column, least in enumerate(FREQUENCIES):
        errors, words = counts[..., column]
        more = [most - 1 for most in FREQUENCIES[column + 1 : column + 2]]
        label = str(least) if more == [least] else f"{least:,} to {more[0]:,}" if more else f"{least:,} and more"
        if words.any():
            yield _group(label, errors, words, seed)


def _group(label: str, errors: Integers, words: Integers, seed: int) -> Group:
    interval: Iterable[float | None] = bootstrap(errors, words, seed=seed) or (None, None)
    low, high = interval
    return Group(label, int(words.sum()), int(errors.sum()), low, high)


def _sounds(
    pairs: Sequence[Compared], errors: Integers, words: Integers, manifest: Manifest, sample_rate: int
) -> dict[str, NDArray[np.int16]]:
    """Read some utterances, of those that are short enough."""
    places = {name: place for place, name in enumerate(manifest.ids)}
    durations = manifest.durations
    short = [number for number, pair in enumerate(pairs) if words[number] and durations[places[pair.id]] <= LONGEST]
    chosen = [pairs[short[place]].id for place in spread([errors[number] / words[number] for number in short], SOUNDS)]
    waveforms = {name: manifest.read(places[name], sample_rate) for name in chosen}
    return {name: np.round(32767 * waveform.clip(-1.0, 1.0)).astype(np.int16) for name, waveform in waveforms.items()}
