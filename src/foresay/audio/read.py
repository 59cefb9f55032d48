"""Read recordings: any format of libsndfile, any sample rate, whole or in part, as one channel of float32.

    file ──soundfile──► (frames, channels) ──mean, or one channel──► (frames,) ──soxr──► (S,) at the rate that was asked for

A recording of `n` frames at rate `a` has `resampled_length(n, a, b)` samples at rate `b`: everything that counts samples counts so.
A part is read with a margin on both sides, resampled and trimmed: it equals the same part of the whole, and an hour is never decoded whole.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import soxr

from foresay.audio.content import Content, open_content
from foresay.audio.faults import Fault, FaultyAudioError
from foresay.audio.headers import mend_sizes
from foresay.audio.mpeg import mpeg_tracks
from foresay.audio.ogg import MARK as OGG
from foresay.audio.ogg import ogg_sounds
from foresay.audio.sound import Decodable, Frames, Sound

Waveform: TypeAlias = npt.NDArray[np.float32]

# More than soxr's HQ filter reaches, in samples at the lower of both rates: beyond it a part does not feel where it was cut.
MARGIN = 512
LOUDEST = 64.0
"""Times full scale, 36 dB above it: no microphone and no effect comes there, but integers in a floating-point file do."""


class AudioInfo(NamedTuple):
    """What the header says."""

    frames: int
    """Samples of each channel."""
    sample_rate: int
    channels: int


def audio_info(path: Path) -> AudioInfo:
    """Count what decodes: by the header where that cannot lie, by decoding the end or everything where it may.

    Raises:
        AudioError: the file is missing, empty, not audio, or shorter than its header says.
    """
    with closing(_open(path)) as file:
        file.confirm_end()
        return AudioInfo(file.frames, file.sample_rate, file.channels)


def read_audio(path: Path, sample_rate: int | None = None, start: int = 0, stop: int | None = None, channel: int | None = None) -> Waveform:
    """Read samples `start` to `stop` as (S,) float32, full scale being 1.

    Args:
        path: wav, flac, ogg, opus, mp3, NIST SPHERE, …
        sample_rate: of what is returned; default that of the file.
        start: in samples at the returned rate.
        stop: likewise; default the end.
        channel: which one, from 0; default the mean of all.

    Raises:
        AudioError: the file is missing, empty, truncated or not audio, has no such channel or samples, or holds NaN or infinity.
    """
    with closing(_open(path)) as file:
        rate = file.sample_rate if sample_rate is None else sample_rate
        end = resampled_length(file.frames, file.sample_rate, rate)
        if stop is None or stop > end:
            file.confirm_end()  # a header may say too little, or too much
            end = resampled_length(file.frames, file.sample_rate, rate)
        stop = end if stop is None else stop
        if not 0 <= start <= stop <= end:
            msg = f"{path} has {end} samples at {rate} Hz; samples {start} to {stop} were asked for. Was the file changed? Import it again."
            raise FaultyAudioError(msg, Fault.TOO_SHORT)
        if rate == file.sample_rate:
            return _decode(file, start, stop, channel)
        return _resample_part(file, rate, start, stop, channel)


def audio_blocks(path: Path, start: int, stop: int, channel: int | None = None, seconds: int = 60) -> Iterator[Waveform]:
    """Yield samples `start` to `stop`, at the file's own rate, in blocks: an hour at the memory of a minute.

    Raises:
        AudioError: as `read_audio`.
    """
    with closing(_open(path)) as file:
        block = seconds * file.sample_rate
        for first in range(start, stop, block):
            yield _decode(file, first, min(first + block, stop), channel)


def resampled_length(frames: int, sample_rate: int, new_rate: int) -> int:
    """Return how many samples `frames` at one rate are at another; halves are rounded up.

    >>> resampled_length(3, 32000, 16000)
    2
    """
    return (2 * frames * new_rate + sample_rate) // (2 * sample_rate)


def _open(path: Path) -> "_Parts":
    """Open a file that has samples, whatever decodes it."""
    with ExitStack() as unfinished:
        content = unfinished.enter_context(open_content(path))
        recordings = _recordings(content)
        for recording in recordings:
            unfinished.callback(recording.close)
        parts = _Parts(path, recordings)
        if not parts.frames:
            msg = f"{path} holds no samples: leave it out."
            raise FaultyAudioError(msg, Fault.EMPTY)
        unfinished.pop_all()
    return parts


def _recordings(content: Content) -> Sequence[Decodable]:
    """Open what stands one after another in a file; mostly that is one recording."""
    if tracks := mpeg_tracks(content):
        return tracks
    if content.bytes_at(0, len(OGG)) == OGG:
        return ogg_sounds(content)
    mend_sizes(content)
    return [Sound(content)]


class _Parts:
    """Recordings that stand in one file, one after another."""

    def __init__(self, path: Path, parts: Sequence[Decodable]) -> None:
        self.path = path
        self._parts = parts
        self.sample_rate, self.channels = parts[0].sample_rate, parts[0].channels
        if any((part.sample_rate, part.channels) != (self.sample_rate, self.channels) for part in parts):
            msg = f"{path} joins recordings of different sample rates or channels: cut it where they meet, or convert it."
            raise FaultyAudioError(msg, Fault.SEVERAL)

    @property
    def frames(self) -> int:
        """Samples of each channel."""
        return sum(part.frames for part in self._parts)

    def confirm_end(self) -> None:
        """Make sure that there are so many."""
        for part in self._parts:
            part.confirm_end()

    def decode(self, start: int, stop: int) -> Frames:
        """Decode frames `start` to `stop`: (frames, channels)."""
        decoded = []
        before = 0
        for part in self._parts:
            first, last = max(start - before, 0), min(stop - before, part.frames)
            if first < last:
                decoded.append(part.decode(first, last))
            before += part.frames
        return np.concatenate([np.zeros((0, self.channels), dtype=np.float32), *decoded])

    def close(self) -> None:
        """Close the file."""
        for part in self._parts:
            part.close()


def _decode(file: "_Parts", start: int, stop: int, channel: int | None) -> Waveform:
    """Decode frames `start` to `stop` at the file's own rate, as one channel."""
    if channel is not None and not 0 <= channel < file.channels:
        msg = f"{file.path} has {file.channels} channels, numbered from 0; channel {channel} was asked for. Correct it in the manifest."
        raise FaultyAudioError(msg, Fault.NO_CHANNEL)
    frames = file.decode(start, stop)
    if channel is None and file.channels > 1:
        waveform: Waveform = frames.mean(axis=1, dtype=np.float32)
    else:
        waveform = np.ascontiguousarray(frames[:, channel or 0])
    finite = np.isfinite(waveform)
    if not finite.all():
        second = (start + int(finite.argmin())) / file.sample_rate
        msg = f"{file.path} holds NaN or infinity, first at {second:.3f} s: what wrote it divided by zero. Write it again, or leave it out."
        raise FaultyAudioError(msg, Fault.NOT_FINITE)
    peak = float(np.abs(waveform).max(initial=0))
    if peak > LOUDEST:
        second = (start + int(np.abs(waveform).argmax())) / file.sample_rate
        msg = (
            f"{file.path} reaches {peak:,.0f} times full scale, at {second:.3f} s: whole numbers were written where full scale is 1. "
            f"Divide them by 32,768, or write them as 16-bit integers."
        )
        raise FaultyAudioError(msg, Fault.TOO_LOUD)
    return waveform


def _resample_part(file: "_Parts", rate: int, start: int, stop: int, channel: int | None) -> Waveform:
    """Resample what lies around the part, then trim. The beginning is cut where samples of both rates coincide."""
    common = math.gcd(file.sample_rate, rate)
    old_step, new_step = file.sample_rate // common, rate // common
    margin = math.ceil(MARGIN / min(old_step, new_step))  # in such steps
    first = max(start // new_step - margin, 0)
    last = stop // new_step + 1 + margin
    source = _decode(file, first * old_step, min(last * old_step, file.frames), channel)
    resampled: Waveform = soxr.resample(source, file.sample_rate, rate, quality="HQ")
    part = resampled[start - first * new_step : stop - first * new_step]
    return np.pad(part, (0, stop - start - len(part)))  # soxr may give nothing for a sample or two
