"""The embedded corpus: English sentences in a dozen synthetic voices, with the times of all phones and words.

It is made, not downloaded: our grammar writes the sentences (`sentences.py`), eSpeak NG speaks them (`audio/voice.py`), and each is
put into a small room with some noise (`recording.py`). The same seed gives the same bytes on the same platform.

    DESTINATION/train.jsonl  valid.jsonl  test.jsonl  manifest.jsonl (all three)  corpus.toml  audio/VOICE/ID.flac (16 kHz)

The test has voices and sentences that neither train nor valid has; valid has voices of train and sentences of its own.
"""

import itertools
import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from foresay import draws
from foresay.audio import espeak
from foresay.audio.voice import PHONE_SET, SILENCE, Voice, speak
from foresay.corpora.generated import MadeCorpus, Maker, make_once
from foresay.corpora.made.recording import SAMPLE_RATE, between_pauses, dry, flac, in_a_mood, in_a_room, shifted
from foresay.corpora.made.sentences import draw_sentences
from foresay.corpora.manifest import Interval, Item
from foresay.errors import UserError
from foresay.progress import ProgressBar

RECIPE = 1  # to be raised when the same seed shall give another corpus

Split: TypeAlias = Literal["train", "valid", "test"]
SHARES: dict[Split, float] = {"train": 0.75, "valid": 0.10, "test": 0.15}

VOICES = {
    "us-leo": Voice("en-US", "m3", rate=165),
    "gb-ada": Voice("en", "f1", rate=160),
    "us-eve": Voice("en-US", "Andrea", rate=155, pitch=45),
    "us-sam": Voice("en-US", "m1", rate=170, pitch=60),
    "rp-hugo": Voice("en-GB-x-rp", "m7", rate=160, pitch=45),
    "us-kim": Voice("en-US", "shelby", rate=170),
    "gb-otto": Voice("en", "Mario", rate=150, pitch=60),
    "gb-fay": Voice("en", "Annie", rate=165),
    "la-tom": Voice("en-GB-x-gbclan", "m5", rate=175, pitch=70),
    "us-ida": Voice("en-US", "linda", rate=165, pitch=40),
    "rp-may": Voice("en-GB-x-rp", "aunty", rate=150),
    "us-abe": Voice("en-US", "rob", rate=160, pitch=40),
    "gb-jack": Voice("en", "m4", rate=175),
    "us-zoe": Voice("en-US", "belinda", rate=175),
    "rp-ed": Voice("en-GB-x-rp", "max", rate=165, pitch=75),
    "us-grace": Voice("en-US", "grandma", rate=155),
}
"""By the name of the speaker: us American, gb British, rp Received Pronunciation, la Lancaster."""
_TEST_EVERY = 4  # the fourth voice, the eighth, … are in the test split only
_VALID_SECONDS = 15.0  # a valid voice says at least as much: a group of negatives is eight windows of 1.28 s of one voice

_SHORTEST, _LONGEST = 2.0, 6.0  # s, an utterance

NOTE = """Synthetic speech: made by Foresay with eSpeak NG. It is for trials and demonstrations; results on it say little of real speech. \
eSpeak NG itself is licensed under the GPL, version 3 or later; no part of the program is in this folder."""


@dataclass(frozen=True)
class _Part:
    """What one voice says in one split."""

    split: Split
    speaker: str
    seconds: float
    sentences: list[str]
    """More than are needed."""


@dataclass(frozen=True)
class EmbeddedCorpus(Maker):
    """Lets a synthesizer speak. Needs the extra `demo`.

    To train on it with the usual windows each train voice should have 20 s: five minutes are enough for 12 voices.
    """

    seed: int = 0
    """Another number, another corpus."""
    minutes: float = 40.0
    """Minutes of speech in all; three quarters train, a tenth valid, the rest test."""
    voices: int = 12
    """How many voices speak, up to 16; a quarter of them are for the test only."""

    def make(self, destination: Path) -> MadeCorpus:
        """Make the corpus in a folder, with a progress bar."""
        seed, minutes, voices = self.seed, self.minutes, self.voices
        if not (0 < minutes < math.inf and seed >= 0 and 2 <= voices <= len(VOICES)):  # noqa: PLR2004 - one to learn from, one to test
            msg = f"minutes={minutes} must be above 0, seed={seed} not below it, voices={voices} from 2 to {len(VOICES)}"
            raise UserError(msg)
        return make_once(
            destination,
            "the embedded corpus",
            _describe(seed, minutes, voices),
            SHARES,
            lambda: _record_all(_plan(seed, minutes, voices), destination, seed),
            megabytes=round(1.5 * minutes),
            phone_set=PHONE_SET,
        )


def _describe(seed: int, minutes: float, voices: int) -> dict[str, Any]:
    return {
        "name": "demo",
        "recipe": RECIPE,
        "seed": seed,
        "minutes": float(minutes),
        "voices": voices,
        "sample_rate": SAMPLE_RATE,
        "phone_set": PHONE_SET,
        "engine": f"eSpeak NG {espeak.version()}",
        "note": NOTE,
    }


def _plan(seed: int, minutes: float, voices: int) -> list[_Part]:
    """Deal the seconds and the sentences, each to one part only, so that no sentence is in two splits."""
    names = list(VOICES)[:voices]
    test = names[_TEST_EVERY - 1 :: _TEST_EVERY] or names[-1:]
    known = [name for name in names if name not in test]
    seconds = {split: 60 * minutes * share for split, share in SHARES.items()}
    few = known[: max(1, int(seconds["valid"] // _VALID_SECONDS))]
    speakers: dict[Split, list[str]] = {"train": known, "valid": few, "test": test}
    shares = [(split, name, seconds[split] / len(speakers[split])) for split in SHARES for name in speakers[split]]
    counts = [int(share / _SHORTEST) + 10 for _, _, share in shares]  # enough were they all the shortest, and some left out
    sentences = iter(draw_sentences(sum(counts), draws.made(RECIPE, seed)))
    return [
        _Part(split, name, share, list(itertools.islice(sentences, count)))
        for (split, name, share), count in zip(shares, counts, strict=True)
    ]


def _record_all(parts: list[_Part], folder: Path, seed: int) -> dict[Split, list[Item]]:
    """Let the voices speak, as many at a time as there are processors: what each says depends on its part and the seed alone."""
    items: dict[Split, list[Item]] = {split: [] for split in SHARES}
    total = round(sum(part.seconds for part in parts))
    with ThreadPoolExecutor(os.cpu_count()) as pool, ProgressBar[int](what="speaking", unit="second", total=total, leave=True) as bar:
        recordings = pool.map(lambda i: _record(parts[i], folder, draws.made(RECIPE, seed, i), bar.update), range(len(parts)))
        for part, recorded in zip(parts, recordings, strict=True):
            items[part.split] += recorded
    return items


def _record(part: _Part, folder: Path, rng: np.random.Generator, progress: Callable[[int], object]) -> list[Item]:
    """Let one voice speak until its seconds are full."""
    place = folder / "audio" / part.speaker
    place.mkdir(parents=True, exist_ok=True)
    items: list[Item] = []
    spoken = 0.0
    for sentence in part.sentences:
        if spoken >= part.seconds:
            break
        speech = speak(sentence, in_a_mood(VOICES[part.speaker], rng))
        samples, lead = between_pauses(dry(speech), rng)
        samples = in_a_room(samples, rng)
        duration = len(samples) / SAMPLE_RATE
        if not _SHORTEST <= duration <= _LONGEST:
            continue
        name = f"{part.speaker}-{part.split}-{len(items):03d}"
        audio = place / f"{name}.flac"
        audio.write_bytes(flac(samples))
        phones = shifted(speech.phones, lead)
        pauses = Interval(0.0, phones[0].start, SILENCE), Interval(phones[-1].end, duration, SILENCE)
        items.append(
            Item(
                id=name,
                audio=audio,
                duration=duration,
                sample_rate=SAMPLE_RATE,
                speaker=part.speaker,
                language="en",
                text=sentence,
                phones=(pauses[0], *phones, pauses[1]),
                words=shifted(speech.words, lead),
            )
        )
        progress(int(spoken + duration) - int(spoken))
        spoken += duration
    return items
