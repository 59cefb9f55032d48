"""Manifests: what audio there is. JSON Lines, one item a line.

    {"foresay": 1, "phone_set": "timit39"}                                            (a first line that is no item; it may be missing)
    {"id": "fvmh0-sa1", "audio": "../timit/sa1.wav", "duration": 2.9, "sample_rate": 16000, "speaker": "fvmh0", "phones": [[0, 0.1, "sil"]]}

Needed: `id`, and `audio`, `image` or `text`; with audio `duration` (s) and `sample_rate` (Hz). `start` (s) and `channel` make an item of
a part of a recording. `phones`, `words` and `turns` are `[start, end, label]`, in seconds from the item's own start; turns, of
speakers, may overlap. Paths are relative to the manifest.

A manifest of a million lines opens in seconds: only ids and columns of numbers are kept, and an item is parsed when it is asked for.
"""

import contextlib
import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
import numpy.typing as npt

from foresay.audio.read import Waveform, read_audio, resampled_length
from foresay.corpora.item import (
    UNKNOWN,
    Essentials,
    Interval,
    Item,
    content_of,
    essentials,
    item_of,
    parse_essentials,
    parse_line,
    record_of,
)
from foresay.errors import AudioError, UserError
from foresay.files import writing

__all__ = ["UNKNOWN", "Interval", "Item", "Manifest", "write_manifest"]

FORMAT = "foresay"
VERSION = 1
SOUNDED = 16
"""Recordings of which `sound` reads a second."""


class Manifest(Sequence[Item]):
    """The items of a manifest file, open for reading. Nothing is kept open, so it may be shared by threads and sent to processes."""

    path: Path
    given: str
    """The path as it was given."""
    name: str
    """The folder's name and, but for `manifest.jsonl`, the file's: `timit/test`."""
    phone_set: str | None
    ids: list[str]
    durations: npt.NDArray[np.float64]
    """(items,) seconds."""
    sample_rates: npt.NDArray[np.int64]
    """(items,) Hz, of the files."""
    pictured: npt.NDArray[np.bool_]
    """(items,) whether there is an image."""
    speakers: tuple[str, ...]
    """Names, sorted. Items without a speaker share the speaker `unknown`."""
    speaker_codes: npt.NDArray[np.int32]
    """(items,) index into `speakers`."""
    languages: tuple[str, ...]
    language_codes: npt.NDArray[np.int32]
    corpora: tuple[str, ...]
    corpus_codes: npt.NDArray[np.int32]
    """Languages and corpora, as the speakers are."""
    whole: Self
    """The one that this was made of by leaving items out, or this."""
    _offsets: npt.NDArray[np.int64]
    """(items,) bytes: where each line begins."""

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a manifest.

        Raises:
            UserError: there is no such file; it has no items; a line is not JSON, lacks a key, or repeats an id.
        """
        self = cls()
        self.whole = self
        self.given = str(path)
        self.path = Path(path).absolute()
        self.name = self.path.parent.name if self.path.stem == "manifest" else f"{self.path.parent.name}/{self.path.stem}"
        self.phone_set = _phone_set(self.path)
        self.ids = []
        offsets, durations, rates, pictured = array("q"), array("d"), array("q"), array("b")
        speakers, languages, corpora = _Names(), _Names(), _Names()
        for line in _scan(self.path):
            self.ids.append(line.id)
            offsets.append(line.offset)
            durations.append(line.duration)
            rates.append(line.sample_rate)
            pictured.append(line.pictured)
            for names, name in zip((speakers, languages, corpora), line.names, strict=True):
                names.append(name)
        if not self.ids:
            msg = f"{self.path} has no items: it was cut short, or nothing was found that belongs into it. Import the corpus again"
            raise UserError(msg)
        self._offsets = np.array(offsets, dtype=np.int64)
        self.durations = np.array(durations, dtype=np.float64)
        self.sample_rates = np.array(rates, dtype=np.int64)
        self.pictured = np.array(pictured, dtype=bool)
        self.speakers, self.speaker_codes = speakers.sorted()
        self.languages, self.language_codes = languages.sorted()
        self.corpora, self.corpus_codes = corpora.sorted()
        self._refuse_repeated_ids()
        return self

    @cached_property
    def digest(self) -> str:
        """What makes it the same data, wherever it lies: a SHA-256 of the phone set and of each item in order, but for its paths."""
        digest = hashlib.sha256(repr(self.phone_set).encode())
        for line in self._lines():
            digest.update(b"\n" + content_of(line))
        return digest.hexdigest()

    @cached_property
    def sound(self) -> str:
        """Digest of the middle second of a few recordings: other audio behind the same lines, louder or cleaned, is not what was measured.

        Unlike `digest` it reads audio, and it differs where the same audio was written with fewer bits or at another sample rate.
        """
        digest = hashlib.sha256()
        for place in np.linspace(0, len(self) - 1, SOUNDED).astype(int).tolist():
            if rate := int(self.sample_rates[place]):  # there is audio
                length = round(float(self.durations[place]) * rate)
                start = max(0, length - rate) // 2
                with contextlib.suppress(AudioError):  # whoever needs it says so
                    digest.update(self.read(place, rate, start, min(start + rate, length)).tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, index: int | slice) -> Item | tuple[Item, ...]:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(*index.indices(len(self))))
        with self.path.open("rb") as file:
            file.seek(int(self._offsets[index]))
            line = file.readline()
        return self._item(line, self.ids[index])

    def __iter__(self) -> Iterator[Item]:
        """Read the items in order, faster than one by one."""
        for line, name in zip(self._lines(), self.ids, strict=True):
            yield self._item(line, name)

    def _lines(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            for offset in self._offsets.tolist():
                file.seek(offset)
                yield file.readline()

    def without(self, places: Sequence[int]) -> Self:
        """Return the same manifest without the items in some places; it has a digest of its own."""
        kept = np.delete(np.arange(len(self)), list(places))
        fewer = copy(self)
        for known in ("digest", "sound"):
            fewer.__dict__.pop(known, None)
        fewer.ids = [self.ids[place] for place in kept.tolist()]
        for name in ("_offsets", "durations", "sample_rates", "pictured"):
            setattr(fewer, name, getattr(self, name)[kept])
        for names, codes in (("speakers", "speaker_codes"), ("languages", "language_codes"), ("corpora", "corpus_codes")):
            there, numbers = np.unique(getattr(self, codes)[kept], return_inverse=True)
            setattr(fewer, names, tuple(getattr(self, names)[code] for code in there.tolist()))
            setattr(fewer, codes, numbers.astype(np.int32))
        return fewer

    def lengths(self, sample_rate: int) -> npt.NDArray[np.int64]:
        """Count the samples of each item at a sample rate: (items,). `read` returns exactly so many."""
        rates = np.maximum(self.sample_rates, 1)
        frames = np.rint(self.durations * rates).astype(np.int64)
        return (2 * frames * sample_rate + rates) // (2 * rates)  # `resampled_length` of all

    def read(self, index: int, sample_rate: int, start: int = 0, stop: int | None = None) -> Waveform:
        """Read samples `start` to `stop` of an item, counted from its own start at `sample_rate`: (S,) float32.

        Raises:
            AudioError: the recording is missing or damaged, or shorter than the manifest says.
        """
        item = self[index]
        if item.audio is None:
            msg = f"{self.name}: item {item.id!r} has no audio"
            raise UserError(msg)
        # Rounded down, so that the item's last sample is never beyond the end of the file.
        first = round(item.start * item.sample_rate) * sample_rate // item.sample_rate
        if stop is None:
            stop = resampled_length(round(item.duration * item.sample_rate), item.sample_rate, sample_rate)
        return read_audio(item.audio, sample_rate, first + start, first + stop, item.channel)

    def phone_labels(self) -> tuple[str, ...]:
        """List the distinct phones, sorted. Reads every item."""
        return tuple(sorted({phone.label for item in self for phone in item.phones or ()}))

    def _refuse_repeated_ids(self) -> None:
        if len(set(self.ids)) == len(self.ids):
            return
        first: dict[str, int] = {}
        for index, name in enumerate(self.ids):
            if first.setdefault(name, index) != index:
                lines = " and ".join(str(self._line_number(i)) for i in (first[name], index))
                msg = f"{self.path}: lines {lines} have the same id {name!r}. An id names one item: was a file put together twice?"
                raise UserError(msg)

    def _line_number(self, index: int) -> int:
        with self.path.open("rb") as file:
            return file.read(int(self._offsets[index])).count(b"\n") + 1

    def _item(self, line: bytes, name: str) -> Item:
        """Parse a line found at the place of the item `name`."""
        try:
            record = parse_line(line)
            if record.get("id") == name:
                return item_of(record, self.path.parent)
        except UserError as error:
            msg = f"{self.path}, line {self._line_number(self.ids.index(name))}: {error}"
            raise UserError(msg) from error
        msg = f"{self.path} has changed since it was opened (item {name!r} is no longer in its place): give the command again"
        raise UserError(msg)


def write_manifest(path: Path, items: Iterable[Item], *, phone_set: str | None = None) -> None:
    """Write a manifest, whole or not at all. Paths of items are made relative to it; its folder is made.

    Raises:
        UserError: two items have the same id, or there is a folder or a device of that name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent.resolve()
    seen: set[str] = set()
    with writing(path) as file:
        if phone_set is not None:
            file.write(json.dumps({FORMAT: VERSION, "phone_set": phone_set}).encode() + b"\n")
        for item in items:
            if item.id in seen:
                msg = f"two items have the same id {item.id!r} ({item.audio or item.image} is the second): ids must differ"
                raise UserError(msg)
            seen.add(item.id)
            file.write(json.dumps(record_of(item, folder), ensure_ascii=False).encode() + b"\n")


class _Names:
    """A column of names, few of them different."""

    def __init__(self) -> None:
        self._codes = array("i")
        self._known: dict[str, int] = {}

    def append(self, name: str) -> None:
        self._codes.append(self._known.setdefault(name, len(self._known)))

    def sorted(self) -> tuple[tuple[str, ...], npt.NDArray[np.int32]]:
        """List the different names in order; index each item's into them."""
        ordered = tuple(sorted(self._known))
        ranks = {name: rank for rank, name in enumerate(ordered)}
        return ordered, np.array([ranks[name] for name in self._known], dtype=np.int32)[np.array(self._codes, dtype=np.int64)]


def _scan(path: Path) -> Iterator[Essentials]:
    """Read what is kept of every line that is an item."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = parse_essentials(line)
                is_header = number == 1 and FORMAT in record
                if record and not is_header:
                    yield essentials(record, offset)
            except UserError as error:
                msg = f"{path}, line {number}: {error}"
                raise UserError(msg) from error
            offset += len(line)


def _phone_set(path: Path) -> str | None:
    """Return the phone set that the first line names, if it is a header."""
    if path.is_dir():
        inside = ", ".join(sorted(file.name for file in path.glob("*.jsonl"))) or "none"
        msg = f"{path} is a folder; a manifest is a file. Those in it: {inside}"
        raise UserError(msg)
    if not path.is_file():
        msg = f"there is no manifest {path}. `foresay corpus import` makes one from a folder of audio, `… make demo` from nothing"
        raise UserError(msg)
    header: dict[str, Any] = {}
    with path.open("rb") as file, contextlib.suppress(UserError):  # a line that is no JSON is reported later, with its number
        header = parse_essentials(file.readline())
    if header.get(FORMAT, VERSION) != VERSION:
        msg = f"{path} is of version {header[FORMAT]!r}; this Foresay reads version {VERSION}: update it, or import again"
        raise UserError(msg)
    return str(header["phone_set"]) if FORMAT in header and "phone_set" in header else None
