"""Headers that promise nothing, or nonsense, because the program that wrote them could not go back: it wrote to a pipe, or was killed.

What is then read is everything that is there. libsndfile does so itself where the promise is too large; here is what it takes at its word.
"""

import struct
from collections.abc import Iterator
from typing import Literal, NamedTuple

from foresay.audio.content import Content

UNKNOWN_SIZE = 0x7FFF_0000
"""A program that cannot know the size promises about 2 or 4 GB."""
FLAC_COUNT = 21
"""Where the sample count of a FLAC file begins, in the lower half of a byte."""


class _Layout(NamedTuple):
    """How a family of formats cuts a file into chunks."""

    first: int
    """Where the first chunk begins."""
    size: str
    """Of a chunk, as `struct` writes it."""
    sound: bytes
    """The chunk of the samples."""
    inner: int = 0
    """Bytes of that chunk that are no samples."""


LAYOUTS = {
    b"RIFF": _Layout(12, "<I", b"data"),
    b"RF64": _Layout(12, "<I", b"data"),
    b"BW64": _Layout(12, "<I", b"data"),
    b"RIFX": _Layout(12, ">I", b"data"),
    b"FORM": _Layout(12, ">I", b"SSND", inner=8),
    b"caff": _Layout(8, ">q", b"data", inner=4),
}


def mend_sizes(content: Content) -> None:
    """Let a size that is 0 or nonsense be read as what is there."""
    mark = content.bytes_at(0, 4)
    if mark in {b".snd", b"dns."}:
        _mend_au(content, ">" if mark == b".snd" else "<")
    elif layout := LAYOUTS.get(mark):
        _mend_chunks(content, layout)


def forget_flac_count(content: Content) -> None:
    """Let a FLAC file's sample count be read as 0, which means unknown."""
    content.patch(FLAC_COUNT, bytes([content.bytes_at(FLAC_COUNT, 1)[0] & 0xF0, 0, 0, 0, 0]))


def _mend_au(content: Content, order: Literal["<", ">"]) -> None:
    begin, size = struct.unpack(f"{order}II", content.bytes_at(4, 8).ljust(8, b"\0"))
    if begin < content.size and (size == 0 or size >= UNKNOWN_SIZE):
        content.patch(8, b"\xff\xff\xff\xff")


def _mend_chunks(content: Content, layout: _Layout) -> None:
    for name, at, size in _chunks(content, layout):
        there = content.size - at
        if name == b"ds64":  # the sizes of a file of more than 4 GB: of the file, of the samples, and their count
            samples = struct.unpack("<Q", content.bytes_at(at + 8, 8).ljust(8, b"\0"))[0]
            if samples == 0 or samples >= 1 << 62:
                sound = next((place for kind, place, _ in _chunks(content, layout) if kind == layout.sound), content.size)
                if content.size > sound and not _is_chunk(content, sound, layout):
                    content.patch(at, struct.pack("<QQ", content.size - 8, content.size - sound))
        elif name == layout.sound:
            unknown = size <= layout.inner if layout.size != ">q" else size <= layout.inner or size >= 1 << 62
            if unknown and there > layout.inner and not _is_chunk(content, at + max(size, 0), layout):
                width = struct.calcsize(layout.size)
                most = (1 << (8 * width - 1)) - 1
                content.patch(at - width, struct.pack(layout.size, min(there, most)))
            return


def _chunks(content: Content, layout: _Layout, at: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, place of the content and size of each chunk."""
    width = 4 + struct.calcsize(layout.size)
    at = layout.first if at is None else at
    while 0 <= at <= content.size - width:
        head = content.bytes_at(at, width)
        size = struct.unpack(layout.size, head[4:])[0]
        yield head[:4], at + width, size
        at += width + size + (size & 1 if width == 8 else 0)  # noqa: PLR2004 - chunks of 32-bit sizes are padded


def _is_chunk(content: Content, at: int, layout: _Layout) -> bool:
    """Whether from here on there are chunks that end where the file does, so that an empty one before them is just that."""
    end = at
    for name, begin, size in _chunks(content, layout, at):
        if not (name.isascii() and name.decode("ascii").isprintable()):
            return False
        end = begin + size
    return at < content.size <= end + 1 and end <= content.size
