"""Free Spoken Digit Dataset: DIGIT_SPEAKER_TAKE.wav, with its official split, in which takes 0 to 4 are for testing.

Z. Jackson et al., "Free Spoken Digit Dataset", https://github.com/Jakobovski/free-spoken-digit-dataset.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foresay.corpora.manifest import Item
from foresay.corpora.reader import FoundItem, Reader, Skipped, files

NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<take>\d+)")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TEST_TAKES = 5


@dataclass(frozen=True)
class Digits(Reader):
    """Reads the digits."""

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every clip; its label is the digit."""
        for path in files(source, {".wav"}):
            name = NAME.fullmatch(path.stem)
            if not name:
                yield Skipped(path, "its name is not DIGIT_SPEAKER_TAKE.wav")
                continue
            digit = name["digit"]
            item = Item(path.stem, audio=path, speaker=name["speaker"], language="en", text=WORDS[int(digit)], label=digit)
            yield FoundItem(item, ("test",) if int(name["take"]) < TEST_TAKES else ("train",))
