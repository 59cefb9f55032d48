"""Any folder of audio: wav, flac, ogg, opus, mp3, SPHERE, …; the speaker is the folder that a file lies in, or found by a pattern.

RECORDINGS/anna/monday/001.wav    id anna/monday/001    speaker anna/monday    or, with --speaker-pattern '^(?P<speaker>[^/]+)', anna
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foresay.corpora.manifest import Item
from foresay.corpora.reader import READABLE, UNREADABLE, FoundItem, Reader, Skipped, files
from foresay.errors import UserError


@dataclass(frozen=True)
class Folder(Reader):
    """Reads a folder of audio. Long recordings stay whole: windows are cut when they are read."""

    speaker_pattern: str | None = None
    """Regular expression with a group (?P<speaker>…), searched in the path below the folder; without it, the folder a file lies in."""
    language: str | None = None
    """That is spoken in all of them, such as en."""

    def find(self, source: Path) -> Iterator[FoundItem | Skipped]:
        """Find every audio file. One whose path the pattern does not fit is skipped."""
        pattern = self._compiled()
        for path in files(source, READABLE | UNREADABLE):
            below = path.relative_to(source)
            speaker = below.parent.as_posix() if len(below.parts) > 1 else source.resolve().name
            if pattern:
                fits = pattern.search(below.as_posix())
                if not fits:
                    yield Skipped(path, f"the speaker pattern {pattern.pattern} does not fit {below.as_posix()}")
                    continue
                speaker = fits["speaker"]
            yield FoundItem(Item(below.with_suffix("").as_posix(), audio=path, speaker=speaker, language=self.language))

    def _compiled(self) -> re.Pattern[str] | None:
        if self.speaker_pattern is None:
            return None
        try:
            pattern = re.compile(self.speaker_pattern)
        except re.error as error:
            msg = f"--speaker-pattern {self.speaker_pattern} is not a regular expression: {error}"
            raise UserError(msg) from error
        if "speaker" not in pattern.groupindex:
            msg = f"--speaker-pattern {self.speaker_pattern} lacks the group that is the speaker, such as '^(?P<speaker>[^/]+)/'"
            raise UserError(msg)
        return pattern
