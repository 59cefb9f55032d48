"""A recording as libsndfile decodes it: what decodes counts, not what a header says.

    PCM, floats, logarithmic bytes   a sample lies where its number says          counted by their bytes, read anywhere
    FLAC, Ogg                        the header states how many, maybe wrong      the end is decoded before it is believed
    GSM, ADPCM, DWVW, …              some cannot be searched at all               decoded from the beginning, and counted so

After a search, a lossy decoder needs a while until it gives what it would have given without: parts of such files begin earlier, and what
was not asked for is thrown away.
"""

import io
import re
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np
import numpy.typing as npt
import soundfile

from foresay.audio.chatter import caught_chatter
from foresay.audio.content import Content, Key
from foresay.audio.faults import Fault, FaultyAudioError
from foresay.audio.headers import UNKNOWN_SIZE, forget_flac_count

Frames = npt.NDArray[np.float32]

ADDRESSABLE = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")
SETTLING = 1.0
"""Seconds after which no lossy decoder remembers where it began."""
BLOCK = 1 << 18
"""Frames decoded at once where nobody asked for them."""
ENDLESS = 1 << 62
FLAC_START = b"fLaC\x00\x00\x00\x22"
READ_AHEAD = 1 << 16
"""Bytes that libFLAC may have read beyond what it decoded, and more."""
BUFFER = 1 << 15
"""Bytes read at once: libsndfile asks for a few at a time."""
KNOWN_TAIL = 128
"""Bytes of an ID3 tag, which may follow anything."""
ONLY_NAMED = {".gsm", ".vox", ".sd2"}
"""Files without a mark of their own: libsndfile must see the name."""
WIDE_SIZES = {"RF64", "W64"}
"""Formats whose sizes have 64 bits, so that 5 GB may be meant."""
MPEG_MARKS = re.compile(rb"\xff[\xe0-\xff]|ID3")
"""What files begin with that libsndfile gives to libmpg123. Those of layer III are read frame by frame, by `foresay.audio.mpeg`."""
PACKED = {"PAF", "SDS"}
"""Formats whose samples lie in packets, of which libsndfile loses the last sample unless everything is read at once."""
SCANNED = 1 << 22
"""Bytes of FLAC in which another FLAC file is looked for at once."""
COUNTS_KEPT = 100_000
_counts: dict[Key, int] = {}

# What libsndfile writes to its log when a file ends before its header says that it does.
PROMISED_BYTES = re.compile(r"(?:data|SSND|Data Size|riff|BODY) *: *(\d+) \(should be (\d+)\)")
SPHERE_HEADER = 1024
SPHERE_SAMPLES = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)


class Decodable(Protocol):
    """What can be decoded."""

    frames: int
    """Samples of each channel."""
    sample_rate: int
    channels: int

    def decode(self, start: int, stop: int) -> Frames:
        """Decode frames `start` to `stop`: (frames, channels).

        Raises:
            FaultyAudioError: they cannot be decoded.
        """

    def confirm_end(self) -> None:
        """Make sure that there is as much as `frames` says.

        Raises:
            FaultyAudioError: there is less, or something more.
        """

    def close(self) -> None:
        """Close the file."""


class Stream(soundfile.SoundFile):  # type: ignore[misc]  # it has no types
    """A file that is read on and on: the class below it searches after every reading, and so disturbs lossy decoders."""

    def seekable(self) -> bool:
        """Deny it: `seek` works all the same."""
        return False


class Sound:
    """A recording that libsndfile decodes."""

    def __init__(self, content: Content, last_search: int | None = None) -> None:
        """Open it. Nothing beyond the frame `last_search` is searched for.

        Raises:
            FaultyAudioError: it is no audio, or lacks what its header promises.
        """
        self._content = content
        self._stream = _opened(content)
        self.sample_rate: int = self._stream.samplerate
        self.channels: int = self._stream.channels
        self.subtype: str = self._stream.subtype
        self._is_flac = self._stream.format == "FLAC"
        self._packed = self._stream.format in PACKED
        self._addressable = self.subtype.startswith(ADDRESSABLE) and not self._is_flac and not self._packed
        self._believed = self._addressable or self._is_flac or self._stream.format == "OGG"
        self._settling = 0 if self._addressable or self._is_flac else round(SETTLING * self.sample_rate)
        self.last_search = ENDLESS if last_search is None else last_search
        self._at = 0
        self._complaints: list[str] = []
        if self.subtype == "ALAC_20" and self.channels > 1:
            raise _not_audio(content, "ALAC of 20 bits with several channels, which libsndfile decodes wrongly")
        missing = _missing_end(self._stream, content)
        if missing:
            raise truncated(content, missing)
        promised = int(self._stream.frames)
        self.frames = promised if self._believed and promised < ENDLESS else self._counted()

    def decode(self, start: int, stop: int) -> Frames:
        """Decode frames `start` to `stop`, going on where the last decoding ended if they lie there: (frames, channels)."""
        try:
            self._go_to(0 if self._packed else start)
            self._complaints.clear()
            frames = self._read(self.frames)[start:stop] if self._packed else self._read(stop - start)
        except soundfile.LibsndfileError as error:
            raise damaged(self._content, start, stop, self.sample_rate, error.error_string.rstrip(".")) from error
        if self._content.failure or self._complaints:
            reason = str(self._content.failure or self._complaints[0])
            raise damaged(self._content, start, stop, self.sample_rate, reason)
        if len(frames) < stop - start:
            raise truncated(self._content, f"the header promises {self.frames} samples, {start + len(frames)} are there")
        return frames

    def confirm_end(self) -> None:
        """Decode the last frame, where the header is believed without; see whether anything follows it."""
        if self._addressable or not self._believed:
            return
        if self._is_flac:
            _refuse_joined_flac(self._content)  # in which libFLAC may search for a frame in the wrong one
        self.decode(self.frames - 1, self.frames)
        if self._is_flac:
            self._confirm_nothing_follows()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._content.close()

    def _confirm_nothing_follows(self) -> None:
        """A FLAC file that says less than it holds ends before the file does."""
        content, read = self._content, self._content.tell()
        if content.size > READ_AHEAD and content.size - read <= KNOWN_TAIL:
            return
        unpromised = content.again()
        forget_flac_count(unpromised)
        try:
            sound = Sound(unpromised)
        except FaultyAudioError:  # what follows is not FLAC: tags, for example
            unpromised.close()
            return
        sound.close()
        if sound.frames > self.frames:
            self.frames = sound.frames
            self._reopen(unpromised.again())

    def _go_to(self, start: int) -> None:
        """Be at a frame, decoding a stretch before it where that matters."""
        if start == self._at:
            return
        target = max(min(start - self._settling, self.last_search), 0)
        if not self._at <= start or target > self._at:
            self._search(target)
        while self._at < start:
            if not len(self._read(min(BLOCK, start - self._at))):
                return

    def _search(self, target: int) -> None:
        if target:
            try:
                with _caught(self._content):
                    self._stream.seek(target)
            except soundfile.LibsndfileError:
                target = 0  # a codec that cannot: from the beginning
            else:
                self._at = target
        if not target:
            self._reopen(self._content.again())

    def _reopen(self, content: Content) -> None:
        """Begin from the beginning."""
        self.close()
        self._content, self._at = content, 0
        self._stream = _opened(content)

    def _read(self, count: int) -> Frames:
        with _caught(self._content) as errors:
            frames: Frames = self._stream.read(count, dtype="float32", always_2d=True)
        self._complaints += errors
        self._at += len(frames)
        return frames

    def _counted(self) -> int:
        """Decode everything, and count it: once for each file."""
        key = self._content.key
        if key not in _counts:
            if len(_counts) > COUNTS_KEPT:
                _counts.clear()
            again = self._content.again()
            total = 0
            with again, _opened(again) as stream, _caught(again):
                try:
                    while count := len(stream.read(BLOCK, dtype="float32", always_2d=True)):
                        total += count
                except soundfile.LibsndfileError as error:
                    raise damaged(again, total, total + BLOCK, self.sample_rate, error.error_string.rstrip(".")) from error
            _counts[key] = total
        return _counts[key]


def truncated(content: Content, missing: str) -> FaultyAudioError:
    """Say that a recording ends too early."""
    msg = f"{content.path} is truncated ({missing}): was a download or a copy interrupted? Fetch it again, or leave it out."
    return FaultyAudioError(msg, Fault.TRUNCATED)


def damaged(content: Content, start: int, stop: int, sample_rate: int, reason: str) -> FaultyAudioError:
    """Say that a stretch of a recording cannot be decoded."""
    where = f"between {start / sample_rate:.3f} and {stop / sample_rate:.3f} s"
    return FaultyAudioError(f"{content.path} is damaged {where} ({reason}): fetch it again, or leave it out.", Fault.DAMAGED)


def _opened(content: Content) -> Stream:
    """Let libsndfile open what it knows."""
    content.seek(0)
    suffix = content.path.suffix.lower()
    try:
        if suffix == ".raw":
            raise _not_audio(content, "raw samples without a header")
        with _caught(content):
            return Stream(content.path if suffix in ONLY_NAMED else io.BufferedReader(content, BUFFER))
    except soundfile.LibsndfileError as error:
        raise _not_audio(content, error.error_string.rstrip(".")) from error


def _caught(content: Content) -> AbstractContextManager[list[str]]:
    """Catch what libmpg123 says in the block, if it may be the one that decodes."""
    return caught_chatter() if MPEG_MARKS.match(content.bytes_at(0, len(b"ID3"))) else nullcontext([])


def _refuse_joined_flac(content: Content) -> None:
    """Look for a second beginning, in all of the file."""
    for begin in range(1, content.size, SCANNED):
        if FLAC_START in content.bytes_at(begin, SCANNED + len(FLAC_START) - 1):
            msg = f"{content.path} holds one FLAC file after another, of which players play the first: cut it in two, or leave it out."
            raise FaultyAudioError(msg, Fault.SEVERAL)


def _not_audio(content: Content, reason: str) -> FaultyAudioError:
    msg = (
        f"{content.path} cannot be read as audio ({reason}). It is damaged, not audio, or of a format that libsndfile does not "
        f"know, such as m4a or compressed SPHERE: convert it (ffmpeg -i IN OUT.flac, sph2pipe)."
    )
    return FaultyAudioError(msg, Fault.NOT_AUDIO)


def _missing_end(stream: Stream, content: Content) -> str | None:
    """Say how much of the file is missing, if the header states its length. A cut FLAC shows only when its end is read."""
    promised = PROMISED_BYTES.search(stream.extra_info)
    limit = ENDLESS if stream.format in WIDE_SIZES else UNKNOWN_SIZE
    if promised and int(promised[2]) < int(promised[1]) < limit:
        return f"the header promises {promised[1]} bytes of sound, {promised[2]} are there"
    if stream.format == "NIST" and stream.frames < (count := _sphere_samples(content)):
        return f"the header promises {count} samples, {stream.frames} are there"
    return None


def _sphere_samples(content: Content) -> int:
    """Read the sample count of a NIST SPHERE header, which libsndfile does not compare with the file."""
    found = SPHERE_SAMPLES.search(content.bytes_at(0, SPHERE_HEADER))
    return int(found[1]) if found else 0
