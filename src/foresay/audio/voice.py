"""A voice: it speaks a sentence and says when each phone and each word begins.

eSpeak NG reports the sample at which it begins each phone. Measured over 13,000 phones (`benchmarks/voice_times.py`), these times carry
no common lead or lag: after a digital silence the first sample of sound is the reported one, and for all kinds of boundary but one the
median distance to the strongest spectral change is under 4 ms. At three places, though, the engine means something else than a
phonetician by the beginning of a phone:

* a stop begins with its closure, which the engine makes before it reports the stop;
* a vowel begins where the nasal, liquid or glide before it ends; the engine reports it some 10 to 25 ms later, after the transition;
* an l after a vowel is made as the ending of that vowel and reported when it is over.

`phone_edges` puts these three right from the clean signal; everything else is the engine's word.
"""

import itertools
import re
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from foresay.audio.espeak import SAMPLE_RATE, Mark, synthesize
from foresay.errors import UserError

PHONE_SET = "espeak-arpabet"
SILENCE = "sil"

_SPELLING = """
    p p | b b | t t | d d | k k | ɡ g | tʃ ch | dʒ jh | ɾ dx | f f | v v | θ th | ð dh | s s | z z | ʃ sh | ʒ zh | h hh
    | m m | n n | ŋ ng | l l | ɹ r | w w | j y
    | iː iy | i iy | ɪ ih | ᵻ ih | ɛ eh | æ ae | a ae | ə ax | ɐ ax | ʌ ah | ɑː aa | ɒ oh | ɔ ao | ɔː ao | ʊ uh | uː uw
    | ɜː er | ɚ axr | əl el
    | eɪ ey | eː ey | aɪ ay | ɔɪ oy | aʊ aw | æʊ aw | oʊ ow | əʊ ow | oː ow
    | aɪə ayr | aɪɚ ayr | iə ia | ɪɹ ia | eə ea | ɛɹ ea | ʊə ua | ʊɹ ua | ɑːɹ aar | ɔːɹ aor"""  # noqa: RUF001 - IPA has letters that look like others
LABELS: dict[str, str] = dict(pair.split() for pair in _SPELLING.split("|"))
"""The engine's IPA, without stress, to ARPAbet with the British additions of the BEEP dictionary (oh, ia, ea, ua) and the vowels that
hold an r (aar, aor, ayr, axr): a diphthong is one label."""

_STRESS = "ˈˌ"
STOPS = frozenset({"p", "b", "t", "d", "k", "g", "ch", "jh"})
SONORANTS = frozenset({"m", "n", "ng", "l", "r", "w", "y"})
FRICATIVES = frozenset({"dx", "f", "v", "th", "dh", "s", "z", "sh", "zh", "hh"})
VOWELS = frozenset(LABELS.values()) - STOPS - SONORANTS - FRICATIVES

_SHORTEST_CLOSURE = round(0.005 * SAMPLE_RATE)  # the shortest; the engine's own last 20 to 55 ms
_TRANSITION = round(0.060 * SAMPLE_RATE)  # the longest that the engine makes before it reports a vowel
_KEPT = round(0.020 * SAMPLE_RATE)  # what remains at least of a phone that gives to its neighbor
_WINDOW = round(0.012 * SAMPLE_RATE)  # one period of a low voice
_STEP = round(0.001 * SAMPLE_RATE)
_BANDS, _BINS = 15, 4  # 15 bands of 4 bins: 330 Hz each, up to 5 kHz; wider than the harmonics of a high voice are apart
_FLOOR = 1e-4  # of power, against the logarithm of silence


class Timed(NamedTuple):
    """A phone or a word and the seconds at which it begins and ends."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks: an accent of English, a timbre, a manner."""

    accent: str
    """A language file of the engine: `en-US`, `en` (British), `en-GB-x-rp` (Received Pronunciation), `en-GB-x-gbclan` (Lancaster)."""
    timbre: str
    """A variant file of the engine (`f1`, `Andrea`, …); one without echo, for echo fills the closures."""
    rate: int = 160
    """Words per minute."""
    pitch: int = 50
    """0 to 99; 50 is the timbre's own."""
    melody: int = 50
    """Pitch range, 0 to 99; 50 is the timbre's own."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What was said and when, from the first sound to the last."""

    samples: NDArray[np.float32]
    """(S,) within -1..1."""
    sample_rate: int
    phones: tuple[Timed, ...]
    """They tile the speech; pauses are `sil`."""
    words: tuple[Timed, ...]
    """In lower case, without punctuation; two that the engine runs together ("in the") are one."""


def speak(text: str, voice: Voice) -> Speech:
    """Let a voice speak a text. A pure function, safe in threads.

    Raises:
        UserError: the extra `demo` is not installed, the engine has no such accent or timbre, or the text has no words or a foreign sound.
    """
    spoken, marks = synthesize(text, accent=voice.accent, timbre=voice.timbre, rate=voice.rate, pitch=voice.pitch, melody=voice.melody)
    samples = (spoken / 32768).astype(np.float32)
    labels, edges = phone_edges(samples, marks)
    sounding = [i for i, label in enumerate(labels) if label != SILENCE]
    if not sounding:
        msg = f"there is nothing to say in {text!r}: give it words"
        raise UserError(msg)
    first, last = sounding[0], sounding[-1] + 1
    times = [(edge - edges[first]) / SAMPLE_RATE for edge in edges]
    words = [(word, list(phones)) for word, phones in itertools.groupby(sounding, key=lambda i: marks[i].word)]
    next_words = [word for word, _ in words[1:]] + [len(text)]
    return Speech(
        samples=samples[edges[first] : edges[last]],
        sample_rate=SAMPLE_RATE,
        phones=_without_double_pauses([Timed(times[i], times[i + 1], labels[i]) for i in range(first, last)]),
        words=tuple(
            Timed(times[phones[0]], times[phones[-1] + 1], re.sub(r"[^\w' ]", "", text[word:next_word]).strip().lower())
            for (word, phones), next_word in zip(words, next_words, strict=True)
        ),
    )


def pronounce(text: str, voice: Voice) -> tuple[str, ...]:
    """Return the phones of a text, or a word, as a voice speaks it.

    Raises:
        UserError: as `speak`.
    """
    return tuple(phone.label for phone in speak(text, voice).phones if phone.label != SILENCE)


def sounds(text: str, voice: Voice) -> tuple[str, ...]:
    """Return the phones of any text, words or not, without times: as `pronounce`, and in IPA where the phone set lacks one.

    Raises:
        UserError: the extra `demo` is not installed, or the engine has no such accent or timbre.
    """
    _, marks = synthesize(text, accent=voice.accent, timbre=voice.timbre, rate=voice.rate, pitch=voice.pitch, melody=voice.melody)
    spoken = (mark.phone.lstrip(_STRESS) for mark in marks if mark.phone)
    return tuple(LABELS.get(sound, sound) for sound in spoken)


def phone_edges(samples: NDArray[np.float32], marks: list[Mark]) -> tuple[list[str], list[int]]:
    """Return the labels of the phones of `samples` (S,), N in all, and the N + 1 samples at which they begin and the last one ends."""
    edges = [mark.sample for mark in marks] + [len(samples)]
    labels = [_label(mark.phone, samples[start:end]) for mark, (start, end) in zip(marks, itertools.pairwise(edges), strict=True)]
    for i, (before, label) in enumerate(itertools.pairwise(labels), start=1):
        if label in STOPS and before != SILENCE:
            edges[i] = _closure(samples, edges[i - 1], edges[i])
        elif label in VOWELS and before in SONORANTS:
            edges[i] = strongest_change(samples, max(edges[i] - _TRANSITION, edges[i - 1] + _KEPT), edges[i])
    for i, (before, label) in enumerate(itertools.pairwise(labels), start=1):
        if label == "l" and before in VOWELS and not samples[edges[i] : edges[i + 1]].any():
            edges[i] = strongest_change(samples, (edges[i - 1] + edges[i]) // 2, edges[i] - _KEPT)
    return labels, edges


def _label(ipa: str, samples: NDArray[np.float32]) -> str:
    if not ipa:
        return "y" if samples.any() else SILENCE  # the glide from an i to another vowel has no letter of its own
    sound = ipa.lstrip(_STRESS)
    if sound not in LABELS:
        msg = f"eSpeak NG says [{sound}], which is not in the phone set {PHONE_SET} (foresay.audio.voice.LABELS): use other words"
        raise UserError(msg)
    return LABELS[sound]


def _closure(samples: NDArray[np.float32], start: int, burst: int) -> int:
    """Where the digital silence before a burst begins, if there is one."""
    loud = np.flatnonzero(samples[start:burst])
    closure = start + int(loud[-1]) + 1 if len(loud) else start
    return closure if burst - closure >= _SHORTEST_CLOSURE else burst


def strongest_change(samples: NDArray[np.float32], low: int, high: int) -> int:
    """Find the sample in [low, high] at which the short-time spectrum of `samples` (S,) changes most, to 1 ms."""
    candidates = np.arange(low, high + 1, _STEP) if high > low else np.array([high])
    padded = np.pad(samples, _WINDOW)
    windows = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)
    taper = np.hanning(_WINDOW)

    def bands(starts: NDArray[np.int64]) -> NDArray[np.float64]:  # (candidates, bands)
        power = np.abs(np.fft.rfft(windows[starts] * taper)) ** 2
        return np.log(power[:, : _BANDS * _BINS].reshape(-1, _BANDS, _BINS).sum(axis=2) + _FLOOR)

    change = np.linalg.norm(bands(candidates + _WINDOW) - bands(candidates), axis=1)  # after and before; the padding shifts by a window
    return int(candidates[change.argmax()])


def _without_double_pauses(phones: list[Timed]) -> tuple[Timed, ...]:
    merged: list[Timed] = []
    for phone in phones:
        if merged and merged[-1].label == phone.label == SILENCE:
            merged[-1] = merged[-1]._replace(end=phone.end)
        else:
            merged.append(phone)
    return tuple(merged)
