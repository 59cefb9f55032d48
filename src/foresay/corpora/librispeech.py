"""LibriSpeech, and what is laid out like it: SPEAKER/CHAPTER/ID.flac, with SPEAKER-CHAPTER.trans.txt where there are transcripts.

The folder may be one subset (train-clean-100) or hold several; of several, each becomes a split. Clips without a transcript come along.
V. Panayotov et al., "LibriSpeech: an ASR corpus based on public domain audio books", ICASSP 2015.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from foresay.corpora.manifest import Item
from foresay.corpora.reader import Found, Reader, Skipped, files

DEPTH_OF_SUBSETS = 4
"""Parts of SUBSET/SPEAKER/CHAPTER/ID.flac."""


@dataclass(frozen=True)
class LibriSpeech(Reader):
    """Reads LibriSpeech."""

    def find(self, source: Path) -> Iterator[Found | Skipped]:
        """Find every clip, transcribed or not."""
        transcripts = lru_cache(maxsize=1)(_transcripts)
        for path in files(source, {".flac", ".wav"}):
            chapter = path.absolute().parent
            text = transcripts(chapter).get(path.stem)
            parts = path.relative_to(source).parts
            subsets = parts[:1] if len(parts) == DEPTH_OF_SUBSETS else ()
            yield Found(Item(path.stem, audio=path, speaker=chapter.parent.name, language="en", text=text), subsets)


def _transcripts(chapter: Path) -> dict[str, str]:
    """Read the texts of a chapter by utterance."""
    lines = (
        line for path in sorted(chapter.glob("*.trans.txt")) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    )
    pairs = (line.partition(" ") for line in lines)
    return {utterance: text.strip() for utterance, _, text in pairs if text.strip()}
