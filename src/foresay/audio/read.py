"""Read recordings: any format of libsndfile, any sample rate, whole or in part, as one channel of float32.

    file ──soundfile──► (frames, channels) ──mean, or one channel──► (frames,) ──soxr──► (S,) at the rate that was asked for

A recording of `n` frames at rate `a` has `resampled_length(n, a, b)` samples at rate `b`: everything that counts samples counts so.
A part is read with a margin on both sides, resampled and trimmed: it equals the same part of the whole, and an hour is never decoded whole.
"""

import math
import re
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from foresay.errors import AudioError

Waveform: TypeAlias = npt.NDArray[np.float32]

# More than soxr's HQ filter reaches, in samples at the lower of both rates: beyond it a part does not feel where it was cut.
MARGIN = 512

# What libsndfile writes to its log when a file ends before its header says that it does.
PROMISED_BYTES = re.compile(r"(?:data|SSND|Data Size|riff) *: *(\d+) \(should be (\d+)\)")
ENDS_EARLY = re.compile(r"lacks an end-of-stream bit|Junk after the last page|without an End-Of-Stream flag|frame count \d+ does not match")
# A program that writes to a pipe cannot know the size and promises about 2 or 4 GB.
UNKNOWN_SIZE = 0x7FFF_0000
SPHERE_HEADER = 1024
SPHERE_SAMPLES = re.compile(rb"^sample_count -i (\d+)", re.MULTILINE)


class Fault(StrEnum):
    """What may be wrong with a recording, in a word or two."""

    MISSING = "missing"
    EMPTY = "empty"
    NOT_AUDIO = "not audio"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    NOT_FINITE = "not finite"
    TOO_SHORT = "too short"
    NO_CHANNEL = "no such channel"


class FaultyAudioError(AudioError):
    """An `AudioError` that also says what it is in a word, for tables."""

    def __init__(self, message: str, fault: Fault) -> None:
        """Take the message for people, and what to count."""
        super().__init__(message)
        self.fault = fault


class AudioInfo(NamedTuple):
    """What the header says."""

    frames: int
    """Samples of each channel."""
    sample_rate: int
    channels: int


def audio_info(path: Path) -> AudioInfo:
    """Look at the header only.

    Raises:
        AudioError: the file is missing, empty, not audio, or shorter than its header says.
    """
    with _open(path) as file:
        return AudioInfo(file.frames, file.samplerate, file.channels)


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
    with _open(path) as file:
        rate = file.samplerate if sample_rate is None else sample_rate
        end = resampled_length(file.frames, file.samplerate, rate)
        stop = end if stop is None else stop
        if not 0 <= start <= stop <= end:
            msg = f"{path} has {end} samples at {rate} Hz; samples {start} to {stop} were asked for. Was the file changed? Import it again."
            raise FaultyAudioError(msg, Fault.TOO_SHORT)
        if rate == file.samplerate:
            return _decode(file, path, start, stop, channel)
        return _resample_part(file, path, rate, start, stop, channel)


def audio_blocks(path: Path, start: int, stop: int, channel: int | None = None, seconds: int = 60) -> Iterator[Waveform]:
    """Yield samples `start` to `stop`, at the file's own rate, in blocks: an hour at the memory of a minute.

    Raises:
        AudioError: as `read_audio`.
    """
    with _open(path) as file:
        block = seconds * file.samplerate
        for first in range(start, stop, block):
            yield _decode(file, path, first, min(first + block, stop), channel)


def resampled_length(frames: int, sample_rate: int, new_rate: int) -> int:
    """Return how many samples `frames` at one rate are at another; halves are rounded up.

    >>> resampled_length(3, 32000, 16000)
    2
    """
    return (2 * frames * new_rate + sample_rate) // (2 * sample_rate)


def _open(path: Path) -> soundfile.SoundFile:
    """Open a file that has samples: all that its header promises."""
    if path.is_dir():
        msg = f"{path} is a folder, not a recording"
        raise FaultyAudioError(msg, Fault.NOT_AUDIO)
    try:
        size = path.stat().st_size
    except FileNotFoundError as error:
        msg = f"there is no file {path}. Paths in a manifest are relative to it: was the manifest or the audio moved?"
        raise FaultyAudioError(msg, Fault.MISSING) from error
    if not size:
        msg = f"{path} is empty (0 bytes): was a download or a copy interrupted? Fetch it again, or leave it out."
        raise FaultyAudioError(msg, Fault.EMPTY)
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a .raw file
        reason = error.error_string if isinstance(error, soundfile.LibsndfileError) else "raw samples without a header"
        msg = (
            f"{path} cannot be read as audio ({reason.rstrip('.')}). It is damaged, not audio, or of a format that libsndfile does not "
            f"know, such as m4a or compressed SPHERE: convert it (ffmpeg -i IN OUT.flac, sph2pipe)."
        )
        raise FaultyAudioError(msg, Fault.NOT_AUDIO) from error
    missing = _missing_end(file, path)
    if file.frames and not missing:
        return file
    file.close()
    if missing:
        raise _truncated(path, missing)
    msg = f"{path} holds no samples: leave it out."
    raise FaultyAudioError(msg, Fault.EMPTY)


def _missing_end(file: soundfile.SoundFile, path: Path) -> str | None:
    """Say how much of the file is missing, if the header tells. A cut FLAC or MP3 shows only when its end is read."""
    log = file.extra_info
    promised = PROMISED_BYTES.search(log)
    if promised and int(promised[2]) < int(promised[1]) < UNKNOWN_SIZE:
        return f"the header promises {promised[1]} bytes of sound, {promised[2]} are there"
    if ENDS_EARLY.search(log):
        return "the end of the stream is missing"
    if file.format == "NIST" and file.frames < (count := _sphere_samples(path)):
        return f"the header promises {count} samples, {file.frames} are there"
    return None


def _truncated(path: Path, missing: str) -> FaultyAudioError:
    msg = f"{path} is truncated ({missing}): was a download or a copy interrupted? Fetch it again, or leave it out."
    return FaultyAudioError(msg, Fault.TRUNCATED)


def _sphere_samples(path: Path) -> int:
    """Read the sample count of a NIST SPHERE header, which libsndfile does not compare with the file."""
    with path.open("rb") as file:
        found = SPHERE_SAMPLES.search(file.read(SPHERE_HEADER))
    return int(found[1]) if found else 0


def _decode(file: soundfile.SoundFile, path: Path, start: int, stop: int, channel: int | None) -> Waveform:
    """Decode frames `start` to `stop` at the file's own rate."""
    if channel is not None and not 0 <= channel < file.channels:
        msg = f"{path} has {file.channels} channels, numbered from 0; channel {channel} was asked for. Correct it in the manifest."
        raise FaultyAudioError(msg, Fault.NO_CHANNEL)
    try:
        file.seek(start)
        frames: Waveform = file.read(stop - start, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        reason = error.error_string.rstrip(".")
        msg = f"{path} is damaged between {_seconds(file, start)} and {_seconds(file, stop)} s ({reason}): fetch it again, or leave it out."
        raise FaultyAudioError(msg, Fault.DAMAGED) from error
    if len(frames) < stop - start:
        raise _truncated(path, f"the header promises {file.frames} samples, {start + len(frames)} are there")
    waveform = frames.mean(axis=1, dtype=np.float32) if channel is None else np.ascontiguousarray(frames[:, channel])
    finite = np.isfinite(waveform)
    if not finite.all():
        second = _seconds(file, start + int(finite.argmin()))
        msg = f"{path} holds NaN or infinity, first at {second} s: what wrote it divided by zero. Write it again, or leave it out."
        raise FaultyAudioError(msg, Fault.NOT_FINITE)
    return waveform


def _seconds(file: soundfile.SoundFile, frame: int) -> str:
    return f"{frame / file.samplerate:.3f}"


def _resample_part(file: soundfile.SoundFile, path: Path, rate: int, start: int, stop: int, channel: int | None) -> Waveform:
    """Resample what lies around the part, then trim. The beginning is cut where samples of both rates coincide."""
    common = math.gcd(file.samplerate, rate)
    old_step, new_step = file.samplerate // common, rate // common
    margin = math.ceil(MARGIN / min(old_step, new_step))  # in such steps
    first = max(start // new_step - margin, 0)
    last = stop // new_step + 1 + margin
    source = _decode(file, path, first * old_step, min(last * old_step, file.frames), channel)
    resampled: Waveform = soxr.resample(source, file.samplerate, rate, quality="HQ")
    part = resampled[start - first * new_step : stop - first * new_step]
    return np.pad(part, (0, stop - start - len(part)))  # soxr may give nothing for a sample or two
