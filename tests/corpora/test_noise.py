"""Noise drawn from recordings."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from foresay.corpora.manifest import Manifest
from foresay.corpora.noise import RecordedNoise
from foresay.errors import AudioError, UserError

RATE = 1000


def write(folder: Path, lengths: list[int]) -> Manifest:
    """Encode in every sample its recording and its time; an item without a length is an image."""
    lines: list[dict[str, object]] = []
    for n, length in enumerate(lengths):
        soundfile.write(folder / f"{n}.wav", ((1000 * n + np.arange(length)) / 2**15).astype(np.float32), RATE, subtype="PCM_16")
        sound = {"audio": f"{n}.wav", "duration": length / RATE, "sample_rate": RATE}
        lines.append({"id": str(n)} | (sound if length else {"image": "picture.png"}))
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return Manifest.open(folder / "manifest.jsonl")


def test_stretches_are_drawn_from_everywhere_as_often_as_there_is_audio(tmp_path: Path) -> None:
    noise = RecordedNoise(write(tmp_path, [500, 0, 100, 300]))
    rng = np.random.default_rng(0)
    drawn = [np.rint(noise(20, RATE, rng) * 2**15) for _ in range(900)]
    assert all(np.array_equal(np.diff(stretch), np.ones(19)) for stretch in drawn)  # one recording, nothing left out
    items = np.bincount([int(stretch[0] // 1000) for stretch in drawn], minlength=4)
    expected = np.array([500, 100, 300])
    assert items[1] == 0
    assert (((items[[0, 2, 3]] - expected) ** 2) / expected).sum() < 13.8  # chi-square with 2 degrees of freedom, p = 0.001
    starts = [int(stretch[0]) for stretch in drawn]
    assert min(starts) < 10
    assert 3280 >= max(starts) > 3270


def test_a_recording_that_is_too_short_is_repeated(tmp_path: Path) -> None:
    drawn = RecordedNoise(write(tmp_path, [30]))(70, RATE, np.random.default_rng(0))
    assert drawn.shape == (70,)
    assert np.array_equal(np.rint(drawn * 2**15), np.arange(70) % 30)


def test_noise_is_drawn_at_the_rate_that_is_asked_for(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "0.wav", np.sin(2 * np.pi * 50 * np.arange(8000) / 8000), 8000)
    line = {"id": "hum", "audio": "0.wav", "duration": 1.0, "sample_rate": 8000}
    (tmp_path / "manifest.jsonl").write_text(json.dumps(line) + "\n", encoding="utf-8")
    drawn = RecordedNoise(Manifest.open(tmp_path / "manifest.jsonl"))(8000, 16_000, np.random.default_rng(0))
    assert np.argmax(np.abs(np.fft.rfft(drawn))) == 25  # in half a second


def test_a_manifest_without_audio_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds no audio.*--set data\.noise=MANIFEST"):
        RecordedNoise(write(tmp_path, [0, 0]))


def test_a_recording_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    noise = RecordedNoise(write(tmp_path, [100]))
    (tmp_path / "0.wav").unlink()
    with pytest.raises(AudioError, match=r"0\.wav"):
        noise(10, RATE, np.random.default_rng(0))
