"""What is in a corpus, in numbers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from foresay.corpora.manifest import Manifest


class Spread(NamedTuple):
    """The least, the middle and the most."""

    least: float
    median: float
    most: float


@dataclass(frozen=True)
class Statistics:
    """A corpus in numbers."""

    path: Path
    name: str
    items: int
    hours: float
    speakers: tuple[str, ...]
    minutes_per_speaker: Spread
    seconds_per_item: Spread
    sample_rates: Mapping[int, int]
    """Hz -> items."""
    languages: Mapping[str, int]
    """Language -> items."""
    labels: Mapping[str, int]
    """Label -> items."""
    transcribed: int
    """Items with a text."""
    with_phones: int
    """Items with phone times."""
    with_words: int
    with_turns: int
    """Items with who speaks when."""
    phone_set: str | None
    phones: Mapping[str, int]
    """Phone -> number of occurrences, the most frequent first."""
    phone_seconds: Mapping[str, float]
    """Phone -> its total duration."""

    @property
    def milliseconds_per_phone(self) -> float:
        """The mean length of a phone; 0 where there are none."""
        return 1000 * sum(self.phone_seconds.values()) / max(sum(self.phones.values()), 1)


def describe(manifest: Manifest) -> Statistics:
    """Count what is in a manifest. Reads every line, and no audio."""
    languages, labels, phones = Counter[str](), Counter[str](), Counter[str]()
    seconds: dict[str, float] = {}
    transcribed = with_phones = with_words = with_turns = 0
    for item in manifest:
        transcribed += item.text is not None
        with_phones += item.phones is not None
        with_words += item.words is not None
        with_turns += item.turns is not None
        languages.update([item.language] if item.language else [])
        labels.update([item.label] if item.label else [])
        for phone in item.phones or ():
            phones[phone.label] += 1
            seconds[phone.label] = seconds.get(phone.label, 0.0) + phone.end - phone.start
    rates, counts = np.unique(manifest.sample_rates[manifest.sample_rates > 0], return_counts=True)
    return Statistics(
        path=manifest.path,
        name=manifest.name,
        items=len(manifest),
        hours=float(manifest.durations.sum()) / 3600,
        speakers=manifest.speakers,
        minutes_per_speaker=_spread(np.bincount(manifest.speaker_codes, weights=manifest.durations) / 60),
        seconds_per_item=_spread(manifest.durations),
        sample_rates=dict(zip(rates.tolist(), counts.tolist(), strict=True)),
        languages=dict(languages.most_common()),
        labels=dict(sorted(labels.items())),
        transcribed=transcribed,
        with_phones=with_phones,
        with_words=with_words,
        with_turns=with_turns,
        phone_set=manifest.phone_set,
        phones=dict(phones.most_common()),
        phone_seconds=seconds,
    )


def _spread(values: npt.NDArray[np.float64]) -> Spread:
    return Spread(float(values.min()), float(np.median(values)), float(values.max()))
