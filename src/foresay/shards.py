"""Shards: many small files in one large one. A path may point into a tar file and is then read like the file it stands for.

    clips/shard-00003-5c0e81d2f0a94b17.tar:1536:48044        48,044 bytes of that file, from byte 1,536 on

Nothing is searched and no index is read: 512 bytes before the part stands its header of the tar format, which must agree. Shards that
`foresay corpus pack` wrote have a digest of their bytes in their names. Files are kept open, and may be read by any number of threads.
"""

import hashlib
import io
import os
import re
import resource
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from foresay.errors import UserError

BLOCK = 512
"""Bytes that all in a tar file is a multiple of, a header among it."""
DIGEST = 8
"""Bytes of the digest in a shard's name."""
KEPT_OPEN = 64
"""Shards, at most; fewer where a process may open few files."""

_NAME, _SIZE, _KIND, _MAGIC = slice(0, 100), slice(124, 136), slice(156, 157), slice(257, 262)
"""Of what the header says of a file."""
_POINTER = re.compile(r"(.+\.tar):([0-9]{1,18}):([0-9]{1,18})")
_DIGEST_IN_NAME = re.compile(rf"-([0-9a-f]{{{2 * DIGEST}}})\.tar")


class ShardError(UserError):
    """A part of a shard that cannot be had; `kind` says why in a word."""

    def __init__(self, message: str, kind: Literal["missing", "unreadable", "truncated", "damaged"]) -> None:
        """Take the message for people, and what to count."""
        super().__init__(message)
        self.kind = kind


class ShardPart(NamedTuple):
    """Where something lies in a shard."""

    shard: Path
    offset: int
    length: int
    """Bytes."""


def part_of(path: Path) -> ShardPart | None:
    """Read a path as a part of a shard; None if it is the path of a file.

    >>> part_of(Path("clips/a.tar:1536:48044"))
    ShardPart(shard=PosixPath('clips/a.tar'), offset=1536, length=48044)
    """
    found = _POINTER.fullmatch(path.name)
    return ShardPart(path.with_name(found[1]), int(found[2]), int(found[3])) if found else None


def pointer(part: ShardPart) -> Path:
    """Write a part of a shard as a path, for manifests."""
    return part.shard.with_name(f"{part.shard.name}:{part.offset}:{part.length}")


def file_of(path: Path) -> Path:
    """Return the file behind a path: the shard, if it points into one."""
    part = part_of(path)
    return part.shard if part else path


class ShardFile(io.RawIOBase):
    """A part of a shard, read like a file."""

    def __init__(self, handle: "_Handle", part: ShardPart, name: str) -> None:
        """Read from an open shard what lies in `part`; `name` is what the tar file calls it."""
        super().__init__()
        self.name = name
        self.size = part.length
        self._handle, self._begin, self._at = handle, part.offset, 0

    def again(self) -> "ShardFile":
        """Open the same once more."""
        return ShardFile(self._handle, ShardPart(Path(), self._begin, self.size), self.name)

    def readable(self) -> bool:
        """Return true: it can be read."""
        return True

    def seekable(self) -> bool:
        """Return true: it can seek."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the shard, which others read too: its position means nothing."""
        return self._handle.descriptor

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go somewhere between the ends."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = min(max(base + offset, 0), self.size)
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # whatever has a buffer
        """Read into a buffer, and no further than the part goes."""
        view = memoryview(buffer).cast("B")[: self.size - self._at]
        count = os.preadv(self._handle.descriptor, [view], self._begin + self._at)
        self._at += count
        return count


def open_part(part: ShardPart) -> ShardFile:
    """Open a part of a shard.

    Raises:
        ShardError: the shard is missing, unreadable or cut off, or nothing of this length begins in that place.
    """
    try:
        handle = _handle(str(part.shard))
        size = os.fstat(handle.descriptor).st_size
        header = os.pread(handle.descriptor, BLOCK, part.offset - BLOCK) if part.offset >= BLOCK else b""
    except FileNotFoundError as error:
        msg = f"there is no shard {part.shard}. Paths in a manifest are relative to it: was the manifest moved without its shards?"
        raise ShardError(msg, "missing") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        msg = f"{str(part.shard)!r} cannot be read ({getattr(error, 'strerror', None) or error}): mend the path or the permissions."
        raise ShardError(msg, "unreadable") from error
    if size < part.offset + part.length:
        msg = f"the shard {part.shard} ends after {size:,} bytes; {part.offset + part.length:,} are needed: copy it again, or pack again."
        raise ShardError(msg, "truncated")
    if header[_MAGIC] != b"ustar" or header[_KIND] not in {b"0", b"\0"} or _number(header[_SIZE]) != part.length:
        msg = (
            f"in the shard {part.shard} nothing of {part.length:,} bytes begins at byte {part.offset:,}: it is not the one that the "
            "manifest was written for, or was damaged. Copy both from where they were packed, or pack again."
        )
        raise ShardError(msg, "damaged")
    return ShardFile(handle, part, header[_NAME].rstrip(b"\0").decode(errors="replace"))


def _number(field: bytes) -> int | None:
    """Read a number of a header: octal digits, or bytes behind a mark where it has too many."""
    if field[0] == 0x80:  # noqa: PLR2004 - the mark
        return int.from_bytes(field[1:])
    try:
        return int(field.strip(b" \0"), 8)
    except ValueError:
        return None


def digest_of(shard: Path) -> str:
    """Compute the digest of a shard's bytes."""
    with shard.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST)).hexdigest()


def digest_in_name(shard: Path) -> str | None:
    """Return the digest that a shard's name promises, if `foresay corpus pack` named it."""
    found = _DIGEST_IN_NAME.search(shard.name)
    return found[1] if found else None


class _Handle:
    """An open shard, closed when nobody needs it any more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def __del__(self) -> None:
        os.close(self.descriptor)


def _most_handles() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return KEPT_OPEN if limit == resource.RLIM_INFINITY else max(1, min(limit // 8, KEPT_OPEN))


@lru_cache(maxsize=_most_handles())
def _handle(shard: str) -> _Handle:
    return _Handle(os.open(shard, os.O_RDONLY))
