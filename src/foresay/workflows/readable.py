"""One recording that cannot be read does not end an evaluation: it is left out of all numbers, counted and listed.

Nobody reads a corpus twice for nothing. Only when a measure comes upon such a recording is everything read, and measured without what
cannot be: numbers of fewer recordings are those of another corpus, and are not mixed with those of the whole.
What is too short to hold a frame stays in the corpus, for it changes no number; it is counted and listed alike.
"""

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from foresay.corpora.manifest import Manifest
from foresay.encoding.recordings import SHORTEST
from foresay.errors import AudioError
from foresay.evaluation.measure import Corpora
from foresay.files import make_folder, read_text, write_list
from foresay.progress import ProgressBar
from foresay.results import Result

LEFT_OUT = "left-out.txt"
WORKERS = 4


def with_readable(corpora: Corpora, folders: Sequence[Path], measured: Callable[[Corpora], list[Result]]) -> list[Result]:
    """Measure corpora; where a recording turns out to be unreadable, those without all such, which `left-out.txt` in the folders lists.

    Raises:
        AudioError: something else than the corpora cannot be read, or none of their recordings can.
    """
    manifests = [manifest for manifest in (corpora.test, corpora.train, corpora.valid) if manifest]
    short = [f"{manifest.path}: {why}" for manifest in manifests for why in too_short(manifest)]
    try:
        results, faulty = measured(corpora), []
    except AudioError:
        faults = {manifest.path: unreadable(manifest) for manifest in manifests}
        if not any(faults.values()) or any(len(faults[manifest.path]) == len(manifest) for manifest in manifests):
            raise
        faulty = [f"{path}: {why}" for path, found in faults.items() for why in found.values()]
        parts = (corpora.test, corpora.train, corpora.valid)
        test, *others = (manifest and manifest.without(list(faults[manifest.path])) for manifest in parts)
        assert test is not None  # noqa: S101 - there always is one
        results = measured(Corpora(test, *others))
    lines = list(dict.fromkeys(faulty + short))
    if not lines:
        return results
    for folder in folders:
        _list(folder / LEFT_OUT, lines, [str(manifest.path) for manifest in manifests])
    where = f", listed in {folders[0] / LEFT_OUT}" if folders else ""
    reasons = (
        ("cannot be read are left out of all numbers", faulty),
        (f"last less than {SHORTEST} s, as a frame does, are left out of all numbers but ABX errors", short),
    )
    notes = [f"{len(some):,} recordings that {what}{where}; the first: {some[0]}" for what, some in reasons if some]
    return [_noted(result, len(lines), notes) for result in results]


def _list(path: Path, lines: Sequence[str], manifests: Sequence[str]) -> None:
    """Write what is left out of some manifests, beside what was of others."""
    make_folder(path.parent)
    there = read_text(path).splitlines() if path.exists() else []
    others = [line for line in there if not line.startswith(tuple(f"{manifest}: " for manifest in manifests))]
    write_list(path, [*others, *lines])


def too_short(manifest: Manifest) -> list[str]:
    """List the recordings in which no frame fits. (Images have no duration and are not checked.)"""
    places = np.flatnonzero((manifest.durations > 0) & (manifest.durations < SHORTEST)).tolist()
    return [f"{manifest.ids[place]}: it lasts {manifest.durations[place]:.4f} s, and a frame {SHORTEST} s" for place in places]


def unreadable(manifest: Manifest) -> dict[int, str]:
    """Read every recording: place -> why it cannot be read."""

    def fault(place: int) -> str | None:
        try:
            manifest.read(place, int(manifest.sample_rates[place]))
        except AudioError as error:
            return f"{manifest.ids[place]}: {error}"
        return None

    places = [place for place, duration in enumerate(manifest.durations) if duration > 0]
    with ThreadPoolExecutor(WORKERS) as pool:
        title = f"looking for what else cannot be read in {manifest.name}"
        found = list(ProgressBar(pool.map(fault, places), title, "recording", total=len(places)))
    return {place: why for place, why in zip(places, found, strict=True) if why}


def _noted(result: Result, count: int, notes: Sequence[str]) -> Result:
    note = "\n".join(filter(None, (result.details.get("note"), *notes)))
    return dataclasses.replace(result, details={**result.details, "left_out": count, "note": note})
