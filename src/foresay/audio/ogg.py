"""Ogg files that hold one stream after another, which RFC 3533 calls chaining: libsndfile decodes the first, so it is given each alone."""

import struct
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

from foresay.audio.content import Content, Key
from foresay.audio.sound import Sound, truncated

MARK = b"OggS"
FIRST_OF_STREAM = 2
HEADER = 27
OPUS_RATE = 48_000
"""Of the positions in an Opus stream, whatever its sample rate."""
OPUS_DELAY = 0.1
"""Seconds that positions in an Opus stream may be ahead."""
LINKS_KEPT = 10_000
_links: dict[Key, tuple["_Link", ...]] = {}


class _Page(NamedTuple):
    begin: int
    end: int
    flags: int
    position: int


class _Link(NamedTuple):
    """A stream that stands on its own."""

    begin: int
    end: int
    last_search: int
    """Position of the last page but one: beyond it libsndfile lands in the wrong place."""
    is_opus: bool


def ogg_sounds(content: Content) -> list[Sound]:
    """Open each stream of an Ogg file.

    Raises:
        FaultyAudioError: its last page is not whole, or a stream is not audio.
    """
    key = content.key
    if key not in _links:
        if len(_links) > LINKS_KEPT:
            _links.clear()
        _links[key] = tuple(_find_links(content))
    sounds: list[Sound] = []
    with content, ExitStack() as unfinished:
        for link in _links[key]:
            sound = Sound(unfinished.enter_context(content.part(link.begin, link.end)), link.last_search)
            unfinished.callback(sound.close)
            if link.is_opus:
                sound.last_search = max(round((link.last_search / OPUS_RATE - OPUS_DELAY) * sound.sample_rate), 0)
            sounds.append(sound)
        unfinished.pop_all()
    return sounds


def _find_links(content: Content) -> Iterator[_Link]:
    pages = list(_pages(content))
    if pages and pages[-1].end > content.size:
        raise truncated(content, "the last page is not whole")
    begins = [
        number
        for number, page in enumerate(pages)
        if page.flags & FIRST_OF_STREAM and (number == 0 or not pages[number - 1].flags & FIRST_OF_STREAM)
    ] or [0]
    for first, after in zip(begins, [*begins[1:], len(pages)], strict=True):
        link = pages[first:after]
        positions = sorted({page.position for page in link if page.position >= 0})
        begin = link[0].begin if link else 0
        end = pages[after].begin if after < len(pages) else content.size
        is_opus = b"OpusHead" in content.bytes_at(begin, HEADER + 16)
        yield _Link(begin, end, positions[-2] if len(positions) > 1 else 0, is_opus)


def _pages(content: Content) -> Iterator[_Page]:
    at = 0
    while at < content.size:
        head = content.bytes_at(at, HEADER + 255)
        if head[:4] != MARK or len(head) < HEADER:
            at = _next_mark(content, at + 1)
            continue
        flags, position, segments = head[5], struct.unpack("<q", head[6:14])[0], head[26]
        end = at + HEADER + segments + sum(head[HEADER : HEADER + segments])
        yield _Page(at, end, flags, position)
        at = end


def _next_mark(content: Content, at: int) -> int:
    """Find the next page behind what is none."""
    step = 1 << 16
    while at < content.size:
        found = content.bytes_at(at, step + len(MARK)).find(MARK)
        if found >= 0:
            return at + found
        at += step
    return content.size
