"""Every format that libsndfile writes, and headers that lie: the length is what decodes, and a part is that part of the whole."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from foresay.audio import sound
from foresay.audio.faults import FaultyAudioError
from foresay.audio.read import audio_blocks, audio_info, read_audio

SAMPLES = 24_000
WRONG = {("CAF", "ALAC_20", 2)}
"""What libsndfile itself does not read as it wrote it, and is refused."""
ROUNDING = {"MP3": 2e-7}
"""A decoder of MP3 adds up in another order where it begins elsewhere."""


def chirp(samples: int = SAMPLES, channels: int = 1) -> npt.NDArray[np.float32]:
    time = np.arange(samples)
    sound = 0.3 * np.sin(2 * np.pi * (200 + time / 100) * time / 16_000) * (1 + np.sin(time / 3000)) / 2
    sound += 0.05 * np.random.default_rng(0).standard_normal(samples)
    return np.stack([sound, sound[::-1] / 2], axis=1)[:, :channels].astype(np.float32)


def written(kind: str, subtype: str | None = None, samples: int = SAMPLES, rate: int = 16_000, channels: int = 1) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, chirp(samples, channels), rate, format=kind, subtype=subtype)
    return file.getvalue()


def can_be_written(kind: str, subtype: str, channels: int) -> bool:
    try:
        written(kind, subtype, 2000, channels=channels)
    except (soundfile.LibsndfileError, ValueError):
        return False
    return True


ALL = [
    (kind, subtype, channels)
    for kind in soundfile.available_formats()
    for subtype in soundfile.available_subtypes(kind)
    for channels in (1, 2)
    if kind not in {"RAW", "SD2"} and (kind, subtype, channels) not in WRONG and can_be_written(kind, subtype, channels)
]


@pytest.mark.parametrize("kind, subtype, channels", ALL, ids=["-".join(map(str, one)) for one in ALL])
def test_a_part_is_that_part_of_the_whole_in_every_format(kind: str, subtype: str, channels: int, tmp_path: Path) -> None:
    path = tmp_path / "a.audio"
    path.write_bytes(written(kind, subtype, channels=channels))
    info, whole = audio_info(path), read_audio(path)
    assert info.frames == len(whole)
    assert SAMPLES <= len(whole) <= SAMPLES + 1024  # whole blocks
    assert info.channels == channels
    near = ROUNDING.get(kind, 0.0)
    blocks = np.concatenate(list(audio_blocks(path, 0, len(whole), seconds=1)))
    assert np.abs(blocks - whole).max() <= near
    draws = np.random.default_rng(1)
    for start, stop in [(0, 1), (len(whole) - 1, len(whole)), *np.sort(draws.integers(0, len(whole) + 1, (12, 2))).tolist()]:
        assert np.abs(read_audio(path, None, start, stop) - whole[start:stop]).max(initial=0) <= near


def test_what_libsndfile_decodes_wrongly_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.caf"
    path.write_bytes(written("CAF", "ALAC_20", channels=2))
    with pytest.raises(FaultyAudioError, match=r"a\.caf .*20 bits .*wrongly"):
        audio_info(path)


def patched(whole: bytes, at: int, content: bytes) -> bytes:
    return whole[:at] + content + whole[at + len(content) :]


def size_of(name: bytes, size: bytes) -> Callable[[bytes], bytes]:
    """Replace the size of a chunk."""
    return lambda whole: patched(whole, whole.index(name) + 4, size)


def wide_sizes(sizes: bytes) -> Callable[[bytes], bytes]:
    """Replace the sizes that an RF64 file keeps apart, of the file and of the samples."""
    return lambda whole: patched(whole, whole.index(b"ds64") + 8, sizes * 3)


def flac_count(count: int) -> Callable[[bytes], bytes]:
    return lambda whole: patched(whole, 21, bytes([whole[21] & 0xF0]) + struct.pack(">I", count))


def both(count: bytes, size: bytes) -> Callable[[bytes], bytes]:
    """Replace the count and the size of an AIFF file."""
    return lambda whole: size_of(b"SSND", size)(patched(whole, whole.index(b"COMM") + 10, count))


PIPED = {
    "wav, 0": ("WAV", size_of(b"data", b"\0\0\0\0")),
    "wav, 4 GB": ("WAV", size_of(b"data", b"\xff\xff\xff\xff")),
    "wav, 2 GB": ("WAV", size_of(b"data", struct.pack("<I", 0x7FFF_F000))),
    "wav, 0 everywhere": ("WAV", lambda whole: patched(size_of(b"data", b"\0\0\0\0")(whole), 4, b"\0\0\0\0")),
    "wavex, 0": ("WAVEX", size_of(b"data", b"\0\0\0\0")),
    "rf64, 0": ("RF64", wide_sizes(b"\0" * 8)),
    "rf64, all bits": ("RF64", wide_sizes(b"\xff" * 8)),
    "w64, 0": ("W64", lambda whole: patched(whole, whole.index(b"data\xf3\xac") + 16, b"\0" * 8)),
    "au, 0": ("AU", lambda whole: patched(whole, 8, b"\0\0\0\0")),
    "au, unknown": ("AU", lambda whole: patched(whole, 8, b"\xff\xff\xff\xff")),
    "au, 2 GB": ("AU", lambda whole: patched(whole, 8, b"\x7f\xff\xff\xff")),
    "aiff, 0": ("AIFF", both(b"\0\0\0\0", b"\0\0\0\0")),
    "aiff, empty": ("AIFF", both(b"\0\0\0\0", b"\0\0\0\x08")),
    "aiff, 4 GB": ("AIFF", both(b"\xff\xff\xff\xff", b"\xff\xff\xff\xff")),
    "caf, -1": ("CAF", size_of(b"data", b"\xff" * 8)),
    "caf, 0": ("CAF", size_of(b"data", b"\0" * 8)),
    "sphere, 0": ("NIST", lambda whole: whole.replace(b"sample_count -i 24000", b"sample_count -i 0    ")),
    "flac, unknown": ("FLAC", flac_count(0)),
    "flac, half of it": ("FLAC", flac_count(SAMPLES // 2)),
}


@pytest.mark.parametrize("name", PIPED)
def test_what_was_written_to_a_pipe_is_as_long_as_it_is(name: str, tmp_path: Path) -> None:
    kind, lie = PIPED[name]
    subtype = "PCM_16"
    honest, path = tmp_path / "honest.audio", tmp_path / "a.audio"
    honest.write_bytes(written(kind, subtype))
    path.write_bytes(lie(honest.read_bytes()))
    whole = read_audio(honest)
    assert len(whole) == SAMPLES
    assert audio_info(path) == audio_info(honest)
    assert np.array_equal(read_audio(path), whole)
    assert np.array_equal(read_audio(path, None, 20_000, SAMPLES), whole[20_000:])


def test_a_wav_of_no_samples_with_notes_behind_them_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(written("WAV", samples=0) + b"LIST" + struct.pack("<I", 4) + b"INFO")
    with pytest.raises(FaultyAudioError, match="holds no samples"):
        audio_info(path)


def test_a_flac_without_its_count_that_is_cut_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(flac_count(0)(written("FLAC"))[:-2000])
    with pytest.raises(FaultyAudioError, match="is damaged"):
        audio_info(path)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
@pytest.mark.parametrize("samples", [SAMPLES, 30_000])
def test_chained_ogg_is_read_to_its_end(subtype: str, samples: int, tmp_path: Path) -> None:
    one, two, both = tmp_path / "1.ogg", tmp_path / "2.ogg", tmp_path / "both.ogg"
    one.write_bytes(written("OGG", subtype))
    two.write_bytes(written("OGG", subtype, samples))
    both.write_bytes(one.read_bytes() + two.read_bytes())
    whole = np.concatenate([read_audio(one), read_audio(two)])
    assert audio_info(both).frames == len(whole)
    assert np.array_equal(read_audio(both), whole)
    assert np.array_equal(read_audio(both, None, 23_000, 26_000), whole[23_000:26_000])


def test_an_ogg_without_its_last_pages_is_as_long_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    whole = written("OGG", "VORBIS", 100_000)
    path.write_bytes(whole[: whole.rindex(b"OggS")])
    assert 0 < audio_info(path).frames == len(read_audio(path)) < 100_000


@pytest.mark.parametrize("kind", ["OGG", "MP3"])
def test_what_is_joined_must_be_alike(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.audio"
    path.write_bytes(written(kind, rate=16_000) + written(kind, rate=24_000))
    with pytest.raises(FaultyAudioError, match="joins recordings of different sample rates") as caught:
        audio_info(path)
    assert caught.value.fault == "several recordings in one"


@pytest.mark.parametrize("samples", [(2000, 2000), (400_000, 400_000), (4000, 3_000_000), (3_000_000, 4000)])
def test_two_flacs_in_a_file_are_not_passed_over(samples: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(b"".join(written("FLAC", samples=count) for count in samples))
    with pytest.raises(FaultyAudioError, match="one FLAC file after another"):
        audio_info(path)


@pytest.mark.parametrize("offset", range(-8, 2))
def test_a_second_flac_is_found_wherever_it_begins(offset: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = written("FLAC", samples=2000)
    monkeypatch.setattr(sound, "SCANNED", len(whole) + offset)  # the mark of the second lies across two blocks
    path = tmp_path / "a.flac"
    path.write_bytes(whole)
    assert audio_info(path).frames == 2000
    path.write_bytes(whole * 2)
    with pytest.raises(FaultyAudioError, match="one FLAC file after another"):
        audio_info(path)


def test_tags_behind_a_flac_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    for tag in (b"TAG" + b"x" * 125, b"APETAGEX" + b"y" * 2000):
        path.write_bytes(written("FLAC") + tag)
        assert audio_info(path).frames == SAMPLES


@pytest.mark.parametrize("rate", [11_025, 22_050, 44_056, 12_345])
def test_odd_sample_rates(rate: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(written("WAV", rate=rate))
    assert audio_info(path).sample_rate == rate
    whole = read_audio(path, 16_000)
    assert len(whole) == round(SAMPLES * 16_000 / rate)
    assert np.allclose(read_audio(path, 16_000, 5000, 6000), whole[5000:6000], atol=2e-6)


@pytest.mark.parametrize("rate", [0, 0xFFFF_FFFF])
def test_impossible_sample_rates_are_refused(rate: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(patched(written("WAV"), 24, struct.pack("<I", rate)))
    with pytest.raises(FaultyAudioError):
        audio_info(path)
