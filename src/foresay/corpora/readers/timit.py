"""TIMIT: SPHERE audio (.wav), phones (.phn), words (.wrd) and text (.txt), hand-made; --phones must be chosen.

    TRAIN/DR1/FCJF0/SA1.WAV    the original, whose folders TRAIN and TEST are the split
    dr1-fvmh0/sa1.wav          the sample of the NLTK project, of which a quarter of the speakers are held out

All speakers read the sentences sa1 and sa2: in the test they would be known from training, so they are in `train` only.
J. Garofolo et al., "TIMIT Acoustic-Phonetic Continuous Speech Corpus", LDC93S1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from foresay.corpora.manifest import Interval, Item
from foresay.corpora.reader import FoundItem, Reader, Skipped, files
from foresay.errors import UserError
from foresay.files import text_lines

PhoneSet: TypeAlias = Literal["timit61", "timit48", "timit39"]

SAMPLE_RATE = 16_000
SAME_FOR_ALL = {"sa1", "sa2"}
HELD_OUT = 4
"""Without an official split, one speaker in so many is for testing. Names begin with f or m, so that both sexes are among them."""

# K.-F. Lee and H.-W. Hon, "Speaker-independent phone recognition using hidden Markov models", 1989, table I: 61 labels are trained as 48,
# of which 39 are distinguished in scoring. A phone that is not named maps to itself.
TO_48: Mapping[str, str | None] = {
    **dict.fromkeys(("pcl", "tcl", "kcl"), "cl"),
    **dict.fromkeys(("bcl", "dcl", "gcl"), "vcl"),
    **dict.fromkeys(("h#", "pau"), "sil"),
    "ax-h": "ax",
    "axr": "er",
    "em": "m",
    "eng": "ng",
    "hv": "hh",
    "nx": "n",
    "ux": "uw",
    "q": None,
}
TO_39: Mapping[str, str] = {
    **dict.fromkeys(("cl", "vcl", "epi"), "sil"),
    "ao": "aa",
    "ax": "ah",
    "el": "l",
    "en": "n",
    "ix": "ih",
    "zh": "sh",
}


@dataclass(frozen=True)
class Timit(Reader):
    """Reads TIMIT, whole or the sample."""

    phones: PhoneSet | None = None
    """Must be chosen: timit61 as transcribed; timit48, timit39 folded as in Lee and Hon 1989 (the glottal stop q goes unlabelled)."""
    test_speakers: tuple[str, ...] = ()
    """Speakers held out for testing, such as fvmh0; default the folder TEST or, without one, every fourth speaker."""
    sa: Literal["train", "both", "none"] = "train"
    """Which split has the sentences sa1 and sa2, which all speakers read."""

    @property
    def phone_set(self) -> PhoneSet:
        """The phones that were chosen."""
        if self.phones is None:
            msg = (
                f"--phones must be chosen ({', '.join(get_args(PhoneSet))}): numbers of different sets cannot be compared. "
                f"Most papers train with 61 or 48 labels and score 39: if unsure, take timit39"
            )
            raise UserError(msg)
        return self.phones

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every sentence. One whose labels cannot be read is skipped."""
        phone_set = self.phone_set
        paths = list(files(source, {".wav", ".sph", ".flac"}))
        test_speakers = self._held_out({_speaker(path): _official_split(path, source) for path in paths})
        beside = lru_cache(maxsize=1)(_by_lower_name)
        for path in paths:
            try:
                item = _item(path, beside(path.parent), phone_set)
            except (UserError, OSError) as error:
                yield Skipped(path, str(error))
                continue
            yield FoundItem(item, self._splits(item, test_speakers, _official_split(path, source)))

    def _held_out(self, speakers: Mapping[str, str | None]) -> set[str]:
        """Return the speakers that are for testing; `speakers`: name -> official split."""
        chosen = {speaker.lower() for given in self.test_speakers for speaker in given.split(",")}
        if unknown := chosen - set(speakers):
            msg = f"--test-speakers {' '.join(sorted(unknown))}: not here. There are {', '.join(sorted(speakers))}"
            raise UserError(msg)
        official = {speaker for speaker, split in speakers.items() if split == "test"}
        return chosen or official or set(sorted(speakers)[HELD_OUT - 1 :: HELD_OUT])

    def _splits(self, item: Item, test_speakers: set[str], official: str | None) -> tuple[str, ...]:
        """Return the split of a sentence; a speaker of the folder TEST who is not among those chosen is in none."""
        sentence = item.id.rpartition("-")[2]
        split = "test" if item.speaker in test_speakers else "train"
        if split != official == "test":
            return ()
        left_out = {"train": {"test"}, "both": set[str](), "none": {"train", "test"}}[self.sa]
        return () if sentence in SAME_FOR_ALL and split in left_out else (split,)


def folded(intervals: tuple[Interval, ...], phone_set: PhoneSet) -> Iterator[Interval]:
    """Yield intervals of the 61 labels as those of a smaller set. Equal neighbors stay apart; the time of q is left without a label."""
    for start, end, label in intervals:
        kept: str | None = label
        if phone_set != "timit61":
            kept = TO_48.get(label, label)
        if phone_set == "timit39" and kept is not None:
            kept = TO_39.get(kept, kept)
        if kept is not None:
            yield Interval(start, end, kept)


def _item(path: Path, beside: Mapping[str, Sequence[Path]], phone_set: PhoneSet) -> Item:
    """Put a sentence together from its files; `beside`: the folder's files by their names in lower case."""
    # Copies exist that have SA1.WAV (SPHERE) and SA1.WAV.wav side by side; the importer keeps the first of equal ids.
    sentence = path.name.lower().partition(".")[0]
    phones, words, text = (_intervals(_only(beside.get(f"{sentence}.{kind}", ()))) for kind in ("phn", "wrd", "txt"))
    if len(text) > 1:
        msg = f"{beside[f'{sentence}.txt'][0]} holds {len(text)} texts: which one is meant? Keep one"
        raise UserError(msg)
    return Item(
        f"{_speaker(path)}-{sentence}",
        audio=path,
        speaker=_speaker(path),
        language="en",
        text=text[0].label if text else None,
        phones=tuple(folded(phones, phone_set)) or None,
        words=words or None,
    )


def _only(paths: Sequence[Path]) -> Path | None:
    """Return the file of a name, which may be there twice, in large and in small letters, if both say the same."""
    if any(path.read_bytes() != paths[0].read_bytes() for path in paths[1:]):
        msg = f"{' and '.join(map(str, paths))} differ about one sentence. Remove the wrong one"
        raise UserError(msg)
    return paths[0] if paths else None


def _intervals(path: Path | None) -> tuple[Interval, ...]:
    """Read lines of `first-sample last-sample label`; a file that is not there holds none."""
    lines = text_lines(path, otherwise="latin-1") if path else ()
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            start, end, label = line.split(maxsplit=2)
            found.append(Interval(int(start) / SAMPLE_RATE, int(end) / SAMPLE_RATE, label.strip()))
            if not 0 <= int(start) <= int(end):
                raise ValueError  # noqa: TRY301 - reported like the others
        except ValueError as error:
            msg = f"{path}, line {number} is {line!r}, not `first-sample last-sample label`"
            raise UserError(msg) from error
    return tuple(found)


def _speaker(path: Path) -> str:
    return path.absolute().parent.name.lower().rpartition("-")[2]


def _official_split(path: Path, source: Path) -> str | None:
    """Return which of the folders TRAIN and TEST a file lies in."""
    folders = {part.lower() for part in path.relative_to(source).parts}
    return next((split for split in ("train", "test") if split in folders), None)


def _by_lower_name(folder: Path) -> dict[str, list[Path]]:
    """Find the files of a folder by their names in lower case."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        found.setdefault(path.name.lower(), []).append(path)
    return found
