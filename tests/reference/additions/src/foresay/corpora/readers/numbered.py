"""Numbered files: SPEAKER-NUMBER.wav in one folder, for the test of additions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foresay.corpora.manifest import Item
from foresay.corpora.reader import FoundItem, Reader, Skipped, files


@dataclass(frozen=True)
class Numbered(Reader):
    """Reads the files."""

    language: str = "en"
    """What is spoken."""

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every clip."""
        for path in files(source, {".wav"}):
            yield FoundItem(Item(path.stem, audio=path, speaker=path.stem.partition("-")[0], language=self.language))
