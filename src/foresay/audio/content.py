"""The bytes behind an `audio` path, as a file that can be searched: all audio is opened here.

What decodes is not always the file as it lies there: a recording may be a part of a file, and a header that lies is read as it should be.
"""

import io
import os
import stat
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeAlias

from foresay.audio.faults import Fault, FaultyAudioError
from foresay.shards import ShardError, ShardPart, open_part, part_of

Opener: TypeAlias = Callable[[], Any]
"""Opens a binary file, without a buffer."""
Key = tuple[str, int, int, int, int]


class Content(io.RawIOBase):
    """Bytes `begin` to `end` of a file, read only, some of them replaced."""

    def __init__(self, opener: Opener, path: Path, begin: int, end: int, patches: Mapping[int, bytes] | None = None) -> None:
        """Open the file; `path` is named in messages, `patches` are what is read instead of what lies there."""
        super().__init__()
        self.path = path
        self.size = end - begin
        self.failure: OSError | None = None
        """Why the last reading failed. The decoder gets an end of file instead: it cannot handle exceptions."""
        self._opener, self._file, self._begin, self._at = opener, opener(), begin, 0
        self._patches = dict(patches or {})

    @property
    def key(self) -> Key:
        """What stays the same as long as the content does."""
        file = os.fstat(self._file.fileno())
        return str(self.path), file.st_size, file.st_mtime_ns, self._begin, self.size

    def patch(self, at: int, content: bytes) -> None:
        """Let other bytes be read in a place."""
        self._patches[at] = content

    def part(self, begin: int, end: int) -> "Content":
        """Open a part of it once more; patches are not taken along."""
        return Content(self._opener, self.path, self._begin + begin, self._begin + end)

    def again(self) -> "Content":
        """Open the same once more, patches and all."""
        return Content(self._opener, self.path, self._begin, self._begin + self.size, self._patches)

    def bytes_at(self, at: int, count: int) -> bytes:
        """Read up to so many bytes in a place, without moving on."""
        before = self._at
        self._at = at
        content = self.read(count) or b""
        self._at = before
        return content

    def readable(self) -> bool:
        """Return true: it can be read."""
        return True

    def seekable(self) -> bool:
        """Return true: it can seek."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go somewhere; beyond the ends is cut off."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = min(max(base + offset, 0), self.size)
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # whatever has a buffer
        """Read into a buffer; 0 at the end, and where the disk fails."""
        view = memoryview(buffer).cast("B")[: self.size - self._at]
        try:
            count = os.preadv(self._file.fileno(), [view], self._begin + self._at)  # a shard is read by others too, each where it is
        except OSError as error:
            self.failure = error
            return 0
        for at, content in self._patches.items():
            first, last = max(at, self._at), min(at + len(content), self._at + count)
            if first < last:
                view[first - self._at : last - self._at] = content[first - at : last - at]
        self._at += count
        return count

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def __enter__(self) -> Self:
        return self


def open_content(path: Path) -> Content:
    """Open what an `audio` path stands for.

    Raises:
        FaultyAudioError: there is no such file, it may not be read, is no regular file, or is empty.
    """
    if part := part_of(path):
        return _open_in_shard(path, part)
    try:
        kind = path.stat()
    except FileNotFoundError as error:
        msg = f"there is no file {path}. Paths in a manifest are relative to it: was the manifest or the audio moved?"
        raise FaultyAudioError(msg, Fault.MISSING) from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path, or what cannot be encoded
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(kind.st_mode):
        what = "a device or a pipe"
        if stat.S_ISDIR(kind.st_mode):
            what = "a folder" if os.access(path, os.R_OK | os.X_OK) else "a folder that may not be looked into"
        msg = f"{path} is {what}, not a recording"
        raise FaultyAudioError(msg, Fault.NOT_AUDIO)
    if not kind.st_size:
        msg = f"{path} is empty (0 bytes): was a download or a copy interrupted? Fetch it again, or leave it out."
        raise FaultyAudioError(msg, Fault.EMPTY)
    try:
        return Content(partial(path.open, "rb", buffering=0), path, 0, kind.st_size)
    except OSError as error:
        raise _unreadable(path, error) from error


def _open_in_shard(path: Path, part: ShardPart) -> Content:
    """Open a part of a shard; messages name the shard and what the recording is called in it."""
    try:
        file = open_part(part)
    except ShardError as error:
        raise FaultyAudioError(str(error), Fault(error.kind)) from error
    if not part.length:
        msg = f"{path} is empty (0 bytes): the file was when it was packed. Leave it out."
        raise FaultyAudioError(msg, Fault.EMPTY)
    return Content(file.again, part.shard / file.name, part.offset, part.offset + part.length)


def _unreadable(path: Path, error: Exception) -> FaultyAudioError:
    reason = (getattr(error, "strerror", None) or str(error)).lower()
    msg = f"{str(path)!r} cannot be opened ({reason}): mend the path or the permissions, or leave it out."
    return FaultyAudioError(msg, Fault.UNREADABLE)
