"""What the readers of corpora share. One corpus = one file of `readers/`: `timit` is read by the `Reader` that `timit.py` defines.

A reader finds recordings and knows who speaks and what is said; it opens no audio. The importer (`foresay.workflows.corpus`) looks at the
audio, adds times and splits that stand elsewhere, and writes the manifests. To add a corpus, add a file; nothing else changes.
"""

import csv
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from foresay.corpora.manifest import Item, Manifest
from foresay.errors import UserError, nearest
from foresay.files import read_text, text_lines, write_list
from foresay.settings import find_class, first_line, list_names

# What libsndfile reads, then what it does not: the importer reports those as skipped rather than pass over them in silence.
READABLE = {".aif", ".aiff", ".au", ".caf", ".flac", ".mp3", ".nist", ".oga", ".ogg", ".opus", ".rf64", ".sph", ".w64", ".wav"}
UNREADABLE = {".aac", ".amr", ".m4a", ".mp4", ".raw", ".webm", ".wma"}
PACKAGE = "foresay.corpora.readers"
T = TypeVar("T")


class FoundItem(NamedTuple):
    """A recording, of which the audio is still to be looked at: `item` has no sample rate yet."""

    item: Item
    """With a duration, it is that part of the recording; otherwise all of it."""
    splits: tuple[str, ...] = ()
    """The parts of the corpus that it belongs to, such as `train`, or `fold1/train`."""


class Skipped(NamedTuple):
    """A file that cannot be used."""

    path: Path
    reason: str


class ItemPairs(NamedTuple):
    """ItemPairs of items, which are written into a file beside the manifests: trials of a verification, what is relevant to a query."""

    name: str
    """Of the file, such as `test-trials.txt`."""
    splits: tuple[str, str]
    """Where the first items, and where the second ones, are from."""
    rows: Sequence[tuple[str, ...]]
    """Lines of words, of which the last two are ids."""


@dataclass(frozen=True)
class Reader(ABC):
    """Reads one corpus. The fields of a reader are its options, on the command line too."""

    def unpack(self, source: Path, destination: Path) -> Path:  # noqa: ARG002 - most corpora come as files
        """Write what comes packed in archives as files below `destination`; return the folder to find recordings in."""
        return source

    @abstractmethod
    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find the recordings in a folder, in an order that is always the same.

        Raises:
            UserError: the options do not fit together, or the folder does not hold this corpus.
        """

    def beside(self, source: Path, manifests: Mapping[str, Manifest]) -> Iterator["ItemPairs"]:  # noqa: ARG002 - most corpora have none
        """Yield the lists of pairs that belong to the splits; `manifests`: split -> what of it can be used.

        Raises:
            UserError: a list is missing, or a line of it is none.
        """
        yield from ()

    @property
    def phone_set(self) -> str | None:
        """Name the phones that items bring along, if they do."""
        return None


def list_readers() -> dict[str, str]:
    """Return the corpora that can be imported, each with the first line of its file, without importing them."""
    return {name: first_line(PACKAGE, name) for name in list_names(PACKAGE, "Reader")}


def find_reader(name: str) -> type[Reader]:
    """Find the reader of a corpus: the one in the file of its name, or, for a dotted name, in that module."""
    if "." not in name and name not in list_readers():
        msg = f"there is no corpus {name!r}: {nearest(name, list_readers())} Any folder of audio can be imported with `folder`."
        raise UserError(msg)
    return cast("type[Reader]", find_class(PACKAGE, name, Reader))


def files(folder: Path, suffixes: set[str]) -> Iterator[Path]:
    """Yield the files of some kinds (`.wav`, whatever the case) below a folder, sorted, links followed, hidden ones left out.

    A folder that may not be looked into comes as if it were a file: whoever opens it will say so.

    Raises:
        UserError: there is no such folder.
    """
    if not folder.is_dir():
        msg = f"{folder} is not a folder: give the one that the corpus was unpacked into"
        raise UserError(msg)
    seen = set()
    closed: list[Path] = []
    for root, folders, names in os.walk(folder, followlinks=True, onerror=lambda error: closed.append(Path(error.filename))):
        place = Path(root).stat()
        if (place.st_dev, place.st_ino) in seen:
            folders.clear()  # a link back to a folder above
            continue
        seen.add((place.st_dev, place.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(root, name)
            if path.suffix.lower() in suffixes and not name.startswith("."):
                yield path
    yield from closed


def listed(folder: Path, *names: str) -> list[str]:
    """Read the lines, but for blank ones, of the file that lies in a folder under one of some names.

    Raises:
        UserError: there is none.
    """
    return [line.strip() for line in text_lines(_first(folder, names)) if line.strip()]


def table(path: Path, *columns: str) -> Iterator[dict[str, str]]:
    """Read some columns of a CSV file with a header, row by row.

    Raises:
        UserError: there is no such file, it lacks a column, or a row is too short.
    """
    rows = csv.DictReader(io.StringIO(read_text(_first(path.parent, [path.name])), newline=""))
    if missing := [column for column in columns if column not in (rows.fieldnames or ())]:
        msg = f"{path} has no column {', '.join(missing)}; its first line is {','.join(rows.fieldnames or ())!r}. It is of another corpus"
        raise UserError(msg)
    for row in rows:
        if any(row[column] is None for column in columns):
            msg = f"{path}, line {rows.line_num} has fewer columns than the first: was the file cut short?"
            raise UserError(msg)
        yield {column: row[column] for column in columns}


def _first(folder: Path, names: Sequence[str]) -> Path:
    """Return the first file of some names that is there."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    msg = f"{folder} has no {' or '.join(names)}: was the corpus unpacked there whole, and is its list with it?"
    raise UserError(msg)


def spread(things: Sequence[T], count: int) -> list[T]:
    """Take some things at equal distances, all where there are no more.

    >>> spread("abcdefgh", 3), spread("ab", 3)
    (['a', 'c', 'f'], ['a', 'b'])
    """
    return [things[place * len(things) // count] for place in range(count)] if count < len(things) else list(things)


def write_skipped(path: Path, skipped: Sequence[Skipped]) -> Path | None:
    """List everything that was skipped, a path and a reason a line; without anything, leave no older list."""
    if not skipped:
        path.unlink(missing_ok=True)
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_list(path, ("\t".join(" ".join(part.split("\t")) for part in (str(one.path), one.reason)) for one in skipped))
    return path


def without_suffix(name: str) -> str:
    """Take the ending of an audio file off a name; what is none stays.

    >>> without_suffix("anna/001.WAV"), without_suffix("anna/take.1")
    ('anna/001', 'anna/take.1')
    """
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and f".{suffix.lower()}" in READABLE | UNREADABLE else name
