"""Conversations of two speakers, who interrupt each other or pause (sd)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from foresay.audio.read import Waveform
from foresay.audio.voice import speak
from foresay.corpora.made.recording import SAMPLE_RATE, between_pauses, dry, in_a_mood, in_a_room
from foresay.corpora.made.sentences import draw_sentences
from foresay.corpora.made.spoken.clips import SPEAKERS, SPLITS, Clip, Split, dealt, several, speakers_of
from foresay.corpora.manifest import Interval, Item

COUNTS: dict[Split, int] = {"train": 40, "valid": 10, "test": 20}
TURNS = 3, 4
FORM = "{one} {acted}"

_PAUSE = -0.7, 0.3  # s between two turns; below 0: so long do both speak
_BREATH = 0.05  # s, at least, between two turns of one speaker
_SOFTER = 6.0  # dB, at most, that one of the two is


@dataclass(frozen=True)
class Conversation(Clip):
    """Two speakers, in turn."""

    speakers: tuple[str, str]
    texts: tuple[str, ...]
    """Of each turn."""

    def record(self, rng: np.random.Generator) -> tuple[Waveform, Item]:
        """Let both speak."""
        gains = dict(zip(self.speakers, 10 ** (rng.permutation([0.0, -rng.uniform(0, _SOFTER)]) / 20), strict=True))
        said: list[tuple[int, Waveform]] = []
        turns: list[tuple[int, int, str]] = []
        for number, text in enumerate(self.texts):
            speaker = self.speakers[number % 2]
            samples = dry(speak(text, in_a_mood(SPEAKERS[speaker], rng)))
            start = _start(turns, rng)
            turns.append((start, start + len(samples), speaker))
            said.append((start, samples * np.float32(gains[speaker] * 0.1 / np.sqrt(np.mean(samples**2)))))
        mixed = np.zeros(max(end for _, end, _ in turns), dtype=np.float32)
        for start, samples in said:
            mixed[start : start + len(samples)] += samples
        mixed, before = between_pauses(mixed, rng)
        times = tuple(
            Interval(round(start / SAMPLE_RATE + before, 4), round(end / SAMPLE_RATE + before, 4), speaker) for start, end, speaker in turns
        )
        return in_a_room(mixed, rng), Item(self.id, language="en", turns=times)


def plan(scale: float, rng: np.random.Generator) -> Iterator[Clip]:
    """Plan conversations of speakers of one split."""
    counts = {split: several(COUNTS[split], scale) for split in SPLITS}
    sentences = iter(draw_sentences(sum(counts.values()) * max(TURNS), rng, FORM))
    for split in SPLITS:
        speakers, lengths = dealt(speakers_of(split), rng), dealt(TURNS, rng)
        for number in range(counts[split]):
            first = next(speakers)
            second = next(speaker for speaker in speakers if speaker != first)
            texts = tuple(next(sentences) for _ in range(next(lengths)))
            yield Conversation(f"sd-{split}-{number:02d}", "sd", (f"sd/{split}",), (first, second), texts)


def _start(turns: list[tuple[int, int, str]], rng: np.random.Generator) -> int:
    """Draw the sample at which the next turn starts."""
    pause = round(rng.uniform(*_PAUSE) * SAMPLE_RATE)
    before = [end for _, end, _ in turns[-2:]]
    if not before:
        return 0
    own = before[0] + round(_BREATH * SAMPLE_RATE) if len(before) > 1 else 0
    return max(before[-1] + pause, own, 0)
