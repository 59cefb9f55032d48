"""One line of a manifest: checked, turned into an item, and written. `foresay.corpora.manifest` says what may stand in it."""

import contextlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from foresay.errors import UserError

UNKNOWN = "unknown"
MOST_HZ, MOST_SECONDS, MOST_CHANNELS = 10**7, 10**8, 10**4
"""What no recording reaches: a line that says more is damaged."""


class Interval(NamedTuple):
    """A phone, a word or a speaker's turn and its times, in seconds from the item's own start."""

    start: float
    end: float
    label: str


Transcript: TypeAlias = Literal["text", "phones"]


@dataclass(frozen=True, slots=True)
class Item:
    """One line: a recording or a part of one, an image, or a text."""

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
    turns: tuple[Interval, ...] | None = None
    """Who speaks when: the labels are speakers. Unlike phones and words, turns may overlap."""


KEYS = tuple(field.name for field in fields(Item))
NAMES = ("speaker", "language", "corpus")
"""Keys whose values are kept for all items."""
TEXTS = (*NAMES, "text", "label", "target")
INTERVALS = ("phones", "words", "turns")
PLACES = ("audio", "image")
"""Keys that say where a file lies: the content of an item is all the rest."""


class Essentials(NamedTuple):
    """What is kept of a line."""

    offset: int
    id: str
    duration: float
    sample_rate: int
    pictured: bool
    names: tuple[str, ...]
    """Speaker, language, corpus."""


def parse_essentials(line: bytes) -> dict[str, Any]:
    """Parse a line, leaving out its phones, words and turns where that is easily done. A blank line is an empty object."""
    short = _without_intervals(line)
    if short is not line:
        with contextlib.suppress(UserError):  # what is wrong is found in the whole line too
            return parse_line(short)
    return parse_line(line)


def parse_line(line: bytes) -> dict[str, Any]:
    """Parse a line; a blank one is an empty object."""
    if not line.strip():
        return {}
    try:
        record = json.loads(line.decode("utf-8-sig"))
        if b"\\ud" in line.lower():  # half a character, which no file and no name can hold
            json.dumps(record, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        msg = f"this is not JSON ({error}). A manifest has one JSON object a line: was the file cut short, or edited by hand?"
        raise UserError(msg) from error
    if not isinstance(record, dict):
        msg = f"{str(record)[:80]} is no item: a manifest has one JSON object a line"
        raise UserError(msg)
    return record


def content_of(line: bytes) -> bytes:
    """Return what a line says, but for where its files lie.

    >>> content_of(b'{"id": "a", "audio": "b/c.wav", "duration": 1.5}')
    b'{"id": "a", "duration": 1.5}'
    """
    if ours := _OURS.match(line):
        return ours[1] + line[ours.end() :].rstrip()
    record = parse_line(line)
    content = {key: record[key] for key in KEYS if record.get(key) is not None and key not in PLACES}
    return json.dumps(content, ensure_ascii=False).encode()


_OURS = re.compile(rb'(\{"id": "(?:[^"\\]|\\.)*")(?:, "(?:audio|image)": "(?:[^"\\]|\\.)*"){1,2}(?=, "duration"|, "[s-t]|\})')
"""How a line begins that `write_manifest` wrote: it need not be parsed, which makes a million of them a matter of seconds."""


_OPENINGS = tuple(f'"{key}": [['.encode() for key in INTERVALS)


def _without_intervals(line: bytes) -> bytes:
    """Cut out what lies between the brackets of phones, words and turns, most of a line's length, if written as `write_manifest` does."""
    for opening in _OPENINGS:
        begin = line.find(opening)
        end = line.find(b"]]", begin)
        if 0 <= begin < end:
            line = line[: begin + len(opening) - 1] + line[end + 1 :]
    return line


def essentials(record: Mapping[str, Any], offset: int) -> Essentials:
    """Check what every item needs and return what is kept; duration and sample rate are zero where there is no audio."""
    name, names = record.get("id"), tuple(UNKNOWN if record.get(key) in (None, "") else record[key] for key in NAMES)
    duration: Any = record.get("duration") if "audio" in record else 0.0
    rate: Any = record.get("sample_rate") if "audio" in record else 0
    if type(name) is not str or not name:
        msg = _wrong(record, "id", "a string, and another in each line")
    elif not record.keys() & {"audio", "image", "text"}:
        msg = _wrong(record, "audio", "the path of the file, relative to the manifest")
    elif wrong := [key for key in PLACES if type(record.get(key, "")) is not str]:
        msg = _wrong(record, wrong[0], "the path of the file, relative to the manifest")
    elif type(duration) not in {float, int} or ("audio" in record and not 0 < duration < MOST_SECONDS):
        msg = _wrong(record, "duration", "seconds, above 0")
    elif type(rate) is not int or ("audio" in record and not 0 < rate < MOST_HZ):
        msg = _wrong(record, "sample_rate", "a whole number of Hz, above 0")
    elif wrong := [key for key, value in zip(NAMES, names, strict=True) if type(value) is not str]:
        msg = _wrong(record, wrong[0], "a string")
    else:
        return Essentials(offset, name, duration, rate, "image" in record, names)
    raise UserError(msg)


def _wrong(record: Mapping[str, Any], key: str, wanted: str) -> str:
    item = f"item {record['id']!r}" if "id" in record and key != "id" else "an item"
    came = f'has "{key}": {record[key]!r}' if key in record else f'lacks the key "{key}"'
    return f"{item} {came}; it must be {wanted}"


def item_of(record: Mapping[str, Any], folder: Path) -> Item:
    """Turn an object into an item; paths are joined to the manifest's folder."""
    for key in TEXTS:
        if not isinstance(record.get(key), str | None):
            raise UserError(_wrong(record, key, "a string"))
    start, channel = record.get("start"), record.get("channel")
    if start is not None and (type(start) not in {float, int} or not 0 <= start < MOST_SECONDS):
        raise UserError(_wrong(record, "start", "seconds from the beginning of the file, 0 or more"))
    if channel is not None and (type(channel) is not int or not 0 <= channel < MOST_CHANNELS):
        raise UserError(_wrong(record, "channel", "a whole number, 0 for the first"))
    values = {key: record[key] for key in KEYS if record.get(key) is not None}
    for key in PLACES:
        if key in values:
            values[key] = _joined(folder, values[key])
    for key in INTERVALS:
        if key in values:
            values[key] = _intervals(values[key], key)
    return Item(**values)


def _joined(folder: Path, path: str) -> Path:
    """Join a path to a folder; one that leads out of it, to the folder above where that really lies: no `..` is left in messages."""
    if ".." not in path:
        return folder / path
    parts = Path(path).parts
    above = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    if not above:
        return folder / path
    real = _real(folder.absolute())
    return [real, *real.parents][min(above, len(real.parents))].joinpath(*parts[above:])


def _intervals(value: Any, key: str) -> tuple[Interval, ...]:  # noqa: ANN401 - anything may stand in a file
    try:
        intervals = tuple(Interval(float(start), float(end), label) for start, end, label in value)
    except (OverflowError, TypeError, ValueError) as error:
        msg = f'"{key}" must be a list of [start, end, label], times in seconds, not {str(value)[:80]}'
        raise UserError(msg) from error
    for start, end, label in intervals:
        if not -math.inf < start <= end < math.inf or not isinstance(label, str):
            msg = f'"{key}" holds [{start}, {end}, {label!r}]: an interval ends after it starts, and its label is a string'
            raise UserError(msg)
    return intervals


def record_of(item: Item, folder: Path) -> dict[str, Any]:
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


def transcript_of(item: Item, kind: Transcript = "text") -> str:
    """Return what is said in an item: its text, or its phones in order with spaces between; nothing where that is not known."""
    if kind == "text":
        return (item.text or "").strip()
    return " ".join(phone.label for phone in item.phones or ())
