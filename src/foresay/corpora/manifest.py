"""Manifests: what audio there is. JSON Lines, one item a line.

    {"foresay": 1, "phone_set": "timit39"}                                            (a first line that is no item; it may be missing)
    {"id": "fvmh0-sa1", "audio": "../timit/sa1.wav", "duration": 2.9, "sample_rate": 16000, "speaker": "fvmh0", "phones": [[0, 0.1, "sil"]]}

Needed: `id`, and `audio` or `image`; with audio `duration` (s) and `sample_rate` (Hz). `start` (s) and `channel` make an item of a part
of a recording. `phones` and `words` are `[start, end, label]`, in seconds from the item's own start. Paths are relative to the manifest.

A manifest of a million lines opens in seconds: only ids and columns of numbers are kept, and an item is parsed when it is asked for.
"""

import contextlib
import json
import math
import os
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, Self, overload

import numpy as np
import numpy.typing as npt

from foresay.audio.read import Waveform, read_audio, resampled_length
from foresay.errors import UserError

FORMAT = "foresay"
VERSION = 1
UNKNOWN = "unknown"


class Interval(NamedTuple):
    """A phone or a word and when it is heard, in seconds from the item's own start."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True)
class Item:
    """One line: a recording or a part of one, or an image."""

    id: str
    audio: Path | None = None
    image: Path | None = None
    duration: float = 0.0
    """Seconds."""
    sample_rate: int = 0
    """Hz, of the file."""
    start: float = 0.0
    """Seconds from the beginning of the file."""
    channel: int | None = None
    """Which channel, from 0; None is the mean of all."""
    speaker: str | None = None
    language: str | None = None
    corpus: str | None = None
    """The collection that it comes from, where a manifest holds several."""
    text: str | None = None
    label: str | None = None
    """A class of the whole item, such as the digit that is said."""
    target: str | None = None
    """What shall come out, such as a translation."""
    phones: tuple[Interval, ...] | None = None
    words: tuple[Interval, ...] | None = None


KEYS = tuple(field.name for field in fields(Item))
NAMES = ("speaker", "language", "corpus")
"""Keys whose values are kept for all items."""
TEXTS = (*NAMES, "text", "label", "target")


class Manifest(Sequence[Item]):
    """The items of a manifest file, open for reading. Nothing is kept open, so it may be shared by threads and sent to processes."""

    path: Path
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
    _offsets: npt.NDArray[np.int64]
    """(items,) bytes: where each line begins."""

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a manifest.

        Raises:
            UserError: there is no such file; a line is not JSON, lacks a key, or repeats an id.
        """
        self = cls()
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
        self._offsets = np.array(offsets, dtype=np.int64)
        self.durations = np.array(durations, dtype=np.float64)
        self.sample_rates = np.array(rates, dtype=np.int64)
        self.pictured = np.array(pictured, dtype=bool)
        self.speakers, self.speaker_codes = speakers.sorted()
        self.languages, self.language_codes = languages.sorted()
        self.corpora, self.corpus_codes = corpora.sorted()
        self._refuse_repeated_ids()
        return self

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
        with self.path.open("rb") as file:
            for offset, name in zip(self._offsets.tolist(), self.ids, strict=True):
                file.seek(offset)
                yield self._item(file.readline(), name)

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
            msg = f"{self.name}: item {item.id!r} is an image and has no audio"
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
            record = _whole_object(line)
            if isinstance(record, dict) and record.get("id") == name:
                return _item_of(record, self.path.parent)
        except UserError as error:
            msg = f"{self.path}, line {self._line_number(self.ids.index(name))}: {error}"
            raise UserError(msg) from error
        msg = f"{self.path} has changed since it was opened (item {name!r} is no longer in its place): give the command again"
        raise UserError(msg)


def write_manifest(path: Path, items: Iterable[Item], *, phone_set: str | None = None) -> None:
    """Write a manifest, whole or not at all. Paths of items are made relative to it; its folder is made.

    Raises:
        UserError: two items have the same id.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = path.parent.resolve()
    seen: set[str] = set()
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            if phone_set is not None:
                file.write(json.dumps({FORMAT: VERSION, "phone_set": phone_set}) + "\n")
            for item in items:
                if item.id in seen:
                    msg = f"two items have the same id {item.id!r} ({item.audio or item.image} is the second): ids must differ"
                    raise UserError(msg)
                seen.add(item.id)
                file.write(json.dumps(_record(item, folder), ensure_ascii=False) + "\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class _Line(NamedTuple):
    """What is kept of a line."""

    offset: int
    id: str
    duration: float
    sample_rate: int
    pictured: bool
    names: tuple[str, ...]
    """Speaker, language, corpus."""


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


def _scan(path: Path) -> Iterator[_Line]:
    """Read what is kept of every line that is an item."""
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                record = _object(line)
                is_header = number == 1 and FORMAT in record
                if record and not is_header:
                    yield _essentials(record, offset)
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
    with path.open("rb") as file, contextlib.suppress(UserError):  # a line that is no JSON is told of later, with its number
        header = _object(file.readline())
    if header.get(FORMAT, VERSION) != VERSION:
        msg = f"{path} is of version {header[FORMAT]!r}; this Foresay reads version {VERSION}: update it, or import again"
        raise UserError(msg)
    return str(header["phone_set"]) if FORMAT in header and "phone_set" in header else None


def _object(line: bytes) -> dict[str, Any]:
    """Parse a line, leaving out its phones and words where that is easily done. A blank line is an empty object."""
    try:
        record = json.loads(_without_intervals(line).decode())
    except ValueError:
        record = _whole_object(line)
    if not isinstance(record, dict):
        msg = f"{record!r} is no item: a manifest has one JSON object a line"
        raise UserError(msg)
    return record


def _whole_object(line: bytes) -> Any:  # noqa: ANN401 - any JSON
    if not line.strip():
        return {}
    try:
        return json.loads(line)
    except ValueError as error:
        msg = f"this is not JSON ({error}). A manifest has one JSON object a line: was the file cut short, or edited by hand?"
        raise UserError(msg) from error


def _without_intervals(line: bytes) -> bytes:
    """Cut out what lies between the brackets of phones and words, most of a line's length, if written as `write_manifest` does."""
    for opening in (b'"phones": [[', b'"words": [['):
        begin = line.find(opening)
        end = line.find(b"]]", begin)
        if 0 <= begin < end:
            line = line[: begin + len(opening) - 1] + line[end + 1 :]
    return line


def _essentials(record: Mapping[str, Any], offset: int) -> _Line:
    """Check what every item needs and return what is kept; duration and sample rate are zero where there is no audio."""
    name, names = record.get("id"), tuple(record.get(key) or UNKNOWN for key in NAMES)
    duration: Any = record.get("duration") if "audio" in record else 0.0
    rate: Any = record.get("sample_rate") if "audio" in record else 0
    if type(name) is not str or not name:
        msg = _wrong(record, "id", "a string, and another in each line")
    elif "audio" not in record and "image" not in record:
        msg = _wrong(record, "audio", "the path of the file, relative to the manifest")
    elif type(duration) not in {float, int} or ("audio" in record and not 0 < duration < math.inf):
        msg = _wrong(record, "duration", "seconds, above 0")
    elif type(rate) is not int or ("audio" in record and rate <= 0):
        msg = _wrong(record, "sample_rate", "a whole number of Hz, above 0")
    elif wrong := [key for key, value in zip(NAMES, names, strict=True) if type(value) is not str]:
        msg = _wrong(record, wrong[0], "a string")
    else:
        return _Line(offset, name, duration, rate, "image" in record, names)
    raise UserError(msg)


def _wrong(record: Mapping[str, Any], key: str, wanted: str) -> str:
    item = f"item {record['id']!r}" if "id" in record and key != "id" else "an item"
    came = f'has "{key}": {record[key]!r}' if key in record else f'lacks the key "{key}"'
    return f"{item} {came}; it must be {wanted}"


def _item_of(record: Mapping[str, Any], folder: Path) -> Item:
    """Turn an object into an item; paths are joined to the manifest's folder."""
    for key in TEXTS:
        if not isinstance(record.get(key), str | None):
            raise UserError(_wrong(record, key, "a string"))
    values = {key: record[key] for key in KEYS if record.get(key) is not None}
    for key in ("audio", "image"):
        if key in values:
            values[key] = folder / values[key]
    for key in ("phones", "words"):
        if key in values:
            values[key] = _intervals(values[key], key)
    return Item(**values)


def _intervals(value: Any, key: str) -> tuple[Interval, ...]:  # noqa: ANN401 - anything may stand in a file
    try:
        intervals = tuple(Interval(float(start), float(end), label) for start, end, label in value)
    except (TypeError, ValueError) as error:
        msg = f'"{key}" must be a list of [start, end, label], times in seconds, not {str(value)[:80]}'
        raise UserError(msg) from error
    for start, end, label in intervals:
        if not start <= end or not isinstance(label, str):
            msg = f'"{key}" holds [{start}, {end}, {label!r}]: an interval ends after it starts, and its label is a string'
            raise UserError(msg)
    return intervals


def _record(item: Item, folder: Path) -> dict[str, Any]:
    """Turn an item into an object: what is not known is left out."""
    record: dict[str, Any] = {}
    for key in KEYS:
        value = getattr(item, key)
        if isinstance(value, Path):
            value = Path(os.path.relpath(_real(value.absolute().parent) / value.name, folder)).as_posix()
        if value is not None and not (key in {"duration", "sample_rate", "start"} and value == 0):
            record[key] = value
    return record


@cache
def _real(folder: Path) -> Path:
    """Resolve a folder once: a relative path must hold wherever the folders are linked to."""
    return folder.resolve()
