"""Sines of two classes, low and high, in noise: the audio that multi-modal CPC was first tried on.

"Contrastive Predictive Coding for Audio & Images", Garg and Chandra, IIT Bombay 2025, page 7: "Synthetic sine waves", colored by "frequency
class". It says no more. Here a class is an octave of frequencies; frequency (all pitches equally likely), phase, loudness and the noise
below it are drawn for each clip, and nothing changes while it lasts.

    DESTINATION/train.jsonl  test.jsonl  manifest.jsonl (both)  corpus.toml  audio/SPLIT/ID.wav
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from foresay import draws
from foresay.audio.read import Waveform
from foresay.corpora.generated import MadeCorpus, Maker, make_once
from foresay.corpora.manifest import Item
from foresay.errors import UserError
from foresay.progress import ProgressBar

RECIPE = 1
"""To be raised when the same seed shall give another corpus."""
SAMPLE_RATE = 16_000
SECONDS = 1.0
BANDS = {"low": (200.0, 400.0), "high": (800.0, 1600.0)}
"""Class -> Hz, from and to."""
LEVEL = -30.0, -6.0
"""dB: of the sine's peak, against full scale."""
NOISE = 10.0, 30.0
"""dB that white noise lies below the sine."""


@dataclass(frozen=True)
class Sines(Maker):
    """Makes clips of a second, half of them of each class."""

    seed: int = 0
    """Another number, another corpus."""
    train: int = 1000
    """Clips of a second to learn from."""
    test: int = 200
    """Clips to test on."""

    def make(self, destination: Path) -> MadeCorpus:
        """Make the corpus in a folder."""
        counts = counted(self.train, self.test, self.seed)
        description = {"name": "sines", "recipe": RECIPE, "seed": self.seed, **counts, "sample_rate": SAMPLE_RATE}

        def record() -> dict[str, list[Item]]:
            drawn = {split: ProgressBar(classes(split, count, self.seed), f"drawing {split}", "item") for split, count in counts.items()}
            return {
                split: [write_sine(destination, split, number, label, rng) for number, (label, rng) in enumerate(labels)]
                for split, labels in drawn.items()
            }

        return make_once(destination, "the sines", description, counts, record, megabytes=sum(counts.values()) // 30 + 1)


def draw_sine(label: str, rng: np.random.Generator) -> Waveform:
    """Draw a sine of a class: (S,)."""
    lowest, highest = np.log(BANDS[label])
    frequency, phase = np.exp(rng.uniform(lowest, highest)), rng.uniform(0, 2 * np.pi)
    amplitude, noise = 10 ** (rng.uniform(*LEVEL) / 20), 10 ** (-rng.uniform(*NOISE) / 20)
    time = np.arange(round(SECONDS * SAMPLE_RATE)) / SAMPLE_RATE
    clean = np.sin(2 * np.pi * frequency * time + phase)
    noisy: Waveform = (amplitude * (clean + noise * rng.standard_normal(len(time)) / np.sqrt(2))).astype(np.float32)
    return noisy


def write_sine(folder: Path, split: str, number: int, label: str, rng: np.random.Generator) -> Item:
    """Write a sine of a class to the audio of a corpus."""
    path = folder / "audio" / split / f"{label}-{number:05d}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = draw_sine(label, rng)
    soundfile.write(path, np.clip(samples, -1, 1), SAMPLE_RATE, subtype="PCM_16")
    return Item(f"{split}-{path.stem}", audio=path, duration=len(samples) / SAMPLE_RATE, sample_rate=SAMPLE_RATE, label=label)


def counted(train: int, test: int, seed: int) -> dict[str, int]:
    """Check how many there shall be: split -> items.

    Raises:
        UserError: that would be less than one of each class, or the seed is negative.
    """
    if min(train, test) < len(BANDS) or seed < 0:
        msg = f"train={train} and test={test} must be {len(BANDS)} or more, one of each class, and seed={seed} not below 0"
        raise UserError(msg)
    return {"train": train, "test": test}


def classes(split: str, count: int, seed: int) -> list[tuple[str, np.random.Generator]]:
    """Give the items of a split their classes, in turn, and each its own random numbers."""
    return [(tuple(BANDS)[n % len(BANDS)], draws.made(RECIPE, seed, *split.encode(), n)) for n in range(count)]
