"""When the words of a text are spoken: its forced alignment with what a recognizer emits, in seconds of the recording.

    symbols   T H E | C A T        --> frames of each, by the best path --> words: from the first symbol's begin to the last one's end

A text that a search found brings along where each symbol begins, so that an hour of it is aligned in stretches, each from one symbol to
another: a lattice of all its frames and symbols would fill no memory there is. A recognizer that searches itself says when its symbols are,
and nothing is aligned, unless it has a CTC beside its attention, which keeps to the order of time.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from foresay.contracts import Emissions, EmittingRecognizer, Encoded, Hypothesis, Recognizer, SpellingRecognizer
from foresay.decoding.alignment import Span, align, joined, spans, without_prior
from foresay.decoding.emissions import required_frames
from foresay.decoding.greedy import best_path
from foresay.text.vocabulary import Vocabulary

STRETCH = 3000
"""Frames that are aligned at once where it is known at which frames symbols begin."""


@dataclass(frozen=True)
class Word:
    """A word, or a symbol, in time."""

    text: str
    start: float
    end: float
    """Seconds from the beginning of the recording."""
    confidence: float
    """0 to 1."""


class AlignedText(NamedTuple):
    """A known text in time."""

    words: tuple[Word, ...]
    symbols: tuple[Word, ...]
    """All but boundaries between words."""
    doubt: float
    """Nats a symbol by which the likeliest path through the text is less likely than the likeliest path of all: 0, if that is its text."""


class Prior(NamedTuple):
    """How likely each symbol is in general, and how much of it is subtracted at alignment."""

    log_probabilities: Tensor
    """(V,)"""
    share: float


def words_of(recognizer: Recognizer, encoded: Encoded, hypothesis: Hypothesis, duration: float) -> tuple[Word, ...]:
    """Align a transcript with the emissions (1, T, V) that it was found in: its words in time, within `duration` seconds.

    A recognizer that searches itself says when its symbols are; one that spells and has a CTC is aligned by that, where its frames suffice.
    """
    if not hypothesis.text:
        return ()
    if isinstance(recognizer, EmittingRecognizer):
        symbols = [span for stretch in _stretches(Emissions(*encoded), hypothesis) for span in _aligned(*stretch)]
    else:
        times = _by_ctc(recognizer, encoded, hypothesis.tokens) or list(zip(hypothesis.frames, hypothesis.stops, strict=True))
        found = zip(hypothesis.tokens, times, hypothesis.confidences, strict=True)
        symbols = [Span((token,), begin, stop, confidence) for token, (begin, stop), confidence in found]
    if hypothesis.ends:
        words = [range(begin, end) for begin, end in itertools.pairwise((0, *hypothesis.ends))]
    else:
        words = _vocabulary(recognizer).words(hypothesis.tokens)
    clock = _Clock(recognizer, duration)
    parts = [[symbols[place] for place in word if symbols[place].symbols != (recognizer.boundary,)] for word in words]
    spoken = [joined(part) for part in parts if part]
    texts = hypothesis.text.split() if hypothesis.ends else [recognizer.text_of(span.symbols) for span in spoken]
    return tuple(clock.word(span, text) for span, text in zip(spoken, texts, strict=True) if text)


@torch.no_grad()
def _by_ctc(recognizer: Recognizer, encoded: Encoded, tokens: Sequence[int]) -> list[tuple[int, int]]:
    """Align symbols with what the CTC of a recognizer that spells emits: begin and end of each; nothing, if that fails."""
    emissions = recognizer.ctc(encoded) if isinstance(recognizer, SpellingRecognizer) else None
    if emissions is None or required_frames(tokens) > int(emissions.lengths[0]):
        return []
    (symbols,) = spans(align(emissions, [tuple(tokens)]), emissions, [tuple(tokens)])
    return [(symbol.begin, symbol.end) for symbol in symbols]


def align_text(
    recognizer: Recognizer, emissions: Emissions, tokens: Sequence[int], duration: float, prior: Prior | None = None
) -> AlignedText:
    """Align a known text, at least one symbol, with emissions (1, T, V).

    `prior`: of symbols, a share of which is subtracted first; confidences and the doubt are of the emissions as they are.

    Raises:
        UserError: the text needs more frames than there are.
    """
    labels = [tuple(tokens)]
    path = align(emissions, labels)
    doubt = (best_path(emissions, recognizer.text_of)[0].score - float(path.score)) / len(tokens)
    if prior:
        path = align(without_prior(emissions, *prior), labels)
    (symbols,) = spans(path, emissions, labels)
    clock = _Clock(recognizer, duration)
    return AlignedText(
        words_at(recognizer, symbols, duration),
        tuple(clock.word(span, recognizer.symbols[span.symbols[0]]) for span in symbols if span.symbols != (recognizer.boundary,)),
        doubt,
    )


def words_at(recognizer: Recognizer, symbols: Sequence[Span], duration: float) -> tuple[Word, ...]:
    """Join the spans of all symbols of a text to its words in time, within `duration` seconds."""
    places = _vocabulary(recognizer).words([span.symbols[0] for span in symbols])
    words = [joined([symbols[place] for place in word]) for word in places]
    return in_time(recognizer, [(recognizer.text_of(span.symbols), span) for span in words], duration)


def in_time(recognizer: Recognizer, words: Sequence[tuple[str, Span]], duration: float) -> tuple[Word, ...]:
    """Say when words are, within `duration` seconds."""
    clock = _Clock(recognizer, duration)
    return tuple(clock.word(span, word) for word, span in words)


def _vocabulary(recognizer: Recognizer) -> Vocabulary:
    return Vocabulary(tuple(recognizer.symbols), recognizer.units)


class _Clock:
    """From frames to seconds."""

    def __init__(self, recognizer: Recognizer, duration: float) -> None:
        self._hop = recognizer.hop(recognizer.layer_names[0]) / recognizer.sample_rate
        self._first, self._duration = recognizer.first_center / recognizer.sample_rate, duration

    def word(self, span: Span, text: str) -> Word:
        """Say when a span is: each frame is half a hop to either side of its center."""
        start, end = (min(max(self._first + (edge - 0.5) * self._hop, 0.0), self._duration) for edge in (span.begin, span.end))
        return Word(text, start, end, span.confidence)


class _Stretch(NamedTuple):
    """A part of a text, and the frames that it is aligned with."""

    scores: Tensor
    """(t, V)"""
    tokens: tuple[int, ...]
    begin: int
    """The first of the frames."""


def _aligned(scores: Tensor, tokens: tuple[int, ...], begin: int) -> list[Span]:
    emissions, labels = Emissions(scores[None], torch.tensor([len(scores)])), [tokens]
    (found,) = spans(align(emissions, labels), emissions, labels)
    return [Span(span.symbols, span.begin + begin, span.end + begin, span.confidence) for span in found]


def _stretches(emissions: Emissions, hypothesis: Hypothesis) -> Iterator[_Stretch]:
    """Cut a long text where a symbol begins, if both parts have frames enough; a short one is one stretch."""
    scores, tokens, frames = emissions.log_probabilities[0], hypothesis.tokens, hypothesis.frames
    needed = [required_frames(tokens[:1]), *(1 + (a == b) for a, b in itertools.pairwise(tokens))]
    left = sum(needed)  # by the symbols from here on
    first, begin, own = 0, 0, 0
    for place, frame in enumerate(frames if len(frames) == len(tokens) else ()):
        if frame - begin >= STRETCH and own <= frame - begin and left <= len(scores) - frame:
            yield _Stretch(scores[begin:frame], tokens[first:place], begin)
            first, begin, own = place, frame, 0
        own, left = own + needed[place], left - needed[place]
    yield _Stretch(scores[begin:], tokens[first:], begin)
