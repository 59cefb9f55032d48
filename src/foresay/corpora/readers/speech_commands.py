"""Speech Commands v0.01, as SUPERB's keyword spotting: ten keywords, `_unknown_` and `_silence_`.

    speech_commands_v0.01/yes/HASH_nohash_0.wav     30 words; HASH is the speaker
    speech_commands_v0.01/_background_noise_/…      minutes of noise: silence is cut out of it
    speech_commands_v0.01/validation_list.txt       clips of `valid`; those of testing_list.txt are in no split; the rest is `train`
    speech_commands_test_set_v0.01/_unknown_/…      `test`: a folder for each of the twelve classes

SUPERB draws all classes equally often in training. Here the splits hold as many unknown words, and as much silence, as a keyword has clips
in the mean: other words evenly from all there are, and one-second parts of the noises at equal distances. SUPERB validates with the noises
that it trains with; here the last tenth of each noise is for `valid`. P. Warden, "Speech Commands", arXiv:1804.03209, 2018.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from foresay.audio.read import audio_info
from foresay.corpora.manifest import Item
from foresay.corpora.reader import FoundItem, Reader, Skipped, files, listed, spread
from foresay.errors import AudioError, UserError

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
UNKNOWN, SILENCE, NOISE = "_unknown_", "_silence_", "_background_noise_"
CLASSES = (*KEYWORDS, UNKNOWN, SILENCE)
CLIPS, TEST = "speech_commands_v0.01", "speech_commands_test_set_v0.01"
VALID, TESTING = "validation_list.txt", "testing_list.txt"
SECONDS = 1.0
"""Length of a part of noise, that of the clips."""
HELD_OUT = 0.1
"""Share of each noise that is for `valid`."""
SLACK = 1e-6
"""More than floating point is wrong by."""
SPEAKER = re.compile(r"([^_]+)_nohash_")


class _Clip(NamedTuple):
    name: str
    """As in the lists: `yes/HASH_nohash_0.wav`."""
    path: Path
    split: str | None
    """None: of the testing list."""

    @property
    def word(self) -> str:
        return self.path.parent.name


@dataclass(frozen=True)
class SpeechCommands(Reader):
    """Reads Speech Commands."""

    all_unknown: bool = False
    """Take every other word, not as many as a keyword has clips, and each second of the noises once."""

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every clip; its label is one of the twelve classes. What is in no split is in the manifest of everything."""
        lists = {"valid": VALID, None: TESTING}
        splits = {name: split for split, file in lists.items() for name in listed(source / CLIPS, file)}
        paths = list(files(source / CLIPS, {".wav"}))
        clips = [_clip(path, splits) for path in paths if path.parent.name != NOISE]
        tests = list(files(source / TEST, {".wav"}))
        _refuse_empty(clips, tests)
        for name in sorted(splits.keys() - {clip.name for clip in clips}):
            yield Skipped(source / CLIPS / name, f"{name} stands in {lists[splits[name]]}, and there is no such file")
        taken = set[str]()
        for split in ("train", "valid"):
            others = [clip.name for clip in clips if clip.split == split and clip.word not in KEYWORDS]
            taken.update(others if self.all_unknown else spread(others, _each(clips, split)))
        for clip in clips:
            label, usable = (clip.word, True) if clip.word in KEYWORDS else (UNKNOWN, clip.name in taken)
            item = Item(clip.name.removesuffix(".wav"), clip.path, speaker=_speaker(clip.path), language="en", text=clip.word, label=label)
            yield FoundItem(item, (clip.split,) if clip.split and usable else ())
        for path in tests:
            label = path.parent.name
            if label not in CLASSES:
                yield Skipped(path, f"{label!r} is none of the twelve classes, whose folders are {', '.join(CLASSES)}")
                continue
            yield FoundItem(Item(f"test/{label}/{path.stem}", path, speaker=_speaker(path), language="en", label=label), ("test",))
        noises = [path for path in paths if path.parent.name == NOISE]
        for split in ("train", "valid"):
            yield from _silence(noises, split, None if self.all_unknown else _each(clips, split))


def _clip(path: Path, splits: dict[str, str | None]) -> _Clip:
    name = f"{path.parent.name}/{path.name}"
    return _Clip(name, path, splits.get(name, "train"))


def _speaker(path: Path) -> str | None:
    found = SPEAKER.search(path.stem)
    return found[1] if found else None


def _each(clips: Sequence[_Clip], split: str) -> int:
    """Count the clips that a keyword has, in the mean."""
    return round(sum(clip.split == split and clip.word in KEYWORDS for clip in clips) / len(KEYWORDS))


def _refuse_empty(clips: Sequence[_Clip], tests: Sequence[Path]) -> None:
    """Refuse a corpus in which a class has no clip: its accuracy would be one of fewer classes."""
    found = Counter((clip.split, clip.word if clip.word in KEYWORDS else UNKNOWN) for clip in clips)
    found.update(("test", path.parent.name) for path in tests)
    for split, folder in (("train", CLIPS), ("valid", CLIPS), ("test", TEST)):
        classes = CLASSES if split == "test" else (*KEYWORDS, UNKNOWN)  # silence is yet to be cut
        if empty := [label for label in classes if not found[split, label]]:
            msg = f"{folder} has no clips of {', '.join(empty)} for {split}: was it unpacked whole?"
            raise UserError(msg)


def _silence(noises: Sequence[Path], split: str, count: int | None) -> Iterator[FoundItem | Skipped]:
    """Find parts of the noises at equal distances, `count` of them or, without it, one after another."""
    rooms = list[tuple[Path, float, float]]()
    for path in noises:
        try:
            info = audio_info(path)
        except AudioError as error:
            if split == "train":  # once
                yield Skipped(path, str(error))
            continue
        length = info.frames / info.sample_rate
        first, last = (0.0, length * (1 - HELD_OUT)) if split == "train" else (length * (1 - HELD_OUT), length)
        if last - first >= SECONDS:
            rooms.append((path, first, last - SECONDS))
    if not rooms:
        msg = f"{NOISE} has no noise of which a second could be cut for {split}, so that {SILENCE} would have no clips: unpack it whole"
        raise UserError(msg)
    starts = [(path, start) for path, first, last in rooms for start in _seconds(first, last)] if count is None else _even(rooms, count)
    for path, start in starts:
        item = Item(f"{SILENCE}/{path.stem}-{round(1000 * start):06d}", path, start=start, duration=SECONDS, label=SILENCE)
        yield FoundItem(item, (split,))


def _seconds(first: float, last: float) -> list[float]:
    return [_floor(first + n * SECONDS) for n in range(int((last - first) / SECONDS + SLACK) + 1)]


def _even(rooms: Sequence[tuple[Path, float, float]], count: int) -> list[tuple[Path, float]]:
    """Place starts at equal distances in the rooms, one after another, in whole milliseconds."""
    total = sum(last - first for _, first, last in rooms)
    starts, before = [], 0.0
    for path, first, last in rooms:
        here = [total * (n + 0.5) / count - before for n in range(count)]
        starts += [(path, _floor(first + place)) for place in here if 0 <= place < last - first]
        before += last - first
    return starts


def _floor(seconds: float) -> float:
    """Cut off parts of milliseconds: rounded up, a part could end after the noise."""
    return math.floor(1000 * seconds + SLACK) / 1000
