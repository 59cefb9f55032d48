"""What stands beside a corpus: times of phones and words, and lists of utterances, found by the utterance's id.

A file may name an utterance by the item's whole id (`anna/monday/001`) or by its last part (`001`), as long as that is clear.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeAlias, TypeVar

from foresay.corpora.alignments import read_ctm, read_phone_file, read_textgrid
from foresay.corpora.manifest import Interval
from foresay.corpora.reader import files
from foresay.errors import UserError

T = TypeVar("T")
Intervals: TypeAlias = tuple[Interval, ...]


class ById(Generic[T]):
    """What a file tells of utterances, by their ids."""

    def __init__(self, source: Path, things: Mapping[str, T]) -> None:
        """`source` is named in messages."""
        self.source = source
        self._things = things
        self._by_last_part: dict[str, str | None] = {}
        for key in things:
            last = _last_part(key)
            self._by_last_part[last] = None if last in self._by_last_part else key
        self._owners: dict[str, str] = {}

    def get(self, item_id: str) -> T | None:
        """Return what is told of an item, or None.

        Raises:
            UserError: it was told of another item before: only the last parts of their ids are alike.
        """
        key = item_id if item_id in self._things else self._by_last_part.get(_last_part(item_id))
        if key is None:
            return None
        owner = self._owners.setdefault(key, item_id)
        if owner != item_id:
            msg = f"{self.source}: utterance {key!r} may be {owner!r} or {item_id!r}. Write whole ids into it"
            raise UserError(msg)
        return self._things[key]

    def unclaimed(self) -> list[str]:
        """List the utterances that no item was found for."""
        return [key for key in self._things if key not in self._owners]


@dataclass(frozen=True)
class Times:
    """Where the times of phones and words stand, for corpora that do not bring them along."""

    phone_files: Path | None = None
    """Phone file of the CPC papers: `utterance p0 p1 …`, a number every 10 ms."""
    textgrids: Path | None = None
    """Folder of TextGrid files with the tiers `phones` and `words`, as the Montreal Forced Aligner writes them."""
    ctm: Path | None = None
    """CTM file of phones."""
    word_ctm: Path | None = None
    """CTM file of words."""


class Timetable:
    """The phones and words of each utterance, from the files that `Times` names."""

    def __init__(self, times: Times) -> None:
        """Read the files; a TextGrid is read when it is asked for.

        Raises:
            UserError: a file is not what it should be, or more than one tells of phones.
        """
        named = [path for path in (times.phone_files, times.textgrids, times.ctm) if path]
        if len(named) > 1:
            msg = f"phone times come from one of --phone-files, --textgrids and --ctm, not from {' and '.join(map(str, named))}"
            raise UserError(msg)
        self.phone_set = named[0].stem if named else None
        """What the file or folder is called."""
        self.problems: dict[Path, str] = {}
        """TextGrids without phones, and why."""
        self._phones = _read(times.phone_files, read_phone_file) or _read(times.ctm, read_ctm)
        self._words = _read(times.word_ctm, read_ctm)
        self._textgrids = _read(times.textgrids, _textgrids)

    @property
    def sources(self) -> list[ById[Intervals] | ById[Path]]:
        """The files that there are."""
        return [source for source in (self._phones, self._words, self._textgrids) if source]

    def phones(self, item_id: str) -> Intervals | None:
        """Return the phones of an item, if they are known."""
        return self._phones.get(item_id) if self._phones else self._tier(item_id, "phones")

    def words(self, item_id: str) -> Intervals | None:
        """Return the words of an item, if they are known."""
        return self._words.get(item_id) if self._words else self._tier(item_id, "words")

    def _tier(self, item_id: str, name: str) -> Intervals | None:
        path = self._textgrids.get(item_id) if self._textgrids else None
        if path is None:
            return None
        try:
            # The aligner names tiers `SPEAKER - phones` where a recording has several speakers.
            tiers = {tier.lower().rpartition(" - ")[2]: intervals for tier, intervals in read_textgrid(path).items()}
        except UserError as error:
            self.problems[path] = str(error)
            return None
        if "phones" not in tiers:
            self.problems[path] = f"{path} has no tier `phones`; its tiers are {', '.join(tiers) or 'none'}"
        return tiers.get(name)


def read_list(path: Path) -> ById[str]:
    """Read a split list of the CPC papers: one utterance id a line."""
    if not path.is_file():
        msg = f"there is no file {path}: --split takes NAME=FILE, a file with one utterance id a line"
        raise UserError(msg)
    return ById(path, {name: name for line in path.read_text(encoding="utf-8").splitlines() if (name := line.strip())})


def _read(path: Path | None, read: Callable[[Path], Mapping[str, T]]) -> ById[T] | None:
    if path is None:
        return None
    if not path.exists():
        msg = f"there is no {path}, in which the times of phones or words should stand"
        raise UserError(msg)
    return ById(path, read(path))


def _textgrids(folder: Path) -> dict[str, Path]:
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in files(folder, {".textgrid"})}


def _last_part(item_id: str) -> str:
    return item_id.rpartition("/")[2]
