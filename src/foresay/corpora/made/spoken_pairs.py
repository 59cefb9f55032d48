"""Pairs of words and non-words, and of sentences and ungrammatical ones, spoken by a synthesizer, in the layout of ZeroSpeech 2021.

What a model of speech knows of the language of the embedded corpus, of which they are made (`sentences.py`): `swuggy` and `sblimp` measure
it. How non-words are made says `pairs/non_words.py`, what is ungrammatical `pairs/ungrammatical.py`.

    DESTINATION/lexical/dev/gold.csv    filename, id, voice, frequency, word, phones, length, correct
                syntactic/dev/gold.csv  filename, id, voice, type, subtype, transcription, correct
                lexical/dev/NAME.flac  syntactic/dev/NAME.flac  (16 kHz)
                lexical.jsonl  syntactic.jsonl  manifest.jsonl (both)  corpus.toml

American voices that the embedded corpus, as it is made by default, does not train on. Both members of a pair are said in one mood and one
room. Words of frequency 0 are English, but not in the grammar: whoever learnt the embedded corpus alone cannot know them.
"""

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from foresay import draws
from foresay.audio import espeak
from foresay.audio.voice import PHONE_SET, SILENCE, speak
from foresay.corpora.generated import MadeCorpus, Maker, make_once
from foresay.corpora.made.demo import NOTE, VOICES
from foresay.corpora.made.pairs.non_words import Phonemes, draw_non_words
from foresay.corpora.made.pairs.ungrammatical import draw_sentence_pairs
from foresay.corpora.made.recording import SAMPLE_RATE, between_pauses, dry, flac, in_a_mood, in_a_room, shifted
from foresay.corpora.made.sentences import word_frequencies
from foresay.corpora.manifest import Interval, Item
from foresay.errors import UserError
from foresay.files import write_text
from foresay.progress import ProgressBar

RECIPE = 1
"""To be raised when the same seed shall give another corpus."""
SPEAKERS = ("us-sam", "us-abe", "us-zoe", "us-grace")
ACCENT = "en-US"
PARTS = ("lexical", "syntactic")
PER = 1000
"""Sentences in which the frequency of a word is counted."""
SHORTEST = 4
"""Phonemes of a word: what is shorter and is made a non-word is too often another word."""
STRANGERS = """
    basket candle pepper rocket ladder helmet planet summer winter dinner hammer bottle button carpet corner cotton dragon finger
    forest hunter insect jungle kettle lemon magnet needle office parrot pocket ribbon saddle shadow signal tunnel velvet wallet anchor
    blanket cabin camera cannon castle cherry copper desert fabric gravel guitar island jacket lantern lobster marble medal mustard napkin
    orchard oven pebble pillow planner puppet raccoon sandal scissors sugar tailor teacup temple ticket tractor trumpet turtle vessel
    violin walnut whistle yogurt zipper"""
"""English words that the grammar has not, but for those that it has."""
STRANGE = 6
"""One word in so many is one of them."""


@dataclass(frozen=True)
class SpokenPairs(Maker):
    """Lets a synthesizer speak. Needs the extra `demo`."""

    seed: int = 0
    """Another number, other pairs."""
    words: int = 300
    """Words, each with a non-word; a sixth of them are not in the grammar."""
    sentences: int = 300
    """Sentences, each with an ungrammatical one."""
    voices: int = 2
    """How many voices say each pair, up to 4."""

    def make(self, destination: Path) -> MadeCorpus:
        """Make the pairs in a folder, with a progress bar."""
        if not (self.words >= STRANGE and self.sentences > 1 and 1 <= self.voices <= len(SPEAKERS) and self.seed >= 0):
            msg = (
                f"words={self.words} must be {STRANGE} or more, sentences={self.sentences} 2 or more, voices={self.voices} from 1 to "
                f"{len(SPEAKERS)}, seed={self.seed} 0 or more"
            )
            raise UserError(msg)
        description = {
            "name": "spoken-pairs",
            "recipe": RECIPE,
            "seed": self.seed,
            "words": self.words,
            "sentences": self.sentences,
            "voices": self.voices,
            "sample_rate": SAMPLE_RATE,
            "phone_set": PHONE_SET,
            "engine": f"eSpeak NG {espeak.version()}",
            "note": NOTE,
        }
        megabytes = 1 + (self.words // 25 + self.sentences // 8) * self.voices
        return make_once(
            destination, "the spoken pairs", description, PARTS, lambda: self._record(destination), megabytes=megabytes, phone_set=PHONE_SET
        )

    def _record(self, folder: Path) -> dict[str, list[Item]]:
        members = {"lexical": list(self._words()), "syntactic": list(self._sentences())}
        clips = [member for part in PARTS for member in members[part]]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            recorded = pool.map(lambda member: member.record(folder, self.seed), clips)
            items = dict(zip(clips, ProgressBar(recorded, "speaking", "clip", total=len(clips), leave=True), strict=True))
        for part, own in members.items():
            write_text(folder / part / "dev" / "gold.csv", _table([{"filename": one.name, **dict(one.row)} for one in own]))
        return {part: [items[member] for member in members[part]] for part in PARTS}

    def _words(self) -> Iterator["_Member"]:
        rng = draws.made(RECIPE, self.seed, 0)
        frequencies = word_frequencies()
        lexicon = _phonemes(sorted(frequencies))
        sounds = {phoneme for phonemes in lexicon.values() for phoneme in phonemes}
        strange = {word: own for word, own in _phonemes(STRANGERS.split()).items() if word not in lexicon and sounds.issuperset(own)}
        count = self.words // STRANGE
        words = {**_drawn(lexicon, self.words - count, rng), **_drawn(strange, count, rng)}
        others = draw_non_words(words, lexicon, frequencies, rng)
        for number, (word, own) in enumerate(words.items()):
            for voice in SPEAKERS[: self.voices]:
                for correct, phonemes in ((1, own), (0, others[word])):
                    row = {
                        "id": number,
                        "voice": voice,
                        "frequency": max(1, round(PER * frequencies[word])) if word in frequencies else 0,
                        "word": word if correct else "",
                        "phones": " ".join(phonemes),
                        "length": len(phonemes),
                        "correct": correct,
                    }
                    yield _Member("lexical", number, voice, espeak.in_brackets(phonemes), word if correct else "", tuple(row.items()))

    def _sentences(self) -> Iterator["_Member"]:
        for number, pair in enumerate(draw_sentence_pairs(self.sentences, draws.made(RECIPE, self.seed, 1))):
            for voice in SPEAKERS[: self.voices]:
                for correct, text in ((1, pair.right), (0, pair.wrong)):
                    row = {
                        "id": number,
                        "voice": voice,
                        "type": pair.type,
                        "subtype": pair.subtype,
                        "transcription": text,
                        "correct": correct,
                    }
                    yield _Member("syntactic", number, voice, text, text, tuple(row.items()))


@dataclass(frozen=True)
class _Member:
    """A recording of a pair."""

    part: str
    number: int
    """Of the pair."""
    voice: str
    spoken: str
    """What is given to the synthesizer."""
    text: str
    """What is said, as it is written; nothing, if it is no word."""
    row: tuple[tuple[str, object], ...]
    """Of `gold.csv`."""

    @property
    def name(self) -> str:
        """Of the file, which says nothing of which member is right."""
        drawn = draws.made(RECIPE, self.number, *f"{self.part} {self.voice} {self.spoken}".encode()).integers(2**32)
        return f"{self.part[:3]}-{self.voice}-{int(drawn):08x}"

    def record(self, folder: Path, seed: int) -> Item:
        """Speak it, in a mood and a room of the pair and the voice."""
        rng = draws.made(RECIPE, seed, 2, self.number, *f"{self.part} {self.voice}".encode())
        speech = speak(self.spoken, in_a_mood(VOICES[self.voice], rng))
        samples, lead = between_pauses(dry(speech), rng)
        samples = in_a_room(samples, rng)
        path = folder / self.part / "dev" / f"{self.name}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(flac(samples))
        duration, phones = len(samples) / SAMPLE_RATE, shifted(speech.phones, lead)
        pauses = Interval(0.0, phones[0].start, SILENCE), Interval(phones[-1].end, duration, SILENCE)
        return Item(
            f"{self.part}/dev/{self.name}",
            audio=path,
            duration=duration,
            sample_rate=SAMPLE_RATE,
            speaker=self.voice,
            language="en",
            text=self.text or None,
            phones=(pauses[0], *phones, pauses[1]),
        )


def _phonemes(words: Sequence[str]) -> dict[str, Phonemes]:
    return dict(zip(words, espeak.phonemes(words, ACCENT), strict=True))


def _drawn(words: Mapping[str, Phonemes], count: int, rng: np.random.Generator) -> dict[str, Phonemes]:
    """Draw words that are long enough.

    Raises:
        UserError: there are not so many.
    """
    known = [word for word, phonemes in words.items() if len(phonemes) >= SHORTEST]
    if count > len(known):
        msg = f"there are {len(known)} words of {SHORTEST} phonemes or more to draw {count} from: make fewer words"
        raise UserError(msg)
    return {word: words[word] for word in rng.permutation(known)[:count].tolist()}


def _table(rows: Sequence[dict[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
