"""Phone and word times of English speech whose text is known, where a corpus has none: forced alignment with PocketSphinx.

    text -> words of the pronouncing dictionary -> the only path through them that fits the audio best -> times of words and phones

Its acoustic model and its dictionary (CMU's, 39 phones without stress, and SIL) come with the package (the extra `align`). Times are on a
grid of 10 ms, and about as good as those that the phone labels of the CPC papers were made with: good for probes and ABX, not
a measure of 10 ms boundaries. Words that the dictionary lacks (names, mostly) are pronounced by eSpeak NG where the extra `demo` is
installed; else an utterance with such a word is left out. Both are counted and said.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from foresay.audio.read import Waveform
from foresay.audio.voice import Voice, pronounce
from foresay.corpora.manifest import Interval
from foresay.errors import UserError
from foresay.extras import optional

RATE, FRAME = 16_000, 0.01
PHONE_SET = "cmudict39"
SILENCE = "SIL"
NOT_SPEECH = ("<", "[", "+")
"""Words that begin so are silences and noises of the recogniser."""
AMERICAN = Voice(accent="en-US", timbre="f1")
OTHERWISE = {
    "ax": "AH", "axr": "ER", "dx": "T", "el": "AH L", "oh": "AA", "ia": "IH R", "ea": "EH R", "ua": "UH R", "aar": "AA R",
    "aor": "AO R", "ayr": "AY ER",
}  # fmt: skip
"""Labels of the engine that are not the dictionary's in capitals."""


@dataclass(frozen=True)
class Aligned:
    """Times of an utterance."""

    words: tuple[Interval, ...]
    phones: tuple[Interval, ...]


@dataclass
class Aligner:
    """Aligns one utterance after the other."""

    missing: dict[str, int] = field(default_factory=dict)
    """Words that the dictionary lacked, and how often they were met so."""

    def __post_init__(self) -> None:
        with optional("pocketsphinx", "align", "aligning"):
            import pocketsphinx  # noqa: PLC0415 - an extra
        self._decoder: Any = pocketsphinx.Decoder(samprate=RATE, loglevel="FATAL", bestpath=False)

    def align(self, waveform: Waveform, text: str) -> Aligned | str:
        """Align (S,) samples at 16 kHz to their text; or say why that is not possible."""
        words = spoken_words(text)
        unknown = [word for word in words if self._decoder.lookup_word(word) is None and not self._pronounce(word)]
        if not words or unknown:
            return f"not in the dictionary: {', '.join(unknown)}" if words else "no text"
        samples = (np.clip(waveform, -1, 1) * 32767).astype(np.int16).tobytes()
        try:
            self._decoder.set_align_text(" ".join(words))
            self._decode(samples)
            if self._decoder.hyp() is None:
                return "the text does not fit the audio"
            self._decoder.set_alignment()  # once more, this time phone by phone
            self._decode(samples)
        except RuntimeError as error:
            return f"the text does not fit the audio ({error})"
        return _read(self._decoder.get_alignment(), len(waveform) / RATE)

    def _pronounce(self, word: str) -> bool:
        """Teach the decoder a word as eSpeak NG says it; return whether that could be done."""
        self.missing[word] = self.missing.get(word, 0) + 1
        try:
            labels = pronounce(word, AMERICAN)
        except UserError:
            return False
        self._decoder.add_word(word, " ".join(OTHERWISE.get(label, label.upper()) for label in labels))
        return self._decoder.lookup_word(word) is not None

    def _decode(self, samples: bytes) -> None:
        self._decoder.start_utt()
        self._decoder.process_raw(samples, full_utt=True)
        self._decoder.end_utt()


def spoken_words(text: str) -> list[str]:
    """Words of a text as the dictionary spells them.

    >>> spoken_words("He said: 'Don't!' -- twenty-one.")
    ['he', 'said', "don't", 'twenty', 'one']
    """
    plain = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return [word for word in (part.strip("'") for part in re.findall(r"[a-z']+", plain)) if word]


def _read(alignment: Any, duration: float) -> Aligned | str:  # noqa: ANN401 - PocketSphinx has no types
    if alignment is None:
        return "the text does not fit the audio"
    words, phones = [], []
    for word in alignment.words():
        if not word.name.startswith(NOT_SPEECH):
            words.append(_interval(word, re.sub(r"\(\d+\)$", "", word.name), duration))
        phones += [_interval(phone, SILENCE if phone.name.startswith(NOT_SPEECH) else phone.name, duration) for phone in word]
    return Aligned(tuple(words), tuple(phone for phone in phones if phone.end > phone.start))


def _interval(entry: Any, label: str, duration: float) -> Interval:  # noqa: ANN401
    start = entry.start * FRAME
    return Interval(round(min(start, duration), 4), round(min(start + entry.duration * FRAME, duration), 4), label)
