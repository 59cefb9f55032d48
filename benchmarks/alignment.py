"""How far aligned times are from true ones: a recognizer of ours, by its prior, beside segments whose length is that of their label.

python benchmarks/alignment.py RUN MANIFEST      a manifest with texts and true times of words, or of phones for a recognizer of phones
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from foresay.corpora.manifest import Interval, Item, Manifest
from foresay.workflows.align_with import AlignmentSettings, align_corpus_with
from foresay.workflows.transcribe import load_recognizer

PRIORS = (0.0, 0.5, 1.0)
NEAR = 0.05
"""Seconds."""


def edges(intervals: Sequence[Interval]) -> npt.NDArray[np.float64]:
    """Put begins and ends into one row: (2 N,) seconds."""
    return np.array([edge for interval in intervals for edge in interval[:2]])


def uniform(item: Item, true: Sequence[Interval]) -> npt.NDArray[np.float64]:
    """Cut a recording into segments as long as their labels have letters: (2 N,) seconds."""
    cuts = np.cumsum([0, *(len(one.label) for one in true)])
    cuts = cuts / cuts[-1] * item.duration
    return np.stack([cuts[:-1], cuts[1:]], axis=1).ravel()


def report(name: str, errors: Sequence[npt.NDArray[np.float64]], left: int) -> None:
    """Print a row."""
    every = np.abs(np.concatenate(errors))
    print(f"{name:14}{1000 * every.mean():10.0f}{1000 * np.median(every):10.0f}{np.mean(every < NEAR):10.0%}{len(every):10,}{left:8}")


def main() -> None:
    """Align, and print mean and median |error| of begins and ends in ms, and the share within `NEAR`."""
    run, manifest = sys.argv[1:]
    recognizer = load_recognizer(run)
    tier = "phones" if recognizer.units == "phones" else "words"
    true = {item.id: item for item in Manifest.open(manifest) if getattr(item, tier)}
    print(f"{tier + ', ms':14}{'mean':>10}{'median':>10}{'< 50 ms':>10}{'edges':>10}{'none':>8}")
    compared: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        for prior in PRIORS:
            target = Path(folder) / f"{prior}.jsonl"
            done = align_corpus_with(recognizer, manifest, target, AlignmentSettings(prior))
            found = {item.id: getattr(item, tier) for item in Manifest.open(target) if item.id not in done.left}
            same = {name: times for name, times in found.items() if len(times) == len(getattr(true[name], tier))}
            compared |= same.keys()
            report(f"prior {prior:g}", [edges(times) - edges(getattr(true[name], tier)) for name, times in same.items()], len(done.left))
    report("uniform", [uniform(true[name], getattr(true[name], tier)) - edges(getattr(true[name], tier)) for name in compared], 0)


if __name__ == "__main__":
    main()
