"""Pack a corpus: many files become few shards, which are faster to copy, to list and to open.

    DESTINATION/shard-00000-5c0e81d2f0a94b17.tar  shard-00001-….tar  …  pack.toml  NAME.jsonl, of each manifest  skipped.txt, if any was

A shard is a tar file of the files as they are, in the order of the manifests, each once however many items are parts of it. The manifests
say the same as before, but their paths point into shards (`foresay.shards`). The same files give the same bytes. Whoever was stopped gives
the same command again: shards that are whole stay.
"""

import hashlib
import os
import re
import shutil
import stat
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

from foresay.audio.sound import ONLY_NAMED
from foresay.corpora.item import Item
from foresay.corpora.manifest import Manifest, write_manifest
from foresay.errors import UserError
from foresay.files import UNFINISHED, finished, read_text, write_list, write_text
from foresay.locks import exclusive
from foresay.progress import ProgressBar
from foresay.settings import Table, read_toml, write_toml
from foresay.shards import BLOCK, DIGEST, ShardFile, ShardPart, open_part, part_of, pointer

ABOUT, SKIPPED = "pack.toml", "skipped.txt"
FORMAT = 1
END = bytes(2 * BLOCK)
PIECE = 1 << 20
MEGABYTE = 10**6
LONGEST_NAME, LONGEST_ENDING = 60, 12


@dataclass
class Packed:
    """What was packed."""

    manifests: list[Path]
    shards: list[Path]
    bytes: int
    """Of all shards."""
    reused: int
    """Shards that were there already."""
    skipped: list[str]
    """Items that were left out, `id: reason`."""


class _Source(NamedTuple):
    """A file that is packed."""

    path: Path
    name: str
    """What it is called in its shard."""
    size: int
    changed: int
    """When, in ns."""

    @property
    def room(self) -> int:
        """Bytes that it takes in a shard."""
        return BLOCK + self.size + -self.size % BLOCK


class _Plan:
    """What goes where: shards are filled in order, a file that is larger than a shard has one for itself."""

    def __init__(self, shard_bytes: int) -> None:
        self.shard_bytes = shard_bytes
        self.shards: list[list[_Source]] = []
        self.sizes: list[int] = []
        """Bytes of each shard."""
        self.places: dict[str, tuple[int, int, int] | str] = {}
        """Path -> number of its shard, offset, length; or why it cannot be packed."""
        self.count = 0

    def add(self, path: Path) -> None:
        """Give a file its place, if it has none yet."""
        key = os.path.normpath(path)
        if key in self.places:
            return
        try:
            with _open(path) as (file, name):
                state, size = os.fstat(file.fileno()), _length(file)
        except (OSError, ValueError, UserError) as error:
            self.places[key] = f"{path}: {getattr(error, 'strerror', None) or error}"
            return
        source = _Source(path, _name(self.count, name), size, state.st_mtime_ns)
        self.count += 1
        if not self.shards or self.sizes[-1] + source.room > self.shard_bytes:
            self.shards.append([])
            self.sizes.append(len(END))
        self.places[key] = len(self.shards) - 1, self.sizes[-1] - len(END) + BLOCK, size
        self.shards[-1].append(source)
        self.sizes[-1] += source.room

    def place(self, path: Path | None) -> tuple[int, int, int] | str | None:
        """Return where a file goes, or why it cannot be packed."""
        return None if path is None else self.places[os.path.normpath(path)]


def pack(manifests: Sequence[Path], destination: Path, shard_bytes: int) -> Packed:
    """Pack all that manifests name into shards of about `shard_bytes`, and write each manifest anew, all into the folder `destination`.

    Raises:
        UserError: there is nothing to pack, the folder holds something else, manifests have the same name, or a file changed meanwhile.
    """
    opened = [Manifest.open(path) for path in manifests]
    names = [manifest.path.name for manifest in opened]
    if len(set(names)) < len(names):
        msg = f"of the manifests {', '.join(names)} two have the same name, and would become one file: rename one, or pack it elsewhere"
        raise UserError(msg)
    plan = _Plan(shard_bytes)
    items = (item for manifest in opened for item in manifest)
    for item in ProgressBar(items, "looking at files", "item", total=sum(map(len, opened))):
        for path in (item.audio, item.image):
            if path is not None:
                plan.add(path)
    skipped = [f"{item.id}: {reason}" for manifest in opened for item in manifest if (reason := _unusable(plan, item))]
    if not plan.shards:
        msg = f"nothing of {', '.join(names)} can be packed{'. The first: ' + skipped[0] if skipped else ': there are no items'}"
        raise UserError(msg)
    with exclusive(destination, "Wait until it has ended, or name another folder"):
        about = _begin(plan, opened, destination)
        shards, reused = _write_shards(plan, destination)
        for manifest in opened:
            kept = (item for item in manifest if not _unusable(plan, item))
            moved = (replace(item, audio=_moved(plan, shards, item.audio), image=_moved(plan, shards, item.image)) for item in kept)
            write_manifest(destination / manifest.path.name, moved, phone_set=manifest.phone_set)
        if skipped:
            write_list(destination / SKIPPED, skipped)
        write_text(destination / ABOUT, write_toml({**about, "complete": True}))
    return Packed([destination / name for name in names], shards, sum(plan.sizes), reused, skipped)


def _unusable(plan: _Plan, item: Item) -> str | None:
    places = (plan.place(item.audio), plan.place(item.image))
    return next((place for place in places if isinstance(place, str)), None)


def _moved(plan: _Plan, shards: Sequence[Path], path: Path | None) -> Path | None:
    """Point into the shard that a file is in."""
    place = plan.place(path)
    return pointer(ShardPart(shards[place[0]], place[1], place[2])) if isinstance(place, tuple) else None


def _begin(plan: _Plan, manifests: Sequence[Manifest], folder: Path) -> Table:
    """Make sure that the folder holds nothing, or part of the same; say in it what it is going to hold."""
    made = hashlib.sha256(repr([(manifest.path.name, manifest.digest) for manifest in manifests]).encode())
    for shard in plan.shards:
        made.update(repr([source[1:3] for source in shard]).encode())
    about: Table = {"format": FORMAT, "shards": len(plan.shards), "files": plan.count, "fingerprint": made.hexdigest()[:32]}
    file = folder / ABOUT
    there = read_toml(read_text(file), str(file)) if file.is_file() else {}
    if {**there, "complete": False} == {**about, "complete": False}:
        return about
    if finished(folder.iterdir()):
        what = "another pack (of other files, or with another --shard)" if there else "something else"
        msg = f"{folder} holds {what}, which would be mixed with this one: name a new or an empty folder, or delete it"
        raise UserError(msg)
    write_text(file, write_toml({**about, "complete": False}))
    return about


def _write_shards(plan: _Plan, folder: Path) -> tuple[list[Path], int]:
    """Write the shards that are not there yet; return all, and how many were there."""
    there: dict[str, list[Path]] = {}
    for path in finished(folder.glob("shard-*.tar")):
        there.setdefault(path.name.split("-")[1], []).append(path)
    found = [_whole(there.get(f"{number:05}", []), *shard) for number, shard in enumerate(zip(plan.shards, plan.sizes, strict=True))]
    needed = sum(size for size, old in zip(plan.sizes, found, strict=True) if old is None)
    if (free := shutil.disk_usage(folder).free) < needed:
        msg = f"the shards need {needed / 1e9:,.1f} GB more, and {free / 1e9:,.1f} GB are free at {folder}: make room, or pack elsewhere"
        raise UserError(msg)
    shards = []
    with ProgressBar[int](what="packing", unit="MB", total=needed // MEGABYTE, leave=True) as bar:
        for number, (sources, old) in enumerate(zip(plan.shards, found, strict=True)):
            shards.append(old or _write_shard(folder, number, sources, bar))
    return shards, len(found) - found.count(None)


def _whole(candidates: Sequence[Path], sources: Sequence[_Source], size: int) -> Path | None:
    """Find a shard that was written before, and since the files were; delete what has its number otherwise."""
    found = None
    for path in candidates:
        state = path.stat()
        if found is None and state.st_size == size and state.st_mtime_ns > max(source.changed for source in sources):
            found = path
        else:
            path.unlink()
    return found


def _write_shard(folder: Path, number: int, sources: Sequence[_Source], bar: "ProgressBar[int]") -> Path:
    """Write one shard whole: under another name, until its bytes are on the disk."""
    unfinished = folder / f"{UNFINISHED}shard-{number:05}.tar"
    digest = hashlib.blake2b(digest_size=DIGEST)
    written = 0
    try:
        with unfinished.open("wb") as shard:
            for piece in chain(*map(_blocks, sources), [END]):
                shard.write(piece)
                digest.update(piece)
                bar.update((written + len(piece)) // MEGABYTE - written // MEGABYTE)
                written += len(piece)
            shard.flush()
            os.fsync(shard.fileno())
        path = folder / f"shard-{number:05}-{digest.hexdigest()}.tar"
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _blocks(source: _Source) -> Iterator[bytes]:
    """Yield what a file becomes in a tar file. Nothing of the day or the machine is in it."""
    header = tarfile.TarInfo(source.name)
    header.size = source.size
    yield header.tobuf(tarfile.GNU_FORMAT)
    there = 0
    with _open(source.path) as (file, _):
        while piece := file.read(PIECE):
            there += len(piece)
            yield piece
    if there != source.size:
        msg = f"{source.path} changed while it was packed: {source.size:,} bytes became {there:,}. Pack again when nobody writes it"
        raise UserError(msg)
    yield bytes(-source.size % BLOCK)


@contextmanager
def _open(path: Path) -> Iterator[tuple[IO[bytes] | ShardFile, str]]:
    """Open a file, or a part of a shard; also say what it is called."""
    part = part_of(path)
    if part is None and not stat.S_ISREG(path.stat().st_mode):
        msg = "not a file"
        raise UserError(msg)
    if path.suffix.lower() in ONLY_NAMED:
        msg = "what it holds is known by the name of the file only, which a shard cannot give: convert it (to FLAC)"
        raise UserError(msg)
    with open_part(part) if part else path.open("rb") as file:
        yield file, Path(file.name).name


def _length(file: IO[bytes] | ShardFile) -> int:
    return file.seek(0, os.SEEK_END)


def _name(number: int, name: str) -> str:
    """Name a file in a shard: short, plain, unlike any other, with the ending that it had.

    >>> _name(7, "Anna's 1st.take.wav"), _name(8, "00000007-Anna_s_1st_take.wav")
    ('00000007-Anna_s_1st_take.wav', '00000008-Anna_s_1st_take.wav')
    """
    stem, dot, ending = re.sub(r"^\d{8}-", "", name).rpartition(".")
    plain = [re.sub(r"[^A-Za-z0-9_-]", "_", part) for part in (stem or ending, ending if stem else "")]
    return f"{number:08}-{plain[0][:LONGEST_NAME]}{dot if stem else ''}{plain[1][:LONGEST_ENDING]}"
