"""One recording that cannot be read does not end an evaluation: it is left out of all numbers, counted and listed.

Nobody reads a corpus twice for nothing. Only when a measure comes upon such a recording is everything read, and measured without what
cannot be: numbers of fewer recordings are those of another corpus, and are not mixed with those of the whole.
"""

import dataclasses
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from foresay.corpora.manifest import Manifest
from foresay.errors import AudioError
from foresay.evaluation.measure import Corpora
from foresay.files import make_folder, write_list
from foresay.progress import ProgressBar
from foresay.results import Result

LEFT_OUT = "left-out.txt"
WORKERS = 4


def with_readable(corpora: Corpora, folders: Sequence[Path], measured: Callable[[Corpora], list[Result]]) -> list[Result]:
    """Measure corpora; where a recording turns out to be unreadable, those without all such, which `left-out.txt` in the folders lists.

    Raises:
        AudioError: something else than the corpora cannot be read, or none of their recordings can.
    """
    try:
        return measured(corpora)
    except AudioError:
        faults = {manifest.path: unreadable(manifest) for manifest in (corpora.test, corpora.train) if manifest}
        if not any(faults.values()) or any(len(faults[m.path]) == len(m) for m in (corpora.test, corpora.train) if m):
            raise
    lines = [f"{path}: {why}" for path, found in faults.items() for why in found.values()]
    for folder in folders:
        make_folder(folder)
        write_list(folder / LEFT_OUT, lines)
    test, train = (manifest and manifest.without(list(faults[manifest.path])) for manifest in (corpora.test, corpora.train))
    assert test is not None  # noqa: S101 - there always is one
    where = f", listed in {folders[0] / LEFT_OUT}" if folders else ""
    note = f"{len(lines):,} recordings that cannot be read are left out of all numbers{where}; the first: {lines[0]}"
    return [_noted(result, len(lines), note) for result in measured(Corpora(test, train))]


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


def _noted(result: Result, count: int, note: str) -> Result:
    notes = "\n".join(filter(None, (result.details.get("note"), note)))
    return dataclasses.replace(result, details={**result.details, "left_out": count, "note": notes})
