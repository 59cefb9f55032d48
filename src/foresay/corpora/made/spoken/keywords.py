"""Keywords as in Speech Commands: ten to be found, other words, and silence (ks). All clips last the same."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from foresay.audio.read import Waveform
from foresay.corpora.made.recording import SAMPLE_RATE, empty_room
from foresay.corpora.made.spoken.clips import SPLITS, Clip, Split, SpokenClip, dealt, several, speakers_of
from foresay.corpora.manifest import Item

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = re.findall(r"\w+", "zero one two three four five six seven eight nine bed bird cat dog happy house sheila tree wow marvin")
UNKNOWN, SILENCE = "_unknown_", "_silence_"

COUNTS: dict[Split, int] = {"train": 18, "valid": 6, "test": 10}
"""Of a class."""
SECONDS = 0.8


@dataclass(frozen=True)
class Silence(Clip):
    """Nobody speaks."""

    def record(self, rng: np.random.Generator) -> tuple[Waveform, Item]:
        """Record the noise."""
        return empty_room(round(SECONDS * SAMPLE_RATE), rng), Item(self.id, label=SILENCE)


def plan(scale: float, rng: np.random.Generator) -> Iterator[Clip]:
    """Plan as many clips of each class, by speakers of the split in turn."""
    for split in SPLITS:
        speakers, others = dealt(speakers_of(split), rng), dealt(OTHERS, rng)
        for label in (*KEYWORDS, UNKNOWN, SILENCE):
            for number in range(several(COUNTS[split], scale)):
                name, manifests = f"ks-{split}-{label.strip('_')}-{number:02d}", (f"ks/{split}",)
                if label == SILENCE:
                    yield Silence(name, "ks", manifests)
                else:
                    word = next(others) if label == UNKNOWN else label
                    yield SpokenClip(name, "ks", manifests, next(speakers), word, label, seconds=SECONDS)
