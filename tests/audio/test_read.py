"""Audio as it comes: every format and rate, any part, and everything that can be wrong with a file."""

import math
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foresay.audio.content import Content
from foresay.audio.faults import FaultyAudioError
from foresay.audio.read import AudioInfo, audio_blocks, audio_info, read_audio, resampled_length
from foresay.errors import AudioError

RATE = 16_000
LOSSLESS = {"wav": "WAV", "flac": "FLAC", "sph": "NIST", "aiff": "AIFF", "au": "AU", "caf": "CAF", "w64": "W64"}
LOSSY = {"ogg": "OGG", "mp3": "MP3"}


def noise(samples: int, channels: int = 1) -> npt.NDArray[np.float32]:
    """Return noise that 16 bits hold exactly."""
    steps = np.random.default_rng(samples).integers(-8000, 8000, (samples, channels))
    return (steps / 2**15).astype(np.float32)


def write(path: Path, samples: npt.NDArray[np.float32], rate: int = RATE, **how: str) -> Path:
    soundfile.write(path, samples, rate, **({"format": (LOSSLESS | LOSSY)[path.suffix[1:]]} | how))
    return path


@pytest.mark.parametrize("kind", LOSSLESS)
def test_lossless_formats_come_back_as_they_were(kind: str, tmp_path: Path) -> None:
    samples = noise(1000)[:, 0]
    path = write(tmp_path / f"a.{kind}", samples)
    assert audio_info(path) == AudioInfo(1000, RATE, 1)
    read = read_audio(path)
    assert read.dtype == np.float32
    assert np.array_equal(read, samples)
    assert np.array_equal(read_audio(path, start=123, stop=456), samples[123:456])
    assert read_audio(path, start=7, stop=7).shape == (0,)


@pytest.mark.parametrize("kind", LOSSY)
def test_lossy_formats_have_their_length_and_their_parts(kind: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"a.{kind}", noise(3 * RATE)[:, 0] / 4)
    whole = read_audio(path)
    assert len(whole) == audio_info(path).frames == 3 * RATE
    assert np.allclose(read_audio(path, start=20_000, stop=30_000), whole[20_000:30_000], atol=1e-6)


def test_opus_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.opus", noise(48_000)[:, 0] / 4, 48_000, format="OGG", subtype="OPUS")
    assert read_audio(tmp_path / "a.opus", RATE).shape == (RATE,)


def test_stereo_is_mixed_or_one_channel_is_chosen(tmp_path: Path) -> None:
    samples = noise(500, channels=2)
    path = write(tmp_path / "a.wav", samples)
    assert audio_info(path).channels == 2
    assert np.allclose(read_audio(path), (samples[:, 0] + samples[:, 1]) / 2, atol=1e-7)
    for channel in (0, 1):
        assert np.array_equal(read_audio(path, channel=channel), samples[:, channel])
    with pytest.raises(AudioError, match=r"a\.wav has 2 channels, numbered from 0; channel 2"):
        read_audio(path, channel=2)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000])
def test_a_tone_keeps_its_pitch_level_and_phase(rate: int, tmp_path: Path) -> None:
    def tone(rate: int) -> npt.NDArray[np.float32]:
        return (0.5 * np.sin(2 * np.pi * 1000 * np.arange(rate) / rate)).astype(np.float32)

    path = write(tmp_path / "a.wav", tone(rate), rate, subtype="FLOAT")
    read = read_audio(path, RATE)
    assert read.shape == (RATE,)
    inside = slice(1000, -1000)  # the tone begins and ends abruptly
    assert np.abs(read[inside] - tone(RATE)[inside]).max() < 2e-4


def test_what_the_new_rate_cannot_hold_is_gone(tmp_path: Path) -> None:
    high = np.sin(2 * np.pi * 11_000 * np.arange(48_000) / 48_000).astype(np.float32)
    path = write(tmp_path / "a.wav", high, 48_000, subtype="FLOAT")
    assert np.abs(read_audio(path, RATE)[1000:-1000]).max() < 1e-4


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), rate=st.sampled_from([8000, 11_025, 32_000, 44_100, 48_000]), kind=st.sampled_from(["wav", "flac"]))
def test_a_part_is_the_same_part_of_the_whole(data: st.DataObject, rate: int, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"{rate}.{kind}"
    if not path.exists():
        write(path, noise(rate)[:, 0], rate)
    whole = read_audio(path, RATE)
    assert len(whole) == resampled_length(rate, rate, RATE) == RATE
    start = data.draw(st.integers(0, RATE))
    stop = data.draw(st.integers(start, RATE))
    assert np.allclose(read_audio(path, RATE, start, stop), whole[start:stop], atol=2e-6)


@pytest.mark.parametrize("rate", [8000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("samples", [1, 2, 3, 4, 5, 1023, 1024, 1025])
def test_every_length_is_as_reckoned(rate: int, samples: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(samples)[:, 0], rate)
    assert len(read_audio(path, RATE)) == math.floor(samples * RATE / rate + 0.5)


def test_blocks_are_the_whole_in_pieces(tmp_path: Path) -> None:
    samples = noise(2500)[:, 0]
    path = write(tmp_path / "a.flac", samples, 1000)
    blocks = list(audio_blocks(path, 100, 2500, seconds=1))
    assert [len(block) for block in blocks] == [1000, 1000, 400]
    assert np.array_equal(np.concatenate(blocks), samples[100:])


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda whole: whole[: int(len(whole) * share)]


@pytest.mark.parametrize("kind", ["wav", "flac", "sph", "aiff", "au", "w64", "ogg", "mp3"])
@pytest.mark.parametrize("share", [0.5, 0.97])
def test_a_truncated_file_is_refused(kind: str, share: float, tmp_path: Path) -> None:
    path = write(tmp_path / f"a.{kind}", noise(4 * RATE)[:, 0] / 4)
    path.write_bytes(cut(share)(path.read_bytes()))
    with pytest.raises(FaultyAudioError, match=rf"a\.{kind}.*(truncated|damaged)") as caught:
        read_audio(path)
    assert caught.value.fault in {"truncated", "damaged"}


def test_what_precedes_the_damage_of_a_flac_can_be_read(tmp_path: Path) -> None:
    samples = noise(4 * RATE)[:, 0]
    path = write(tmp_path / "a.flac", samples)
    path.write_bytes(cut(0.5)(path.read_bytes()))
    assert np.array_equal(read_audio(path, start=0, stop=RATE), samples[:RATE])


@pytest.mark.parametrize("promised", [0xFFFF_FFFF, 0x7FFF_FFFF - 36])
def test_a_wav_that_was_written_to_a_pipe_is_whole(promised: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(100)[:, 0])
    raw = bytearray(path.read_bytes())
    raw[40:44] = struct.pack("<I", promised)
    path.write_bytes(raw)
    assert np.array_equal(read_audio(path), noise(100)[:, 0])


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FaultyAudioError, match=r"there is no file .*gone\.wav.*moved") as caught:
        read_audio(tmp_path / "gone.wav")
    assert caught.value.fault == "missing"


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("a.wav", b"", r"a\.wav is empty \(0 bytes\)"),
        ("a.wav", b"this is not audio at all", r"a\.wav cannot be read as audio"),
        ("a.flac", b"\0" * 5000, r"a\.flac cannot be read as audio"),
        ("a.m4a", b"\0\0\0 ftypM4A ", r"a\.m4a cannot be read as audio .*ffmpeg"),
        ("a.raw", b"\0" * 5000, r"a\.raw cannot be read as audio \(raw samples without a header\)"),
    ],
)
def test_what_is_not_audio_is_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (audio_info, read_audio):
        with pytest.raises(AudioError, match=message):
            read(tmp_path / name)


def test_a_folder_is_no_recording(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="is a folder"):
        read_audio(tmp_path)


def test_no_samples(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(0)[:, 0])
    with pytest.raises(AudioError, match=r"a\.wav holds no samples"):
        audio_info(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_where_is_said(value: float, tmp_path: Path) -> None:
    samples = noise(2 * RATE)[:, 0]
    samples[RATE + RATE // 2] = value
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(FaultyAudioError, match=r"a\.wav holds NaN or infinity, first at 1\.500 s"):
        read_audio(path)
    with pytest.raises(FaultyAudioError, match=r"first at 1\.500 s"):
        read_audio(path, start=RATE)
    assert np.array_equal(read_audio(path, stop=RATE), samples[:RATE])


def test_silence_is_audio(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.zeros(100, dtype=np.float32))
    assert not read_audio(path).any()


@pytest.mark.parametrize("start, stop", [(0, 101), (-1, 50), (60, 50), (101, None)])
def test_samples_that_are_not_there_are_refused(start: int, stop: int | None, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", noise(100)[:, 0])
    with pytest.raises(AudioError, match=r"a\.wav has 100 samples at 16000 Hz; samples -?\d+ to \d+ were asked for"):
        read_audio(path, start=start, stop=stop)


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_a_window_of_a_long_recording_is_read_at_once(kind: str, tmp_path: Path) -> None:
    rate, minutes = 48_000, 6
    samples = np.tile(noise(rate)[:, 0], 60 * minutes)
    path = write(tmp_path / f"a.{kind}", samples, rate)
    start = (60 * minutes - 2) * RATE
    window = read_audio(path, RATE, start, start + 20_480)
    assert np.allclose(window, read_audio(path, RATE, start - RATE, start - RATE + 20_480), atol=2e-6)  # a second is like another
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        read_audio(path, RATE, start, start + 20_480)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.05  # the whole takes seconds


def link_loop(folder: Path) -> Path:
    (folder / "a.wav").symlink_to(folder / "b.wav")
    (folder / "b.wav").symlink_to(folder / "a.wav")
    return folder / "a.wav"


def fifo(folder: Path) -> Path:
    os.mkfifo(folder / "a.wav")
    return folder / "a.wav"


def device(folder: Path) -> Path:
    (folder / "a.wav").symlink_to("/dev/zero")
    return folder / "a.wav"


PATHS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "loop": (link_loop, "unreadable"),
    "NUL": (lambda folder: folder / "a\0.wav", "unreadable"),
    "too long": (lambda folder: folder / ("a" * 300), "unreadable"),
    "surrogate": (lambda folder: folder / "\ud800.wav", "unreadable"),
    "below a file": (lambda folder: write(folder / "a.wav", noise(10)[:, 0]) / "b.wav", "unreadable"),
    "pipe": (fifo, "not audio"),
    "device": (device, "not audio"),
}


@pytest.mark.parametrize("name", PATHS)
def test_a_path_that_cannot_be_used_is_a_fault_of_the_file(name: str, tmp_path: Path) -> None:
    make, fault = PATHS[name]
    path = make(tmp_path)
    for read in (audio_info, read_audio):
        with pytest.raises(FaultyAudioError) as caught:
            read(path)
        assert caught.value.fault == fault
        assert str(caught.value).isprintable()


def test_a_disk_that_fails_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.wav", noise(RATE * 10)[:, 0])
    read = Content.readinto

    def failing(self: Content, buffer: memoryview) -> int:
        if self.tell() > RATE:
            self.failure = OSError(5, "Input/output error")
            return 0
        return read(self, buffer)

    monkeypatch.setattr(Content, "readinto", failing)
    with pytest.raises(FaultyAudioError, match="Input/output error"):
        read_audio(path)


def test_integers_in_a_file_of_floats_are_refused(tmp_path: Path) -> None:
    samples = np.round(noise(RATE)[:, 0] * 32_767)
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    with pytest.raises(FaultyAudioError, match=r"a\.wav reaches 8,0\d\d times full scale, at .*Divide them by 32,768") as caught:
        read_audio(path)
    assert caught.value.fault == "integers taken for full scale"
    path = write(tmp_path / "b.wav", samples / 32_768 * 4, subtype="FLOAT")  # some programs keep what is above full scale
    assert np.abs(read_audio(path)).max() > 0.9
