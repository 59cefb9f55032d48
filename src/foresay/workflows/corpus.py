"""Make, import, check and describe corpora: from audio as it comes to manifests."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, combinations, islice
from pathlib import Path
from typing import TypeVar

from foresay.audio.read import audio_info
from foresay.corpora.check import Report, check
from foresay.corpora.demo import make_demo_corpus
from foresay.corpora.generated import MadeCorpus
from foresay.corpora.manifest import UNKNOWN, Item, Manifest, write_manifest
from foresay.corpora.reader import Found, Reader, Skipped, find_reader
from foresay.corpora.statistics import Statistics, describe
from foresay.corpora.utterances import ById, Times, Timetable, read_list
from foresay.errors import AudioError, UserError
from foresay.progress import ProgressBar

T = TypeVar("T")

SHORTEST = 0.03
"""Seconds: what one frame of CPC sees."""
AHEAD = 512
"""Files handed to the threads at once."""
NO_TIMES = Times()
EXAMPLES = 3
NAMED = 24


@dataclass
class Imported:
    """What an import found."""

    manifests: dict[str, Statistics] = field(default_factory=dict)
    """`manifest`, which has everything, then each split."""
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What one may want to know, a sentence each."""


def make_corpus(destination: str | Path, *, seed: int = 0, minutes: float = 40.0, voices: int = 12) -> MadeCorpus:
    """Make the embedded corpus, see `foresay.corpora.demo.make_demo_corpus`."""
    return make_demo_corpus(Path(destination), seed=seed, minutes=minutes, voices=voices)


def check_corpus(manifest: str | Path, workers: int = 4) -> Report:
    """Decode everything that a manifest names, and look at its labels."""
    return check(Manifest.open(manifest), workers)


def corpus_stats(manifest: str | Path) -> Statistics:
    """Count what is in a manifest."""
    return describe(Manifest.open(manifest))


def import_corpus(
    reader: str | Reader,
    source: str | Path,
    destination: str | Path,
    *,
    times: Times = NO_TIMES,
    splits: Mapping[str, str | Path] | None = None,
    workers: int = 8,
) -> Imported:
    """Write `destination/manifest.jsonl`, and a manifest for each split. No audio is copied; of each file only the header is read.

    Pictures that come packed become files. What cannot be used is skipped and told of. An earlier import is replaced, each manifest whole
    or not at all.

    Args:
        reader: a corpus such as `librispeech`, or a reader with options: `Timit(phones="timit39")`.
        source: the folder that the corpus was unpacked into.
        destination: the folder of the manifests, made if need be.
        times: where the times of phones and words stand, if the corpus does not bring them along.
        splits: name -> file with one utterance id a line; they take the place of the corpus's own.
        workers: threads.

    Raises:
        UserError: an option does not fit, or there is nothing that can be used.
    """
    source, destination = Path(source), Path(destination)
    reader = find_reader(reader)() if isinstance(reader, str) else reader
    timetable = Timetable(times)
    lists = {_split_name(name): read_list(Path(path)) for name, path in (splits or {}).items()}
    imported = Imported()
    source = reader.unpack(source, destination)
    found = _some_of(reader.find(source), lambda: f"found no recordings of {type(reader).__name__} in {source}: was it unpacked there?")
    members: dict[str, set[str]] = {name: set() for name in lists}

    def nothing_usable() -> str:
        return f"none of the {len(imported.skipped)} files in {source} can be used. The first: {imported.skipped[0].reason}"

    def items() -> Iterator[Item]:
        usable = _with_headers(found, imported.skipped, workers)
        for item, official in ProgressBar(usable, f"importing {source.name}", "file", leave=True):
            for name in [name for name, ids in lists.items() if ids.get(item.id)] if lists else official:
                members.setdefault(name, set()).add(item.id)
            yield replace(item, phones=timetable.phones(item.id) or item.phones, words=timetable.words(item.id) or item.words)

    everything = destination / "manifest.jsonl"
    write_manifest(everything, _some_of(items(), nothing_usable), phone_set=timetable.phone_set or reader.phone_set)
    manifest = Manifest.open(everything)
    imported.manifests["manifest"] = describe(manifest)
    for name in sorted(members, key=lambda name: (not name.startswith("train"), name)):
        path = destination / f"{name}.jsonl"
        write_manifest(path, (item for item in manifest if item.id in members[name]), phone_set=manifest.phone_set)
        imported.manifests[name] = describe(Manifest.open(path))
    imported.notes += _notes(imported, destination, timetable, lists)
    return imported


def _split_name(name: str) -> str:
    if re.fullmatch(r"[\w-][\w.-]*", name) and name != "manifest":
        return name
    msg = f"a split cannot be called {name!r}: it becomes the file NAME.jsonl beside manifest.jsonl; such as train, valid or test"
    raise UserError(msg)


def _some_of(things: Iterator[T], message: Callable[[], str]) -> Iterator[T]:
    """Make sure, before anything is written, that there is one."""
    first = next(things, None)
    if first is None:
        raise UserError(message())
    return chain([first], things)


def _with_headers(found: Iterable[Found | Skipped], skipped: list[Skipped], workers: int) -> Iterator[Found]:
    """Add duration and sample rate, on threads; leave out what cannot be used."""
    recordings = iter(found)
    ids: set[str] = set()
    with ThreadPoolExecutor(workers) as pool:
        while ahead := list(islice(recordings, AHEAD)):
            for seen in pool.map(_look, ahead):
                if isinstance(seen, Skipped):
                    skipped.append(seen)
                elif seen.item.id in ids:
                    skipped.append(Skipped(seen.item.audio or Path(), f"another file was given the id {seen.item.id} already"))
                else:
                    ids.add(seen.item.id)
                    yield seen


def _look(found: Found | Skipped) -> Found | Skipped:
    """Read a header; runs on a thread."""
    if isinstance(found, Skipped) or found.item.audio is None:
        return found
    path = found.item.audio
    try:
        info = audio_info(path)
    except AudioError as error:
        return Skipped(path, str(error))
    duration = info.frames / info.sample_rate
    if duration < SHORTEST:
        return Skipped(path, f"{path} lasts {duration:.3f} s, less than one frame sees")
    return found._replace(item=replace(found.item, duration=duration, sample_rate=info.sample_rate))


def _notes(imported: Imported, destination: Path, timetable: Timetable, lists: Mapping[str, ById[str]]) -> Iterator[str]:
    """Say what one may want to know."""
    for source in (*timetable.sources, *lists.values()):
        if unclaimed := source.unclaimed():
            yield f"of the utterances in {source.source}, {_some(unclaimed)} are not in this corpus"
    if timetable.problems:
        yield f"TextGrids without phones: {_some(list(timetable.problems.values()))}"
    if (
        "test" in imported.manifests
        and 0 < len(unseen := [name for name in imported.manifests["test"].speakers if name != UNKNOWN]) <= NAMED
    ):
        yield f"speakers in test: {', '.join(unseen)}"
    splits = {name: set(found.speakers) - {UNKNOWN} for name, found in imported.manifests.items() if name != "manifest"}
    for (one, these), (other, those) in combinations(splits.items(), 2):
        if both := sorted(these & those):
            yield f"speakers in both {one} and {other}: {_some(both)}"
    written = {f"{name}.jsonl" for name in imported.manifests}
    if stale := sorted(path.name for path in destination.glob("*.jsonl") if path.name not in written):
        yield f"manifests in {destination} that are not of this import, perhaps of an earlier one: {_some(stale)}"


def _some(things: list[str]) -> str:
    """Count, and name the first.

    >>> _some(["a", "b", "c", "d", "e"])
    '5 (a, b, c, …)'
    """
    return f"{len(things)} ({', '.join(things[:EXAMPLES])}{', …' if len(things) > EXAMPLES else ''})"
