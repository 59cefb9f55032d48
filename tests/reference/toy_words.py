"""A spoken language of sixty words, in voices of its own: recordings of it, and of words beside non-words of the same pairs of sounds.

A sound is two sines, as formants are, of 50 to 110 ms, in noise; a voice shifts both. Whoever knows which sound follows which knows nothing
of words: every pair of sounds in a non-word, and how it begins, comes in words.
"""

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from foresay.corpora.manifest import Item, Manifest, write_manifest

RATE = 16_000
SOUNDS = [(low, high) for low in (300.0, 550.0, 900.0) for high in (1400.0, 2000.0, 2800.0, 3900.0)]
VOICES = (0.92, 1.0, 1.08)
COLUMNS = ("filename", "id", "voice", "frequency", "word", "phones", "length", "correct")

Word = tuple[int, ...]


def draw_words(count: int, random: np.random.Generator) -> list[Word]:
    """Draw different words of three to five sounds, no two alike in a row."""
    words: dict[Word, None] = {}
    while len(words) < count:
        sounds = random.integers(len(SOUNDS), size=random.integers(3, 6)).tolist()
        if all(one != other for one, other in itertools.pairwise(sounds)):
            words[tuple(sounds)] = None
    return list(words)


def draw_non_word(length: int, words: Sequence[Word], random: np.random.Generator) -> Word:
    """Draw a non-word that begins as a word does, and goes on from each sound as some word does."""
    after: dict[int, list[int]] = {}
    for word in words:
        for one, other in itertools.pairwise(word):
            after.setdefault(one, []).append(other)
    while True:
        sounds = [random.choice([word[0] for word in words])]
        while len(sounds) < length and sounds[-1] in after:
            sounds.append(random.choice(after[sounds[-1]]))
        drawn = tuple(map(int, sounds))
        if len(drawn) == length and drawn not in words:
            return drawn


def write_sentences(path: Path, words: Sequence[Word], count: int, random: np.random.Generator) -> Manifest:
    """Write recordings of four to eight words each, drawn alike, and their manifest."""
    items = []
    for number in range(count):
        said = [sound for word in random.choice(len(words), size=random.integers(4, 9)) for sound in words[word]]
        items.append(_record(path.parent / path.stem / f"{number}.flac", f"{path.stem}-{number}", said, number % len(VOICES), random))
    write_manifest(path, items)
    return Manifest.open(path)


def write_pairs(folder: Path, words: Sequence[Word], count: int, random: np.random.Generator) -> Manifest:
    """Write `count` words, each beside a non-word of as many sounds in the same voice, in the layout of ZeroSpeech 2021."""
    items, rows = [], []
    for number in range(count):
        word, voice = words[number % len(words)], number % len(VOICES)
        for correct, sounds in ((1, word), (0, draw_non_word(len(word), words, random))):
            name = f"{number}-{correct}"
            items.append(_record(folder / f"lexical/dev/{name}.flac", f"lexical/dev/{name}", sounds, voice, random))
            rows.append((name, number, voice, 1, "", " ".join(map(str, sounds)), len(sounds), correct))
    with (folder / "lexical/dev/gold.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    write_manifest(folder / "pairs.jsonl", items)
    return Manifest.open(folder / "pairs.jsonl")


def _record(path: Path, name: str, sounds: Sequence[int], voice: int, random: np.random.Generator) -> Item:
    waveform = np.concatenate([_sound(SOUNDS[sound], VOICES[voice], random) for sound in sounds])
    waveform += 0.002 * random.standard_normal(len(waveform))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, waveform, RATE)
    return Item(name, path, duration=len(waveform) / RATE, sample_rate=RATE, speaker=f"voice {voice}")


def _sound(sines: tuple[float, float], shift: float, random: np.random.Generator) -> NDArray[np.float64]:
    times = np.arange(random.integers(RATE // 20, RATE * 11 // 100)) / RATE
    wave: NDArray[np.float64] = sum(np.sin(2 * np.pi * shift * (sine * times + random.random())) for sine in sines)  # type: ignore[assignment]
    fade = np.minimum(1.0, np.minimum(times, times[::-1]) / 0.005)
    return 0.2 * fade * wave
