"""A language of tones: each letter is a sine of its own pitch, so that a line through a spectrogram recognizes it."""

from pathlib import Path

import numpy as np
import soundfile

from foresay.corpora.manifest import Item, write_manifest

RATE = 16_000
LETTERS = "abcd"
PITCHES = (400, 900, 1700, 3000)


def write_tones(path: Path, utterances: int, *, seed: int = 0, speakers: int = 2) -> Path:
    """Write recordings of ten letters of 80 to 160 ms each, no two neighbors alike, and their manifest with texts."""
    random = np.random.default_rng(seed)
    items = []
    for number in range(utterances):
        letters = [int(random.integers(len(LETTERS)))]
        while len(letters) < 10:
            letters.append((letters[-1] + int(random.integers(1, len(LETTERS)))) % len(LETTERS))
        parts = [np.sin(2 * np.pi * PITCHES[letter] * np.arange(int(random.integers(1280, 2560))) / RATE) for letter in letters]
        waveform = 0.3 * np.concatenate(parts) + 0.001 * random.normal(size=sum(map(len, parts)))
        audio = path.parent / "audio" / f"{path.stem}-{number}.wav"
        audio.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(audio, waveform, RATE)
        text = " ".join(LETTERS[letter] for letter in letters)
        name, speaker = f"{path.stem}-{number}", f"speaker {number % speakers}"
        items.append(Item(name, audio=audio, duration=len(waveform) / RATE, sample_rate=RATE, speaker=speaker, text=text))
    write_manifest(path, items)
    return path
