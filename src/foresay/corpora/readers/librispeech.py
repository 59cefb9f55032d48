"""LibriSpeech, and what is laid out like it: SPEAKER/CHAPTER/ID.flac, with SPEAKER-CHAPTER.trans.txt where there are transcripts.

The folder may be one subset (train-clean-100) or hold several; of several, each becomes a split, or is part of the split that it is chosen
for: `--train train-clean-100 --valid dev-clean --test test-clean` as SUPERB. Clips without a transcript come along.
V. Panayotov et al., "LibriSpeech: an ASR corpus based on public domain audio books", ICASSP 2015.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
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

    train: tuple[str, ...] = ()
    """Subsets that are `train`, such as train-clean-100. With any of these three, no other subset is read."""
    valid: tuple[str, ...] = ()
    """Subsets that are `valid`, such as dev-clean."""
    test: tuple[str, ...] = ()
    """Subsets that are `test`, such as test-clean."""

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every clip, transcribed or not."""
        chapter: Path | None = None
        texts: dict[str, str] = {}
        chosen = {subset: split for split in ("train", "valid", "test") for subset in getattr(self, split)}
        for path in chain.from_iterable(files(folder, {".flac", ".wav"}) for folder in ([source / name for name in chosen] or [source])):
            if path.absolute().parent != chapter:
                chapter = path.absolute().parent
                texts, skipped = _transcripts(chapter)
                yield from skipped
            parts = path.relative_to(source).parts
            subsets = tuple(chosen.get(subset, subset) for subset in parts[:1]) if len(parts) == DEPTH_OF_SUBSETS else ()
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
