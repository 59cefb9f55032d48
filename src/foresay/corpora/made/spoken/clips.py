"""Clips that are planned but not yet recorded, who speaks in them, and in what style."""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

import numpy as np

from foresay.audio.read import Waveform
from foresay.audio.voice import SILENCE, Voice, speak
from foresay.corpora.made.demo import VOICES
from foresay.corpora.made.recording import SAMPLE_RATE, between_pauses, dry, in_a_mood, in_a_room, shifted
from foresay.corpora.manifest import Interval, Item

T = TypeVar("T")
Split: TypeAlias = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")

_HIGHER = 20  # of the scale of pitch: a fifth of the frequency or more, thrice what a mood changes
_HIGHEST = 99


def _pair(name: str, voice: Voice) -> dict[str, Voice]:
    """Make two speakers of a timbre: one speaks lower and slower than the voice, the other higher and faster."""
    lower = replace(voice, pitch=voice.pitch - _HIGHER // 2, rate=round(voice.rate * 1.1))
    higher = replace(voice, pitch=voice.pitch + _HIGHER, rate=round(voice.rate * 1.25))
    return {f"{name}-low": lower, f"{name}-high": higher}


SPEAKERS: dict[str, Voice] = {speaker: v for name, voice in VOICES.items() for speaker, v in _pair(name, voice).items()}
"""Two for each voice of the embedded corpus."""

_TIMBRES = list(VOICES)
_TEST = _TIMBRES[3::4]  # those that the embedded corpus tests on
_VALID = _TIMBRES[12:15]  # those that it lacks, unless more than 12 are asked for


def split_of(speaker: str) -> Split:
    """Say in which split a speaker is, in all tasks but the identification of speakers: both of a timbre are in the same."""
    timbre = speaker.rpartition("-")[0]
    return "test" if timbre in _TEST else "valid" if timbre in _VALID else "train"


def speakers_of(split: Split) -> list[str]:
    """List the speakers of a split."""
    return [speaker for speaker in SPEAKERS if split_of(speaker) == split]


@dataclass(frozen=True)
class Style:
    """How something is said, against how the speaker says it otherwise."""

    rate: float = 1.0
    """A factor."""
    pitch: int = 0
    melody: int = 0
    """Of the pitch and of its range, on the scale of `Voice`."""
    louder: float = 0.0
    """dB."""
    effort: float = 0.0
    """Of the voice, -1 to 1: above 0 the high frequencies are stronger, as when one shouts; below 0 weaker."""

    def of(self, voice: Voice) -> Voice:
        """Return the voice that speaks so."""
        pitch, melody = (
            min(max(known + change, 0), _HIGHEST) for known, change in ((voice.pitch, self.pitch), (voice.melody, self.melody))
        )
        return replace(voice, rate=round(voice.rate * self.rate), pitch=pitch, melody=melody)

    def color(self, samples: Waveform) -> Waveform:
        """Filter (S,) samples by the effort: x[n] - effort * x[n - 1]."""
        colored = samples.copy()
        colored[1:] -= np.float32(self.effort) * samples[:-1]
        return colored


PLAIN = Style()


@dataclass(frozen=True)
class Clip(ABC):
    """What shall be recorded, and where it belongs."""

    id: str
    folder: str
    """Of its audio."""
    manifests: tuple[str, ...]
    """Those that it is in, such as `asr/train`."""

    @abstractmethod
    def record(self, rng: np.random.Generator) -> tuple[Waveform, Item]:
        """Return its samples (S,) at 16 kHz, and all that the manifests say of it but for the audio."""


@dataclass(frozen=True)
class SpokenClip(Clip):
    """A speaker says a text."""

    speaker: str
    text: str
    label: str | None = None
    target: str | None = None
    style: Style = PLAIN
    seconds: float | None = None
    """Of the clip, the text somewhere within; by default there is a short pause before it and another one after it."""

    def record(self, rng: np.random.Generator) -> tuple[Waveform, Item]:
        """Speak."""
        speech = speak(self.text, self.style.of(in_a_mood(SPEAKERS[self.speaker], rng)))
        samples = self.style.color(dry(speech))
        samples, before = between_pauses(samples, rng) if self.seconds is None else _somewhere(samples, self.seconds, rng)
        phones = shifted(speech.phones, before)
        pauses = Interval(0.0, phones[0].start, SILENCE), Interval(phones[-1].end, len(samples) / SAMPLE_RATE, SILENCE)
        item = Item(
            self.id,
            speaker=self.speaker,
            language="en",
            text=self.text,
            label=self.label,
            target=self.target,
            phones=(pauses[0], *phones, pauses[1]),
            words=shifted(speech.words, before),
        )
        return in_a_room(samples, rng, self.style.louder), item


def dealt(things: Sequence[T], rng: np.random.Generator) -> Iterator[T]:
    """Deal things without end: all of them in an order, then all in another, and so on, so that each comes as often as another."""
    return (things[place] for _ in itertools.count() for place in rng.permutation(len(things)))


def several(count: int, scale: float) -> int:
    """Return a number of clips, scaled, but at least one."""
    return max(1, round(count * scale))


def _somewhere(samples: Waveform, seconds: float, rng: np.random.Generator) -> tuple[Waveform, float]:
    """Put (S,) samples somewhere into so many seconds of silence, which are more than they are."""
    room = round(seconds * SAMPLE_RATE) - len(samples)
    before = int(rng.integers(room + 1))
    return np.pad(samples, (before, room - before)), before / SAMPLE_RATE
