"""MP3: as long as it decodes, joined or not, with and without counts and tags; what its decoder says is caught."""

import contextlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from foresay.audio.chatter import caught_chatter
from foresay.audio.faults import FaultyAudioError
from foresay.audio.read import audio_blocks, audio_info, read_audio

NEAR = 2e-7
"""A decoder that begins elsewhere adds up in another order."""
ERROR = b"[src/libmpg123/layer3.c:do():1774] error: dequantization failed!\n"
LAYER_2 = b"\xff\xfd\x40\xc0".ljust(208, b"\0")
"""A frame of layer II, 64 kbit/s at 44.1 kHz, of silence."""


def mp3(samples: int = 60_000, rate: int = 16_000, channels: int = 1, mode: str = "VARIABLE", seed: int = 0) -> bytes:
    time = np.arange(samples)
    sound = 0.3 * np.sin(2 * np.pi * (200 + time / 100) * time / rate) * (1 + np.sin(time / 3000)) / 2
    sound += 0.1 * np.random.default_rng(seed).standard_normal(samples) * (np.sin(time / 9000) > 0)
    file = io.BytesIO()
    with soundfile.SoundFile(
        file, "w", rate, channels, format="MP3", subtype="MPEG_LAYER_III", bitrate_mode=mode, compression_level=0.6
    ) as out:
        out.write(np.stack([sound, sound[::-1] / 2], axis=1)[:, :channels])
    return file.getvalue()


def frames_of(whole: bytes) -> list[bytes]:
    """Cut an MP3 file of MPEG 2 at 16 kHz into its frames: an independent and plainer reading than the toolkit's."""
    kbits = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
    frames, at = [], 0
    while at < len(whole):
        size = 72 * kbits[whole[at + 2] >> 4] * 1000 // 16_000 + (whole[at + 2] >> 1 & 1)
        frames.append(whole[at : at + size])
        at += size
    return frames


def plain(content: bytes) -> npt.NDArray[np.float32]:
    """Decode as libsndfile does, all at once."""
    samples, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    return np.asarray(samples.mean(axis=1, dtype=np.float32))


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT", "AVERAGE"])
@pytest.mark.parametrize("rate, channels", [(8_000, 1), (16_000, 2), (24_000, 1), (44_100, 2), (48_000, 1)])
def test_an_ordinary_file_is_read_as_libsndfile_reads_it_and_so_are_its_parts(mode: str, rate: int, channels: int, tmp_path: Path) -> None:
    content = mp3(rate=rate, channels=channels, mode=mode)
    path, expected = put(tmp_path / "a.mp3", content), plain(content)
    assert audio_info(path) == (60_000, rate, channels)
    assert np.abs(read_audio(path) - expected).max() < NEAR
    for start in np.random.default_rng(0).integers(0, 59_000, 20).tolist():
        assert np.abs(read_audio(path, None, start, start + 1000) - expected[start : start + 1000]).max() < NEAR


def test_files_that_were_joined_are_read_one_after_another(tmp_path: Path) -> None:
    """What `cat a.mp3 b.mp3` makes, with and without tags between them; the decoder stops after the first."""
    one, two = mp3(), mp3(40_000, seed=1)
    id3 = b"ID3\x04\0\0\0\0\x02\x00" + b"\xff\xfb" * 128
    for tag in (b"", b"TAG" + b"x" * 125, id3, b"TAG" + b"y" * 125 + id3, b"\0" * 999):
        path = put(tmp_path / "a.mp3", one + tag + two)
        expected = np.concatenate([plain(one), plain(two)])
        assert audio_info(path).frames == 100_000
        assert np.abs(read_audio(path) - expected).max() < NEAR
        assert np.abs(read_audio(path, None, 59_000, 61_000) - expected[59_000:61_000]).max() < NEAR


def test_without_a_count_there_are_as_many_samples_as_frames_hold(tmp_path: Path) -> None:
    """A variable bit rate without Xing's frame: the decoder guesses from the first frame and stops there."""
    content = mp3()
    frames = frames_of(content)
    path = put(tmp_path / "a.mp3", b"".join(frames[1:]))
    assert len(plain(path.read_bytes())) != (len(frames) - 1) * 576  # the guess
    assert audio_info(path).frames == (len(frames) - 1) * 576
    whole = read_audio(path)
    assert np.abs(whole[576 + 529 :][:60_000] - plain(content)).max() < NEAR  # the encoder's delay is still there
    assert np.abs(read_audio(path, None, 30_000, 31_000) - whole[30_000:31_000]).max() < NEAR


@pytest.mark.parametrize("junk", [b"\0" * 3000, b"ID3\x03\0\0\0\0\x10\0" + b"\xff\xf3\x88" * 683])
def test_what_stands_before_the_first_frame_is_passed_over(junk: bytes, tmp_path: Path) -> None:
    content = mp3()
    path = put(tmp_path / "a.mp3", junk[:2058] + content)
    assert np.abs(read_audio(path) - plain(content)).max() < NEAR


def test_an_mp3_is_known_by_its_content(tmp_path: Path) -> None:
    content = mp3()
    assert audio_info(put(tmp_path / "a.dat", content)).frames == 60_000
    soundfile.write(tmp_path / "b.wav", plain(content), 16_000)
    assert audio_info((tmp_path / "b.wav").rename(tmp_path / "b.mp3")).frames == 60_000


def test_nothing_of_the_decoder_reaches_the_terminal(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = mp3()
    frames = frames_of(content)
    good = {
        "joined": content + content,
        "cut in front": b"".join(frames[20:]),
        "tagged": content + b"TAG" + b"x" * 125,
        "padded": b"\0" * 1000 + content,
    }
    for name, one in good.items():
        path = put(tmp_path / f"{name}.mp3", one)
        whole = read_audio(path)
        assert len(whole) == audio_info(path).frames
        assert len(np.concatenate(list(audio_blocks(path, 0, len(whole), seconds=1)))) == len(whole)
        read_audio(path, None, len(whole) // 2, len(whole) // 2 + 1000)
    assert capfd.readouterr() == ("", "")


def test_what_the_decoder_says_of_damage_becomes_the_message_of_the_windows_that_it_is_in(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    frames = frames_of(mp3(mode="CONSTANT"))
    middle = len(frames) // 2
    frames[middle] = frames[middle][:4] + b"\xff" * (len(frames[middle]) - 4)
    path = put(tmp_path / "a.mp3", b"".join(frames))
    expected = plain(mp3(mode="CONSTANT"))
    assert audio_info(path).frames == 60_000
    with pytest.raises(FaultyAudioError, match=r"a\.mp3 is damaged between .*(big_values|bit count|dequantization)") as caught:
        read_audio(path, None, 28_000, 32_000)
    assert caught.value.fault == "damaged"
    assert np.abs(read_audio(path, None, 0, 20_000) - expected[:20_000]).max() < NEAR
    assert np.abs(read_audio(path, None, 50_000, 60_000) - expected[50_000:]).max() < NEAR
    assert capfd.readouterr() == ("", "")


def test_something_else_between_frames_is_damage_where_it_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content = mp3()
    frames = frames_of(content)
    middle = len(frames) // 2
    path = put(tmp_path / "a.mp3", b"".join(frames[:middle]) + b"garbage" * 100 + b"".join(frames[middle:]))
    assert audio_info(path).frames == 60_000
    with pytest.raises(FaultyAudioError, match="no audio stands between its frames"):
        read_audio(path)
    assert np.abs(read_audio(path, None, 50_000, 60_000) - plain(content)[50_000:]).max() < NEAR
    capfd.readouterr()


def test_what_others_write_meanwhile_is_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with caught_chatter() as errors:
        os.write(2, ERROR + b"\r 50 %" + b"Note: Skipped 700 bytes in input.\n" + ERROR + b"ours\n")
    assert errors == ["dequantization failed!"] * 2
    assert capfd.readouterr().err == "\r 50 %ours\n"


def test_threads_read_at_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    contents = [mp3(seed=seed) for seed in range(4)]
    paths = [put(tmp_path / f"{number}.mp3", content) for number, content in enumerate(contents)]
    wholes = [read_audio(path) for path in paths]
    starts = np.random.default_rng(0).integers(0, 50_000, 60).tolist()
    with ThreadPoolExecutor(8) as pool:
        parts = list(pool.map(lambda start: read_audio(paths[start % 4], None, start, start + 5000), starts))
    for start, part in zip(starts, parts, strict=True):
        assert np.abs(part - wholes[start % 4][start : start + 5000]).max() < NEAR
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "content",
    [
        LAYER_2,
        LAYER_2[:100],
        LAYER_2 * 20 + bytes(1000) + LAYER_2 * 20,
        LAYER_2 * 20 + bytes(range(1, 255)) * 20 + LAYER_2 * 20,
        b"".join(LAYER_2[:4] + np.random.default_rng(n).bytes(204) for n in range(20)),
        b"\xff\xfb\x90\x00".ljust(60, b"\0"),
    ],
)
def test_the_decoder_is_silent_about_other_layers_and_about_scraps(
    content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.mp3").write_bytes(content)
    for use in (audio_info, read_audio):
        with contextlib.suppress(FaultyAudioError):
            use(tmp_path / "a.mp3")
    assert capfd.readouterr() == ("", "")


def test_what_the_decoder_says_of_a_damaged_layer_2_is_reported(tmp_path: Path) -> None:
    noise = b"".join(LAYER_2[:4] + np.random.default_rng(n).bytes(204) for n in range(20))
    (tmp_path / "a.mp3").write_bytes(LAYER_2 * 40 + noise)
    assert not read_audio(tmp_path / "a.mp3", stop=1152 * 30).any()
    with pytest.raises(FaultyAudioError, match=r"damaged between 0\.000 and .* \(.*bits"):
        read_audio(tmp_path / "a.mp3")
