"""Clicks: one at the start of every second, for the test of additions."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from foresay.corpora.generated import MadeCorpus, Maker, make_once
from foresay.corpora.manifest import Item

SAMPLE_RATE = 16_000


@dataclass(frozen=True)
class Clicks(Maker):
    """Makes clips of clicks."""

    seconds: int = 2
    """Of each clip."""

    def make(self, destination: Path) -> MadeCorpus:
        """Make the corpus in a folder."""
        description = {"name": "clicks", "seconds": self.seconds}
        return make_once(destination, "the clicks", description, ("train",), lambda: {"train": self._record(destination)}, megabytes=1)

    def _record(self, folder: Path) -> list[Item]:
        samples = np.zeros(self.seconds * SAMPLE_RATE)
        samples[::SAMPLE_RATE] = 0.5
        items = [Item(f"a-{n}", folder / "audio" / f"a-{n}.wav", duration=self.seconds, sample_rate=SAMPLE_RATE) for n in range(2)]
        (folder / "audio").mkdir()
        for item in items:
            soundfile.write(str(item.audio), samples, SAMPLE_RATE)
        return items
