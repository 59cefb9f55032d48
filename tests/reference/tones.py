"""A language of tones: each letter is a sine of its own pitch, so that a line through a spectrogram recognizes it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import soundfile

from foresay.corpora.manifest import Interval, Item, Manifest, write_manifest
from foresay.workflows.train import run_recipe

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


def write_words(path: Path, utterances: int, *, seed: int = 0) -> Path:
    """Write recordings of four words of two tones, with 100 ms of silence between, and their manifest with texts and times."""
    random = np.random.default_rng(seed)
    items = []
    for number in range(utterances):
        parts, words, time = [], [], 0.0
        for _ in range(4):
            first = int(random.integers(len(LETTERS)))
            pair = (first, (first + int(random.integers(1, len(LETTERS)))) % len(LETTERS))
            sizes = random.integers(1600, 3200, size=2)
            parts += [np.sin(2 * np.pi * PITCHES[tone] * np.arange(size) / RATE) for tone, size in zip(pair, sizes, strict=True)]
            parts.append(np.zeros(RATE // 10))
            end = time + float(sizes.sum()) / RATE
            words.append(Interval(time, end, "".join(LETTERS[tone] for tone in pair)))
            time = end + 0.1
        waveform = 0.3 * np.concatenate(parts[:-1])
        audio = path.parent / "audio" / f"{path.stem}-{number}.wav"
        audio.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(audio, waveform + 0.001 * random.normal(size=len(waveform)), RATE)
        text = " ".join(word.label for word in words)
        length = len(waveform) / RATE
        items.append(Item(f"{path.stem}-{number}", audio=audio, duration=length, sample_rate=RATE, text=text, words=tuple(words)))
    write_manifest(path, items)
    return path


def surround_by_silence(path: Path, seconds: float = 0.2) -> Path:
    """Let recordings begin and end with silence, as any do."""
    items = []
    for item in Manifest.open(path):
        assert item.audio is not None
        waveform, rate = soundfile.read(item.audio)
        noise = 0.001 * np.random.default_rng(0).normal(size=2 * (pad := round(seconds * rate)))
        soundfile.write(item.audio, np.concatenate([noise[:pad], waveform, noise[pad:]]), rate)
        moved = tuple(Interval(word.start + seconds, word.end + seconds, word.label) for word in item.words or ())
        items.append(replace(item, duration=item.duration + 2 * seconds, words=moved))
    write_manifest(path, items)
    return path


RECIPE = """\
[model]
name = "ctc"
freeze_updates = 0
mask_probability = 0.0
channel_probability = 0.0
[data]
sampler = "transcripts"
seconds = 12
shortest = 0.3
[optimizer]
lr = 0.1
[trainer]
steps = 200
[parts]
encoder = "logmel"
"""


def train_recognizer(corpus: Path, *overrides: str) -> Path:
    """Train a line through a spectrogram on a corpus of tones, into a run beside it."""
    (corpus.parent / "recipe.toml").write_text(RECIPE)
    run_recipe("finetune", corpus.parent / "recipe.toml", corpus, corpus.parent / "run", overrides=overrides)
    return corpus.parent / "run"
