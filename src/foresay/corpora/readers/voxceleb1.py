"""VoxCeleb1: speech of celebrities, to identify or to verify speakers; --task must be chosen.

    dev/wav/id10001/VIDEO/00001.wav, test/wav/…    or all below one folder
    iden_split.txt or veri_test_class.txt          sid: `1 id10001/VIDEO/00001.wav`, 1 being train, 2 valid and 3 test
    veri_test2.txt or voxceleb1_test_v2.txt        asv: `1 id10270/VIDEO/00001.wav id10270/VIDEO/00002.wav`, 1 being the same speaker

For verification (asv) the files of the list are `test`, and their speakers nowhere else. SUPERB trains with all others and chooses by the
error of the test; here some training speakers, at equal distances in the order of their names, are `valid` instead, with trials drawn among
them: of one speaker in two videos, and as many of two speakers.
A. Nagrani et al., "VoxCeleb: a large-scale speaker identification dataset", Interspeech 2017.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

from foresay.corpora.manifest import Item, Manifest
from foresay.corpora.reader import FoundItem, ItemPairs, Reader, Skipped, files, listed, spread
from foresay.draws import bits
from foresay.errors import UserError

SPLITS = {"1": "train", "2": "valid", "3": "test"}
IDENTIFICATION = ("iden_split.txt", "veri_test_class.txt")
VERIFICATION = ("veri_test2.txt", "voxceleb1_test_v2.txt")
DEPTH = 3
"""Parts of SPEAKER/VIDEO/FILE."""
TRIALS = 4
"""Of each validation clip, with clips of its speaker, and as many with others."""


@dataclass(frozen=True)
class VoxCeleb1(Reader):
    """Reads VoxCeleb1."""

    task: Literal["sid", "asv"] | None = None
    """Must be chosen: sid identifies speakers (all of them in each split), asv verifies speakers that are not in training."""
    valid_speakers: int = 40
    """asv: training speakers held out for validation; 0 as SUPERB."""

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every clip."""
        if self.task is None or self.valid_speakers < 0 or self.valid_speakers == 1:
            msg = "--task must be chosen, sid (identification) or asv (verification), and --valid-speakers must be 0, or 2 or more"
            raise UserError(msg)
        paths = {_name(path.relative_to(source).as_posix()): path for path in files(source, {".wav", ".flac"})}
        splits = _identification(source) if self.task == "sid" else self._verification(source, paths)
        for name, path in {**{name: source / f"{name}.wav" for name in splits}, **paths}.items():
            split = splits.get(name)
            yield FoundItem(Item(name, path, speaker=_speaker(name)), (split,) if split else ())

    def beside(self, source: Path, manifests: Mapping[str, Manifest]) -> Iterator[ItemPairs]:
        """Yield the trials of verification."""
        if self.task == "asv":
            if "valid" in manifests:
                yield ItemPairs("valid-trials.txt", ("valid", "valid"), draw_trials(manifests["valid"].ids))
            yield ItemPairs("test-trials.txt", ("test", "test"), _trials(source))

    def _verification(self, source: Path, paths: Mapping[str, Path]) -> dict[str, str]:
        """Return the split of each clip that is in one; `paths`: clip -> file."""
        trials = _trials(source)
        if unknown := next((name for _, *both in trials for name in both if name not in paths), None):
            msg = (
                f"a trial names {unknown}.wav, and {source} has no such file. An error rate of fewer trials cannot be compared: "
                f"unpack the test part there too"
            )
            raise UserError(msg)
        tested = {name for _, *both in trials for name in both}
        test_speakers = {_speaker(name) for name in tested}
        speakers = sorted({_speaker(name) for name in paths} - test_speakers)
        valid_speakers = set(spread(speakers, self.valid_speakers)) if self.valid_speakers else set[str]()
        if len(speakers) <= len(valid_speakers):
            msg = (
                f"{source} has {len(speakers)} speakers besides those of the trials, of which {len(valid_speakers)} are for validation: "
                f"nobody is left to train with. Unpack the dev part there too, or give a smaller --valid-speakers"
            )
            raise UserError(msg)
        others = {name: "valid" if _speaker(name) in valid_speakers else "train" for name in paths if _speaker(name) not in test_speakers}
        return {**others, **dict.fromkeys(sorted(tested), "test")}


def draw_trials(ids: Sequence[str]) -> list[tuple[str, str, str]]:
    """Draw trials among clips of several speakers: of each, some with its own speaker in other videos, and as many with other speakers.

    >>> draw_trials(["a/v/1", "a/w/1", "b/v/1"])
    [('1', 'a/v/1', 'a/w/1'), ('0', 'a/v/1', 'b/v/1'), ('0', 'a/w/1', 'b/v/1')]
    """
    ids = sorted(ids)
    rows: dict[frozenset[str], tuple[str, str, str]] = {}
    first = 0
    for _, group in groupby(ids, _speaker):
        own = list(group)
        others = ids[:first] + ids[first + len(own) :]
        for place, name in enumerate(own, start=first):
            numbers = bits("trials", place, count=2 * TRIALS).tolist()
            elsewhere = [mate for mate in own if mate.split("/")[1] != name.split("/")[1]]
            for mark, candidates, drawn in (("1", elsewhere, numbers[:TRIALS]), ("0", others, numbers[TRIALS:])):
                for number in drawn if candidates else ():
                    other = candidates[number % len(candidates)]
                    rows.setdefault(frozenset((name, other)), (mark, name, other))
        first += len(own)
    return list(rows.values())


def _name(path: str) -> str:
    """Name a clip by its speaker, video and file."""
    return "/".join(path.rpartition(".")[0].split("/")[-DEPTH:])


def _speaker(name: str) -> str:
    return name.partition("/")[0]


def _identification(source: Path) -> dict[str, str]:
    """Read the split of each clip.

    Raises:
        UserError: a line is none, or a speaker cannot be learned because no clip of theirs is in `train`.
    """
    splits = {}
    for line in listed(source, *IDENTIFICATION):
        number, _, path = line.partition(" ")
        if number not in SPLITS or len(path.split("/")) != DEPTH:
            msg = f"{' or '.join(IDENTIFICATION)} in {source} holds {line!r}, not `1 SPEAKER/VIDEO/FILE.wav` (1 train, 2 valid, 3 test)"
            raise UserError(msg)
        splits[_name(path)] = SPLITS[number]
    learned = {_speaker(name) for name, split in splits.items() if split == "train"}
    if unknown := sorted({_speaker(name) for name in splits} - learned):
        msg = f"{' or '.join(IDENTIFICATION)} in {source} has no clips of {', '.join(unknown)} for training: is it whole?"
        raise UserError(msg)
    return splits


def _trials(source: Path) -> list[tuple[str, str, str]]:
    """Read the trials: a mark and two clips each."""
    trials = []
    for line in listed(source, *VERIFICATION):
        mark, *both = line.split()
        names = [_name(path) for path in both]
        if mark not in {"0", "1"} or len(names) != len(("one", "other")) or (mark == "1") != (_speaker(names[0]) == _speaker(names[1])):
            msg = f"{' or '.join(VERIFICATION)} in {source} holds {line!r}, not `1 FILE FILE` of one speaker or `0 FILE FILE` of two"
            raise UserError(msg)
        trials.append((mark, names[0], names[1]))
    return trials
