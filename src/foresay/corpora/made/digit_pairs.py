"""Spoken digits with written ones: sounds and pictures of ten classes, of which no pair is like another.

Written are the 1,797 digits of 8 x 8 pixels that come with scikit-learn (E. Alpaydin and C. Kaynak, UCI, 1998). Spoken are those of the
Free Spoken Digit Dataset, of any manifest whose labels are digits, or, where none is given, those that eSpeak NG says in the voices of
the embedded corpus, which is synthetic speech.

Every clip is paired with a picture of its digit. The test has voices and pictures of its own: every fourth voice, a quarter of the
pictures.

    DESTINATION/train.jsonl  test.jsonl  manifest.jsonl (both)  corpus.toml  images/SPLIT/DIGIT-NUMBER.png  audio/ (of eSpeak's)
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

from foresay import draws
from foresay.audio.read import audio_info
from foresay.audio.voice import speak
from foresay.corpora.generated import MadeCorpus, Maker, make_once
from foresay.corpora.made.demo import VOICES
from foresay.corpora.made.recording import SAMPLE_RATE
from foresay.corpora.manifest import Item, Manifest
from foresay.corpora.reader import FoundItem
from foresay.corpora.readers.digits import WORDS, Digits
from foresay.errors import UserError
from foresay.extras import optional
from foresay.images.read import Pixels
from foresay.images.write import write_png
from foresay.progress import ProgressBar

RECIPE = 1
"""To be raised when the same seed shall give another corpus."""
SPLITS = ("train", "test")
TEST_EVERY = 4
"""Voices and pictures, of which one is for the test."""
DIGITS = tuple(map(str, range(10)))
DEPTH = 16
"""The brightest pixel of scikit-learn's."""


@dataclass(frozen=True)
class DigitPairs(Maker):
    """Pairs clips with pictures; no audio is copied. Needs the extras `images` and `eval`, or `demo`."""

    spoken: Path | None = None
    """Folder of the Free Spoken Digit Dataset, or a manifest of clips whose labels are 0 to 9. Default: eSpeak NG speaks."""
    seed: int = 0
    """Another number, other pairs."""
    takes: int = 10
    """How often each of 16 voices of eSpeak NG says each digit."""

    def make(self, destination: Path) -> MadeCorpus:
        """Make the corpus in a folder."""
        if self.takes < 1 or self.seed < 0:
            msg = f"takes={self.takes} must be 1 or more, and seed={self.seed} not below 0"
            raise UserError(msg)
        source: dict[str, str | int] = {"spoken": "eSpeak NG", "takes": self.takes}
        if self.spoken:
            source = {"spoken": str(self.spoken.absolute()), "digest": _digest(self.spoken)}
        description = {"name": "digit-pairs", "recipe": RECIPE, "seed": self.seed, **source}
        megabytes = 5 if self.spoken else 5 + 3 * self.takes
        return make_once(destination, "the digit pairs", description, SPLITS, lambda: self._record(destination), megabytes=megabytes)

    def _record(self, folder: Path) -> dict[str, list[Item]]:
        clips = _find(self.spoken) if self.spoken else _say(folder, self.takes, self.seed)
        if nameless := [clip.id for clip in clips if not clip.speaker]:
            msg = f"{len(nameless)} of {len(clips)} clips of {self.spoken} have no speaker (first: {nameless[0]}); the test takes others"
            raise UserError(msg)
        voices = sorted({clip.speaker or "" for clip in clips})
        unseen = voices[TEST_EVERY - 1 :: TEST_EVERY] or voices[-1:]
        if len(voices) == 1:
            msg = f"all clips of {self.spoken} are of one speaker ({voices[0]}), but the test takes another than the training: add one"
            raise UserError(msg)
        pictures = _write_pictures(folder, self.seed)
        parts = {split: [clip for clip in clips if (clip.speaker in unseen) == (split == "test")] for split in SPLITS}
        return {split: list(_paired(parts[split], pictures[split])) for split in SPLITS}


def _paired(clips: Sequence[Item], pictures: dict[str, list[Path]]) -> Iterator[Item]:
    """Give each clip the next picture of its digit; after the last comes the first."""
    used = dict.fromkeys(DIGITS, 0)
    for clip in clips:
        digit = str(clip.label)
        picture = pictures[digit][used[digit] % len(pictures[digit])]
        used[digit] += 1
        yield replace(clip, id=f"{clip.id}+{picture.stem}", image=picture)


def _find(spoken: Path) -> list[Item]:
    """Find clips that are there already."""
    if spoken.is_dir():
        found = [one.item for one in Digits().find(spoken) if isinstance(one, FoundItem)]
        readable = [(item, audio_info(item.audio)) for item in found if item.audio]
        clips = [replace(item, duration=info.frames / info.sample_rate, sample_rate=info.sample_rate) for item, info in readable]
    else:
        clips = [item for item in Manifest.open(spoken) if item.audio and item.label in DIGITS]
    if not clips:
        msg = f"{spoken} holds no spoken digits: it must have files DIGIT_SPEAKER_TAKE.wav, or be a manifest whose labels are 0 to 9"
        raise UserError(msg)
    return clips


def _digest(spoken: Path) -> str:
    """Return a digest that changes when other clips have come: of a manifest by its content, of a folder by names and sizes."""
    if spoken.is_file():
        return hashlib.sha256(spoken.read_bytes()).hexdigest()[:16]
    clips = [f"{file.name} {file.stat().st_size}" for file in sorted(spoken.rglob("*.wav"))]
    return hashlib.sha256("\n".join(clips).encode()).hexdigest()[:16]


def _say(folder: Path, takes: int, seed: int) -> list[Item]:
    """Let every voice say every digit, as many at a time as there are processors."""
    said = [(voice, digit, take) for voice in VOICES for digit in range(len(DIGITS)) for take in range(takes)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        recorded = pool.map(lambda one: _record(folder, one[0], one[1], one[2], seed), said)
        return list(ProgressBar(recorded, "speaking", "clip", total=len(said)))


def _record(folder: Path, name: str, digit: int, take: int, seed: int) -> Item:
    """Let a voice say a digit, never twice alike."""
    rng = draws.made(RECIPE, seed, *name.encode(), digit, take)
    voice = VOICES[name]
    rate, pitch, melody = round(voice.rate * rng.uniform(0.8, 1.2)), voice.pitch + int(rng.integers(-10, 11)), int(rng.integers(35, 66))
    speech = speak(WORDS[digit], replace(voice, rate=rate, pitch=pitch, melody=melody))
    samples = soxr.resample(speech.samples, speech.sample_rate, SAMPLE_RATE)
    path = folder / "audio" / name / f"{digit}_{name}_{take}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples * (10 ** (rng.uniform(-20, -3) / 20) / np.abs(samples).max()), SAMPLE_RATE, subtype="PCM_16")
    duration = len(samples) / SAMPLE_RATE
    return Item(path.stem, path, None, duration, SAMPLE_RATE, speaker=name, language="en", text=WORDS[digit], label=DIGITS[digit])


def _write_pictures(folder: Path, seed: int) -> dict[str, dict[str, list[Path]]]:
    """Write scikit-learn's digits: split -> digit -> files, shuffled."""
    pixels, labels = _written()
    order = draws.made(RECIPE, seed).permutation(len(labels))
    files: dict[str, dict[str, list[Path]]] = {split: {digit: [] for digit in DIGITS} for split in SPLITS}
    seen = dict.fromkeys(DIGITS, 0)
    for number in order.tolist():
        digit = labels[number]
        seen[digit] += 1
        split = SPLITS[seen[digit] % TEST_EVERY == 0]
        path = folder / "images" / split / f"{digit}-{number:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, pixels[number])
        files[split][digit].append(path)
    return files


def _written() -> tuple[Pixels, list[str]]:
    """Read the digits that come with scikit-learn: (1797, 8, 8, 3) grey, and which they are."""
    with optional("sklearn", "eval", "a corpus of written digits"):
        from sklearn.datasets import load_digits  # noqa: PLC0415 - an optional extra
    bunch = load_digits()
    grey = np.rint(bunch.images * (255 / DEPTH)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1), [DIGITS[label] for label in bunch.target.tolist()]
