"""MP3 files frame by frame: their length is how many frames there are, a window is decoded from its own frames, and `cat` joins them.

    file    tags | info A A A A A A | info B B B B | junk     a track begins with a frame that says how much of its ends is padding
    window                [p p p W W]                         frames before it (p) fill the decoder's memory; what they give is dropped

libsndfile, asked for the whole, believes what the first frame says, or guesses from the first bit rate, and stops there; asked for a
window, it begins with spurious samples. So it is given, from memory, nothing but the frames that are needed, with a count that is true.
"""

import io
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from foresay.audio.chatter import caught_chatter
from foresay.audio.content import Content, Key
from foresay.audio.sound import Frames, Stream, damaged, truncated

BITRATES = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s of layer III by their number in the header: of MPEG 1, of MPEG 2 and 2.5."""
RATES = (44_100, 48_000, 32_000)
HEAD = 4
MPEG_1, MPEG_2, RESERVED, MPEG_25 = 3, 2, 1, 0
LAYER_3, MONO = 1, 3
DECODER_DELAY = 529
"""Samples that the decoder is late, and leaves out at the beginning of what has a count."""
MEMORY = 32
"""Frames that a decoder remembers at most: at 8 kbit/s its bits may lie in 24 frames before."""
STARVED = "available bit count"
"""What the decoder says of a frame that wants bits of frames before the beginning."""
ID3, ID3_HEADER = b"ID3", 10
TAGS = (b"TAG", b"APETAGEX", b"LYRICSBEGIN", ID3)
OTHERS = {b"RIFF", b"fLaC", b"OggS", b"FORM", b".snd", b"RF64", b"NIST"}
"""What files that are called MP3 begin with when they are something else."""
INFO_BITRATE = 9
"""Number of the bit rate of a frame that is large enough to hold a count."""
FILES_KEPT = 1000
_files: dict[Key, tuple["_Track", ...]] = {}


class _Header(NamedTuple):
    """What four bytes say of a frame."""

    version: int
    rate: int
    channels: int
    size: int
    """Bytes."""

    @property
    def kind(self) -> tuple[int, int, int]:
        """What all frames of a track have in common."""
        return self.version, self.rate, self.channels

    @property
    def samples(self) -> int:
        return 1152 if self.version == MPEG_1 else 576

    @property
    def side(self) -> int:
        """Bytes of the side information, which follows the header."""
        if self.version == MPEG_1:
            return 17 if self.channels == 1 else 32
        return 9 if self.channels == 1 else 17


class _Tag(NamedTuple):
    """The header of a track, if its first frame is one; that frame then holds no audio."""

    frames: int
    delay: int
    padding: int
    """Samples that the encoder put before and after."""


@dataclass
class _Track:
    """Frames that belong together."""

    header: _Header
    head: bytes
    """The four bytes of its first frame."""
    info: _Tag | None
    begins: list[int]
    ends: list[int]
    """Where each frame begins and ends."""
    torn: list[int]
    """Frames before which something stands that is no audio."""

    @property
    def offset(self) -> int:
        """Samples that the encoder and the decoder put before the first."""
        return self.info.delay + DECODER_DELAY if self.info else 0

    @property
    def frames(self) -> int:
        """Samples that are left of it."""
        padding = max(self.info.padding - DECODER_DELAY, 0) if self.info else 0
        return max(len(self.begins) * self.header.samples - self.offset - padding, 0)


class Mpeg:
    """A track of MPEG layer III."""

    def __init__(self, content: Content, track: _Track) -> None:
        """Take a track that was found."""
        self._content, self._track = content, track
        self.sample_rate, self.channels, self.frames = track.header.rate, track.header.channels, track.frames

    def decode(self, start: int, stop: int) -> Frames:
        """Decode frames `start` to `stop`: (frames, channels)."""
        frames, complaint = _decode(self._content, self._track, start, stop)
        if complaint or self._content.failure:
            raise damaged(self._content, start, stop, self.sample_rate, complaint or str(self._content.failure))
        return frames

    def confirm_end(self) -> None:
        """See whether the track is as long as it says.

        Raises:
            FaultyAudioError: frames are missing.
        """
        promised, there = self._track.info.frames if self._track.info else 0, len(self._track.begins)
        if promised > there:
            raise truncated(self._content, f"{promised} frames are promised, {there} are there")

    def close(self) -> None:
        """Close the file."""
        self._content.close()


def mpeg_tracks(content: Content) -> list[Mpeg]:
    """Find the tracks of what is MPEG layer III, whatever its name; what is something else has none."""
    key = content.key
    if key not in _files:
        if len(_files) > FILES_KEPT:
            _files.clear()
        _files[key] = tuple(_find_tracks(content)) if _begins_as_mpeg(content) else ()
    return [Mpeg(content, track) for track in _files[key]]


def _decode(content: Content, track: _Track, start: int, stop: int) -> tuple[Frames, str]:
    """Decode a part of a track; say also what the decoder complained of."""
    size = track.header.samples
    first = max((start + track.offset) // size - MEMORY, 0)
    after = min((stop + track.offset) // size + 2, len(track.begins))
    silent = 0 if first or track.info else 1  # a frame of which the decoder leaves out its delay, where nothing else may be left out
    runs = _runs(track.begins[first:after], track.ends[first:after])
    data = _counting(track, after - first + silent) + _silent(track) * silent
    data += b"".join(content.bytes_at(begin, end - begin) for begin, end in runs)
    settling = max(min(MEMORY, after - first) - 2, 0) * size
    offset = start + track.offset - (first - silent) * size - DECODER_DELAY
    with caught_chatter() as early:
        stream = Stream(io.BytesIO(data))
        settled = stream.read(settling, dtype="float32", always_2d=True)
    with caught_chatter() as late, stream:
        settled = np.concatenate([settled, stream.read(max(offset + stop - start - settling, 0), dtype="float32", always_2d=True)])
    complaints = [line for line in early if first == 0 and STARVED not in line] + late
    if any(first + MEMORY <= torn < after or first == 0 < torn < after for torn in track.torn):
        complaints.append("something that is no audio stands between its frames")
    frames = settled[offset : offset + stop - start]
    if len(frames) < stop - start and not complaints:
        complaints.append(f"{len(frames)} of {stop - start} samples could be decoded")
    return frames, "; ".join(complaints[:1])


def _runs(begins: Sequence[int], ends: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Join frames that follow one another: where each run begins and ends."""
    cuts = [0, *(place for place in range(1, len(begins)) if ends[place - 1] != begins[place]), len(begins)]
    for first, after in pairwise(cuts):
        yield begins[first], ends[after - 1]


def _made(track: _Track, body: bytes) -> bytes:
    """Make a frame of the track's kind without any sound."""
    one, two, three, four = track.head
    head = bytes([one, two | 1, INFO_BITRATE << 4 | three & 0x0C, four])
    header = _header(head)
    assert header is not None  # noqa: S101 - it is one of ours
    return (head + bytes(header.side) + body).ljust(header.size, b"\0")


def _counting(track: _Track, frames: int) -> bytes:
    return _made(track, b"Xing" + struct.pack(">II", 1, frames))


def _silent(track: _Track) -> bytes:
    return _made(track, b"")


def _header(head: bytes) -> _Header | None:
    """Read the header of a frame of layer III of a fixed size; None if it is none."""
    if len(head) < HEAD or head[0] != 0xFF or head[1] & 0xE0 != 0xE0 or (head[1] >> 1) & 3 != LAYER_3:  # noqa: PLR2004 - bits
        return None
    version, bitrate, rate = (head[1] >> 3) & 3, head[2] >> 4, (head[2] >> 2) & 3
    if version == RESERVED or rate == len(RATES) or not 0 < bitrate < len(BITRATES[True]):
        return None
    samples = RATES[rate] >> {MPEG_1: 0, MPEG_2: 1, MPEG_25: 2}[version]
    kbits = BITRATES[version == MPEG_1][bitrate]
    size = (144 if version == MPEG_1 else 72) * kbits * 1000 // samples + (head[2] >> 1 & 1)
    return _Header(version, samples, 1 if head[3] >> 6 == MONO else 2, size)


def _begins_as_mpeg(content: Content) -> bool:
    """Whether it begins with a frame, behind tags; or, if its name says MP3, behind a little of anything."""
    at = 0
    while content.bytes_at(at, 3) == ID3:
        at += _id3_size(content.bytes_at(at, ID3_HEADER))
    if header := _header(content.bytes_at(at, HEAD)):
        at += header.size
        return at == content.size or _header(content.bytes_at(at, HEAD)) is not None
    return content.path.suffix.lower() == ".mp3" and content.bytes_at(at, 4) not in OTHERS


def _find_tracks(content: Content) -> list[_Track]:
    """Find all frames, and where tracks begin."""
    data = content.bytes_at(0, content.size)
    tracks: list[_Track] = []
    at, torn = 0, False
    while (header := _header(data[at : at + HEAD])) or at < len(data):
        track = tracks[-1] if tracks else None
        if header is None or (not (track and header.kind == track.header.kind) and not _is_followed(data, at, header)):
            after = _next_frame(data, at)
            torn = torn or (bool(data[at:after].strip(b"\0")) and not data.startswith(TAGS, at))
            at = after
            continue
        end = at + header.size
        if end > len(data):
            break
        info = _tag(data[at:end], header)
        full = track and track.info and track.info.frames == len(track.begins)
        if info or not track or track.header.kind != header.kind or full:
            track = _Track(header, data[at : at + HEAD], info, [], [], [])
            tracks.append(track)
        if not info:
            if torn and track.begins:
                track.torn.append(len(track.begins))
            track.begins.append(at)
            track.ends.append(end)
        at, torn = end, False
    return [track for track in tracks if track.begins]


def _is_followed(data: bytes, at: int, header: _Header) -> bool:
    """Whether another frame of the kind follows, or the end: bytes that look like a header are found in anything."""
    end = at + header.size
    following = _header(data[end : end + HEAD])
    return end == len(data) or (following is not None and following.kind == header.kind)


def _next_frame(data: bytes, at: int) -> int:
    """Find where frames go on behind what is none: tags, zeros, or something else."""
    if data.startswith(ID3, at):
        return at + _id3_size(data[at : at + ID3_HEADER])
    at += 1
    while (at := data.find(b"\xff", at)) >= 0:
        header = _header(data[at : at + HEAD])
        if header and _is_followed(data, at, header):
            return at
        at += 1
    return len(data)


def _id3_size(head: bytes) -> int:
    """Count the bytes of a tag, from its header: seven bits of each byte."""
    size = 0
    for byte in head[6:ID3_HEADER]:
        size = size << 7 | byte & 0x7F
    return ID3_HEADER + size


def _tag(frame: bytes, header: _Header) -> _Tag | None:
    """Read the header of a track from a frame, if it holds one: Xing's, with LAME's numbers."""
    tag = frame[HEAD + header.side :]
    if tag[:4] not in {b"Xing", b"Info"}:
        return None
    flags = int.from_bytes(tag[4:8])
    rest = 8 + sum(size for bit, size in ((1, 4), (2, 4), (4, 100), (8, 4)) if flags & bit)
    ends = int.from_bytes(tag[rest + 21 : rest + 24])
    return _Tag(int.from_bytes(tag[8:12]) if flags & 1 else 0, ends >> 12, ends & 0xFFF)
