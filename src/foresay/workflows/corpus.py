"""Make, import, pack, check and describe corpora: from audio as it comes to manifests."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, combinations, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from foresay.audio.read import audio_info
from foresay.corpora.check import Report, check
from foresay.corpora.generated import MadeCorpus
from foresay.corpora.made.demo import EmbeddedCorpus
from foresay.corpora.manifest import UNKNOWN, Item, Manifest, write_manifest
from foresay.corpora.packing import Packed, pack
from foresay.corpora.reader import FoundItem, ItemPairs, Reader, Skipped, find_reader, write_skipped
from foresay.corpora.statistics import Statistics, describe
from foresay.corpora.utterances import ById, Times, Timetable, read_list
from foresay.errors import AudioError, UserError, at_least
from foresay.files import write_list
from foresay.locks import exclusive
from foresay.progress import ProgressBar

T = TypeVar("T")

SHORTEST = 0.03
"""Seconds: the receptive field of CPC's encoder."""
AHEAD = 512
"""Files handed to the threads at once."""
NO_TIMES = Times()
EXAMPLES = 3
NAMED = 24
SKIPPED = "skipped.tsv"
"""The file beside the manifests that lists what was skipped."""


@dataclass
class Imported:
    """What an import found."""

    manifests: dict[str, Statistics] = field(default_factory=dict)
    """`manifest`, which has everything, then each split."""
    pairs: dict[str, int] = field(default_factory=dict)
    """File of pairs beside the manifests, such as `test-trials.txt` -> how many."""
    skipped: list[Skipped] = field(default_factory=list)
    skipped_list: Path | None = None
    """File that lists them all, and whatever stands beside the corpus and was of no use: a path and a reason a line."""
    notes: list[str] = field(default_factory=list)
    """What one may want to know, a sentence each."""


def make_corpus(destination: str | Path, *, seed: int = 0, minutes: float = 40.0, voices: int = 12) -> MadeCorpus:
    """Make the embedded corpus, see `foresay.corpora.made.demo.EmbeddedCorpus`."""
    return EmbeddedCorpus(seed, minutes, voices).make(Path(destination))


def pack_corpus(manifests: str | Path | Sequence[str | Path], destination: str | Path, *, shard: str = "1GB") -> Packed:
    """Pack all that manifests name into tar files of about the size `shard`, see `foresay.corpora.packing.pack`."""
    paths = [manifests] if isinstance(manifests, str | Path) else manifests
    return pack(list(map(Path, paths)), Path(destination), _bytes(shard))


def _bytes(size: str) -> int:
    """Read a size.

    >>> [_bytes(size) for size in ("1GB", "1.5 MB", "64KiB", "4096")]
    [1000000000, 1500000, 65536, 4096]
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *([kmgt]?)(i?)b?", size.strip(), re.IGNORECASE)
    count = float(found[1]) * (1024 if found[3] else 1000) ** " kmgt".index(found[2].lower() or " ") if found else 0
    if count < 1:
        msg = f"a shard of {size!r}: give a size above 0, such as 1GB or 500MB"
        raise UserError(msg)
    return int(count)


def check_corpus(manifest: str | Path, workers: int = 4) -> Report:
    """Decode everything that a manifest names, and look at its labels."""
    at_least(1, workers=workers)
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

    Pictures that come packed become files. What cannot be used is skipped and reported. An earlier import is replaced, each manifest whole
    or not at all.

    Args:
        reader: a corpus such as `librispeech`, or a reader with options: `Timit(phones="timit39")`.
        source: the folder that the corpus was unpacked into.
        destination: the folder of the manifests, made if need be.
        times: where the times of phones and words, and texts, stand, if the corpus does not bring them along.
        splits: name -> file with one utterance id a line; they take the place of the corpus's own.
        workers: threads.

    Raises:
        UserError: an option does not fit, or there is nothing that can be used.
    """
    at_least(1, workers=workers)
    source, destination = Path(source), Path(destination)
    reader = find_reader(reader)() if isinstance(reader, str) else reader
    timetable = Timetable(times)
    lists = {_split_name(name): read_list(Path(path)) for name, path in (splits or {}).items()}
    imported = Imported()
    source = reader.unpack(source, destination)
    found = _some_of(reader.find(source), lambda: f"found no recordings of {type(reader).__name__} in {source}: was it unpacked there?")
    members: dict[str, set[str]] = {name: set() for name in lists}

    def items() -> Iterator[Item]:
        usable = _with_headers(found, imported.skipped, workers)
        example = ""
        for item, official, channels in ProgressBar(usable, f"importing {source.name}", "file", leave=True):
            for one in _items(item, timetable, channels):
                listed = [name for name, ids in lists.items() if ids.get(one.id) or ids.get(item.id)]
                for name in listed if lists else official:
                    members.setdefault(name, set()).add(one.id)
                example = example or one.id
                yield one
        _refuse_strangers([*timetable.sources, *lists.values()], example)

    everything = destination / "manifest.jsonl"
    usable = _some_of(items(), lambda: _nothing_usable(source, destination, imported.skipped))
    with exclusive(destination, "Wait until it has ended, or choose another folder"):
        write_manifest(everything, usable, phone_set=timetable.phone_set or reader.phone_set)
        manifests = _write_splits(Manifest.open(everything), members)
        imported.manifests = {name: describe(manifest) for name, manifest in manifests.items()}
        for pairs in () if lists else reader.beside(source, manifests):
            imported.pairs[pairs.name] = _write_pairs(pairs, destination, manifests, imported.skipped)
        imported.skipped_list = write_skipped(destination / SKIPPED, [*imported.skipped, *_unused(timetable, lists)])
    imported.notes += [*_notes(imported, destination, timetable, lists), *_shared(members, "items")]
    return imported


def _write_splits(everything: Manifest, members: Mapping[str, set[str]]) -> dict[str, Manifest]:
    """Write a manifest of each split; return all, and first that of everything."""
    manifests = {"manifest": everything}
    for name in sorted(members, key=lambda name: (_folder(name), not Path(name).name.startswith("train"), name)):
        path = everything.path.parent / f"{name}.jsonl"
        write_manifest(path, (item for item in everything if item.id in members[name]), phone_set=everything.phone_set)
        manifests[name] = Manifest.open(path)
    return manifests


def _folder(split: str) -> str:
    """Return the folder of a split: folds have one each.

    >>> _folder("fold1/train"), _folder("train")
    ('fold1', '')
    """
    return split.rpartition("/")[0]


def _write_pairs(pairs: ItemPairs, destination: Path, manifests: Mapping[str, Manifest], skipped: list[Skipped]) -> int:
    """Write the pairs of which both items can be used, and count them; note the others."""
    path = destination / pairs.name
    known = [set(manifests[name].ids) if name in manifests else set[str]() for name in pairs.splits]
    usable = [row for row in pairs.rows if row[-2] in known[0] and row[-1] in known[1]]
    if not usable:
        msg = f"none of the {len(pairs.rows)} pairs for {path.name} is of items that can be used: is its list of another corpus?"
        raise UserError(msg)
    write_list(path, map(" ".join, usable))
    lost = set(pairs.rows) - set(usable)
    skipped += [Skipped(path, f"the pair {' '.join(row)!r} has an item that cannot be used") for row in pairs.rows if row in lost]
    return len(usable)


def _items(item: Item, timetable: Timetable, channels: int) -> Iterator[Item]:
    """Give a recording its times and its text; where the times are those of its channels, make an item of each."""
    for side in timetable.sides(item.id, channels):
        channel = item.channel if side.channel is None else side.channel
        phones, words, name = side.phones or item.phones, side.words or item.words, item.id + side.name
        yield replace(item, id=name, channel=channel, phones=phones, words=words, text=timetable.text(name) or item.text)


def _refuse_strangers(sources: Iterable[ById[Any]], example: str) -> None:
    """A file of which no line was of any use is of another corpus, or is written another way: nobody wants what comes of it."""
    for source in sources:
        if len(source.unclaimed()) == len(source.names):
            named = ", ".join(map(repr, source.names[:EXAMPLES]))
            msg = (
                f"none of the {len(source.names)} utterances in {source.source} is in this corpus. There they are called {named}; here, "
                f"for example, {example!r}. Write ids of this corpus, whole or their last parts, one a line"
            )
            raise UserError(msg)


def _nothing_usable(source: Path, destination: Path, skipped: list[Skipped]) -> str:
    listed = write_skipped(destination.with_name(f"{destination.name}-{SKIPPED}"), skipped)  # the folder itself is not made
    return f"none of the {len(skipped)} files in {source} can be used. The first: {skipped[0].reason} All: {listed}"


def _unused(timetable: Timetable, lists: Mapping[str, ById[str]]) -> Iterator[Skipped]:
    """Report files beside the corpus that were not used."""
    yield from (Skipped(Path(path), reason) for path, reason in timetable.problems.items())
    for source in (*timetable.sources, *lists.values()):
        yield from (Skipped(source.source, f"utterance {name!r} is not in this corpus") for name in source.unclaimed())


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


class _Usable(NamedTuple):
    """A recording, or a picture, that was looked at."""

    item: Item
    splits: tuple[str, ...]
    channels: int


def _with_headers(found: Iterable[FoundItem | Skipped], skipped: list[Skipped], workers: int) -> Iterator[_Usable]:
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


def _look(found: FoundItem | Skipped) -> _Usable | Skipped:
    """Read a header; runs on a thread."""
    if isinstance(found, Skipped):
        return found
    item = found.item
    path = item.audio or item.image or Path()
    if not _is_text(f"{item.id} {path} {item.speaker}"):
        return Skipped(path, f"the name {str(path)!a} is not UTF-8, and cannot be written into a manifest: rename it")
    if item.audio is None:
        return _Usable(item, found.splits, 1)
    try:
        info = audio_info(path)
    except AudioError as error:
        return Skipped(path, str(error))
    whole = info.frames / info.sample_rate
    duration = item.duration or whole
    end = item.start + duration
    if duration < SHORTEST or end > whole:
        wrong = "less than the receptive field of a frame" if duration < SHORTEST else f"but {item.id} ends at {end:.3f} s"
        return Skipped(path, f"{path} lasts {whole:.3f} s, {wrong}")
    return _Usable(replace(item, duration=duration, sample_rate=info.sample_rate), found.splits, info.channels)


def _is_text(name: str) -> bool:
    """Whether a name can be written: on some disks names are bytes of an older encoding."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _notes(imported: Imported, destination: Path, timetable: Timetable, lists: Mapping[str, ById[str]]) -> Iterator[str]:
    """Say what one may want to know."""
    for source in (*timetable.sources, *lists.values()):
        if unclaimed := source.unclaimed():
            yield f"of the utterances in {source.source}, {_some(unclaimed)} are not in this corpus"
    if timetable.problems:
        yield f"utterances without the times that there are: {_some(list(timetable.problems.values()))}"
    if (
        "test" in imported.manifests
        and 0 < len(unseen := [name for name in imported.manifests["test"].speakers if name != UNKNOWN]) <= NAMED
    ):
        yield f"speakers in test: {', '.join(unseen)}"
    splits = {name: set(found.speakers) - {UNKNOWN} for name, found in imported.manifests.items() if name != "manifest"}
    yield from _shared(splits, "speakers")
    written = {f"{name}.jsonl" for name in imported.manifests}
    if stale := sorted(path.name for path in destination.glob("*.jsonl") if path.name not in written):
        yield f"manifests in {destination} that are not of this import, perhaps of an earlier one: {_some(stale)}"


def _shared(splits: Mapping[str, set[str]], what: str) -> Iterator[str]:
    """Say what is in two splits, unless they are of different folds."""
    for (one, these), (other, those) in combinations(splits.items(), 2):
        if _folder(one) == _folder(other) and (both := sorted(these & those)):
            yield f"{what} in both {one} and {other}: {_some(both)}"


def _some(things: list[str]) -> str:
    """Count, and name the first.

    >>> _some(["a", "b", "c", "d", "e"])
    '5 (a, b, c, …)'
    """
    return f"{len(things)} ({', '.join(things[:EXAMPLES])}{', …' if len(things) > EXAMPLES else ''})"
