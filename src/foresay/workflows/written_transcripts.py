"""Transcripts on their way to the disk: each is written when it is there, and what was interrupted goes on.

A file of all recordings grows beside its place, and gets its name when it is whole; of formats that hold one recording, each file is whole.
A list of what is done lies beside them meanwhile, with a digest of recognizer, search and format: what these wrote, and nothing else, is
gone on with.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from foresay.corpora.reader import READABLE
from foresay.encoding.transcripts import Transcript
from foresay.errors import UserError
from foresay.files import UNFINISHED, make_folder, write_text
from foresay.locks import exclusive
from foresay.reports.transcripts import TOGETHER, WRITERS, Format
from foresay.reports.wording import plural
from foresay.workflows.extract import safe_name

ENDINGS = {"srt": "srt", "textgrid": "TextGrid"}


class _Done(NamedTuple):
    """A recording whose transcript is on the disk."""

    id: str
    size: int
    """Of the file of all recordings, with it."""


class WrittenTranscripts:
    """What a command writes.

    Args:
        dest: a file (txt, jsonl, ctm), or a folder (srt, textgrid).
        form: the format.
        stamp: a digest of all that the transcripts follow from, but the recordings.

    Raises:
        UserError: the file is there already, or was begun by another recognizer or search.
    """

    def __init__(self, dest: Path, form: Format, stamp: str) -> None:
        self.dest, self.form = dest, form
        self._together = form in TOGETHER
        if self._together and dest.exists():
            msg = f"{dest} is there already: choose another file, so that nothing of it is lost"
            raise UserError(msg)
        make_folder(dest.parent if self._together else dest)
        self._part = dest.with_name(f"{UNFINISHED}{dest.name}")
        self._list = dest.with_name(f"{UNFINISHED}{dest.name}.done") if self._together else dest / f"{UNFINISHED}transcripts.done"
        self._stamp = f"{stamp} {form}"
        self._goes_on = self._list.exists()
        self._done = self._known()

    @property
    def done(self) -> list[str]:
        """The recordings whose transcripts were written before, or are now."""
        return [one.id for one in self._done]

    def write(self, transcripts: Iterable[Transcript]) -> int:
        """Write transcripts as they come, and give the file its name: how many files there are.

        Raises:
            UserError: two recordings would have one file, or another process writes there.
            KeyboardInterrupt: it was interrupted; the message says how to go on.
        """
        with exclusive(self._list.parent, f"It transcribes into {self.dest} too: choose another --out", f"{self._list.name}.lock"):
            self._begin()
            try:
                for transcript in transcripts:
                    self._add(transcript)
            except KeyboardInterrupt as interrupt:
                msg = f"interrupted, with {plural(len(self._done), 'recording')} transcribed; the same command goes on"
                raise KeyboardInterrupt(msg) from interrupt
            if self._together:
                self._part.replace(self.dest)
            self._list.unlink()
        return 1 if self._together else len(self._done)

    def _begin(self) -> None:
        """Write down whose transcripts these are, and take off what was cut off."""
        write_text(self._list, "".join([f"{self._stamp}\n", *map(_line, self._done)]))
        if self._together:
            with self._part.open("ab") as file:
                file.truncate(self._done[-1].size if self._done else 0)

    def _add(self, transcript: Transcript) -> None:
        text, size = WRITERS[self.form](transcript), 0
        if self._together:
            with self._part.open("ab") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
            size = self._part.stat().st_size
        else:
            path = self._place(transcript.id)
            unlisted = path.exists() and self._goes_on and path not in map(self._place, self.done)
            if path.exists() and not (unlisted and path.read_bytes() == text.encode()):  # a kill leaves one that is not listed
                msg = f"{path} is there already, or two recordings have one name: choose another folder, or transcribe a manifest"
                raise UserError(msg)
            make_folder(path.parent)
            write_text(path, text)
        with self._list.open("a", encoding="utf-8") as file:
            file.write(_line(_Done(transcript.id, size)))
        self._done.append(_Done(transcript.id, size))

    def _known(self) -> list[_Done]:
        """Read what was done before, and is there; a line that was cut off does not count."""
        if not self._list.exists():
            return []
        stamp, *lines = self._list.read_text(encoding="utf-8").split("\n")
        if stamp != self._stamp and len(lines) > 1:
            msg = (
                f"{self.dest} was begun with another recognizer, search or format, and not finished: give the command that began it, "
                f"which goes on, or choose another --out, or delete {self._list}"
            )
            raise UserError(msg)
        done = [_Done(*json.loads(line)) for line in lines[:-1]]
        if self._together:
            size = self._part.stat().st_size if self._part.exists() else 0
            return [one for one in done if one.size <= size]
        return [one for one in done if self._place(one.id).exists()]

    def _place(self, name: str) -> Path:
        """Of the file of one recording."""
        return self.dest / safe_name(_stem(name), ENDINGS[self.form])


def _line(done: _Done) -> str:
    return json.dumps(done) + "\n"


def _stem(name: str) -> str:
    return str(Path(name).with_suffix("")) if Path(name).suffix in READABLE else name
