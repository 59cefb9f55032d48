"""Pictures of bars with the sines that belong to them, in two classes: the pairs that multi-modal CPC was first tried on.

"Contrastive Predictive Coding for Audio & Images", Garg and Chandra, IIT Bombay 2025, page 9: "paired (audio, bars-image) data". It says no
more. Here the class of a picture is which way its bars run and how far they lie apart, and the sound is a sine of the same class, low or
high (`sines.py`); width, place, colors and noise are drawn for each picture.

    low     wide bars from left to right, a low sine             high    narrow bars from top to bottom, a high sine
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from foresay.corpora.generated import MadeCorpus, Maker, make_once
from foresay.corpora.made.sines import RECIPE, SAMPLE_RATE, classes, counted, write_sine
from foresay.corpora.manifest import Item
from foresay.images.read import Pixels
from foresay.images.write import write_png
from foresay.progress import ProgressBar

SIDE = 128
DARK, BRIGHT = (0.0, 90.0), (165.0, 255.0)
"""Of 255, for each of red, green and blue."""
GRAIN = 8.0
"""Standard deviation of the noise, of 255."""


class Bars(NamedTuple):
    """How the bars of a class lie."""

    axis: int
    """Along which brightness changes: 0 from top to bottom, 1 from left to right."""
    periods: tuple[float, float]
    """Pixels from one bar to the next, from and to."""


BARS = {"low": Bars(0, (24.0, 36.0)), "high": Bars(1, (8.0, 12.0))}


@dataclass(frozen=True)
class BarsWithSines(Maker):
    """Makes pairs, half of them of each class. Needs the extra `images`."""

    seed: int = 0
    """Another number, another corpus."""
    train: int = 1000
    """Pairs to learn from."""
    test: int = 200
    """Pairs to test on."""

    def make(self, destination: Path) -> MadeCorpus:
        """Make the corpus in a folder."""
        counts = counted(self.train, self.test, self.seed)
        description = {"name": "bars", "recipe": RECIPE, "seed": self.seed, **counts, "sample_rate": SAMPLE_RATE}

        def record() -> dict[str, list[Item]]:
            drawn = {split: ProgressBar(classes(split, count, self.seed), f"drawing {split}", "item") for split, count in counts.items()}
            return {
                split: [_write(destination, split, number, label, rng) for number, (label, rng) in enumerate(labels)]
                for split, labels in drawn.items()
            }

        return make_once(destination, "the bars", description, counts, record, megabytes=sum(counts.values()) // 12 + 1)


def draw_bars(label: str, rng: np.random.Generator) -> Pixels:
    """Draw bars of a class: (128, 128, 3)."""
    axis, periods = BARS[label]
    period, start = rng.uniform(*periods), rng.uniform()
    bright = (np.arange(SIDE) / period + start) % 1 < rng.uniform(0.4, 0.6)
    colors = np.stack([rng.uniform(*DARK, 3), rng.uniform(*BRIGHT, 3)])
    line = np.expand_dims(colors[bright.astype(int)], 1 - axis)  # of pixels across the bars
    noisy = np.broadcast_to(line, (SIDE, SIDE, 3)) + rng.normal(0, GRAIN, (SIDE, SIDE, 3))
    pixels: Pixels = np.clip(np.rint(noisy), 0, 255).astype(np.uint8)
    return pixels


def _write(folder: Path, split: str, number: int, label: str, rng: np.random.Generator) -> Item:
    sound = write_sine(folder, split, number, label, rng)
    path = folder / "images" / split / f"{label}-{number:05d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, draw_bars(label, rng))
    return Item(sound.id, sound.audio, path, sound.duration, sound.sample_rate, label=label)
