"""What stands beside a corpus: times of phones and words, texts, and lists of utterances, found by the utterance's id.

A file may name an utterance by the item's whole id (`anna/monday/001`), by a path that ends so (`wavs/anna/monday/001.flac`), or by what
the id ends with (`001`), as long as that is clear.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from foresay.corpora.alignments import Intervals, read_ctm, read_phone_file, read_textgrid
from foresay.corpora.reader import files, without_suffix
from foresay.errors import UserError
from foresay.files import text_lines

T = TypeVar("T")

WHOLE = ""
"""The channel of times that are of the recording as a whole."""
FIRST = {"0", "1"}
"""What aligners write into the column of the channel where there is only one channel."""
COMMENT = "#"
FESTIVAL = re.compile(r'\(\s*(?P<id>\S+)\s+"(?P<text>.*)"\s*\)')
"""A line of a `txt.done.data`."""


class ById(Generic[T]):
    """Values that a file gives for utterances, by their ids."""

    def __init__(self, source: Path, things: Mapping[str, T]) -> None:
        """`source` is named in messages."""
        self.source = source
        self._things = things
        self._plain = {without_suffix(key): key for key in things}
        # By each end of a name, `b/c` and `c` of `a/b/c.wav`, what is called so; None if several are.
        self._by_end: dict[str, str | None] = {}
        for plain, key in self._plain.items():
            for end in _ends(plain):
                self._by_end[end] = None if end in self._by_end else key
        self._owners: dict[str, str] = {}

    def get(self, item_id: str) -> T | None:
        """Return the value of an item, or None.

        Raises:
            UserError: it was taken by another item before: only the last parts of their ids are alike.
        """
        key = item_id if item_id in self._things else self._find(item_id)
        if key is None:
            return None
        owner = self._owners.setdefault(key, item_id)
        if owner != item_id:
            msg = f"{self.source}: utterance {key!r} may be {owner!r} or {item_id!r}. Write whole ids into it"
            raise UserError(msg)
        return self._things[key]

    @property
    def names(self) -> list[str]:
        """List what the file calls its utterances."""
        return list(self._things)

    def unclaimed(self) -> list[str]:
        """List the utterances that no item was found for."""
        return [key for key in self._things if key not in self._owners]

    def _find(self, item_id: str) -> str | None:
        """Find the name that the id ends with, or that ends with the id. Names that only end alike are of others."""
        return self._by_end.get(item_id) or next((self._plain[end] for end in _ends(item_id) if end in self._plain), None)


def _ends(name: str) -> list[str]:
    """List the ends of a name, longest first.

    >>> _ends("a/b/c")
    ['a/b/c', 'b/c', 'c']
    """
    parts = name.split("/")
    return ["/".join(parts[first:]) for first in range(len(parts))]


class Side(NamedTuple):
    """An item that is made of a recording: all of it or, where its channels have times of their own, one channel."""

    name: str
    """Added to the id; empty if there is but one."""
    channel: int | None
    phones: Intervals | None
    words: Intervals | None


@dataclass(frozen=True)
class Times:
    """Where the times of phones and words, and texts, stand, for corpora that do not bring them along."""

    phone_files: Path | None = None
    """Phone file of the CPC papers: `utterance p0 p1 …`, a number every 10 ms."""
    textgrids: Path | None = None
    """Folder of TextGrid files with the tiers `phones` and `words`, as the Montreal Forced Aligner writes them."""
    ctm: Path | None = None
    """CTM file of phones."""
    word_ctm: Path | None = None
    """CTM file of words."""
    texts: Path | None = None
    """File of texts, an utterance a line: `ID TEXT`, `ID|TEXT` (of more columns the last), or Festival's `( ID "TEXT" )`."""


class Timetable:
    """The phones, the words and the text of each utterance, from the files that `Times` names."""

    def __init__(self, times: Times) -> None:
        """Read the files; a TextGrid is read when it is asked for.

        Raises:
            UserError: a file is not what it should be, or more than one gives phones.
        """
        named = [path for path in (times.phone_files, times.textgrids, times.ctm) if path]
        if len(named) > 1:
            msg = f"phone times come from one of --phone-files, --textgrids and --ctm, not from {' and '.join(map(str, named))}"
            raise UserError(msg)
        self.phone_set = named[0].stem if named else None
        """What the file or folder is called."""
        self.problems: dict[str, str] = {}
        """What could not be used, and why: TextGrids, and utterances of CTM files."""
        self._phones = _read(times.phone_files, _phone_file) if times.phone_files else _read(times.ctm, _ctm)
        self._words = _read(times.word_ctm, _ctm)
        self._textgrids = _read(times.textgrids, _textgrids)
        self._texts = read_texts(times.texts) if times.texts else None

    @property
    def sources(self) -> list[ById[Mapping[str, Intervals]] | ById[Path] | ById[str]]:
        """The files that there are."""
        return [source for source in (self._phones, self._words, self._textgrids, self._texts) if source is not None]

    def text(self, item_id: str) -> str | None:
        """Return what is said in an item, if the file of texts knows."""
        return self._texts.get(item_id) if self._texts else None

    def sides(self, item_id: str, channels: int = 1) -> list[Side]:
        """Say which items a recording of so many channels becomes, and the phones and words of each as far as they are known."""
        tiers = self._tiers(item_id)
        phones = (self._phones.get(item_id) if self._phones else None) or _of_all(tiers.get("phones"))
        words = (self._words.get(item_id) if self._words else None) or _of_all(tiers.get("words"))
        names = {*phones, *words} - {WHOLE}
        if not names or (len(names) == 1 and (channels == 1 or names <= FIRST)):
            return [Side("", None, _only(phones), _only(words))]
        numbers = {_channel(name, names): name for name in sorted(names)}
        if len(numbers) < len(names) or min(numbers) < 0 or max(numbers) >= channels or WHOLE in {*phones, *words}:
            source = next(source.source for source in self.sources)
            self.problems[f"{source}: {item_id}"] = (
                f"{source} has times of the channels {', '.join(sorted(names))} of {item_id!r}, whose recording has {channels}: it goes "
                f"without times"
            )
            return [Side("", None, None, None)]
        called = {number: chr(ord("A") + number) if any(map(str.isalpha, names)) else str(number + 1) for number in range(channels)}
        sides = [(number, numbers.get(number, called[number])) for number in range(channels)]
        return [Side(f"-{name}", number, phones.get(name), words.get(name)) for number, name in sides]

    def _tiers(self, item_id: str) -> dict[str, Intervals]:
        """Return the phones and words of a TextGrid."""
        path = self._textgrids.get(item_id) if self._textgrids else None
        if path is None:
            return {}
        try:
            return self._phones_and_words(path)
        except UserError as error:
            self.problems[str(path)] = str(error)
            return {}

    def _phones_and_words(self, path: Path) -> dict[str, Intervals]:
        tiers = read_textgrid(path)
        found = {}
        for kind in ("phones", "words"):
            called = [name for name in tiers if _kind(name) == kind]
            if len(called) > 1:
                self.problems[str(path)] = (
                    f"{path} has {kind} of several speakers ({', '.join(called)}), and one item can have those of one: it goes without. "
                    f"Make an item of each speaker's part (`start`, `duration`), or keep one tier"
                )
                return {}
            if called:
                found[kind] = tiers[called[0]]
        if "phones" not in found:
            self.problems[str(path)] = f"{path} has no tier `phones`; its tiers are {', '.join(map(_kind, tiers)) or 'none'}"
        return found


def _kind(tier: str) -> str:
    """Say what a tier holds: the aligner names tiers `SPEAKER - phones` where a recording has several speakers."""
    return tier.lower().rpartition(" - ")[2]


def _of_all(intervals: Intervals | None) -> Mapping[str, Intervals]:
    return {} if intervals is None else {WHOLE: intervals}


def _only(channels: Mapping[str, Intervals]) -> Intervals | None:
    return next(iter(channels.values()), None)


def _channel(name: str, names: set[str]) -> int:
    """Number a channel from 0: they are called A and B, or counted from 1 or, if there is a 0, from 0. What is called otherwise is -1.

    >>> _channel("B", {"A", "B"}), _channel("2", {"1", "2"}), _channel("1", {"0", "1"}), _channel("left", {"left"})
    (1, 1, 1, -1)
    """
    if len(name) == 1 and name.isascii() and name.isalpha():
        return ord(name.upper()) - ord("A")
    return int(name) - ("0" not in names) if name.isdecimal() else -1


def read_list(path: Path) -> ById[str]:
    """Read a split list: one utterance id or path a line, `#` begins a comment; or a manifest of fairseq: a folder, then paths and lengths.

    Raises:
        UserError: there is no such file, it is no text, or lists nothing.
    """
    if not path.is_file():
        msg = f"there is no file {path}: --split takes NAME=FILE, a file with one utterance id a line"
        raise UserError(msg)
    lines = [line for text in text_lines(path) if (line := text.strip()) and not line.startswith(COMMENT)]
    if len(lines) > 1 and all(_is_fairseq(line) for line in lines[1:]) and "\t" not in lines[0]:
        lines = [line.partition("\t")[0] for line in lines[1:]]
    if not lines:
        msg = f"{path} lists nothing: --split takes NAME=FILE, a file with one utterance id a line"
        raise UserError(msg)
    return ById(path, {line: line for line in lines})


def read_texts(path: Path) -> ById[str]:
    """Read what is said in each utterance, one a line; ids without a text are passed over.

    Raises:
        UserError: there is no such file, it is no text, it holds no texts, or two of one utterance.
    """
    if not path.is_file():
        msg = f"there is no file {path}, in which the texts should stand"
        raise UserError(msg)
    texts: dict[str, str] = {}
    for number, line in enumerate(text_lines(path), start=1):
        utterance, text = _utterance_and_text(line.strip())
        if text and texts.setdefault(utterance, text) != text:
            msg = f"{path}, line {number}: another text of {utterance} than before. Which one is said? Remove the other"
            raise UserError(msg)
    if not texts:
        msg = f'{path} holds no texts: --texts takes a file with an utterance a line, `ID TEXT`, `ID|TEXT`, or `( ID "TEXT" )`'
        raise UserError(msg)
    return ById(path, texts)


def _utterance_and_text(line: str) -> tuple[str, str]:
    """Split a line of a file of texts.

    >>> [_utterance_and_text(line) for line in ('( ru_01 "Она читала." )', "LJ01|in 1455|in fourteen", "b/c.wav so it is")]
    [('ru_01', 'Она читала.'), ('LJ01', 'in fourteen'), ('b/c.wav', 'so it is')]
    """
    if festival := FESTIVAL.fullmatch(line):
        return festival["id"], festival["text"].strip()
    utterance, *columns = (line.split("|") if "|" in line else line.split(maxsplit=1)) or [""]
    return utterance.strip(), columns[-1].strip() if columns else ""


def _is_fairseq(line: str) -> bool:
    path, tab, samples = line.partition("\t")
    return bool(path and tab and samples.strip().isdecimal())


def _read(path: Path | None, read: Callable[[Path], Mapping[str, T]]) -> ById[T] | None:
    if path is None:
        return None
    if not path.exists():
        msg = f"there is no {path}, in which the times of phones or words should stand"
        raise UserError(msg)
    things = read(path)
    if not things:
        msg = f"{path} holds no times of any utterance"
        raise UserError(msg)
    return ById(path, things)


def _phone_file(path: Path) -> dict[str, Mapping[str, Intervals]]:
    return {utterance: {WHOLE: phones} for utterance, phones in read_phone_file(path).items()}


def _ctm(path: Path) -> dict[str, Mapping[str, Intervals]]:
    return dict(read_ctm(path))


def _textgrids(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in files(folder, {".textgrid"}):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            msg = f"{found[name]} and {path} are of the same utterance: which one is meant? Remove the other"
            raise UserError(msg)
        found[name] = path
    return found
