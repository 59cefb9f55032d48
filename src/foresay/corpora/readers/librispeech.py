"""LibriSpeech, and what is laid out like it: SPEAKER/CHAPTER/ID.flac, with SPEAKER-CHAPTER.trans.txt where there are transcripts.

The folder may be one subset (train-clean-100) or hold several; of several, each becomes a split. Clips without a transcript come along.
V. Panayotov et al., "LibriSpeech: an ASR corpus based on public domain audio books", ICASSP 2015.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foresay.corpora.manifest import Item
from foresay.corpora.reader import FoundItem, Reader, Skipped, files
from foresay.errors import UserError
from foresay.files import text_lines

DEPTH_OF_SUBSETS = 4
"""Parts of SUBSET/SPEAKER/CHAPTER/ID.flac."""


@dataclass(frozen=True)
class LibriSpeech(Reader):
    """Reads LibriSpeech."""

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every clip, transcribed or not."""
        chapter: Path | None = None
        texts: dict[str, str] = {}
        for path in files(source, {".flac", ".wav"}):
            if path.absolute().parent != chapter:
                chapter = path.absolute().parent
                texts, skipped = _transcripts(chapter)
                yield from skipped
            parts = path.relative_to(source).parts
            subsets = parts[:1] if len(parts) == DEPTH_OF_SUBSETS else ()
            yield FoundItem(Item(path.stem, audio=path, speaker=chapter.parent.name, language="en", text=texts.get(path.stem)), subsets)


def _transcripts(chapter: Path) -> tuple[dict[str, str], list[Skipped]]:
    """Read the texts of a chapter by utterance. What is no text, or is given differently twice, is left out and reported."""
    texts: dict[str, str] = {}
    skipped = []
    contradicted = set()
    for path in sorted(chapter.glob("*.trans.txt")):
        try:
            lines = text_lines(path)
        except UserError as error:
            skipped.append(Skipped(path, str(error)))
            continue
        for number, line in enumerate(lines, start=1):
            utterance, text, *_ = (*line.split(maxsplit=1), "", "")
            if text.strip() and texts.setdefault(utterance, text.strip()) != text.strip():
                contradicted.add(utterance)
                skipped.append(Skipped(path, f"{path}, line {number}: another text of {utterance} than before; it goes without any"))
    return {utterance: text for utterance, text in texts.items() if utterance not in contradicted}, skipped
