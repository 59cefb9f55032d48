"""A voice: eSpeak NG speaks a sentence and tells when each phone and each word begins.

The library comes from the PyPI package `espeakng-loader` (the extra `demo`; eSpeak NG is GPL-3, so it is only ever loaded at run time).
It keeps its state in global variables, and what it said before changes the flutter and the noise of what it says next. So every
sentence is spoken by a private copy of the library, loaded for it and dropped afterwards: `speak` is a pure function, in any thread.

The engine reports the sample at which it begins each phone. These events carry no common lead or lag (`benchmarks/voice_times.py`
measures it), but at three places they do not mean what a phonetician means by the beginning of a phone, which `_move_starts` puts right.
"""

import ctypes
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PHONE_SET = "espeak-arpabet"
SILENCE = "sil"
STOPS = frozenset(["p", "b", "t", "d", "k", "g", "ch", "jh"])
SONORANTS = frozenset(["m", "n", "ng", "l", "r", "w", "y"])
VOWELS = frozenset(["iy", "ih", "eh", "ae", "ax", "ah", "aa", "oh", "ao", "uh", "uw", "er", "axr", "el", "ey", "ay", "oy", "aw", "ow", "ayr", "ia", "ea", "ua", "aar", "aor"])

_SPELLING = """
    p p | b b | t t | d d | k k | ɡ g | tʃ ch | dʒ jh | ɾ dx | f f | v v | θ th | ð dh | s s | z z | ʃ sh | ʒ zh | h hh
    | m m | n n | ŋ ng | l l | ɹ r | w w | j y
    | iː iy | i iy | ɪ ih | ᵻ ih | ɛ eh | æ ae | a ae | ə ax | ɐ ax | ʌ ah | ɑː aa | ɒ oh | ɔ ao | ɔː ao | ʊ uh | uː uw
    | ɜː er | ɚ axr | əl el
    | eɪ ey | eː ey | aɪ ay | ɔɪ oy | aʊ aw | æʊ aw | oʊ ow | əʊ ow | oː ow
    | aɪə ayr | aɪɚ ayr | iə ia | ɪɹ ia | eə ea | ɛɹ ea | ʊə ua | ʊɹ ua | ɑːɹ aar | ɔːɹ aor"""
LABELS = dict(pair.split() for pair in _SPELLING.split("|"))
"""The engine's IPA, without stress, to ARPAbet with the British additions of the BEEP dictionary (oh, ia, ea, ua): one label for a
diphthong, one for a vowel with its r."""


class Timed(NamedTuple):
    """A phone or a word and the seconds it lasts, from the start of the speech."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True)
class Voice:
    """Who speaks: an accent of English, a timbre, and a manner."""

    accent: str
    """A language file of the engine: `en-US`, `en`, `en-GB-x-rp`, …"""
    timbre: str
    """A variant file of the engine (`f1`, `Andrea`, …); one without echo, which would fill the pauses."""
    rate: int = 160
    """Words per minute."""
    pitch: int = 50
    """0 to 99."""
    melody: int = 50
    """Pitch range, 0 to 99."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What was said, from the first sound to the last, and when."""

    samples: NDArray[np.float32]
    """(S,) within -1..1, at the engine's own `sample_rate`."""
    sample_rate: int
    phones: tuple[Timed, ...]
    """They tile the speech; pauses are `sil`."""
    words: tuple[Timed, ...]
    """In lower case; two words that the engine runs together ("in the") are one."""


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """`espeak_EVENT` of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
_LAST, _WORD, _CLAUSE_END, _PHONE = 0, 1, 5, 7  # espeak_EVENT_TYPE
